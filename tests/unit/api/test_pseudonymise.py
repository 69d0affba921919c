"""The route that has a player forgotten, and what is refused about one who is."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.admin.pseudonyms import HasPseudonym, IsPseudonym, Pseudonymised, TooMuchToMove
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.rules import Leaderboard
from tests.unit.api.conftest import NOW_MS, Api

NAME = "p-9f86d081884c7d659a2feaa0c55ad015"
ENTRY = AuditEntry(number=3, kind=AuditAction.PSEUDONYMISE, actor="local", reason="case 7", at_ms=NOW_MS, user_id=NAME)
PATH = "/leaderboards/cup/players/bob/pseudonymise"


class Moves:
    """Moves players at once, or says why not."""

    def __init__(self) -> None:
        self.known = True
        self.failure: Exception | None = None
        self.asked: list[tuple[str, str, str]] = []

    def is_known(self, _: Leaderboard, __: str) -> bool:
        return self.known

    def pseudonymise(self, leaderboard: Leaderboard, user_id: str, _: str, reason: str, has_time: Any) -> Any:
        self.asked.append((leaderboard.id, user_id, reason))
        assert has_time()
        if self.failure is not None:
            raise self.failure
        return Pseudonymised(ENTRY, NAME, self.known, True)

    def files(self, _: Leaderboard, number: int) -> list[str]:
        assert number == ENTRY.number
        return ["finals/cup/2026-W48/v1.csv"]

    def check(self, _: Leaderboard, user_id: str) -> None:
        raise HasPseudonym(f"{user_id} has one")


@pytest.fixture
def moves(api: Api) -> Moves:
    moves = api.parts.pseudonymisation = Moves()
    api.start()
    return moves


def test_the_answer_has_the_pseudonym_and_what_stays(api: Api, moves: Moves) -> None:
    answer = api.call("POST", PATH, body={"reason": "case 7"})
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert (answer.json["pseudonym"], answer.json["known"], answer.json["complete"]) == (NAME, True, True)
    assert (answer.json["auditEntry"]["kind"], answer.json["auditEntry"]["userId"]) == ("pseudonymise", NAME)
    assert answer.json["stays"][0] == "finals/cup/2026-W48/v1.csv"
    assert [one.partition(",")[0].partition(" that")[0] for one in answer.json["stays"][1:]] == [
        "exports",
        "records on the topic and dead letters",
        "backups of the tables",
        "logs",
        "reasons in the audit log",
    ]
    assert moves.asked == [("cup", "bob", "case 7")]


def test_an_unknown_player_is_said_or_with_strict_refused(api: Api, moves: Moves) -> None:
    moves.known = False
    assert api.call("POST", PATH, body={"reason": "case 7"}).json["known"] is False
    refused = api.call("POST", PATH, body={"reason": "case 7", "strict": True})
    assert (refused.status, refused.json["type"]) == (404, "urn:leaderboards:problem:unknown-player")
    assert len(moves.asked) == 1


def test_it_needs_a_leaderboard_and_a_reason(api: Api, moves: Moves) -> None:
    assert api.call("POST", PATH.replace("cup", "none"), body={"reason": "case 7"}).status == 404
    answer = api.call("POST", PATH, body={})
    assert (answer.status, answer.errors) == (422, {"reason": "is required"})
    assert moves.asked == []


@pytest.mark.parametrize(
    ("failure", "kind"), [(IsPseudonym("p is"), "is-pseudonym"), (TooMuchToMove("much"), "too-much-to-move")]
)
def test_what_rules_it_out_is_a_problem(api: Api, moves: Moves, failure: Exception, kind: str) -> None:
    moves.failure = failure
    answer = api.call("POST", PATH, body={"reason": "case 7"})
    assert (answer.status, answer.json["type"]) == (409, f"urn:leaderboards:problem:{kind}")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("disqualify", {}),
        ("reinstate", {}),
        ("events/e-1/void", {}),
        ("corrections", {"eventId": "c-1", "points": 1, "occurredAt": "2026-11-23T09:00:00Z"}),
    ],
)
def test_nothing_is_done_by_an_id_that_was_replaced(api: Api, moves: Moves, path: str, body: dict[str, Any]) -> None:
    api.parts.disqualifications = api.parts.amendments = SimpleNamespace()
    api.start()
    answer = api.call("POST", f"/leaderboards/cup/players/bob/{path}", body={"reason": "case 7", **body})
    assert (answer.status, answer.json["type"]) == (409, "urn:leaderboards:problem:has-pseudonym")
    assert NAME not in answer.json["detail"]
