"""Windows that are built on demand: at once if that is quick, otherwise by the repair function, once."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis

from shared.cache import keys
from shared.cache.leases import ASKED_MS, LEASE_MS, BuildProgress
from shared.domain.calendar import DAY_MS, EXPIRY_MARGIN_MS, Day, Window, custom, format_day, kept_until_ms
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.messaging.queues import QueueUnavailable
from shared.rebuild.anti_entropy import Interrupted
from shared.rebuild.builder import IDLE_MS, RebuildOutcome
from shared.rebuild.on_demand import BUILD_WAIT_MS, Building, TooManyRanges
from shared.rebuild.requests import RebuildLeaderboard, decode_request
from tests.support.building import RANGE, Builders
from tests.support.closing import MONDAY, Scene


@pytest.fixture
def builders(scene: Scene) -> Builders:
    scene.play("ann", 4, Day(MONDAY + 1))
    return Builders(scene)


TRUTH = [("ann", 9), ("bob", 7), ("cat", 7)]


def test_a_build_that_is_quick_is_done_while_the_reader_waits(builders: Builders) -> None:
    builders.build()

    assert builders.shown == TRUTH
    assert builders.requests.bodies == []
    assert builders.lease_ms < 0


def test_a_build_that_takes_long_is_left_to_repair_and_says_how_far_it_is(builders: Builders) -> None:
    builders.step_ms = BUILD_WAIT_MS

    with pytest.raises(Building) as raised:
        builders.build()

    assert raised.value.progress.position <= len(RANGE.days)
    shown = builders.shown
    assert shown is None
    assert len(builders.requests.bodies) == 1
    assert 0 < builders.lease_ms <= LEASE_MS

    builders.handle()

    assert builders.shown == TRUTH
    assert builders.lease_ms < 0


def test_a_second_reader_gets_the_builders_progress_and_starts_nothing(builders: Builders) -> None:
    leaderboard = builders.scene.leaderboard
    _, build = builders.scene.builder.begin_window(leaderboard, RANGE, "another")
    build.progress = BuildProgress(2, 12_345)
    builders.leases.renew(build, builders.scene.now_ms)

    with pytest.raises(Building) as raised:
        builders.build()

    assert raised.value.progress == BuildProgress(2, 12_345)
    assert builders.requests.bodies == []
    assert builders.scene.redis.hget(keys.state(leaderboard.id, RANGE.id), "\0building") == b"another"


def test_an_event_that_comes_while_a_range_is_built_counts(builders: Builders) -> None:
    builders.step_ms = BUILD_WAIT_MS
    with pytest.raises(Building):
        builders.build()

    builders.scene.play("cat", 3, Day(MONDAY + 2))
    builders.handle()

    assert builders.shown == [("cat", 10), *TRUTH[:2]]


def test_a_request_that_comes_twice_builds_once(builders: Builders) -> None:
    builders.step_ms = BUILD_WAIT_MS
    with pytest.raises(Building):
        builders.build()
    builders.requests.bodies *= 2
    first, second = (decode_request(body) for body in builders.requests.bodies)
    builders.repair.handle(first)

    def build_again(*_: Any, **__: Any) -> bool:
        raise AssertionError("it is built")

    builders.scene.builder.build_window = build_again  # type: ignore[method-assign]
    builders.repair.handle(second)

    assert builders.shown == TRUTH


def test_a_window_that_is_flushed_while_it_is_built_is_incomplete(
    builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    builders.step_ms = BUILD_WAIT_MS
    with pytest.raises(Building):
        builders.build()
    interfere_once(builders, monkeypatch, builders.scene.redis.flushall)

    with pytest.raises(Interrupted):
        builders.handle()
    assert builders.shown is None

    builders.handle()
    assert builders.shown == TRUTH


def test_a_window_of_which_a_failover_loses_a_part_while_it_is_built_is_incomplete(
    builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    builders.scene.now_ms += 40 * DAY_MS  # past what anti-entropy reaches
    build_range = custom(Day(MONDAY - 1), Day(MONDAY + 40))
    _, build = builders.scene.builder.begin_window(builders.scene.leaderboard, build_range, "builder")
    names = keys.own(builders.scene.id, build_range)
    replica = copy_of(builders.scene.redis, names)
    interfere_once(builders, monkeypatch, lambda: restore(builders.scene.redis, replica))

    assert not builders.scene.builder.build_window(builders.scene.leaderboard, build_range, build)

    assert not builders.scene.cache.page(builders.scene.leaderboard, build_range, 0, 9, builders.scene.now_ms).complete
    assert builders.on_demand.build_or_resume(builders.scene.leaderboard, build_range, "builder")
    page = builders.scene.cache.page(builders.scene.leaderboard, build_range, 0, 9, builders.scene.now_ms)
    assert [(user, score.points) for user, score in page.lines] == TRUTH


@pytest.mark.parametrize("window", [RANGE, None], ids=["a window", "all that is kept"])
def test_a_failover_that_forgets_who_is_out_leaves_what_is_built_incomplete(
    builders: Builders, monkeypatch: pytest.MonkeyPatch, window: Window | None
) -> None:
    """Nothing was filled in before it, so of the other fills none is missing: they would show bob."""
    scene = builders.scene
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "referee", "a bot")
    scene.redis.flushall()
    if window is None:
        builders.leases.begin_rebuild(scene.leaderboard, "builder", scene.now_ms)
        noted_in = keys.rebuild(scene.id)
    else:
        _, build = scene.builder.begin_window(scene.leaderboard, window, "builder")
        noted_in = keys.state(scene.id, window.id)
    replica = copy_of(scene.redis, [noted_in, keys.ranges(scene.id), keys.disqualified(scene.id)])
    show = scene.cache.show_disqualified

    def fail_over(*args: Any) -> None:
        show(*args)
        restore(scene.redis, replica)

    monkeypatch.setattr(scene.cache, "show_disqualified", fail_over)
    if window is None:
        monkeypatch.setattr(scene.builder, "_new_token", lambda: "builder")
        assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.LOST
        assert not scene.cache.is_complete(scene.leaderboard)
    else:
        assert not scene.builder.build_window(scene.leaderboard, window, build)
        assert builders.shown is None


def test_a_failover_just_before_the_end_leaves_the_window_incomplete(
    builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, build = builders.scene.builder.begin_window(builders.scene.leaderboard, RANGE, "builder")
    replica = copy_of(builders.scene.redis, [keys.state(builders.scene.id, RANGE.id)])
    interfere_once(builders, monkeypatch, lambda: restore(builders.scene.redis, replica))

    def get_on_without_a_word() -> None:
        """As between the last word of a build and its end."""

    assert not builders.scene.builder.build_window(builders.scene.leaderboard, RANGE, build, get_on_without_a_word)

    assert builders.shown is None


def interfere_once(builders: Builders, monkeypatch: pytest.MonkeyPatch, interfere: Callable[[], object]) -> None:
    """Have something happen after the first call that fills standings in."""
    once = iter([interfere])
    fill = builders.scene.cache.fill

    def filled(*args: Any, **more: Any) -> int:
        changed = fill(*args, **more)
        next(once, lambda: None)()
        return changed

    monkeypatch.setattr(builders.scene.cache, "fill", filled)


def copy_of(redis: Redis, names: list[str]) -> dict[str, Any]:
    """What a replica has of some keys."""
    return {name: redis.dump(name) for name in names}


def restore(redis: Redis, replica: dict[str, Any]) -> None:
    """Make the replica the primary."""
    redis.delete(*replica)
    for name, dumped in replica.items():
        if dumped is not None:
            redis.restore(name, 0, dumped)


def test_a_builder_whose_lease_went_to_another_stops(builders: Builders) -> None:
    leaderboard = builders.scene.leaderboard
    _, build = builders.scene.builder.begin_window(leaderboard, RANGE, "slow")
    builders.scene.now_ms += LEASE_MS
    _, another = builders.scene.builder.begin_window(leaderboard, RANGE, "another")

    assert not builders.scene.builder.build_window(leaderboard, RANGE, build)

    assert builders.shown is None
    assert builders.scene.builder.build_window(leaderboard, RANGE, another)
    assert builders.shown == TRUTH


def test_a_builder_that_follows_one_that_died_goes_on_where_that_one_was(builders: Builders) -> None:
    leaderboard = builders.scene.leaderboard
    long = custom(Day(MONDAY - 300), Day(MONDAY + 2))
    _, build = builders.scene.builder.begin_window(leaderboard, long, "dies")

    def die() -> None:
        if build.progress.position >= 200:
            builders.leases.renew(build, builders.scene.now_ms)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        builders.scene.builder.build_window(leaderboard, long, build, die)
    builders.scene.now_ms += LEASE_MS
    _, following = builders.scene.builder.begin_window(leaderboard, long, "follows")

    assert following.progress.position >= 200
    assert builders.scene.builder.build_window(leaderboard, long, following)
    page = builders.scene.cache.page(leaderboard, long, 0, 9, builders.scene.now_ms)
    assert [(user, score.points) for user, score in page.lines] == TRUTH


def test_a_build_that_has_read_everything_is_not_left_to_repair_for_being_late(
    builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = builders.scene.builder.build_window

    def slow_at_the_end(leaderboard: Any, window: Any, build: Any, progressed: Any) -> bool:
        builders.step_ms = BUILD_WAIT_MS
        build.progress = BuildProgress(len(RANGE.days), 4)
        progressed()
        build.progress = BuildProgress()
        return read(leaderboard, window, build)

    monkeypatch.setattr(builders.scene.builder, "build_window", slow_at_the_end)

    builders.build()

    assert builders.shown == TRUTH
    assert builders.requests.bodies == []


def test_a_build_that_cannot_be_left_to_repair_does_not_keep_others_out(builders: Builders) -> None:
    builders.step_ms, builders.requests.away = BUILD_WAIT_MS, True

    with pytest.raises(QueueUnavailable):
        builders.build()

    assert builders.lease_ms < 0
    builders.step_ms = 0
    builders.build()
    assert builders.shown == TRUTH


def test_progress_counts_the_days_that_are_read_and_their_standings(builders: Builders) -> None:
    long = custom(Day(MONDAY - 300), Day(MONDAY + 60))
    for days in range(1, 30):
        builders.scene.play("dan", 1, Day(MONDAY - days))
    builders.scene.now_ms += 30 * DAY_MS
    seen: list[BuildProgress] = []
    _, build = builders.scene.builder.begin_window(builders.scene.leaderboard, long, "builder")

    assert builders.scene.builder.build_window(
        builders.scene.leaderboard, long, build, lambda: seen.append(build.progress)
    )

    page = builders.scene.cache.page(builders.scene.leaderboard, long, 0, 100, builders.scene.now_ms)
    assert [(user, score.points) for user, score in page.lines] == [("dan", 29), *TRUTH]
    assert [one.position for one in seen] == sorted(one.position for one in seen)
    assert len({one.position for one in seen}) > 3
    assert seen[-1] == BuildProgress(len(long.days), 33)


def test_days_without_events_cost_a_build_nothing(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before a leaderboard's first event, after its last, between them, and those that are yet to come."""
    partitions: list[str] = []
    pages = builders.scene.reads._pages

    def counted(table: str, partition: str, *args: Any, **more: Any) -> Any:
        partitions.append(partition)
        return pages(table, partition, *args, **more)

    monkeypatch.setattr(builders.scene.reads, "_pages", counted)
    window = custom(Day(MONDAY - 300), Day(MONDAY + 60))

    builders.on_demand.build_for_reader(builders.scene.leaderboard, window)

    days = {format_day(Day(MONDAY)), format_day(Day(MONDAY + 1))}
    assert {partition.split("#")[1] for partition in partitions} == days
    assert len(partitions) == len(days) * builders.scene.leaderboard.shards
    page = builders.scene.cache.page(builders.scene.leaderboard, window, 0, 9, builders.scene.now_ms)
    assert page.complete
    assert [(user, score.points) for user, score in page.lines] == TRUTH


def test_a_day_gets_its_first_event_while_a_range_is_built_and_counts(builders: Builders) -> None:
    window = custom(Day(MONDAY - 9), Day(MONDAY + 9))
    _, build = builders.scene.builder.begin_window(builders.scene.leaderboard, window, "builder")
    read = builders.scene.reads.recorded_days

    def first_event_after(leaderboard: Leaderboard, days: Sequence[Day]) -> list[Day]:
        there = read(leaderboard, days)
        builders.scene.play("cat", 3, Day(MONDAY - 5))
        return there

    builders.scene.reads.recorded_days = first_event_after  # type: ignore[method-assign]

    assert builders.scene.builder.build_window(builders.scene.leaderboard, window, build)

    page = builders.scene.cache.page(builders.scene.leaderboard, window, 0, 9, builders.scene.now_ms)
    assert [(user, score.points) for user, score in page.lines] == [("cat", 10), *TRUTH[:2]]


def test_a_day_is_noted_before_its_first_event_is_written_and_once(builders: Builders, monkeypatch: Any) -> None:
    committer = builders.scene.committer
    client, told = committer._commits._client, list[str]()
    put, write = client.put_item, client.transact_write_items

    def noted(**request: Any) -> Any:
        told.append(request["Item"]["sk"]["S"])
        return put(**request)

    def written(**request: Any) -> Any:
        told.append("written")
        return write(**request)

    monkeypatch.setattr(client, "put_item", noted)
    monkeypatch.setattr(client, "transact_write_items", written)
    builders.scene.play("cat", 3, Day(MONDAY + 2))
    builders.scene.play("bob", 3, Day(MONDAY + 2))

    assert told == [format_day(Day(MONDAY + 2)), "written", "written"]


def test_a_range_stays_for_as_long_as_it_is_read(builders: Builders) -> None:
    builders.build()
    leaderboard, name = builders.scene.leaderboard, keys.state(builders.scene.id, RANGE.id)
    assert builders.scene.redis.pexpiretime(name) == builders.scene.now_ms + IDLE_MS

    builders.scene.now_ms += IDLE_MS - 1
    builders.on_demand.extend(leaderboard, RANGE)

    expires_ms = builders.scene.now_ms + IDLE_MS
    assert builders.scene.redis.pexpiretime(name) == expires_ms
    builders.scene.play("cat", 3, Day(MONDAY + 2))
    assert builders.shown == [("cat", 10), *TRUTH[:2]], "and is still fed"


def test_a_registered_period_stays_as_long_as_a_day_and_is_rebuilt_after_a_flush(builders: Builders) -> None:
    scene = builders.scene
    scene.registry.save_period(scene.id, Period(id="p", name="p", first=RANGE.first, last=RANGE.last))
    builders.build()
    expires_ms = scene.redis.pexpiretime(keys.state(scene.id, RANGE.id))
    until_ms = kept_until_ms(RANGE, scene.leaderboard.lateness_ms)
    assert until_ms is not None
    assert expires_ms == until_ms + EXPIRY_MARGIN_MS

    scene.redis.flushall()
    builders.repair.handle(RebuildLeaderboard(leaderboard_id=scene.id))

    assert builders.shown == TRUTH


def test_ranges_that_still_change_are_limited_but_registered_periods_are_not(
    builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.rebuild.on_demand.OPEN_RANGES_MAX", 2)
    scene = builders.scene
    ranges = [custom(Day(MONDAY - length), Day(MONDAY + 2)) for length in range(4)]
    for window in ranges[:2]:
        builders.on_demand.build_for_reader(scene.leaderboard, window)

    with pytest.raises(TooManyRanges):
        builders.on_demand.build_for_reader(scene.leaderboard, ranges[2])
    scene.registry.save_period(scene.id, Period(id="p", name="p", first=ranges[3].first, last=ranges[3].last))
    builders.on_demand.build_for_reader(scene.leaderboard, ranges[3])

    assert scene.cache.ranges(scene.id, scene.now_ms) == {window.id for window in (*ranges[:2], ranges[3])}


def test_who_stops_asking_stops_the_build_and_what_it_filled_in_goes(builders: Builders) -> None:
    builders.step_ms = BUILD_WAIT_MS
    with pytest.raises(Building):
        builders.build()
    builders.step_ms = 0
    builders.scene.now_ms += ASKED_MS + 1

    builders.handle()

    assert builders.shown is None
    assert builders.scene.cache.ranges(builders.scene.id, builders.scene.now_ms) == set()
    assert not builders.scene.redis.exists(*keys.of_window(builders.scene.leaderboard, RANGE))
    builders.build()
    assert builders.shown == TRUTH


def test_who_goes_on_asking_keeps_the_build_going_whoever_began_it(builders: Builders) -> None:
    builders.step_ms = BUILD_WAIT_MS
    with pytest.raises(Building):
        builders.build()
    builders.step_ms = 0
    builders.scene.now_ms += ASKED_MS - LEASE_MS // 2
    with pytest.raises(Building):
        builders.build()
    builders.scene.now_ms += LEASE_MS // 2 - 1

    builders.handle()

    assert builders.shown == TRUTH


def test_a_registered_period_is_built_though_no_reader_waits_for_it(builders: Builders) -> None:
    scene = builders.scene
    scene.registry.save_period(scene.id, Period(id="p", name="p", first=RANGE.first, last=RANGE.last))
    builders.step_ms = BUILD_WAIT_MS
    with pytest.raises(Building):
        builders.build()
    builders.step_ms = 0
    builders.scene.now_ms += ASKED_MS + 1

    builders.handle()

    assert builders.shown == TRUTH
