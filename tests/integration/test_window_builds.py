"""Windows that are built because somebody asks: at once if that is quick, else behind the reader's back, once."""

from itertools import count
from typing import Any

import msgspec
import pytest

from shared.domain.windows import DAY_MS, Day, custom
from shared.live import keys
from shared.live.leases import LEASE_MS, BuildLeases, BuildProgress
from shared.pipeline.leaderboards import Leaderboards
from shared.pipeline.repair import Interrupted, Repair
from shared.pipeline.window_builds import AT_ONCE_MS, Building, WindowBuilds
from shared.queues import QueueUnavailable, RepairRequest
from tests.closing import MONDAY, Scene

RANGE = custom(Day(MONDAY - 1), Day(MONDAY + 2))


class Requests:
    """The cache-repair queue."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.away = False

    def send(self, bodies: list[bytes]) -> None:
        if self.away:
            raise QueueUnavailable("away")
        self.bodies += bodies


class Builders:
    """A reader and the repair function over one leaderboard; every look at the clock takes `step_ms`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.step_ms = 0
        self.requests = Requests()
        tokens = (f"builder-{number}" for number in count())
        repairs: Any = self.requests
        self.leases = BuildLeases(scene.live)
        self.builds = WindowBuilds(
            rebuild=scene.rebuild,
            leases=self.leases,
            repairs=repairs,
            now_ms=self._look,
            new_token=lambda: next(tokens),
        )
        nothing: Any = None
        self.repair = Repair(
            registry=scene.registry,
            leaderboards=Leaderboards(scene.registry, scene.clock),
            reads=scene.reads,
            live=scene.live,
            rebuild=scene.rebuild,
            builds=self.builds,
            snapshots=nothing,
            now_ms=scene.clock,
        )

    def _look(self) -> int:
        self.scene.now_ms += self.step_ms
        return self.scene.now_ms

    def build(self) -> None:
        self.builds.build(self.scene.leaderboard, RANGE)

    def carry_out(self) -> None:
        """What the repair function does with each message, in order; a message that fails stays."""
        while self.requests.bodies:
            self.repair.repair(msgspec.json.decode(self.requests.bodies[0], type=RepairRequest))
            del self.requests.bodies[0]

    @property
    def lease_ms(self) -> int:
        """What is left of the lease; below 0 if nobody holds one."""
        left: Any = self.scene.redis.pttl(keys.lease(self.scene.id, RANGE.id))
        return int(left)

    @property
    def shown(self) -> list[tuple[str, int]] | None:
        """The range as the cache has it; None if it does not vouch for it."""
        page = self.scene.live.page(self.scene.leaderboard, RANGE, 0, 100, self.scene.now_ms)
        return [(user, score.points) for user, score in page.lines] if page.complete else None


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
    builders.step_ms = AT_ONCE_MS

    with pytest.raises(Building) as told:
        builders.build()

    assert told.value.progress.days <= len(RANGE.buckets)
    assert builders.shown is None
    assert len(builders.requests.bodies) == 1
    assert 0 < builders.lease_ms <= LEASE_MS

    builders.carry_out()

    assert builders.shown == TRUTH
    assert builders.lease_ms < 0


def test_whoever_asks_meanwhile_is_told_the_builders_progress_and_starts_nothing(builders: Builders) -> None:
    leaderboard = builders.scene.leaderboard
    builders.leases.take(leaderboard.id, RANGE, "somebody", BuildProgress(2, 12_345))

    with pytest.raises(Building) as told:
        builders.build()

    assert told.value.progress == BuildProgress(2, 12_345)
    assert builders.requests.bodies == []
    assert builders.scene.redis.hget(keys.parts(leaderboard.id, RANGE.id), "\0building") is None


def test_an_event_that_comes_while_a_range_is_built_counts(builders: Builders) -> None:
    builders.step_ms = AT_ONCE_MS
    with pytest.raises(Building):
        builders.build()

    builders.scene.play("cat", 3, Day(MONDAY + 2))
    builders.carry_out()

    assert builders.shown == [("cat", 10), *TRUTH[:2]]


def test_a_request_that_comes_twice_builds_once(builders: Builders) -> None:
    builders.step_ms = AT_ONCE_MS
    with pytest.raises(Building):
        builders.build()
    builders.requests.bodies *= 2
    first, second = (msgspec.json.decode(body, type=RepairRequest) for body in builders.requests.bodies)
    builders.repair.repair(first)

    def build_again(*_: Any, **__: Any) -> bool:
        raise AssertionError("it is built")

    builders.scene.rebuild.window = build_again  # type: ignore[method-assign]
    builders.repair.repair(second)

    assert builders.shown == TRUTH


def test_a_flush_during_the_build_lets_nobody_vouch_for_what_is_left(builders: Builders) -> None:
    builders.step_ms = AT_ONCE_MS
    with pytest.raises(Building):
        builders.build()
    flush_once = iter([builders.scene.redis.flushall])
    renew = builders.leases.take

    def take(*args: Any) -> Any:
        answer = renew(*args)
        if args[-1] != BuildProgress():
            next(flush_once, lambda: None)()
        return answer

    builders.leases.take = take  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        builders.carry_out()
    assert builders.shown is None

    builders.carry_out()

    assert builders.shown == TRUTH


def test_a_builder_whose_lease_went_to_another_stops(builders: Builders) -> None:
    builders.step_ms = AT_ONCE_MS
    with pytest.raises(Building):
        builders.build()
    builders.scene.redis.delete(keys.lease(builders.scene.id, RANGE.id))  # as when it lapses
    builders.leases.take(builders.scene.id, RANGE, "another")

    builders.carry_out()

    assert builders.shown is None
    assert builders.builds.resume(builders.scene.leaderboard, RANGE, "another")
    assert builders.shown == TRUTH


def test_a_build_that_has_read_everything_is_not_left_to_repair_for_being_late(builders: Builders) -> None:
    read = builders.scene.rebuild.window

    def slow_at_the_end(*args: Any, **more: Any) -> bool:
        builders.step_ms = AT_ONCE_MS
        more["progressed"](BuildProgress(len(RANGE.buckets), 4))
        return read(*args, token=more["token"])

    builders.scene.rebuild.window = slow_at_the_end  # type: ignore[method-assign]

    builders.build()

    assert builders.shown == TRUTH
    assert builders.requests.bodies == []


def test_a_build_that_cannot_be_left_to_repair_does_not_keep_others_out(builders: Builders) -> None:
    builders.step_ms, builders.requests.away = AT_ONCE_MS, True

    with pytest.raises(QueueUnavailable):
        builders.build()

    assert builders.lease_ms < 0
    builders.step_ms = 0
    builders.build()
    assert builders.shown == TRUTH


def test_progress_counts_the_days_that_are_read_and_their_standings(builders: Builders) -> None:
    seen: list[BuildProgress] = []

    builders.scene.rebuild.window(builders.scene.leaderboard, RANGE, progressed=seen.append)

    assert [one.days for one in seen] == sorted(one.days for one in seen)
    assert seen[-1] == BuildProgress(len(RANGE.buckets), 4)


def test_a_range_of_more_days_than_are_read_at_once_is_whole(builders: Builders) -> None:
    long = custom(Day(MONDAY - 300), Day(MONDAY + 60))
    builders.scene.now_ms += 30 * DAY_MS
    seen: list[BuildProgress] = []

    assert builders.scene.rebuild.window(builders.scene.leaderboard, long, progressed=seen.append)

    page = builders.scene.live.page(builders.scene.leaderboard, long, 0, 100, builders.scene.now_ms)
    assert [(user, score.points) for user, score in page.lines] == TRUTH
    assert len(seen) > 10
    assert seen[-1] == BuildProgress(len(long.buckets), 4)
