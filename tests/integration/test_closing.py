"""Closing of days and windows on real DynamoDB, Redis and S3; the broker's answers are given."""

import csv
import hashlib
import io
import json

import pytest
from msgspec.structs import replace

from shared.cache import keys
from shared.cache.leases import BuildLeases
from shared.closing.runs import Cause
from shared.closing.schedule import CLOCK_SKEW_MS, LAST_CALLS_MS
from shared.closing.service import DAYS
from shared.domain.calendar import DAY_MS, Day, custom, daily, day_of, weekly
from shared.domain.periods import Period
from shared.domain.rejections import Reason
from shared.domain.rules import Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.ingest.outcomes import OutcomeKind
from shared.messaging.notifications import NotificationUnavailable, WindowFinal
from shared.messaging.topic import Reach, TopicUnavailable
from shared.rebuild.builder import RebuildOutcome
from shared.truth.final_results import AlreadyDone
from shared.truth.losses import Loss
from shared.truth.work import Work
from tests.support.closing import BUCKET, HOUR_MS, MONDAY, RANKING, SETTLED_MS, Scene, cause_of, close


def test_a_day_becomes_final_once_every_partition_has_passed_its_cutoff(scene: Scene) -> None:
    run = scene.run()

    assert scene.leaderboard.sealed_through == MONDAY
    assert scene.stored(daily(MONDAY)) == RANKING
    assert not run.blocked
    cutoff_ms = (MONDAY + 1) * DAY_MS + HOUR_MS
    assert scene.broker.asked_ms == [SETTLED_MS, cutoff_ms + CLOCK_SKEW_MS, SETTLED_MS + LAST_CALLS_MS]
    assert scene.final_results.final(scene.id, weekly(MONDAY).id) is None, "its week still runs"


def test_a_day_is_not_closed_a_millisecond_early(scene: Scene) -> None:
    scene.now_ms -= 1

    run = scene.run()

    assert scene.leaderboard.sealed_through == MONDAY - 1
    assert not run.blocked
    assert scene.stored(daily(MONDAY)) is None


def test_a_result_is_written_once(scene: Scene) -> None:
    scene.run()
    before = scene.final_results.final(scene.id, daily(MONDAY).id)

    scene.now_ms += 1_000
    assert scene.run().final_results == []

    assert scene.final_results.final(scene.id, daily(MONDAY).id) == before
    assert before is not None
    with pytest.raises(AlreadyDone):
        scene.final_results.write(replace(before, players=0))
    assert scene.final_results.final(scene.id, daily(MONDAY).id) == before


def test_uploads_that_a_killed_run_has_left_go_with_the_next(scene: Scene) -> None:
    name = f"finals/{scene.id}/{daily(MONDAY).id}/v1-rules-{scene.leaderboard.version}-audit-0"
    for key in (f"{name}.csv", f"{name}.awards.csv"):
        scene.s3.create_multipart_upload(Bucket=BUCKET, Key=key)

    scene.run()

    assert scene.stored(daily(MONDAY)) == RANKING
    assert scene.s3.list_multipart_uploads(Bucket=BUCKET, Prefix=name).get("Uploads", []) == []


def test_a_partition_that_lags_behind_the_cutoff_blocks(scene: Scene) -> None:
    scene.broker.reached = Reach(0, 0, 11, 12)

    run = scene.run()

    assert [one.cause for one in run.blocked] == [Cause.LAG]
    assert run.delay_ms(scene.now_ms) > 0
    assert scene.leaderboard.sealed_through == MONDAY - 1 or scene.leaderboard.sealed_through is None
    assert scene.stored(daily(MONDAY)) is None

    scene.pass_partition(11)
    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


def test_offsets_without_records_do_not_block(scene: Scene) -> None:
    scene.broker.reached = Reach(0, 0, 12, 12)
    scene.broker.records = False

    scene.run()

    assert scene.stored(daily(MONDAY)) == RANKING


def test_offsets_without_records_stay_passed_when_the_retention_takes_them(scene: Scene) -> None:
    scene.broker.reached = Reach(0, 0, 12, 12)
    scene.broker.records = False
    scene.run()

    scene.broker.reached = Reach(0, 12, 12, 12)
    scene.now_ms += DAY_MS

    assert not scene.run().blocked
    assert scene.leaderboard.sealed_through == MONDAY + 1


def test_a_partition_that_was_never_read_blocks_only_if_it_has_had_records(scene: Scene) -> None:
    scene.broker.name += "-other"  # no position is known of it
    scene.broker.reached = Reach(0, 0, 1, 5)
    assert [one.cause for one in scene.run().blocked] == [Cause.LAG]

    scene.broker.reached = Reach(0, 0, 0, 0)
    assert not scene.run().blocked


def test_records_lost_before_a_partition_was_first_read_block_closing(scene: Scene) -> None:
    scene.broker.name += "-other"  # no position is known of it
    scene.pass_partition(5, first=4)
    scene.broker.reached = Reach(0, 4, 5, 5)

    (blocked,) = scene.run().blocked
    assert (blocked.cause, blocked.detail) == (
        Cause.LOST,
        f"partition 0 of {scene.broker.name} lost the records from 0 to 4",
    )

    scene.coverage.acknowledge(0, 4)
    assert not scene.run().blocked


@pytest.mark.parametrize("committed", [None, 10], ids=["never read", "committed to 10"])
def test_who_acknowledges_that_records_are_lost_lets_closing_go_on(scene: Scene, committed: int | None) -> None:
    scene.broker.name += "" if committed else "-other"
    scene.broker.reached = Reach(0, 11, 11, 11)
    assert [one.cause for one in scene.run().blocked] == [Cause.LOST]

    scene.coverage.acknowledge(0, 11)

    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


@pytest.mark.parametrize(
    ("lost", "read_on"),
    [(Reach(0, 11, 11, 13), 11), (Reach(0, 0, 8, 8), 0)],
    ids=["to its retention", "as the topic was made anew"],
)
def test_what_is_lost_blocks_until_it_is_acknowledged_though_ingest_reads_on(
    scene: Scene, lost: Reach, read_on: int
) -> None:
    scene.broker.reached = lost
    assert [one.cause for one in scene.run().blocked] == [Cause.LOST]

    scene.pass_partition(13, first=read_on)
    scene.broker.reached = Reach(0, 12, 13, 13)
    (blocked,) = scene.run().blocked
    assert blocked.cause is Cause.LOST
    assert scene.stored(daily(MONDAY)) is None

    scene.coverage.acknowledge(0, max(lost.first, 10))
    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_loss_is_noted_while_another_partition_lags(scene: Scene) -> None:
    scene.pass_partition(10, partition=1, first=0)
    lagging = Reach(0, 0, 11, 12)
    scene.broker.reach = lambda moment_ms: [lagging, Reach(1, 0, 8, 8)]  # type: ignore[method-assign]
    scene.run()

    scene.pass_partition(11)
    scene.pass_partition(13, partition=1, first=0)
    scene.broker.reach = lambda moment_ms: [lagging, Reach(1, 0, 13, 13)]  # type: ignore[method-assign]

    (blocked,) = scene.run().blocked
    assert (blocked.cause, blocked.detail) == (
        Cause.LOST,
        f"partition 1 of {scene.broker.name} was recreated: what it held from offset 10 on is not known",
    )


def test_a_loss_is_noted_while_no_day_is_due(scene: Scene) -> None:
    assert scene.run().lost is None
    scene.broker.reached = Reach(0, 0, 8, 8)
    run = scene.run()
    assert not run.blocked
    assert run.lost is not None
    assert run.lost.detail == f"partition 0 of {scene.broker.name} lost the records from 10 to 12", "which it had"

    scene.pass_partition(13, first=0)
    scene.broker.reached = Reach(0, 0, 13, 13)
    scene.now_ms = SETTLED_MS + DAY_MS

    assert [one.cause for one in scene.run().blocked] == [Cause.LOST]


@pytest.mark.parametrize(
    ("reached", "records", "lost_until"),
    [
        (Reach(0, 0, 14, 14), True, 13),
        (Reach(0, 0, 14, 14), False, None),
        (Reach(0, 11, 14, 14), False, 13),
        (Reach(0, 0, 8, 8), False, 14),
    ],
    ids=["records", "marks of transactions", "taken by the retention since", "of a topic that was made anew since"],
)
def test_what_ingest_was_never_handed_blocks_if_there_are_records_or_nobody_knows(
    scene: Scene, reached: Reach, records: bool, lost_until: int | None
) -> None:
    is_lost = lost_until is not None
    scene.pass_partition(14)
    scene.broker.reached, scene.broker.records = reached, records

    assert [one.cause for one in scene.run().blocked] == [Cause.LOST] * is_lost
    assert scene.progress.gaps(scene.broker.name) == [], "it is known now"
    assert (scene.stored(daily(MONDAY)) is None) == is_lost

    if lost_until is not None:
        scene.broker.reached = Reach(0, reached.first, 14, 14)
        scene.coverage.acknowledge(0, lost_until)
        assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_new_topic_name_does_not_pass_over_what_the_former_one_lost(scene: Scene) -> None:
    former = scene.broker.name
    scene.broker.reached = Reach(0, 11, 12, 12)
    scene.run()
    scene.broker.name += "-anew"
    scene.broker.reached = Reach(0, 0, 0, 0)

    run = scene.run()
    assert [one.cause for one in run.blocked] == [Cause.LOST]
    assert run.lost is not None
    assert run.lost.detail == f"partition 0 of {former} lost the records from 10 to 11"

    scene.coverage.acknowledge(0, 11, former)
    run = scene.run()
    assert run.lost is not None
    assert run.lost.detail == f"partition 0 of {former} lost the records from 11 to 12", "it was left with it"

    scene.coverage.acknowledge(0, 12, former)
    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING
    assert list(scene.losses.ends()) == [scene.broker.name]


def test_a_former_topic_that_was_committed_to_its_end_keeps_nothing_waiting(scene: Scene) -> None:
    scene.pass_partition(12, first=10)
    scene.coverage.check()
    scene.broker.name += "-anew"
    scene.broker.reached = Reach(0, 0, 0, 0)

    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


def test_of_a_former_topic_nothing_is_acknowledged_but_what_it_was_seen_to_hold(scene: Scene) -> None:
    former = scene.broker.name
    scene.coverage.check()
    scene.broker.name += "-anew"

    for partition, until, name in ((0, 13, former), (1, 1, former), (0, 1, "nobody-knows-it")):
        with pytest.raises(ValueError, match="or is not known"):
            scene.coverage.acknowledge(partition, until, name)


def test_what_is_blocked_has_not_waited_for_longer_than_its_leaderboard_is_there(scene: Scene) -> None:
    scene.broker.reached = Reach(0, 0, 11, 12)
    scene.now_ms = SETTLED_MS - HOUR_MS

    assert scene.run().delay_ms(scene.now_ms) == scene.now_ms - scene.leaderboard.created_at_ms


def test_all_that_is_lost_has_to_be_acknowledged(scene: Scene) -> None:
    for first in (11, 14, 12):  # of two closing runs the one that looked earlier may come later
        scene.broker.reached = Reach(0, first, first, 15)
        scene.run()
    assert [(one.first, one.until) for one in scene.losses.of(scene.broker.name)] == [(10, 14)]

    with pytest.raises(ValueError, match="lost the records up to 14"):
        scene.coverage.acknowledge(0, 12)
    assert [one.cause for one in scene.run().blocked] == [Cause.LOST]

    scene.losses.remove(scene.broker.name, Loss(0, 10, 12))  # by somebody who had not seen the rest
    assert [one.until for one in scene.losses.of(scene.broker.name)] == [14]


@pytest.mark.parametrize(("partition", "until"), [(0, 12), (1, 11)], ids=["records that are there", "no partition"])
def test_nothing_is_acknowledged_but_what_is_lost(scene: Scene, partition: int, until: int) -> None:
    scene.broker.reached = Reach(0, 11, 12, 12)

    with pytest.raises(ValueError, match="has records before"):
        scene.coverage.acknowledge(partition, until)

    assert [one.next_offset for one in scene.progress.positions(scene.broker.name)] == [10]


@pytest.mark.parametrize("reached", [Reach(0, 0, 4, 4), Reach(0, 11, 12, 12)], ids=["another topic", "lost records"])
def test_a_topic_that_does_not_fit_what_was_committed_blocks(scene: Scene, reached: Reach) -> None:
    scene.broker.reached = reached
    scene.broker.records = False

    run = scene.run()

    assert [one.cause for one in run.blocked] == [Cause.LOST]
    assert scene.stored(daily(MONDAY)) is None


def test_a_record_in_time_by_a_new_leaders_clock_counts_after_one_that_was_late(scene: Scene) -> None:
    cutoff_ms = (MONDAY + 1) * DAY_MS + HOUR_MS
    appended_ms = {10: cutoff_ms + 50_000, 11: cutoff_ms - 5_000}

    def reach(moment_ms: int) -> list[Reach]:
        return [Reach(0, 0, next((at for at, ms in appended_ms.items() if ms > moment_ms), 12), 12)]

    scene.broker.reach = reach  # type: ignore[method-assign]
    scene.pass_partition(11)
    assert [one.cause for one in scene.run().blocked] == [Cause.LAG]

    scene.play("ann", 3)
    scene.pass_partition(12)
    scene.run()
    assert scene.stored(daily(MONDAY)) == [("1", "ann", "8"), ("2", "bob", "7"), ("3", "cat", "7")]


def test_a_broker_that_is_away_blocks(scene: Scene) -> None:
    scene.broker.failure = TopicUnavailable("away")

    assert [one.cause for one in scene.run().blocked] == [Cause.TOPIC]
    assert scene.stored(daily(MONDAY)) is None


def test_a_leaderboard_that_fails_as_nobody_expected_keeps_none_after_it_waiting(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_sealing = scene.final_results.start_sealing

    def fail(leaderboard: Leaderboard, through: Day) -> None:
        if leaderboard.id == "broken":
            raise RuntimeError("its rules are gone")
        start_sealing(leaderboard, through)

    monkeypatch.setattr(scene.final_results, "start_sealing", fail)
    run = scene.run([replace(scene.leaderboard, id="broken")])

    assert [str(one) for one in run.errors] == ["its rules are gone"]
    assert [(one.leaderboard_id, one.cause) for one in run.blocked] == [("broken", Cause.ERROR)]
    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_cache_that_has_missed_a_standing_is_repaired_first(scene: Scene) -> None:
    before = {name: scene.redis.dump(name) for name in scene.redis.scan_iter()}
    scene.play("ann", 100)
    for name, dump in before.items():  # as a failover loses the last writes
        assert dump is not None
        scene.redis.restore(name, 0, dump, replace=True)

    scene.run()

    assert scene.stored(daily(MONDAY)) == [("1", "ann", "105"), ("2", "bob", "7"), ("3", "cat", "7")]
    page = scene.cache.page(scene.leaderboard, daily(MONDAY), 0, 10, scene.now_ms)
    assert [user for user, _ in page.lines] == ["ann", "bob", "cat"]


def test_a_cache_that_shows_what_the_truth_does_not_blocks_until_it_is_rebuilt(scene: Scene) -> None:
    ghost = (1).to_bytes(6, "big") + b"ghost"
    scene.redis.zadd(keys.ranking(scene.id, daily(MONDAY).id), {ghost: -9})

    assert cause_of(scene.run(), daily(MONDAY)) is Cause.DRIFT
    assert scene.stored(daily(MONDAY)) is None
    assert not scene.cache.page(scene.leaderboard, daily(MONDAY), 0, 10, scene.now_ms).complete

    assert cause_of(scene.run(), daily(MONDAY)) is Cause.CACHE, "it is not complete yet"
    scene.builder.rebuild_leaderboard(scene.leaderboard)
    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_rebuild_that_had_passed_the_withdrawn_window_does_not_complete_it(scene: Scene) -> None:
    builds = BuildLeases(scene.cache)
    scene.redis.delete(keys.complete(scene.id))
    _, build = builds.begin_rebuild(scene.leaderboard, "under way", scene.now_ms)

    scene.cache.withdraw(scene.leaderboard, daily(MONDAY), scene.now_ms)

    assert not builds.finish_rebuild(scene.leaderboard, build)


def test_a_flushed_cache_blocks(scene: Scene) -> None:
    scene.redis.flushall()

    assert cause_of(scene.run(), daily(MONDAY)) is Cause.CACHE
    assert scene.stored(daily(MONDAY)) is None


def test_a_period_becomes_final_with_its_last_day_also_when_it_is_registered_later(scene: Scene) -> None:
    scene.run()
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 2), last=MONDAY)
    scene.registry.save_period(scene.id, period)
    assert scene.stored(period.window) is None

    assert len(scene.run().final_results) == 1

    assert scene.stored(period.window) == RANKING
    assert period.window == custom(Day(MONDAY - 2), MONDAY)


def test_a_period_is_noted_as_due_when_its_last_day_is_closed(scene: Scene) -> None:
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 2), last=MONDAY)
    scene.registry.save_period(scene.id, period)
    scene.registry.save_period(scene.id, Period(id="later", name="Later", first=MONDAY, last=Day(MONDAY + 1)))
    assert not scene.work.of(scene.id).due

    scene.run()

    assert scene.stored(period.window) == RANKING
    assert scene.work.of(scene.id) == Work()


def test_a_period_that_is_registered_while_its_last_day_is_closing_becomes_final(scene: Scene) -> None:
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 2), last=MONDAY)
    scene.closing().run()
    assert scene.leaderboard.rejects(MONDAY)
    scene.registry.save_period(scene.id, period)

    scene.run()

    assert scene.stored(period.window) == RANKING


def test_a_period_registered_without_knowing_that_its_day_is_sealing_becomes_final(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 2), last=MONDAY)
    periods = scene.registry.periods

    def too_early(leaderboard_id: str) -> list[Period]:
        found = periods(leaderboard_id)
        if period not in found:
            scene.registry.save_period(leaderboard_id, period)
        return found

    monkeypatch.setattr(scene.registry, "periods", too_early)
    scene.closing().run()
    scene.now_ms += LAST_CALLS_MS
    scene.closing().run()
    monkeypatch.undo()

    scene.run()

    assert scene.stored(period.window) == RANKING


@pytest.mark.parametrize("changed", [False, True])
def test_a_period_that_was_changed_or_deleted_before_it_was_final_gets_no_result(scene: Scene, changed: bool) -> None:
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 2), last=MONDAY)
    scene.run()
    scene.registry.save_period(scene.id, period)
    if changed:
        scene.registry.save_period(scene.id, replace(period, first=Day(MONDAY - 1)), before=period)
    else:
        scene.registry.delete_period(scene.id, period)

    scene.run()

    assert scene.stored(period.window) is None
    assert scene.stored(custom(Day(MONDAY - 1), MONDAY)) == (RANKING if changed else None)
    assert not scene.work.of(scene.id).due


def test_a_period_that_is_registered_again_meanwhile_stays_due(scene: Scene) -> None:
    scene.run()
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 2), last=MONDAY)
    scene.registry.save_period(scene.id, period)
    (due,) = scene.work.of(scene.id).due
    scene.registry.delete_period(scene.id, period)
    scene.registry.save_period(scene.id, period)

    scene.work.drop(scene.id, due)

    assert [one.window for one in scene.work.of(scene.id).due] == [period.window]


def test_the_broker_is_asked_once_for_a_cutoff_however_many_leaderboards_have_it(scene: Scene) -> None:
    scene.closing([replace(scene.leaderboard, id=f"other-{n}") for n in range(5)]).run()

    looked_for_losses, for_the_cutoff = scene.broker.asked_ms
    assert looked_for_losses == scene.now_ms
    assert for_the_cutoff == scene.leaderboard.cutoff_ms(MONDAY) + CLOCK_SKEW_MS


def test_a_broker_that_is_away_is_not_waited_for_once_more_for_every_leaderboard(scene: Scene) -> None:
    scene.broker.failure = TopicUnavailable("away")
    asked: list[int] = []
    reach = scene.broker.reach

    def noted(moment_ms: int) -> list[Reach]:
        asked.append(moment_ms)
        return reach(moment_ms)

    scene.broker.reach = noted  # type: ignore[method-assign]

    run = scene.closing([replace(scene.leaderboard, id=f"other-{n}") for n in range(5)]).run()

    assert [one.cause for one in run.blocked] == [Cause.TOPIC] * 6
    assert len(asked) == 2, "for losses and for the first one"


def test_a_window_for_which_a_run_has_no_time_waits_and_counts_as_delayed(scene: Scene) -> None:
    scene.play("ann", 1, Day(MONDAY - 2))
    scene.closing().run()
    scene.now_ms += LAST_CALLS_MS
    time = iter([True, True])  # for the days, and for one window

    run = scene.closing().run(lambda: next(time, False))

    assert [one.window_id for one in run.final_results] == [daily(Day(MONDAY - 2)).id]
    assert [(one.cause, one.since_ms) for one in run.blocked] == [(Cause.TIME, SETTLED_MS - DAY_MS - 1)]
    assert run.unchecked == 0
    assert len(scene.closing().run().final_results) == 3, "Sunday, its week, Monday"


def test_a_run_that_spent_its_time_on_days_is_followed_by_one_for_windows_first(scene: Scene) -> None:
    close(scene.final_results, scene.leaderboard, MONDAY, [daily(MONDAY)])
    scene.now_ms += DAY_MS
    scene.rounds.record(DAYS, "0", ended=True)
    time = iter([True])

    run = scene.closing().run(lambda: next(time, False))

    assert [one.window_id for one in run.final_results] == [daily(MONDAY).id]
    assert run.unchecked == 1, "its next day was not looked at"


def test_days_whose_records_may_have_waited_for_the_leaderboard_get_results_too(scene: Scene) -> None:
    scene.play("ann", 1, Day(MONDAY - 3))

    scene.run()

    assert scene.stored(daily(Day(MONDAY - 3))) == [("1", "ann", "1")]
    assert scene.stored(daily(Day(MONDAY - 2))) == []
    assert not scene.work.of(scene.id).due


def test_nothing_is_owed_for_days_before_the_first_event(scene: Scene) -> None:
    run = scene.run()

    assert {one.window_id for one in run.final_results} == {daily(MONDAY).id}
    assert [one.window_id for one in scene.told] == [daily(MONDAY).id]
    assert scene.leaderboard.results_from == MONDAY
    assert not scene.leaderboard.owes(daily(Day(MONDAY - 1)))
    assert not scene.leaderboard.owes(weekly(Day(MONDAY - 1)))
    assert scene.leaderboard.owes(daily(MONDAY))


def test_days_without_events_after_the_first_one_get_results(scene: Scene) -> None:
    scene.run()
    scene.now_ms += 2 * DAY_MS

    scene.run()

    assert [scene.stored(daily(Day(MONDAY + after))) for after in (1, 2)] == [[], []]


def test_nothing_is_owed_while_there_are_no_events_until_the_first_one_comes(scene: Scene) -> None:
    empty = f"{scene.id}-empty"
    scene.registry.save(replace(scene.leaderboard, id=empty, version=1))
    scene.registry.lock_rules(
        replace(scene.leaderboard, id=empty, version=1)
    )  # and the call died before it wrote an event
    scene.id = empty
    scene.builder.rebuild_leaderboard(scene.leaderboard)
    assert not scene.run().final_results
    assert (scene.leaderboard.results_from, scene.leaderboard.sealed_through) == (MONDAY + 1, MONDAY)

    scene.play("ann", 3, Day(MONDAY + 2))
    scene.now_ms += 2 * DAY_MS
    scene.run()

    assert [one.window_id for one in scene.told] == [daily(Day(MONDAY + 2)).id]
    assert scene.leaderboard.results_from == MONDAY + 2


def test_of_a_leaderboard_whose_days_were_closed_before_that_was_noted_results_go_on(scene: Scene) -> None:
    close(scene.final_results, scene.leaderboard, MONDAY, [daily(MONDAY)])
    scene.now_ms += DAY_MS

    scene.run()

    assert scene.leaderboard.results_from is None
    assert scene.stored(daily(Day(MONDAY + 1))) == []


def test_a_backlog_over_several_days_closes_those_that_are_done(scene: Scene) -> None:
    scene.now_ms += 2 * DAY_MS
    cutoff_ms = (MONDAY + 2) * DAY_MS + HOUR_MS + CLOCK_SKEW_MS

    def reach(moment_ms: int) -> list[Reach]:
        return [Reach(0, 0, 10 if moment_ms <= cutoff_ms else 12, 12)]

    scene.broker.reach = reach  # type: ignore[method-assign]
    run = scene.run()

    assert scene.leaderboard.sealed_through == MONDAY + 1
    assert [one.cause for one in run.blocked] == [Cause.LAG]
    assert scene.stored(daily(MONDAY)) == RANKING


def test_by_rules_that_were_changed_meanwhile_no_day_refuses_events(scene: Scene) -> None:
    as_read = scene.leaderboard
    scene.registry.save(replace(as_read, version=2, lateness_ms=DAY_MS))

    with pytest.raises(AlreadyDone):
        scene.final_results.start_sealing(as_read, MONDAY)

    assert scene.leaderboard.sealing_through is None


def test_days_that_are_closed_are_never_opened_again(scene: Scene) -> None:
    scene.run()

    for through in (MONDAY, Day(MONDAY - 1)):
        with pytest.raises(AlreadyDone):
            scene.final_results.start_sealing(scene.leaderboard, through)
        with pytest.raises(AlreadyDone):
            scene.final_results.seal(scene.leaderboard, through, [])

    assert (scene.leaderboard.sealing_through, scene.leaderboard.sealed_through) == (MONDAY, MONDAY)


def test_nobody_notes_a_time_for_days_that_have_begun_to_refuse_events_since(scene: Scene) -> None:
    scene.closing().run()
    as_read = scene.leaderboard
    scene.now_ms = SETTLED_MS + DAY_MS
    scene.run()
    scene.final_results.start_sealing(scene.leaderboard, Day(MONDAY + 2))

    with pytest.raises(AlreadyDone):
        scene.final_results.seal_at(as_read, MONDAY, scene.now_ms)
    assert scene.leaderboard.seals_at_ms is None


@pytest.mark.parametrize("lateness_ms", [0, 2 * HOUR_MS], ids=["less lateness", "more lateness"])
def test_an_ingest_call_that_began_before_a_day_is_sealing_is_in_its_result(scene: Scene, lateness_ms: int) -> None:
    """It admits what other rules refuse, or what they have refused and comes again."""
    scene.registry.save(replace(scene.leaderboard, version=2, lateness_ms=lateness_ms, updated_at_ms=scene.now_ms))
    kept = scene.leaderboard
    scene.now_ms += 2 * HOUR_MS
    refused_ms = scene.now_ms

    assert not scene.closing().run().blocked, "it is over soon, by itself"
    assert (scene.leaderboard.sealing_through, scene.leaderboard.sealed_through) == (MONDAY, None)
    assert scene.play("ann", 3, leaderboard=kept).kind is OutcomeKind.APPLIED
    late = scene.play("ann", 1_000)
    assert late.rejection is not None
    assert late.rejection.reason is Reason.TOO_LATE

    scene.now_ms = refused_ms + LAST_CALLS_MS - 1
    scene.closing().run()
    before = scene.leaderboard
    assert before.sealed_through is None
    scene.now_ms += 1
    scene.closing().run()
    assert scene.leaderboard.sealed_through == MONDAY
    assert scene.stored(daily(MONDAY)) == [("1", "ann", "8"), ("2", "bob", "7"), ("3", "cat", "7")]


def test_a_run_that_died_before_it_noted_the_time_delays_closing_and_no_more(scene: Scene) -> None:
    scene.final_results.start_sealing(scene.leaderboard, MONDAY)
    scene.now_ms += DAY_MS // 2

    scene.closing().run()

    assert scene.leaderboard.seals_at_ms == scene.now_ms + LAST_CALLS_MS
    scene.run()
    assert scene.stored(daily(MONDAY)) == RANKING


def test_windows_of_days_that_are_closed_do_not_wait_for_those_that_are_closing(scene: Scene) -> None:
    scene.run()
    scene.now_ms = SETTLED_MS + DAY_MS
    scene.registry.save_period(scene.id, Period(id="monday", name="Monday", first=Day(MONDAY - 1), last=MONDAY))

    assert [one.window_id for one in scene.closing().run().final_results] == [custom(Day(MONDAY - 1), MONDAY).id]
    assert scene.leaderboard.is_sealing


def test_a_closed_day_stays_closed_when_a_deleted_leaderboard_is_opened_again(scene: Scene) -> None:
    scene.run()
    for version, closed in ((2, True), (3, False)):
        scene.registry.save(replace(scene.leaderboard, version=version, archived=closed, lateness_ms=300 * DAY_MS))

    late = scene.play("ann", 1_000)

    assert late.rejection is not None
    assert late.rejection.reason is Reason.TOO_LATE
    assert scene.leaderboard.sealed_through == MONDAY


def test_a_day_closes_though_its_lateness_was_shorter_before_any_day_closed(scene: Scene) -> None:
    long_ago = Day(MONDAY - 20)
    scene.registry.save(replace(scene.leaderboard, version=2, lateness_ms=30 * DAY_MS))
    scene.play("dan", 3, long_ago)
    scene.registry.save(replace(scene.leaderboard, version=3, lateness_ms=HOUR_MS))

    assert not scene.run().blocked

    assert scene.stored(daily(long_ago)) == [("1", "dan", "3")]


def test_a_closed_day_stays_closed_whatever_becomes_of_the_lateness(scene: Scene) -> None:
    known = scene.play("ann", 1)
    scene.run()
    current = scene.leaderboard
    scene.registry.save(replace(current, version=2, lateness_ms=300 * DAY_MS))
    assert scene.leaderboard.sealed_through == MONDAY

    late, again = scene.play("ann", 1_000), scene.replay(known.event)

    assert late.rejection is not None
    assert late.rejection.reason is Reason.TOO_LATE
    assert again.kind is OutcomeKind.DUPLICATE
    assert scene.play("ann", 2, Day(MONDAY + 1)).kind is OutcomeKind.APPLIED
    standings = dict(scene.reads.shard_standings(scene.leaderboard, MONDAY, 0)) | dict(
        scene.reads.shard_standings(scene.leaderboard, MONDAY, 1)
    )
    assert standings["ann"].points == 6


def test_a_conflict_on_a_closed_day_is_told_from_a_late_event(scene: Scene) -> None:
    known = scene.play("ann", 1)
    scene.run()

    other = scene.replay(replace(known.event, points=2))

    assert other.rejection is not None
    assert other.rejection.reason is Reason.CONFLICTING_DUPLICATE


def test_the_days_of_a_long_wait_close_in_several_steps(scene: Scene) -> None:
    scene.registry.save(replace(scene.leaderboard, version=2, lateness_ms=200 * DAY_MS))
    scene.now_ms = SETTLED_MS + 200 * DAY_MS
    assert cause_of(scene.run(), daily(MONDAY)) is Cause.CACHE, "the cache may have let go what is kept longer now"
    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE

    run = scene.run()

    assert not run.blocked
    assert scene.leaderboard.sealed_through == day_of((MONDAY + 1) * DAY_MS + HOUR_MS) - 1
    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_result_is_told_until_somebody_has_taken_it(scene: Scene) -> None:
    def away(_notice: WindowFinal) -> None:
        raise NotificationUnavailable("away")

    scene.notifications.send = away
    assert [one.cause for one in scene.run().blocked] == [Cause.NOTIFICATION]
    assert scene.stored(daily(MONDAY)) == RANKING

    scene.notifications.send = scene.told.append
    assert not scene.run().blocked
    scene.run()

    (monday,) = [one for one in scene.told if one.window_id == daily(MONDAY).id]
    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert (monday.leaderboard_id, monday.players, monday.sha256) == (scene.id, 3, final.sha256)


def test_every_player_in_a_tier_has_an_award_of_his_own(scene: Scene) -> None:
    tiers = (Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.MIN_SCORE, 6))
    scene.registry.save(replace(scene.leaderboard, version=2, tiers=tiers))
    scene.run()

    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    content = scene.s3.get_object(Bucket=BUCKET, Key=final.awards_key)["Body"].read()
    assert (final.award_count, hashlib.sha256(content).hexdigest()) == (2, final.awards_sha256)
    lines = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [(one["user_id"], one["tier"], one["rank"], one["score"]) for one in lines] == [
        ("bob", "gold", "1", "7"),
        ("cat", "silver", "2", "7"),
    ]
    named = json.dumps([scene.id, daily(MONDAY).id, "bob", "gold"], separators=(",", ":"))
    assert lines[0]["award_id"] == hashlib.sha256(named.encode()).hexdigest()[:32]
    assert lines[0]["award_id"] != lines[1]["award_id"]
