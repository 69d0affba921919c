"""Events taken back and added, on real DynamoDB, Redis and S3: ledger, standings, windows and results follow."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from redis import Redis

from shared.admin.amendments import (
    AmendmentOverflow,
    DayIsSealing,
    EventExists,
    InvalidCorrection,
    TooManyEvents,
    UnknownEvent,
)
from shared.admin.as_of import AmendedPlayers
from shared.admin.disqualifications import AuditLogFull, DisqualifiedPlayers
from shared.cache.errors import CacheUnavailable
from shared.cache.searches import WindowSearches
from shared.domain.audit import AuditAction
from shared.domain.calendar import ALL_TIME, DAY_MS, RETENTION_MS, Day, Window, custom, daily, weekly
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.rules import Aggregation, Order, purge
from shared.domain.selections import Selection
from shared.domain.tiers import Tier, TierRule
from shared.exports.jobs import Exports
from shared.exports.runner import ExportRunner
from shared.ingest.outcomes import OutcomeKind
from shared.lookups.results import READ_AGAIN_MS, Results
from shared.reads.corrections import Corrections
from shared.reads.rankings import Rankings
from shared.rebuild.builder import RebuildOutcome
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import ExportFormat, ExportJobs, ExportRequest, ExportState
from shared.truth.items import LedgerEntry
from shared.truth.tables import Tables
from tests.support.closing import BUCKET, HOUR_MS, MONDAY, Scene, to_lines

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TUESDAY = Day(MONDAY + 1)
RANGE = custom(Day(MONDAY - 3), Day(MONDAY + 3))
WINDOWS = (daily(MONDAY), weekly(MONDAY), ALL_TIME, RANGE)


def shown(scene: Scene, window: Window) -> list[tuple[str, int]]:
    """Players and scores of a live window, best first; the cache holds it completely."""
    page = scene.cache.page(scene.leaderboard, window, 0, 100, scene.now_ms)
    assert page.complete
    assert page.total == len(page.lines)
    return [(user_id, score.points) for user_id, score in page.lines]


def entries(scene: Scene, user: str) -> dict[str, LedgerEntry]:
    return {one.event.event_id: one for one in scene.reads.ledger(scene.id, user)}


def void(scene: Scene, user: str, event_id: str) -> Any:
    return scene.amendments.void(scene.leaderboard, user, event_id, "referee", "a foul")


def event(scene: Scene, user: str, points: int, event_id: str = "c1", at_ms: int = MONDAY * DAY_MS + 500) -> ScoreEvent:
    return ScoreEvent(event_id, scene.id, user, points, at_ms)


def correct(scene: Scene, *what: Any, **more: Any) -> Any:
    return scene.amendments.correct(scene.leaderboard, event(scene, *what, **more), "referee", "a goal")


def restart(scene: Scene, **rules: Any) -> None:
    """The same board by other rules, as if it had been created so."""
    scene.registry.save(replace(scene.leaderboard, version=scene.leaderboard.version + 1, **rules))


def truth(scene: Scene, user: str, day: Day) -> Any:
    found = scene.reads.standings([(scene.leaderboard, user, day)])
    return next(iter(found.values()), None)


def test_a_void_event_stays_marked_and_counts_nowhere(scene: Scene) -> None:
    scene.builder.rebuild_window(scene.leaderboard, RANGE)
    scene.play("bob", 200, event_id="gift")
    assert [shown(scene, window)[0] for window in WINDOWS] == [("bob", 207)] * 4

    done = void(scene, "bob", "gift")

    assert not done.already
    assert [shown(scene, window) for window in WINDOWS] == [[("bob", 7), ("cat", 7), ("ann", 5)]] * 4
    held = entries(scene, "bob")["gift"]
    assert (held.event.points, held.voided_by, held.counts()) == (200, done.entry.number, False)
    (entry,) = scene.audit_log.read(scene.id)
    assert (entry.kind, entry.user_id, entry.subject, entry.points) == (AuditAction.VOID, "bob", "gift", 200)
    assert (entry.actor, entry.reason, entry.amended_day(scene.leaderboard.calendar)) == ("referee", "a foul", MONDAY)


def test_a_void_that_is_asked_for_twice_is_done_once(scene: Scene) -> None:
    scene.play("bob", 200, event_id="gift")
    first, second = void(scene, "bob", "gift"), void(scene, "bob", "gift")

    assert (first.already, second.already) == (False, True)
    assert first.entry == second.entry
    assert len(list(scene.audit_log.read(scene.id))) == 1
    assert truth(scene, "bob", MONDAY).points == 7


def test_what_the_ledger_does_not_hold_can_t_be_void(scene: Scene) -> None:
    with pytest.raises(UnknownEvent, match="'gift' of 'bob'"):
        void(scene, "bob", "gift")
    assert list(scene.audit_log.read(scene.id)) == []


def test_a_void_event_that_is_delivered_again_is_a_duplicate(scene: Scene) -> None:
    played = scene.play("bob", 200, event_id="gift").event
    void(scene, "bob", "gift")

    assert scene.replay(played).kind is OutcomeKind.DUPLICATE
    other = scene.replay(replace(played, points=1))
    assert other.rejection is not None
    assert other.rejection.reason == "conflicting_duplicate"

    assert shown(scene, ALL_TIME)[0] == ("bob", 7)
    assert not entries(scene, "bob")["gift"].counts()


def test_a_player_whose_events_are_all_void_is_in_no_window_until_one_counts(scene: Scene) -> None:
    scene.builder.rebuild_window(scene.leaderboard, RANGE)
    (only,) = entries(scene, "bob")
    before = truth(scene, "bob", MONDAY).version

    void(scene, "bob", only)

    assert [shown(scene, window) for window in WINDOWS] == [[("cat", 7), ("ann", 5)]] * 4
    kept = truth(scene, "bob", MONDAY)
    assert (kept.is_empty, kept.version) == (True, before + 1)
    assert scene.builder.reapply(scene.leaderboard, everything=True) == 0, "is no drift"
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "why")
    assert [shown(scene, window) for window in WINDOWS] == [[("cat", 7), ("ann", 5)]] * 4

    scene.play("bob", 6)

    assert [shown(scene, window) for window in WINDOWS] == [[("cat", 7), ("bob", 6), ("ann", 5)]] * 4
    assert truth(scene, "bob", MONDAY).version == before + 2


def test_a_flushed_cache_is_rebuilt_without_what_is_void(scene: Scene, redis: Redis) -> None:
    (only,) = entries(scene, "bob")
    scene.play("cat", 100, event_id="gift")
    void(scene, "bob", only)
    void(scene, "cat", "gift")
    redis.flushall()

    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE

    assert shown(scene, ALL_TIME) == [("cat", 7), ("ann", 5)]
    scene.builder.rebuild_window(scene.leaderboard, RANGE)
    assert shown(scene, RANGE) == [("cat", 7), ("ann", 5)]


@pytest.fixture
def made(
    dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Scene]:
    """Makes a scene by other rules."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return partial(Scene, dynamodb, redis, s3, leaderboard_id)


@pytest.fixture
def best(made: Callable[..., Scene]) -> Scene:
    return made(aggregation=Aggregation.BEST)


@pytest.fixture
def latest(made: Callable[..., Scene]) -> Scene:
    return made(aggregation=Aggregation.LATEST)


@pytest.fixture
def fewest(made: Callable[..., Scene]) -> Scene:
    return made(aggregation=Aggregation.BEST, order=Order.ASC)


def test_the_best_is_found_again_in_the_ledger(best: Scene) -> None:
    best.play("ann", 40, event_id="second")
    best.play("ann", 99_999, event_id="glitch")
    best.play("ann", 40, event_id="as good, later")

    void(best, "ann", "glitch")

    kept = truth(best, "ann", MONDAY)
    assert (kept.points, kept.reached_at_ms, kept.events) == (
        40,
        entries(best, "ann")["second"].event.occurred_at_ms,
        3,
    )
    assert shown(best, weekly(MONDAY))[0] == ("ann", 40)


def test_the_latest_is_found_again_in_the_ledger(latest: Scene) -> None:
    latest.play("ann", 3, event_id="b")
    newest = latest.play("ann", 1, Day(TUESDAY), event_id="a").event
    latest.replay(ScoreEvent("z", latest.id, "ann", 9, newest.occurred_at_ms))
    assert shown(latest, ALL_TIME)[0] == ("ann", 9)

    void(latest, "ann", "z")
    assert truth(latest, "ann", TUESDAY).last_event_id == "a"
    assert ("ann", 1) in shown(latest, ALL_TIME)

    void(latest, "ann", "a")
    assert ("ann", 3) in shown(latest, ALL_TIME), "of the day before"
    assert latest.play("ann", 2, TUESDAY).kind is OutcomeKind.APPLIED
    assert ("ann", 2) in shown(latest, ALL_TIME)


def test_the_fewest_is_found_again_in_the_ledger(fewest: Scene) -> None:
    fewest.play("ann", 1, event_id="short cut")
    assert shown(fewest, ALL_TIME)[0] == ("ann", 1)

    void(fewest, "ann", "short cut")

    assert shown(fewest, ALL_TIME)[0] == ("ann", 5)


def test_reached_at_goes_back_to_the_event_that_is_left(scene: Scene) -> None:
    first = truth(scene, "bob", MONDAY).reached_at_ms
    scene.play("bob", 1, event_id="late")
    scene.play("bob", 0, event_id="nothing")
    assert truth(scene, "bob", MONDAY).reached_at_ms > first

    void(scene, "bob", "late")

    assert truth(scene, "bob", MONDAY).reached_at_ms == truth(scene, "bob", ALL_TIME.first).reached_at_ms == first


def test_a_void_that_leaves_too_large_a_sum_is_refused(scene: Scene) -> None:
    for number, points in enumerate((POINTS_MAX - 7, -POINTS_MAX, POINTS_MAX)):
        assert scene.play("bob", points, event_id=f"e{number}").kind is OutcomeKind.APPLIED

    with pytest.raises(AmendmentOverflow):
        void(scene, "bob", "e1")

    assert shown(scene, ALL_TIME)[0] == ("bob", POINTS_MAX)
    void(scene, "bob", "e2")
    assert ("bob", 0) in shown(scene, ALL_TIME)
    sums = truth(scene, "bob", ALL_TIME.first).sums
    assert sums is not None
    assert sums.days == ((MONDAY, 0),)


def test_an_event_that_comes_meanwhile_is_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.play("bob", 200, event_id="gift")
    read, to_play = scene.reads.ledger, [1, 2, 3]

    def play_meanwhile(*args: Any, **more: Any) -> Iterator[LedgerEntry]:
        found = list(read(*args, **more))
        if to_play:
            scene.play("bob", to_play.pop())
        yield from found

    monkeypatch.setattr(scene.reads, "ledger", play_meanwhile)
    void(scene, "bob", "gift")

    assert truth(scene, "bob", MONDAY).points == truth(scene, "bob", ALL_TIME.first).points == 7 + 6
    assert shown(scene, ALL_TIME)[0] == ("bob", 13)


def test_who_never_stops_keeps_a_void_from_being_written(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.play("bob", 200, event_id="gift")
    read = scene.reads.ledger

    def play_meanwhile(*args: Any, **more: Any) -> Iterator[LedgerEntry]:
        yield from list(read(*args, **more))
        scene.play("bob", 1)

    monkeypatch.setattr(scene.reads, "ledger", play_meanwhile)
    with pytest.raises(Unavailable, match="'bob' came at each"):
        void(scene, "bob", "gift")
    assert list(scene.audit_log.read(scene.id)) == []
    assert entries(scene, "bob")["gift"].counts()


def test_a_ledger_that_lags_behind_the_standings_is_read_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.play("bob", 200, event_id="gift")
    read, lagging = scene.reads.ledger, [True]

    def lag(*args: Any, **more: Any) -> Iterator[LedgerEntry]:
        found = list(read(*args, **more))
        yield from found[1 if lagging and lagging.pop() else 0 :]

    monkeypatch.setattr(scene.reads, "ledger", lag)
    void(scene, "bob", "gift")

    assert truth(scene, "bob", MONDAY).points == 7


def test_players_with_too_many_events_are_told_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.admin.amendments.EVENTS_MAX", 1)
    scene.play("bob", 200, event_id="gift")
    with pytest.raises(TooManyEvents, match="more than 1 events"):
        void(scene, "bob", "gift")


def test_amendments_leave_room_for_disqualifications(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.admin.disqualifications.ROUTINE_AUDIT_ENTRIES_MAX", 0)
    scene.play("bob", 200, event_id="gift")
    with pytest.raises(AuditLogFull):
        void(scene, "bob", "gift")
    with pytest.raises(AuditLogFull):
        correct(scene, "bob", 1)
    assert scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")[1]


def test_entries_about_events_do_not_say_who_is_disqualified(scene: Scene) -> None:
    scene.play("bob", 200, event_id="gift")
    void(scene, "bob", "gift")
    assert scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "why") == (None, False)

    first, _ = scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    correct(scene, "bob", 1)
    assert scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why") == (first, False)
    assert shown(scene, ALL_TIME) == [("cat", 7), ("ann", 5)]


def test_a_correction_counts_at_its_time(scene: Scene) -> None:
    scene.builder.rebuild_window(scene.leaderboard, RANGE)

    done = correct(scene, "ann", 4)

    assert [shown(scene, window)[0] for window in WINDOWS] == [("ann", 9)] * 4
    held = entries(scene, "ann")["c1"]
    assert (held.source, held.added_by, held.voided_by) == (None, done.entry.number, None)
    assert truth(scene, "ann", MONDAY).reached_at_ms == MONDAY * DAY_MS + 500
    (entry,) = scene.audit_log.read(scene.id)
    assert (entry.kind, entry.subject, entry.points) == (AuditAction.CORRECT, "c1", 4)

    void(scene, "ann", "c1")
    assert shown(scene, ALL_TIME)[-1] == ("ann", 5)


def test_a_correction_that_is_sent_twice_counts_once(scene: Scene) -> None:
    first, second = correct(scene, "ann", 4), correct(scene, "ann", 4)

    assert (first.already, second.already) == (False, True)
    assert first.entry == second.entry
    assert truth(scene, "ann", MONDAY).points == 9


def test_a_correction_s_id_is_one_of_the_ledger(scene: Scene) -> None:
    played = scene.play("ann", 4, event_id="e").event
    correct(scene, "ann", 4)

    with pytest.raises(EventExists, match="other points"):
        correct(scene, "ann", 5)
    with pytest.raises(EventExists, match="from the topic"):
        scene.amendments.correct(scene.leaderboard, played, "referee", "again")

    at_ms = MONDAY * DAY_MS + 500
    assert scene.replay(event(scene, "ann", 4)).kind is OutcomeKind.DUPLICATE
    conflicting = scene.replay(ScoreEvent("c1", scene.id, "ann", 3, at_ms)).rejection
    assert conflicting is not None
    assert conflicting.reason == "conflicting_duplicate"
    assert truth(scene, "ann", MONDAY).points == 13


def test_a_correction_of_somebody_new_is_found_by_a_rebuild(scene: Scene, redis: Redis) -> None:
    scene.now_ms = (MONDAY + 3) * DAY_MS
    correct(scene, "new", 50, at_ms=(MONDAY + 2) * DAY_MS + 1)
    redis.flushall()

    scene.builder.rebuild_leaderboard(scene.leaderboard)

    assert shown(scene, daily(Day(MONDAY + 2))) == [("new", 50)]
    assert shown(scene, ALL_TIME)[0] == ("new", 50)


def test_a_correction_can_t_be_in_the_future_nor_before_all_results(scene: Scene) -> None:
    with pytest.raises(InvalidCorrection, match="must be in the past"):
        correct(scene, "ann", 1, at_ms=scene.now_ms + 1)
    with pytest.raises(InvalidCorrection, match="must be on or after 2098-12-27"):
        correct(scene, "ann", 1, at_ms=(MONDAY - 10) * DAY_MS)
    scene.run()
    with pytest.raises(InvalidCorrection, match="must be on or after 2099-01-05"):
        correct(scene, "ann", 1, at_ms=MONDAY * DAY_MS - 1)
    assert correct(scene, "ann", 1, at_ms=MONDAY * DAY_MS).entry.number == 1
    assert list(entries(scene, "ann")) != []


def test_a_correction_can_t_reach_back_before_a_purge(scene: Scene) -> None:
    start_ms = MONDAY * DAY_MS + 1_000
    scene.registry.save_purge(purge(scene.leaderboard, start_ms))

    with pytest.raises(InvalidCorrection, match=r"must be 2099-01-05T00:00:01\.000Z or later"):
        correct(scene, "ann", 3, at_ms=start_ms - 1)
    assert not correct(scene, "ann", 3, at_ms=start_ms).already

    assert (truth(scene, "ann", MONDAY).points, truth(scene, "ann", MONDAY).events) == (3, 1), "apart from before"
    void(scene, "ann", "c1")
    assert truth(scene, "ann", MONDAY).is_empty


def test_a_correction_that_overflows_is_refused(scene: Scene) -> None:
    with pytest.raises(AmendmentOverflow):
        correct(scene, "ann", POINTS_MAX)
    assert truth(scene, "ann", MONDAY).points == 5


def test_a_day_that_is_sealing_takes_voids_and_no_corrections(scene: Scene) -> None:
    scene.play("bob", 200, event_id="gift")
    scene.closing().run()
    assert scene.leaderboard.is_sealing

    with pytest.raises(DayIsSealing, match="is being sealed"):
        correct(scene, "ann", 1)
    void(scene, "bob", "gift")

    scene.run()
    assert scene.stored(daily(MONDAY)) == [("1", "bob", "7"), ("2", "cat", "7"), ("3", "ann", "5")]
    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert (final.version, final.audit_sequence) == (1, 1)


def test_a_day_that_starts_sealing_meanwhile_takes_no_correction(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    read, left = scene.reads.ledger, [True]

    def seal_meanwhile(*args: Any, **more: Any) -> Iterator[LedgerEntry]:
        if left and left.pop():
            scene.closing().run()
        yield from read(*args, **more)

    monkeypatch.setattr(scene.reads, "ledger", seal_meanwhile)
    with pytest.raises(DayIsSealing):
        correct(scene, "ann", 1)
    assert "c1" not in entries(scene, "ann")


def test_points_that_are_taken_back_a_day_later_make_a_second_version(scene: Scene) -> None:
    restart(scene, tiers=(Tier("gold", TierRule.TOP_N, 1),))
    scene.play("ann", 200, event_id="gift")
    scene.run()
    window = daily(MONDAY)
    first = scene.final_results.final(scene.id, window.id)
    assert first is not None
    content = scene.content(first.object_key, first.sha256)
    scene.now_ms += DAY_MS

    void(scene, "ann", "gift")
    scene.run()

    second = scene.final_results.final(scene.id, window.id)
    assert second is not None
    assert (second.version, second.audit_sequence) == (2, 1)
    assert scene.stored(window) == [("1", "bob", "7"), ("2", "cat", "7"), ("3", "ann", "5")]
    assert scene.content(first.object_key, first.sha256) == content
    assert second.difference_key is not None
    difference = to_lines(scene.content(second.difference_key, second.difference_sha256))
    columns = ("user_id", "rank_before", "rank_after", "score_before", "score_after", "tier_before", "tier_after")
    assert [tuple(line[name] for name in columns) for line in difference] == [
        ("bob", "2", "1", "7", "7", "", "gold"),
        ("cat", "3", "2", "7", "7", "", ""),
        ("ann", "1", "3", "205", "5", "gold", ""),
    ]
    assert second.award_changes_key is not None
    changes = to_lines(scene.content(second.award_changes_key, second.award_changes_sha256))
    assert [(one["action"], one["user_id"]) for one in changes] == [("grant", "bob"), ("revoke", "ann")]
    assert not scene.work.of(scene.id).audit_entries
    assert scene.run().final_results == []


def test_points_that_fit_only_without_a_void_event_do_not_keep_it_from_a_version(scene: Scene) -> None:
    scene.play("ann", POINTS_MAX - 5, event_id="glitch")
    scene.run()
    scene.now_ms += DAY_MS
    void(scene, "ann", "glitch")
    scene.play("ann", 1, TUESDAY)

    scene.run()

    second = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert second is not None
    assert second.version == 2
    assert scene.stored(daily(MONDAY)) == [("1", "bob", "7"), ("2", "cat", "7"), ("3", "ann", "5")]


def test_who_comes_and_who_leaves_by_amendments_is_in_the_difference(scene: Scene) -> None:
    scene.run()
    (only,) = entries(scene, "bob")
    void(scene, "bob", only)
    correct(scene, "new", 6)
    scene.disqualifications.disqualify(scene.leaderboard, "cat", "admin", "why")
    scene.run()

    second = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert second is not None
    assert second.difference_key is not None
    assert scene.stored(daily(MONDAY)) == [("1", "new", "6"), ("2", "ann", "5")]
    difference = to_lines(scene.content(second.difference_key, second.difference_sha256))
    columns = ("user_id", "rank_before", "rank_after", "score_before", "score_after")
    assert [tuple(line[name] for name in columns) for line in difference] == [
        ("new", "", "1", "", "6"),
        ("ann", "3", "2", "5", "5"),
        ("bob", "1", "", "7", ""),
        ("cat", "2", "", "7", ""),
    ]


def test_what_is_amended_and_back_before_a_run_makes_no_version(scene: Scene) -> None:
    scene.run()
    correct(scene, "ann", 4)
    void(scene, "ann", "c1")

    assert scene.run().final_results == []

    assert [one.version for one in scene.final_results.versions(scene.id, daily(MONDAY).id)] == [1]
    assert scene.work.of(scene.id).due == []


def test_only_windows_of_its_day_are_ranked_again(scene: Scene) -> None:
    scene.run()
    scene.play("ann", 3, TUESDAY, event_id="of tuesday")
    void(scene, "ann", "of tuesday")
    scene.run()
    assert [one.version for one in scene.final_results.versions(scene.id, daily(MONDAY).id)] == [1]
    assert scene.work.of(scene.id).audit_entries == []


def test_an_amendment_while_a_result_is_made_is_in_the_next_version_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.play("ann", 200, event_id="gift")
    players, left = scene.reads.players, [True]

    def void_meanwhile(*args: Any) -> Any:
        if left and left.pop():
            void(scene, "ann", "gift")
        return players(*args)

    monkeypatch.setattr(scene.reads, "players", void_meanwhile)
    run = scene.run()

    assert not run.blocked
    assert scene.stored(daily(MONDAY)) is None, "ranked as of no entry, which has been followed by one"
    scene.run()
    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert (final.version, final.audit_sequence) == (1, 1)
    assert scene.stored(daily(MONDAY)) == [("1", "bob", "7"), ("2", "cat", "7"), ("3", "ann", "5")]


def test_files_of_one_name_have_one_content(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs that rank as of one audit entry store the same bytes, though the second reads later standings."""
    scene.play("ann", 200, event_id="gift")
    scene.run()
    window = daily(MONDAY)
    first = scene.final_results.final(scene.id, window.id)
    assert first is not None
    content = scene.content(first.object_key, first.sha256)
    monkeypatch.setattr(scene.final_results, "final", lambda *_: None)
    monkeypatch.setattr(scene.cache, "page", lambda *_: pytest.fail("compared"))
    closing = scene.closing()
    finalizer = closing._work._finalizer
    monkeypatch.setattr(finalizer, "_compare", lambda *_: None)
    players, left = scene.reads.players, [True]

    def void_meanwhile(*args: Any) -> Any:
        if left and left.pop():
            void(scene, "ann", "gift")
        return players(*args)

    monkeypatch.setattr(scene.reads, "players", void_meanwhile)
    assert finalizer.finalize(scene.leaderboard, window) is None

    assert scene.content(first.object_key, first.sha256) == content


def test_an_amendment_that_the_cache_missed_is_applied_by_the_next_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CacheUnavailable("away")

    scene.play("ann", 200, event_id="gift")
    scene.now_ms -= HOUR_MS  # Monday is not compared yet, which would repair it, too
    with monkeypatch.context() as patch:
        patch.setattr(scene.cache, "apply", fail)
        assert not void(scene, "ann", "gift").already
    assert shown(scene, weekly(MONDAY))[0] == ("ann", 205)

    scene.run()

    assert shown(scene, weekly(MONDAY))[-1] == ("ann", 5)
    assert scene.work.of(scene.id).audit_entries == []


def test_a_day_past_its_time_in_the_cache_is_rebuilt_after_an_amendment(scene: Scene) -> None:
    scene.play("ann", 200, event_id="gift")
    scene.run()
    scene.now_ms += RETENTION_MS
    scene.builder.rebuild_window(scene.leaderboard, daily(MONDAY))

    void(scene, "ann", "gift")

    assert not scene.cache.page(scene.leaderboard, daily(MONDAY), 0, 1, scene.now_ms).complete
    scene.builder.rebuild_window(scene.leaderboard, daily(MONDAY))
    assert shown(scene, daily(MONDAY))[-1] == ("ann", 5)


def test_a_final_window_is_final_only_as_its_result_says(scene: Scene) -> None:
    window = daily(MONDAY)
    parts: Any = None
    results = Results(scene.final_results, scene.registry, scene.clock)
    rankings = Rankings(
        cache=scene.cache, searches=WindowSearches(scene.cache), on_demand=parts, repairs=parts, results=results,
        corrections=Corrections(results, DisqualifiedPlayers(scene.audit_log, scene.work), scene.work), fallback=parts,
        now_ms=scene.clock,
    )  # fmt: skip

    def read() -> tuple[str, int | None, int | None]:
        page = rankings.page(scene.leaderboard, window, 0, 9)
        return page.source, page.result_version, page.pending_version

    scene.run()
    scene.now_ms += READ_AGAIN_MS
    assert read() == ("final", 1, None)
    correct(scene, "ann", 10)
    assert read() == ("live", 1, 2), "ahead of the result"
    scene.run()
    assert read() == ("final", 2, None)


@pytest.fixture
def labelled(made: Callable[..., Scene]) -> Scene:
    return made(filters=("country", "device"))


def carrying(scene: Scene, window: Window, name: str, value: str) -> list[str]:
    searches = WindowSearches(scene.cache)
    found = searches.select(scene.leaderboard, window, Selection(limit=9, label=(name, value)), scene.now_ms)
    return [one.user_id for one in found.found]


def test_a_label_goes_back_to_the_event_that_is_left(labelled: Scene) -> None:
    scene, sunday = labelled, Day(MONDAY - 1)
    scene.builder.rebuild_window(scene.leaderboard, RANGE)
    scene.play("ann", 1, Day(MONDAY + 1), country="DE", device="pc")
    scene.play("ann", 1, Day(MONDAY + 2), event_id="abroad", country="FR")
    for window in (weekly(MONDAY), RANGE, ALL_TIME):
        assert carrying(scene, window, "country", "FR") == ["ann"]

    void(scene, "ann", "abroad")

    for window in (weekly(MONDAY), RANGE, ALL_TIME):
        assert carrying(scene, window, "country", "FR") == []
        assert carrying(scene, window, "country", "DE") == ["ann"]
        assert carrying(scene, window, "device", "pc") == ["ann"]
    assert carrying(scene, daily(Day(MONDAY + 2)), "country", "FR") == []
    assert scene.builder.reapply(scene.leaderboard, everything=True) == 0
    assert sunday < MONDAY


def test_a_label_that_a_failover_took_is_given_back(labelled: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever repairs the cache meets the older day first, which has nothing to tell yet."""
    scene = labelled
    scene.play("ann", 1, Day(MONDAY + 1), country="DE")
    scene.play("ann", 1, Day(MONDAY + 2), event_id="abroad", country="FR")
    with monkeypatch.context() as patch:
        patch.setattr(scene.cache, "apply", lambda *_: 0)
        void(scene, "ann", "abroad")
    assert carrying(scene, weekly(MONDAY), "country", "FR") == ["ann"]

    assert scene.builder.reapply(scene.leaderboard, everything=True) > 0

    assert carrying(scene, weekly(MONDAY), "country", "DE") == ["ann"]
    assert carrying(scene, weekly(MONDAY), "country", "FR") == []
    assert scene.builder.reapply(scene.leaderboard, everything=True) == 0


def test_an_export_of_a_result_is_as_of_it_while_a_correction_is_pending(
    scene: Scene, dynamodb: "DynamoDBClient"
) -> None:
    scene.play("ann", 200, event_id="gift")
    scene.run()
    window, board = daily(MONDAY), scene.leaderboard
    results = Results(scene.final_results, scene.registry, scene.clock)
    jobs = ExportJobs(dynamodb, Tables().registry)
    parts: dict[str, Any] = {"jobs": jobs, "results": results, "now_ms": scene.clock}
    boards: Any = SimpleNamespace(read=lambda _: board)
    links: Any = SimpleNamespace(url=lambda *_: "")
    queue: Any = SimpleNamespace(send=lambda _: None)
    disqualified = DisqualifiedPlayers(scene.audit_log, scene.work)
    runner = ExportRunner(
        **parts, leaderboards=boards, disqualified_players=disqualified,
        amended_players=AmendedPlayers(scene.audit_log, scene.reads), reads=scene.reads, s3=scene.s3, bucket=BUCKET,
        new_token=lambda: "token",
    )  # fmt: skip
    job = Exports(**parts, downloads=links, queue=queue).request(
        board, window, ExportRequest(window.id, format=ExportFormat.NDJSON)
    )
    void(scene, "ann", "gift")
    correct(scene, "new", 1_000)

    done = runner.run(scene.id, job.id)

    assert done is not None
    assert done.state is ExportState.DONE
    content = scene.s3.get_object(Bucket=BUCKET, Key=done.object_key)["Body"].read()
    lines = [json.loads(line) for line in content.decode().splitlines()]
    assert [(line["user_id"], line["score"]) for line in lines] == [("ann", 205), ("bob", 7), ("cat", 7)]
