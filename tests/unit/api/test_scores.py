"""A score with its rank: what is sent, how long the answer waits, and what is refused."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
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
from shared.scores.outcomes import Outcome, Submission
from shared.truth.failures import Unavailable
from tests.unit.api.conftest import NOW_MS, Api

PATH = "/leaderboards/cup/players/ann/scores"
EVENT = {"eventId": "run-1", "points": 25}


class Submissions:
    """Remembers what is sent; an event shows after some looks."""

    def __init__(self) -> None:
        self.sent: list[tuple[ScoreEvent, bool]] = []
        self.batches: list[list[Submission]] = []
        self.outcomes: dict[str, Outcome] = {}
        self.followed: list[str] = []
        self.hidden: set[str] = set()
        self.failure: Exception | None = None
        self.looks = 0
        self.shown_after = 2
        self.look: Callable[[], None] = lambda: None

    def send(self, _leaderboard: Any, event: ScoreEvent, *, is_timed: bool) -> "Submissions":
        if self.failure is not None:
            raise self.failure
        self.sent.append((event, is_timed))
        return self

    def send_all(self, _leaderboard: Any, submitted: Sequence[Submission]) -> list[Outcome]:
        self.batches.append(list(submitted))
        return [self.outcomes.get(one.event.event_id, one.event) for one in submitted]

    def follow(self, _leaderboard: Any, events: Sequence[ScoreEvent]) -> "Submissions":
        self.followed = [one.event_id for one in events]
        return self

    def shows(self, event: ScoreEvent) -> bool:
        return event.event_id not in self.hidden

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

    def windows_of(leaderboard: Any, user_ids: Sequence[str]) -> dict[str, PlayerWindows]:
        return {user_id: windows(leaderboard, user_id) for user_id in user_ids}

    api.parts.players = SimpleNamespace(windows=windows, windows_of=windows_of)
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


BATCH = "/leaderboards/cup/scores"


def item(event_id: str, user_id: str = "ann", **more: Any) -> dict[str, Any]:
    return {"userId": user_id, "eventId": event_id, "points": 25} | more


def test_each_event_of_a_batch_is_answered_on_its_own_after_one_wait(api: Api, submissions: Submissions) -> None:
    late = EventRejected(Rejection(Reason.TOO_LATE, "x"))
    conflict = EventConflict(Rejection(Reason.CONFLICTING_DUPLICATE, "x"))
    submissions.outcomes = {"late": late, "conflict": conflict}
    sent = [item("late"), item("a1", occurredAt="2026-11-23T10:00:00+01:00"), item("conflict"), item("b1", "ben")]

    answer = api.call("POST", BATCH, body={"scores": sent})

    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    scores = answer.json["scores"]
    assert [(one["userId"], one["eventId"], one["status"]) for one in scores] == [
        ("ann", "late", 422),
        ("ann", "a1", 200),
        ("ann", "conflict", 409),
        ("ben", "b1", 200),
    ]
    assert [one["occurredAt"] for one in scores] == [None, "2026-11-23T09:00:00.000Z", None, "2026-11-23T10:00:00.000Z"]
    assert [one["errors"][0]["field"] for one in (scores[0]["problem"], scores[2]["problem"])] == [
        "scores[0].occurredAt",
        "scores[2].eventId",
    ]
    assert scores[0]["problem"]["detail"] == "too_late: x"
    assert (scores[1]["windows"][0]["entry"]["rank"], scores[1]["problem"]) == (1, None)
    assert not scores[0]["windows"]
    assert [one["window"]["id"] for one in scores[3]["pending"]] == ["all-time"]
    assert [(one.event.event_id, one.is_timed) for one in submissions.batches[0]] == [
        ("late", False),
        ("a1", True),
        ("conflict", False),
        ("b1", False),
    ]
    assert (submissions.followed, len(submissions.batches), api.waits) == (["a1", "b1"], 1, [3_000])


def test_an_event_that_is_twice_in_a_batch_says_which_it_repeats(api: Api, submissions: Submissions) -> None:
    submissions.outcomes["x"] = ScoreEvent("x", "cup", "ann", 25, NOW_MS, {})
    answer = api.call("POST", BATCH, body={"scores": [item("a"), item("x"), item("x")]})
    assert [one["repeats"] for one in answer.json["scores"]] == [None, None, 1]
    assert submissions.followed == ["a", "x"]
    assert {one["status"] for one in answer.json["scores"]} == {200}


def test_a_wrong_item_keeps_no_other_from_counting(api: Api, submissions: Submissions) -> None:
    wrong: list[Any] = [
        item("a", points="25"),
        item("b", "x" * 129),
        item("c", "\n"),
        item("d", occurredAt="2026-11-23"),
        {"userId": "ann", "points": 1},
        item("e", extra=1),
        item("f", attributes={"a": 1}),
        5,
        item("x" * 200),
    ]
    answer = api.call("POST", BATCH, body={"scores": [*wrong, item("right")]})
    assert answer.status == 200
    *refused, taken = answer.json["scores"]
    fields = ["points", "userId", "userId", "occurredAt", "eventId", "extra", "attributes.a", "", "eventId"]
    assert [one["problem"]["errors"][0]["field"] for one in refused] == [
        f"scores[{number}].{field}".removesuffix(".") for number, field in enumerate(fields)
    ]
    assert {one["status"] for one in refused} == {422}
    assert [one["eventId"] for one in refused][:3] == ["a", "b", "c"]
    assert (refused[7]["userId"], refused[4]["eventId"]) == (None, None)
    assert taken["status"] == 200
    assert [one.event.event_id for one in submissions.batches[0]] == ["right"]


def test_half_a_character_in_a_batch_is_refused_and_said_back_whole(api: Api, submissions: Submissions) -> None:
    answer = api.call("POST", BATCH, raw='{"scores": [{"userId": "\\ud800", "eventId": "a", "points": 1}]}')
    assert (answer.status, answer.json["scores"][0]["status"]) == (200, 422)
    assert answer.json["scores"][0]["userId"] == "?"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "scores"),
        ({"scores": []}, "scores"),
        ({"scores": 5}, "scores"),
        ({"scores": [item(str(number)) for number in range(101)]}, "scores"),
        ({"scores": [item("a")], "leaderboardId": "cup"}, "leaderboardId"),
    ],
)
def test_of_a_batch_that_is_none_nothing_is_sent(
    api: Api, submissions: Submissions, body: dict[str, Any], field: str
) -> None:
    answer = api.call("POST", BATCH, body=body)
    assert (answer.status, list(answer.errors)) == (422, [field])
    assert not submissions.batches


def test_what_does_not_show_in_time_is_accepted_and_the_rest_answered(api: Api, submissions: Submissions) -> None:
    submissions.shown_after, submissions.hidden = 10**9, {"slow"}
    submissions.outcomes["lost"] = BrokerUnavailable("away")
    body = {"scores": [item("slow"), item("quick", "ben"), item("lost")]}
    answer = api.call("POST", BATCH, body=body, headers={"prefer": "wait=1"})
    assert (answer.status, answer.headers["preference-applied"]) == (202, "wait=1")
    assert answer.headers["retry-after"]
    slow, quick, lost = answer.json["scores"]
    assert [one["status"] for one in (slow, quick, lost)] == [202, 200, 503]
    assert (slow["windows"], slow["occurredAt"]) == ([], "2026-11-23T10:00:00.000Z")
    assert lost["occurredAt"], "it may be in Kafka: the same time has to be sent again"
    assert lost["problem"]["type"].endswith("broker-unavailable")


def test_a_batch_of_nothing_right_waits_for_nothing(api: Api, submissions: Submissions) -> None:
    submissions.shown_after = 0
    answer = api.call("POST", BATCH, body={"scores": [item("a", points=1.5)]})
    assert (answer.status, submissions.followed, api.waits) == (200, [], [])


def test_a_batch_for_an_unknown_board_is_404(api: Api, submissions: Submissions) -> None:
    assert api.call("POST", "/leaderboards/none/scores", body={"scores": [item("a")]}).status == 404
    assert not submissions.batches
