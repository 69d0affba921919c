"""Ranges that are built on demand have a budget: of memory over all leaderboards, of Redis' memory, of each caller."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from functions.api.security import LOCAL_SUBJECT
from shared.cache import keys
from shared.cache.leases import ASKED_MS
from shared.cache.range_budget import (
    ACCOUNT_MS,
    BYTES,
    ENTRY_BYTES,
    PROTECTED_MS,
    READ,
    NoRoomForRanges,
    RangeBudget,
    RangeBudgetSpent,
    RangeRefused,
)
from shared.domain.calendar import Day, Window, custom
from shared.domain.periods import Period
from shared.rebuild.builder import IDLE_MS
from shared.rebuild.callers import CALLER
from shared.rebuild.on_demand import BUILD_WAIT_MS, RANGE_READS, Building
from tests.support.building import AMPLE, RANGE, Builders
from tests.support.closing import MONDAY, Scene

RANGES = [custom(Day(MONDAY - before), Day(MONDAY)) for before in range(1, 22)]
READS = RANGE_READS + 2  # one day with events, in two shards
PLAYERS = 60


COMPACT = ("hash-max-listpack-entries", "zset-max-listpack-entries")


@pytest.fixture
def taken(scene: Scene) -> Iterator[int]:
    """Bytes that one of the ranges takes. Windows are stored as large ones are, which take twice as much a player."""
    before: Any = scene.redis.config_get(*COMPACT)
    for name in COMPACT:
        scene.redis.config_set(name, 0)
    for number in range(PLAYERS):
        scene.play(f"player-{number}", number + 1)
    builders = Builders(scene)
    builders.build(RANGES[0])
    (found,) = bytes_of(scene.redis).values()
    builders.on_demand._budget.evict(scene.id, RANGES[0].id)
    assert found == pytest.approx((PLAYERS + 3) * ENTRY_BYTES, rel=0.3)
    yield found
    for name in COMPACT:
        scene.redis.config_set(name, before[name])


def bytes_of(redis: Redis) -> dict[str, int]:
    found: Any = redis.hgetall(BYTES)
    return {member.decode(): int(size) for member, size in found.items()}


def there(scene: Scene) -> set[str]:
    return {window.id for window in RANGES if scene.redis.exists(keys.state(scene.id, window.id))}


def wait(scene: Scene) -> None:
    """Until what was read by now may be evicted."""
    scene.now_ms += PROTECTED_MS + 1


def test_twenty_new_ranges_of_one_caller_stay_within_the_memory_of_all(scene: Scene, taken: int) -> None:
    builders = Builders(scene, replace(AMPLE, memory_bytes=3 * taken + taken // 2))
    for window in RANGES[:20]:
        builders.build(window)
        wait(scene)
        assert sum(bytes_of(scene.redis).values()) <= 3 * taken + taken // 2
        assert set(bytes_of(scene.redis)) == {f"{scene.id} {window_id}" for window_id in there(scene)}

    assert there(scene) == {window.id for window in RANGES[17:20]}


def test_the_range_that_was_not_read_for_longest_goes_first(scene: Scene, taken: int) -> None:
    builders = Builders(scene, replace(AMPLE, memory_bytes=2 * taken + taken // 2))
    for window in RANGES[:2]:
        builders.build(window)
        scene.now_ms += 1
    wait(scene)
    builders.on_demand.extend(scene.leaderboard, RANGES[0])
    wait(scene)

    builders.build(RANGES[2])

    assert there(scene) == {RANGES[0].id, RANGES[2].id}


def test_ranges_that_were_just_read_are_not_evicted(scene: Scene, taken: int) -> None:
    """Readers who take turns would have each other's built for ever."""
    builders = Builders(scene, replace(AMPLE, memory_bytes=2 * taken + taken // 2))
    for window in RANGES[:2]:
        builders.build(window)

    with pytest.raises(NoRoomForRanges) as raised:
        builders.build(RANGES[2])

    assert raised.value.retry_after_s > 0
    assert there(scene) == {window.id for window in RANGES[:2]}


def test_a_registered_period_neither_counts_nor_goes(scene: Scene, taken: int) -> None:
    """Be it registered before it is built or after."""
    builders = Builders(scene, replace(AMPLE, memory_bytes=taken + taken // 2))
    before, after, *others = RANGES[:4]
    scene.registry.save_period(scene.id, Period(id="p", name="p", first=before.first, last=before.last))
    builders.build(before)
    assert bytes_of(scene.redis) == {}
    builders.build(after)
    scene.registry.save_period(scene.id, Period(id="q", name="q", first=after.first, last=after.last))

    for window in others:
        wait(scene)
        builders.build(window)

    assert there(scene) == {before.id, after.id, others[-1].id}
    assert set(bytes_of(scene.redis)) == {f"{scene.id} {others[-1].id}"}


def test_what_a_range_is_about_to_take_is_made_room_for_before_it_is_built(
    scene: Scene, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    builders = Builders(scene, replace(AMPLE, memory_bytes=taken + 1))
    builders.build(RANGES[0])
    wait(scene)
    expected: list[dict[str, int]] = []
    window = scene.builder.build_window

    def seen(*args: Any) -> bool:
        expected.append(bytes_of(scene.redis))
        return window(*args)

    monkeypatch.setattr(scene.builder, "build_window", seen)

    builders.build(RANGES[1])

    assert expected == [{f"{scene.id} {RANGES[1].id}": (PLAYERS + 3) * ENTRY_BYTES}]


def test_a_range_that_expires_or_whose_build_ends_unasked_counts_no_longer(scene: Scene, taken: int) -> None:
    builders = Builders(scene)
    builders.build(RANGES[0])
    scene.now_ms += IDLE_MS
    builders.build(RANGES[1])
    assert set(bytes_of(scene.redis)) == {f"{scene.id} {RANGES[1].id}"}

    builders.step_ms = BUILD_WAIT_MS
    with pytest.raises(Building):
        builders.build(RANGES[2])
    builders.step_ms = 0
    scene.now_ms += ASKED_MS + 1
    builders.handle()

    assert set(bytes_of(scene.redis)) == {f"{scene.id} {RANGES[1].id}"}
    assert scene.redis.zcard(READ) == 1


@contextmanager
def asked_by(subject: str) -> Iterator[None]:
    token = CALLER.set(subject)
    try:
        yield
    finally:
        CALLER.reset(token)


def test_a_caller_whose_budget_is_spent_learns_when_it_refills_and_others_go_on(scene: Scene) -> None:
    builders = Builders(scene, replace(AMPLE, caller_reads=3 * READS))
    with asked_by("greedy"):
        for window in RANGES[:3]:
            builders.build(window)
        with pytest.raises(RangeBudgetSpent) as raised:
            builders.build(RANGES[3])
        builders.build(RANGES[0])  # what is built costs nothing
    with asked_by("modest"):
        builders.build(RANGES[3])

    assert raised.value.retry_after_s == ACCOUNT_MS // 3 // 1000
    scene.now_ms += raised.value.retry_after_s * 1000
    with asked_by("greedy"):
        builders.build(RANGES[4])
        with pytest.raises(RangeBudgetSpent):
            builders.build(RANGES[5])


def test_a_range_costs_its_days_with_events_times_the_shards(scene: Scene) -> None:
    scene.play("ann", 1, Day(MONDAY - 1))
    scene.play("ann", 1, Day(MONDAY - 3))
    budget = RANGE_READS + 3 * scene.leaderboard.shards
    builders = Builders(scene, replace(AMPLE, caller_reads=budget))

    builders.build(custom(Day(MONDAY - 9), Day(MONDAY)))

    account = next(iter(scene.redis.scan_iter("{ranges}:of:*")))
    paid_off: Any = scene.redis.get(account)
    assert int(paid_off) == scene.now_ms + ACCOUNT_MS


def test_what_costs_more_than_a_whole_budget_is_built_for_who_owes_nothing(scene: Scene) -> None:
    builders = Builders(scene, replace(AMPLE, caller_reads=READS // 2))
    builders.build(RANGES[0])
    with pytest.raises(RangeBudgetSpent) as raised:
        builders.build(RANGES[1])

    scene.now_ms += raised.value.retry_after_s * 1000
    builders.build(RANGES[1])


@contextmanager
def share(redis: Redis, percent: int) -> Iterator[None]:
    """Redis with so much of its memory in use."""
    used: Any = redis.info("memory")
    redis.config_set("maxmemory", used["used_memory"] * 100 // percent)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


def test_above_its_share_of_redis_no_range_is_added_and_ingest_goes_on(scene: Scene) -> None:
    builders = Builders(scene)
    builders.build(RANGES[0])
    with share(scene.redis, 85):
        with pytest.raises(NoRoomForRanges) as raised:
            builders.build(RANGES[1])
        assert raised.value.retry_after_s > 0
        scene.play("ann", 4)
        page = scene.cache.page(scene.leaderboard, RANGES[0], 0, 9, scene.now_ms)
        assert page.complete
        assert (page.lines[0][0], page.lines[0][1].points) == ("ann", 9)
        builders.build(RANGES[0])
    with share(scene.redis, 50):
        builders.build(RANGES[1])


def test_a_read_is_noted_once_a_minute_and_of_no_window_that_does_not_count(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    builders = Builders(scene)
    builders.build()
    noted: list[str] = []
    touch: Callable[..., None] = builders.on_demand._budget.touch

    def counted(leaderboard_id: str, window_id: str, now_ms: int) -> None:
        noted.append(window_id)
        touch(leaderboard_id, window_id, now_ms)

    monkeypatch.setattr(builders.on_demand._budget, "touch", counted)
    for _ in range(3):
        builders.on_demand.extend(scene.leaderboard, RANGE)
    scene.now_ms += 60_000
    builders.on_demand.extend(scene.leaderboard, RANGE)
    builders.on_demand.extend(scene.leaderboard, RANGES[5])

    assert noted == [RANGE.id, RANGE.id, RANGES[5].id]
    member = f"{scene.id} {RANGE.id}"
    assert scene.redis.zrange(READ, 0, -1, withscores=True) == [(member.encode(), float(scene.now_ms))]


def test_who_asks_is_the_subject_of_the_token(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    admit = RangeBudget.admit

    def seen(self: RangeBudget, leaderboard_id: str, window: Window, caller: str, reads: int, now_ms: int) -> Any:
        asked.append(caller)
        return admit(self, leaderboard_id, window, caller, reads, now_ms)

    monkeypatch.setattr(RangeBudget, "admit", seen)
    assert call("put-leaderboard", body={"name": "Cup", "aggregation": "sum"}).status == 201

    assert call("rankings", query="window=custom&from=2026-01-01&to=2026-01-02").status == 200
    assert asked == [LOCAL_SUBJECT]


@pytest.mark.parametrize(("error", "status"), [(NoRoomForRanges("no", 7), 503), (RangeBudgetSpent("no", 7), 429)])
def test_what_is_refused_says_when_to_ask_again(
    call: Any, monkeypatch: pytest.MonkeyPatch, error: RangeRefused, status: int
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(RangeBudget, "admit", refuse)
    assert call("put-leaderboard", body={"name": "Cup", "aggregation": "sum"}).status == 201

    answer = call("rankings", query="window=custom&from=2026-01-01&to=2026-01-03")

    assert (answer.status, answer.headers["retry-after"]) == (status, "7")
