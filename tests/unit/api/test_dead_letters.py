"""Dead letters one by one: parameters, shape, and who may see them."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.ingest.letters import to_letter
from shared.messaging.dead_letters import RejectedRecord
from shared.truth.letters import Choice, LetterPage, Place
from tests.unit.api.conftest import NOW_MS, Api
from tests.unit.api.test_security import GOOD

RECORD = Record(Source("scores", 3, 7, NOW_MS - 10), b"\xff", b'{"eventId": "e-1"}')
LETTER = to_letter(RejectedRecord(RECORD, Rejection(Reason.INVALID, "points"), "cup"), NOW_MS)


class Register:
    """A page of one letter, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Choice, int, Place | None]] = []
        self.result = LetterPage([LETTER], None)

    def page(self, choice: Choice, limit: int, after: Place | None, _now_ms: int) -> LetterPage:
        self.asked.append((choice, limit, after))
        return self.result

    def unregistered(self, _now_ms: int) -> int:
        return 4


@pytest.fixture
def register(api: Api) -> Register:
    api.parts.letter_register = register = Register()
    return register


def test_a_letter_is_shown_with_decoded_key_and_value(api: Api, register: Register) -> None:
    answer = api.call("GET", "/dead-letters")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.json == {
        "deadLetters": [
            {
                "reason": "invalid",
                "detail": "points",
                "topic": "scores",
                "partition": 3,
                "offset": 7,
                "appendedAt": "2026-11-23T09:59:59.990Z",
                "rejectedAt": "2026-11-23T10:00:00.000Z",
                "leaderboardId": "cup",
                "eventId": "e-1",
                "key": {"text": "/w==", "encoding": "base64", "bytes": 1, "truncated": False},
                "value": {"text": '{"eventId": "e-1"}', "encoding": "utf-8", "bytes": 18, "truncated": False},
            }
        ],
        "nextCursor": None,
        "onlyInQueue": 4,
    }
    assert register.asked == [(Choice(), 50, None)]


def test_filters_limit_and_cursor_are_handed_on(api: Api, register: Register) -> None:
    register.result = LetterPage([], LETTER.place)
    cursor = api.call("GET", "/dead-letters").json["nextCursor"]
    query = {"reason": "invalid", "leaderboardId": "cup", "eventId": "e/1", "limit": 7, "cursor": cursor}

    assert api.call("GET", "/dead-letters", query).status == 200

    assert register.asked[-1] == (Choice(Reason.INVALID, "cup", "e/1"), 7, LETTER.place)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reason", "late"),
        ("leaderboardId", "Cup"),
        ("eventId", ""),
        ("eventId", "x" * 129),
        ("limit", "0"),
        ("limit", "101"),
        ("cursor", "x"),
        ("offset", "1"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(api: Api, register: Register, name: str, value: str) -> None:
    answer = api.call("GET", "/dead-letters", {name: value})

    assert answer.status == 422
    assert list(answer.errors) == [name]
    assert not register.asked


@pytest.mark.parametrize("appended_at_ms", [-1, -(2**63), 2**63 - 1])
def test_a_time_of_a_producer_that_no_calendar_holds_is_left_out(
    api: Api, register: Register, appended_at_ms: int
) -> None:
    register.result = LetterPage([replace(LETTER, appended_at_ms=appended_at_ms, key=None, value=None)], None)

    (shown,) = api.call("GET", "/dead-letters").json["deadLetters"]

    assert (shown["appendedAt"], shown["key"], shown["value"]) == (None, None, None)


@pytest.mark.parametrize(("scope", "status"), [("leaderboards:read exports:read", 403), ("leaderboards:admin", 200)])
def test_they_take_the_scope_of_administration(scope: str, status: int) -> None:
    api = Api(authorization="jwt")
    parts: Any = SimpleNamespace(page=Register().page, unregistered=lambda _: 0)
    api.parts.letter_register = parts
    api.claims = GOOD | {"scope": scope}

    assert api.call("GET", "/dead-letters").status == status
