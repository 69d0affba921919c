"""A score over HTTP, below the route: what is sent, what is refused, and when its effect shows."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.calendar import ALL_TIME_DAY, DAY_MS, Day, WindowKind
from shared.domain.events import ScoreEvent, decode
from shared.domain.pseudonyms import pseudonym_of
from shared.domain.rejections import Reason
from shared.domain.rules import Aggregation, Leaderboard, archive
from shared.domain.standings import Standing
from shared.lookups.pseudonyms import Pseudonyms
from shared.messaging.topic import Outgoing
from shared.scores.errors import BrokerUnavailable, EventConflict, EventRejected
from shared.scores.outcomes import Submission
from shared.scores.submissions import SEND_S, Submissions
from shared.truth.reads import EventKey, event_key

MONDAY = Day(20_780)
NOW_MS = MONDAY * DAY_MS + 43_200_000
BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
KEY = b"k" * 32
EVENT = ScoreEvent("run-1", "cup", "ann", 25, NOW_MS - 1_000, {"country": "DE"})


class World:
    """Ledger, standings, cache, registry and broker."""

    def __init__(self) -> None:
        self.ledger: dict[EventKey, ScoreEvent] = {}
        self.version = 0
        """Of the player's standing of all time."""
        self.shown = 0
        self.current: Leaderboard | None = BOARD
        self.sent: list[Outgoing] = []
        self.failures: dict[str, str] = {}
        """Event id → what kept it from being sent."""
        self.flushes = 0
        self.reads = 0
        """Of the definition."""
        self.looks = 0
        self.day = ALL_TIME_DAY
        """Of the standings by which an event is known to show."""
        parts: Any = self
        self.named: dict[str, str] = {}
        pseudonyms = Pseudonyms(lambda _: dict.fromkeys(self.named.values(), 1), lambda: KEY)
        self.submissions = Submissions(
            leaderboards=parts, reads=parts, cache=parts, topic=parts, pseudonyms=pseudonyms, now_ms=lambda: NOW_MS
        )

    def held(self, wanted: Iterable[EventKey]) -> dict[EventKey, ScoreEvent]:
        self.looks += 1
        return {key: self.ledger[key] for key in wanted if key in self.ledger}

    def standings(self, wanted: Sequence[tuple[Leaderboard, str, Day]]) -> dict[Any, Standing]:
        assert {day for _, _, day in wanted} == {self.day}
        standing = Standing(25, NOW_MS, 1, version=self.version)
        return {(board.scores_id, user_id, day): standing for board, user_id, day in wanted} if self.version else {}

    def shown_versions(self, _board: Leaderboard, user_ids: Sequence[str], day: Day) -> list[int]:
        assert day == self.day
        return [self.shown for _ in user_ids]

    def read(self, _leaderboard_id: str) -> Leaderboard | None:
        self.reads += 1
        return self.current

    def send(self, records: Sequence[Outgoing], wait_s: float) -> list[str | None]:
        assert wait_s == SEND_S
        self.sent += records
        self.flushes += 1
        return [self.failures.get(json.loads(one.value or b"")["eventId"]) for one in records]

    def commit(self, event: ScoreEvent) -> None:
        self.ledger[event_key("cup", event)] = event
        self.version += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("event", [EVENT, replace(EVENT, attributes={}, user_id="ü #1", points=-(2**53 - 1))])
def test_what_is_sent_is_what_ingest_reads(world: World, event: ScoreEvent) -> None:
    world.submissions.send(BOARD, event, is_timed=True)
    (record,) = world.sent
    assert record.key == f"cup:{event.user_id}".encode()
    assert decode(record.value) == event
    assert ("attributes" in json.loads(record.value or b"")) == bool(event.attributes)


def test_an_event_shows_once_the_cache_has_the_standing_that_it_is_in(world: World) -> None:
    world.commit(replace(EVENT, event_id="before"))
    world.shown = 1
    following = world.submissions.send(BOARD, EVENT, is_timed=True)
    assert not following.is_shown()
    world.commit(EVENT)
    assert not following.is_shown(), "the truth has it, the cache not yet"
    world.shown = 2
    assert following.is_shown()


def test_an_event_shows_by_the_standing_of_its_day_where_all_time_is_not_kept(world: World) -> None:
    world.day = MONDAY
    following = world.submissions.send(replace(BOARD, windows=(WindowKind.DAILY,)), EVENT, is_timed=True)
    assert not following.is_shown()
    world.commit(EVENT)
    assert not following.is_shown()
    world.shown = 1
    assert following.is_shown()


def test_the_effect_of_another_event_is_not_taken_for_it(world: World) -> None:
    following = world.submissions.send(BOARD, EVENT, is_timed=True)
    assert not following.is_shown()
    world.commit(replace(EVENT, event_id="other"))
    world.shown = 1
    assert not following.is_shown()
    world.commit(EVENT)
    world.shown = 2
    assert following.is_shown()


def test_an_event_that_the_truth_has_ahead_of_the_cache_is_not_shown_yet(world: World) -> None:
    following = world.submissions.send(BOARD, EVENT, is_timed=True)
    assert not following.is_shown()
    world.commit(replace(EVENT, event_id="other"))
    world.commit(EVENT)
    world.shown = 1
    assert not following.is_shown(), "the cache has the other event alone"
    world.shown = 2
    assert following.is_shown()


def test_while_the_player_stands_still_the_truth_is_left_alone(world: World) -> None:
    following = world.submissions.send(BOARD, EVENT, is_timed=True)
    assert not any(following.is_shown() for _ in range(10))
    assert world.looks == 2


@pytest.mark.parametrize("is_timed", [True, False])
def test_what_the_ledger_holds_is_not_sent_again(world: World, is_timed: bool) -> None:
    world.commit(EVENT)
    world.shown = 1
    again = EVENT if is_timed else replace(EVENT, occurred_at_ms=NOW_MS)
    following = world.submissions.send(BOARD, again, is_timed=is_timed)
    assert following.is_shown()
    assert following.event == EVENT, "as it counts"
    assert not world.sent


def test_what_the_ledger_holds_is_answered_even_when_its_day_is_over(world: World) -> None:
    old = replace(EVENT, occurred_at_ms=NOW_MS - 9 * DAY_MS)
    world.commit(old)
    world.shown = 1
    assert world.submissions.send(BOARD, old, is_timed=True).is_shown()


@pytest.mark.parametrize(
    ("changed", "is_timed"),
    [
        (replace(EVENT, points=26), True),
        (replace(EVENT, points=26), False),
        (replace(EVENT, attributes={}), False),
        (replace(EVENT, occurred_at_ms=NOW_MS), True),
    ],
)
def test_another_content_under_the_same_id_is_refused(world: World, changed: ScoreEvent, is_timed: bool) -> None:
    world.commit(EVENT)
    with pytest.raises(EventConflict) as caught:
        world.submissions.send(BOARD, changed, is_timed=is_timed)
    assert (caught.value.reason, caught.value.field) == (Reason.CONFLICTING_DUPLICATE, "eventId")
    assert not world.sent


@pytest.mark.parametrize(
    ("event", "board", "reason", "field"),
    [
        (replace(EVENT, occurred_at_ms=NOW_MS - 9 * DAY_MS), BOARD, Reason.TOO_LATE, "occurredAt"),
        (replace(EVENT, occurred_at_ms=NOW_MS + 600_000), BOARD, Reason.FROM_THE_FUTURE, "occurredAt"),
        (EVENT, replace(BOARD, starts_ms=(5, NOW_MS - 500)), Reason.TOO_LATE, "occurredAt"),
        (EVENT, archive(BOARD, NOW_MS - 1), Reason.LEADERBOARD_ARCHIVED, None),
        (EVENT, replace(BOARD, sealing_through=MONDAY), Reason.TOO_LATE, "occurredAt"),
    ],
)
def test_what_ingest_would_reject_is_refused_with_its_reason(
    world: World, event: ScoreEvent, board: Leaderboard, reason: Reason, field: str | None
) -> None:
    world.current = board
    with pytest.raises(EventRejected) as caught:
        world.submissions.send(board, event, is_timed=True)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert not world.sent


@pytest.mark.parametrize("stale", [archive(BOARD, NOW_MS - 1), replace(BOARD, sealing_through=MONDAY)])
def test_nothing_is_refused_by_a_remembered_definition(world: World, stale: Leaderboard) -> None:
    world.submissions.send(stale, EVENT, is_timed=True)
    assert len(world.sent) == 1


def test_what_occurred_since_a_purge_is_sent_and_found_among_its_scores(world: World) -> None:
    purged = replace(BOARD, starts_ms=(NOW_MS - 2_000, NOW_MS + 9_000)).at(NOW_MS)
    world.ledger[event_key(purged.scores_id, EVENT)] = EVENT
    world.version = world.shown = 1
    assert world.submissions.send(purged, EVENT, is_timed=True).is_shown()
    assert not world.sent
    world.submissions.send(purged, replace(EVENT, event_id="new"), is_timed=True)
    assert len(world.sent) == 1


def test_a_board_that_is_gone_refuses(world: World) -> None:
    world.current = None
    with pytest.raises(EventRejected):
        world.submissions.send(archive(BOARD, NOW_MS - 1), EVENT, is_timed=True)


def test_what_the_broker_does_not_acknowledge_is_said(world: World) -> None:
    world.failures["run-1"] = "not acknowledged in time"
    with pytest.raises(BrokerUnavailable, match="not acknowledged"):
        world.submissions.send(BOARD, EVENT, is_timed=True)


def timed(*events: ScoreEvent) -> list[Submission]:
    return [Submission(event, True) for event in events]


def kinds(outcomes: Sequence[Any]) -> list[str]:
    return [type(one).__name__ for one in outcomes]


def test_a_batch_takes_one_look_and_one_flush_and_each_event_its_own_end(world: World) -> None:
    late = replace(EVENT, event_id="late", occurred_at_ms=NOW_MS - 9 * DAY_MS)
    later = replace(late, event_id="later")
    held, taken = replace(EVENT, event_id="held"), replace(EVENT, event_id="taken")
    lost, new = replace(EVENT, event_id="lost"), replace(EVENT, event_id="new", user_id="ben")
    world.commit(held)
    world.commit(taken)
    world.failures["lost"] = "away"
    batch = timed(late, held, replace(taken, points=1), lost, new, later)

    outcomes = world.submissions.send_all(BOARD, batch)

    assert kinds(outcomes) == [
        "EventRejected",
        "ScoreEvent",
        "EventConflict",
        "BrokerUnavailable",
        "ScoreEvent",
        "EventRejected",
    ]
    assert [json.loads(one.value or b"")["eventId"] for one in world.sent] == ["lost", "new"]
    assert (world.looks, world.flushes, world.reads) == (1, 1, 1)


def test_an_event_that_is_twice_in_a_batch_is_sent_once_and_has_one_end(world: World) -> None:
    first, second, other = world.submissions.send_all(BOARD, timed(EVENT, EVENT, replace(EVENT, user_id="ben")))
    assert first is second
    assert other != first, "ids are unique for a player"
    assert len(world.sent) == 2


def test_another_content_later_in_a_batch_is_refused(world: World) -> None:
    first, second = world.submissions.send_all(BOARD, timed(EVENT, replace(EVENT, points=26)))
    assert kinds([first, second]) == ["ScoreEvent", "EventConflict"]
    assert "stands in the batch" in str(second)
    assert len(world.sent) == 1


def test_an_event_without_a_time_takes_that_of_the_same_one_before_it(world: World) -> None:
    untimed = Submission(replace(EVENT, occurred_at_ms=NOW_MS), False)
    first, second = world.submissions.send_all(BOARD, [*timed(EVENT), untimed])
    assert first is second
    assert first == EVENT


def test_nothing_of_a_batch_is_sent_where_nothing_is_new(world: World) -> None:
    world.commit(EVENT)
    assert world.submissions.send_all(BOARD, timed(EVENT)) == [EVENT]
    assert not world.flushes


def test_a_batch_shows_once_the_last_of_its_events_does(world: World) -> None:
    second = replace(EVENT, event_id="run-2")
    following = world.submissions.follow(BOARD, [EVENT, second])
    assert not following.is_shown()
    world.commit(EVENT)
    world.shown = 1
    assert not following.is_shown()
    assert (following.shows(EVENT), following.shows(second)) == (True, False)
    world.commit(second)
    assert not following.is_shown(), "the truth has it, the cache not yet"
    world.shown = 2
    assert following.is_shown()
    assert following.shows(second)


def test_following_nothing_is_done_at_once(world: World) -> None:
    assert world.submissions.follow(BOARD, []).is_shown()
    assert not world.looks


def test_an_event_is_known_again_though_its_player_has_a_pseudonym_since(world: World) -> None:
    board = replace(BOARD, pseudonyms=1)
    name = world.named["ann"] = pseudonym_of(KEY, "cup", "ann")
    world.commit(replace(EVENT, user_id=name))
    again = Submission(replace(EVENT, occurred_at_ms=NOW_MS), is_timed=False)

    assert world.submissions.send_all(board, [again]) == [EVENT]
    other = Submission(replace(EVENT, points=26), is_timed=True)
    (conflict,) = world.submissions.send_all(board, [other])
    assert isinstance(conflict, EventConflict)
    assert not world.sent
    world.shown = world.version
    assert not world.submissions.follow(board, [EVENT]).is_shown(), "the answer would tell whose pseudonym it is"
