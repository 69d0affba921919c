"""A score with its rank: what is sent, how long the answer waits, and what is refused."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from shared.cache.errors import CacheUnavailable
from shared.cache.leases import BuildProgress
from shared.domain.calendar import DAY_MS, current_windows, day_of
from shared.domain.events import ScoreEvent
from shared.domain.rejections import Reason, Rejection
from shared.reads.answers import PendingWindow, PlayerWindow, PlayerWindows, Ranking
from shared.scores.errors import BrokerUnavailable, EventConflict, EventRejected
from shared.truth.failures import Unavailable
from tests.unit.api.conftest import NOW_MS, Api

PATH = "/leaderboards/cup/players/ann/scores"
EVENT = {"eventId": "run-1", "points": 25}


class Submissions:
    """Remembers what is sent; an event shows after some looks."""

    def __init__(self) -> None:
        self.sent: list[tuple[ScoreEvent, bool]] = []
        self.failure: Exception | None = None
        self.looks = 0
        self.shown_after = 2
        self.look: Callable[[], None] = lambda: None

    def send(self, _leaderboard: Any, event: ScoreEvent, *, is_timed: bool) -> "Submissions":
        if self.failure is not None:
            raise self.failure
        self.sent.append((event, is_timed))
        return self

    @property
    def event(self) -> ScoreEvent:
        return self.sent[-1][0]

    def is_shown(self) -> bool:
        self.looks += 1
        self.look()
        return self.looks > self.shown_after


@pytest.fixture
def submissions(api: Api) -> Submissions:
    made = Submissions()
    api.parts.submissions = made

    def windows(leaderboard: Any, user_id: str) -> PlayerWindows:
        (today, *_, all_time) = current_windows(day_of(NOW_MS))
        ranking: Ranking = api.rankings.players(leaderboard, today, (user_id, "u-0"))
        return PlayerWindows([PlayerWindow(ranking, [])], [PendingWindow(all_time, [], BuildProgress())])

    api.parts.players = type("Players", (), {"windows": staticmethod(windows)})
    api.start()
    return made


def test_an_event_is_sent_and_answered_with_the_ranks_once_it_shows(api: Api, submissions: Submissions) -> None:
    answer = api.call("POST", PATH, body=EVENT | {"occurredAt": "2026-11-23T10:00:00+01:00", "attributes": {"a": "b"}})

    at_ms = day_of(NOW_MS) * DAY_MS + 9 * 3_600_000
    assert submissions.sent == [(ScoreEvent("run-1", "cup", "ann", 25, at_ms, {"a": "b"}), True)]
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert (answer.json["eventId"], answer.json["occurredAt"]) == ("run-1", "2026-11-23T09:00:00.000Z")
    assert answer.json["windows"][0]["entry"]["rank"] == 1
    assert [one["window"]["id"] for one in answer.json["pending"]] == ["all-time"]
    assert answer.headers["retry-after"]
    assert api.waits == [3_000]
    assert "preference-applied" not in answer.headers


def test_an_event_without_a_time_occurred_now(api: Api, submissions: Submissions) -> None:
    assert api.call("POST", PATH, body=EVENT).status == 200
    assert submissions.sent == [(ScoreEvent("run-1", "cup", "ann", 25, NOW_MS, {}), False)]


def test_what_shows_already_waits_for_nothing(api: Api, submissions: Submissions) -> None:
    submissions.shown_after = 0
    assert api.call("POST", PATH, body=EVENT).status == 200
    assert not api.waits


@pytest.mark.parametrize(("prefer", "wait_ms"), [("wait=0", 0), ("wait=7", 7_000), ("wait=90", 20_000)])
def test_the_client_says_how_long_to_wait(api: Api, submissions: Submissions, prefer: str, wait_ms: int) -> None:
    submissions.shown_after = 1 if wait_ms else 9
    answer = api.call("POST", PATH, body=EVENT, headers={"prefer": prefer})
    assert api.waits == [wait_ms]
    assert answer.status == (200 if wait_ms else 202)
    assert answer.headers["preference-applied"] == f"wait={wait_ms // 1000}"


def test_an_event_that_does_not_show_in_time_is_accepted(api: Api, submissions: Submissions) -> None:
    submissions.shown_after = 10**9
    answer = api.call("POST", PATH, body=EVENT, headers={"prefer": "wait=1"})
    assert answer.status == 202
    assert answer.json == {
        "leaderboardId": "cup",
        "userId": "ann",
        "eventId": "run-1",
        "occurredAt": "2026-11-23T10:00:00.000Z",
    }
    assert answer.headers["retry-after"]


def test_who_may_not_wait_is_answered_at_once(api: Api, submissions: Submissions) -> None:
    api.may_wait = False
    answer = api.call("POST", PATH, body=EVENT, headers={"prefer": "wait=20"})
    assert (answer.status, submissions.looks) == (202, 1)
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("failure", [CacheUnavailable("away"), Unavailable("away")])
def test_what_cannot_be_asked_later_is_no_error_of_an_event_that_was_taken(
    api: Api, submissions: Submissions, failure: Exception
) -> None:
    def fail() -> None:
        raise failure

    submissions.look = fail
    assert api.call("POST", PATH, body=EVENT, headers={"prefer": "wait=1"}).status == 202


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"eventId": None}, "eventId"),
        ({"eventId": ""}, "eventId"),
        ({"eventId": "x" * 129}, "eventId"),
        ({"points": "25"}, "points"),
        ({"points": 1.5}, "points"),
        ({"points": True}, "points"),
        ({"points": 2**53}, "points"),
        ({"occurredAt": 5}, "occurredAt"),
        ({"occurredAt": "2026-11-23"}, "occurredAt"),
        ({"occurredAt": "2026-11-23T10:00:00"}, "occurredAt"),
        ({"occurredAt": "1969-12-31T23:59:59Z"}, "occurredAt"),
        ({"attributes": {"a": 1}}, "attributes.a"),
        ({"attributes": {"a": "x" * 257}}, "attributes.a"),
        ({"attributes": {f"a{number}": "x" for number in range(17)}}, "attributes"),
        ({"userId": "ann"}, "userId"),
        ({"leaderboardId": "cup"}, "leaderboardId"),
    ],
)
def test_a_field_that_is_wrong_is_named_and_nothing_is_sent(
    api: Api, submissions: Submissions, change: dict[str, Any], field: str
) -> None:
    answer = api.call("POST", PATH, body=EVENT | change)
    assert (answer.status, list(answer.errors)) == (422, [field])
    assert not submissions.sent


def test_half_a_character_is_refused(api: Api, submissions: Submissions) -> None:
    answer = api.call("POST", PATH, raw='{"eventId": "\\ud800", "points": 1}')
    assert (answer.status, list(answer.errors), submissions.sent) == (422, ["eventId"], [])


@pytest.mark.parametrize(
    ("failure", "status", "kind", "fields"),
    [
        (EventRejected(Rejection(Reason.TOO_LATE, "x")), 422, "event-rejected", ["occurredAt"]),
        (EventRejected(Rejection(Reason.LEADERBOARD_ARCHIVED, "x")), 422, "event-rejected", []),
        (EventConflict(Rejection(Reason.CONFLICTING_DUPLICATE, "x")), 409, "conflicting-event", ["eventId"]),
        (BrokerUnavailable("away"), 503, "broker-unavailable", []),
        (Unavailable("away"), 503, "truth-unavailable", []),
    ],
)
def test_what_is_refused_says_why(
    api: Api, submissions: Submissions, failure: Exception, status: int, kind: str, fields: list[str]
) -> None:
    submissions.failure = failure
    answer = api.call("POST", PATH, body=EVENT)
    assert (answer.status, answer.json["type"].rpartition(":")[2], list(answer.errors)) == (status, kind, fields)
    if isinstance(failure, EventRejected):
        assert answer.json["detail"] == f"{failure.reason}: x"


def test_an_unknown_board_and_a_user_id_that_no_event_has_are_refused(api: Api, submissions: Submissions) -> None:
    assert api.call("POST", "/leaderboards/none/players/ann/scores", body=EVENT).status == 404
    assert api.call("POST", f"/leaderboards/cup/players/{'x' * 129}/scores", body=EVENT).status == 422
    assert not submissions.sent


def test_an_id_with_slashes_is_one_player(api: Api, submissions: Submissions) -> None:
    assert api.call("POST", "/leaderboards/cup/players/a/scores/scores", body=EVENT).status == 200
    assert submissions.event.user_id == "a/scores"
    assert msgspec.structs.asdict(submissions.event)["leaderboard_id"] == "cup"
