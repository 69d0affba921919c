"""What an archived leaderboard still owes, on real DynamoDB, Redis and S3; the broker's answers are given."""

import pytest
from msgspec.structs import replace
from redis import Redis

from shared.cache import keys
from shared.cache.windows import WindowCache
from shared.closing.runs import Cause
from shared.domain.calendar import DAY_MS, Day, Window, custom, daily, weekly
from shared.domain.periods import Period
from shared.domain.rejections import Reason
from shared.ingest.outcomes import OutcomeKind
from shared.messaging.notifications import NotificationUnavailable, WindowFinal
from shared.messaging.topic import Reach
from shared.truth.final_results import AlreadyDone
from tests.integration.test_closing_work import counted
from tests.support.closing import MONDAY, RANKING, SETTLED_MS, Scene, cause_of

NOON_MS = MONDAY * DAY_MS + DAY_MS // 2
SUNDAY = Day(MONDAY + 6)
WEEK_OVER_MS = SETTLED_MS + 6 * DAY_MS


def results(scene: Scene) -> list[str]:
    return sorted(window.id for window in scene.final_results.windows(scene.id))


def told(scene: Scene) -> list[tuple[str, int]]:
    return [(one.window_id, one.version) for one in scene.told]


def owes_nothing(scene: Scene) -> bool:
    return scene.leaderboard.nothing_owed


def closed(scene: Scene, at_ms: int = WEEK_OVER_MS) -> None:
    """Run until nothing is left to do at a time."""
    scene.now_ms = at_ms
    scene.run()
    scene.closing().run()


@pytest.mark.parametrize("flushed", [False, True], ids=["cache kept", "cache flushed"])
def test_an_archived_leaderboard_gets_every_result_that_it_owes_and_no_other(scene: Scene, flushed: bool) -> None:
    for name, first, last in (("p", MONDAY, Day(MONDAY + 9)), ("later", Day(MONDAY + 2), Day(MONDAY + 3))):
        scene.registry.save_period(scene.id, Period(id=name, name=name, first=first, last=last))
    scene.archive(NOON_MS)
    if flushed:
        scene.redis.flushall()
    period = custom(MONDAY, Day(MONDAY + 9))

    scene.now_ms = SETTLED_MS
    run = scene.run()
    assert (run.blocked, run.archived_owing) == ([], {scene.id})
    assert results(scene) == [daily(MONDAY).id]
    assert scene.stored(daily(MONDAY)) == RANKING
    closed(scene, SETTLED_MS + 30 * DAY_MS)

    assert results(scene) == sorted([daily(MONDAY).id, weekly(MONDAY).id, period.id])
    assert [scene.stored(window) for window in (weekly(MONDAY), period)] == [RANKING] * 2
    assert sorted(told(scene)) == [(name, 1) for name in results(scene)]
    assert scene.leaderboard.sealed_through == period.last
    assert owes_nothing(scene)


def test_a_leaderboard_that_owes_nothing_more_costs_no_request(scene: Scene) -> None:
    closed(scene)
    with counted() as idle:
        scene.closing().run()
    scene.archive(scene.now_ms)
    closed(scene, WEEK_OVER_MS + 7 * DAY_MS)
    assert owes_nothing(scene)
    before = scene.leaderboard

    with counted() as after_all:
        run = scene.closing().run()

    assert run.archived_owing == set()
    assert scene.leaderboard == before
    assert after_all == idle


def test_while_its_week_goes_on_it_costs_no_request_either(scene: Scene) -> None:
    scene.run()
    scene.now_ms += 1_000
    with counted() as before:
        scene.closing().run()
    scene.archive(NOON_MS)

    with counted() as after:
        assert scene.closing().run().archived_owing == {scene.id}

    assert after == before


def test_it_owes_something_while_its_week_goes_on_or_work_is_left(scene: Scene) -> None:
    scene.archive(NOON_MS)
    closed(scene, WEEK_OVER_MS - 1)
    assert scene.leaderboard.sealed_through == SUNDAY - 1
    assert not owes_nothing(scene)
    assert scene.closing().run().archived_owing == {scene.id}

    def away(_: WindowFinal) -> None:
        raise NotificationUnavailable("away")

    scene.notifications.send = away
    closed(scene)
    assert scene.stored(weekly(MONDAY)) == RANKING
    run = scene.closing().run()
    assert ([one.cause for one in run.blocked], run.archived_owing) == ([Cause.NOTIFICATION], {scene.id})
    assert not owes_nothing(scene)

    scene.notifications.send = scene.told.append
    closed(scene)
    assert owes_nothing(scene)
    assert told(scene)[-1] == (weekly(MONDAY).id, 1)


def test_notifications_that_were_pending_when_it_was_archived_are_sent(scene: Scene) -> None:
    def away(_: WindowFinal) -> None:
        raise NotificationUnavailable("away")

    scene.notifications.send = away
    scene.run()
    scene.archive(scene.now_ms)
    scene.notifications.send = scene.told.append

    scene.closing().run()

    assert told(scene) == [(daily(MONDAY).id, 1)]


def test_events_of_before_that_are_committed_afterwards_are_in_the_result(scene: Scene) -> None:
    scene.archive(NOON_MS)
    waiting = scene.play("dan", 9)  # appended in the morning
    at_noon = replace(waiting.event, event_id="late", occurred_at_ms=NOON_MS + 1)

    assert waiting.kind is OutcomeKind.APPLIED
    late = scene.replay(at_noon)
    assert late.rejection is not None
    assert late.rejection.reason is Reason.LEADERBOARD_ARCHIVED
    scene.run()

    assert scene.stored(daily(MONDAY)) == [("1", "dan", "9"), ("2", "bob", "7"), ("3", "cat", "7"), ("4", "ann", "5")]


def test_a_partition_that_lags_holds_its_results_back(scene: Scene) -> None:
    scene.archive(NOON_MS)
    scene.broker.reached = Reach(0, 0, 11, 12)

    run = scene.run()

    assert [one.cause for one in run.blocked] == [Cause.LAG]
    assert run.archived_owing == {scene.id}
    assert results(scene) == []


def test_a_cache_that_is_away_holds_its_results_back_and_delays_them(scene: Scene) -> None:
    scene.archive(NOON_MS)
    with Redis(host="127.0.0.1", port=1) as nobody:
        scene.cache, kept = WindowCache(nobody), scene.cache
        run = scene.run()
        scene.cache = kept

    assert cause_of(run, daily(MONDAY)) is Cause.CACHE
    assert run.delay_ms(scene.now_ms) > 0
    assert results(scene) == []
    scene.closing().run()
    assert scene.stored(daily(MONDAY)) == RANKING


def test_what_the_cache_has_wrong_is_built_again_and_forgotten_afterwards(scene: Scene) -> None:
    window = daily(MONDAY)
    names = [keys.ranking(scene.id, window.id), keys.parts(scene.id, window)]
    scene.redis.zadd(names[0], {b"\0" * 6 + b"nobody": -1_000})
    scene.archive(NOON_MS)

    assert not scene.run().blocked

    assert scene.stored(window) == RANKING
    assert scene.redis.exists(*names) == 0
    assert not scene.cache.page(scene.leaderboard, window, 0, 1, scene.now_ms).complete


def disqualify(scene: Scene, window: Window) -> list[tuple[str, str, str]] | None:
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "referee", "bought points")
    run = scene.closing().run()
    assert (run.blocked, run.archived_owing) == ([], {scene.id})
    assert scene.closing().run().archived_owing == set()
    return scene.stored(window)


@pytest.mark.parametrize("flushed", [False, True], ids=["cache kept", "cache flushed"])
def test_a_disqualification_after_all_is_paid_gives_version_2(scene: Scene, flushed: bool) -> None:
    scene.archive(NOON_MS)
    closed(scene)
    assert owes_nothing(scene)
    if flushed:
        scene.redis.flushall()

    assert disqualify(scene, daily(MONDAY)) == [("1", "cat", "7"), ("2", "ann", "5")]

    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert (final.version, final.award_ids_stay) == (2, True)
    assert sorted(told(scene)[-2:]) == sorted([(daily(MONDAY).id, 2), (weekly(MONDAY).id, 2)])
    assert scene.stored(weekly(MONDAY)) == [("1", "cat", "7"), ("2", "ann", "5")]


def test_a_result_of_before_it_was_archived_is_corrected_though_the_cache_is_empty(scene: Scene) -> None:
    scene.run()
    scene.archive(scene.now_ms)
    scene.redis.flushall()

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "referee", "bought points")
    assert not scene.closing().run().blocked

    assert scene.stored(daily(MONDAY)) == [("1", "cat", "7"), ("2", "ann", "5")]


def test_a_disqualification_before_the_result_leaves_the_player_out_of_version_1(scene: Scene) -> None:
    scene.archive(NOON_MS)
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "referee", "bought points")

    scene.run()

    assert scene.stored(daily(MONDAY)) == [("1", "cat", "7"), ("2", "ann", "5")]
    assert told(scene) == [(daily(MONDAY).id, 1)]


def test_a_leaderboard_that_is_restored_is_closed_again(scene: Scene) -> None:
    scene.archive(NOON_MS)
    closed(scene)
    over = scene.leaderboard
    assert over.nothing_owed
    scene.restore()
    assert not owes_nothing(scene)
    with pytest.raises(AlreadyDone):
        scene.final_results.record_nothing_owed(over)
    scene.builder.rebuild_leaderboard(scene.leaderboard)
    following = Day(SUNDAY + 1)
    assert scene.play("ann", 1, following).kind is OutcomeKind.APPLIED

    closed(scene, SETTLED_MS + 7 * DAY_MS)

    assert scene.stored(daily(following)) == [("1", "ann", "1")]
    assert scene.stored(daily(MONDAY)) == RANKING
    scene.archive((following + 2) * DAY_MS)
    assert not owes_nothing(scene)
    closed(scene, SETTLED_MS + 14 * DAY_MS)
    assert owes_nothing(scene)
    assert scene.stored(weekly(following)) == [("1", "ann", "1")]


def test_what_was_archived_long_ago_is_paid_once_and_nothing_else_is(scene: Scene) -> None:
    scene.archive(NOON_MS)

    closed(scene, SETTLED_MS + 400 * DAY_MS)

    assert results(scene) == sorted([daily(MONDAY).id, weekly(MONDAY).id])
    assert owes_nothing(scene)


def test_an_archived_leaderboard_without_events_owes_nothing(scene: Scene) -> None:
    empty = replace(scene.leaderboard, id=f"{scene.id}-empty", version=1, has_events=False, archived=True)
    scene.registry.save(empty)
    found = scene.registry.leaderboard(empty.id)
    assert found is not None

    assert scene.closing([found]).run().archived_owing == set()
