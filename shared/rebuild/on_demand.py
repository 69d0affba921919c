"""Builds windows that readers request: at once if that is quick, otherwise in functions/repair.

functions/repair takes those windows from a queue of their own, so that they delay no repair and no rebuild.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from shared.cache.errors import CacheUnavailable
from shared.cache.leases import Build, BuildLeases, BuildProgress, Grant, LeaseLost, NoReaders
from shared.cache.range_budget import EVICTIONS_MAX, FULL_RETRY_S, NoRoomForRanges, RangeBudget
from shared.cache.windows import WindowCache
from shared.domain.calendar import UTC, Calendar, Window, parse_id
from shared.domain.rules import Leaderboard
from shared.messaging.queues import Queue
from shared.rebuild.builder import IDLE_MS, WindowBuilder
from shared.rebuild.callers import CALLER
from shared.rebuild.requests import BuildWindow
from shared.truth.keys import parse_scores_id
from shared.truth.reads import Reads
from shared.truth.registry import Registry

BUILD_WAIT_MS: Final = 1_000
"""How long a reader waits for a window to be built; functions/repair completes what takes longer."""
EXTEND_EVERY_MS: Final = 60_000
"""How often one function reports that a window is read, which keeps it for another IDLE_MS."""
RANGES_MAX: Final = 200
"""Windows of one leaderboard that the cache keeps for readers, registered periods not counted. Each takes as much
memory as an all-time window."""
OPEN_RANGES_MAX: Final = 20
"""Those of them that may still change: each adds one update to every event of its days, which slows ingest down."""
RANGE_READS: Final = 500
"""What each range costs its caller in addition to the partitions that are read for it."""


class Building(Exception):
    """The window is being built; `progress` is how far it is."""

    def __init__(self, leaderboard_id: str, window: Window, progress: BuildProgress, calendar: Calendar = UTC) -> None:
        super().__init__(f"{window.id} of {leaderboard_id} is being built")
        self.leaderboard_id = leaderboard_id
        self.window = window
        self.progress = progress
        self.calendar = calendar


class TooManyRanges(Exception):
    """The leaderboard has as many windows that were built on demand as it may have."""


class _TooSlow(Exception):
    """A build takes longer than its reader waits."""


class OnDemandBuilds:
    """Builds custom ranges, and days and weeks past their time in the cache. Each window has one builder at a time.

    Methods raise Unavailable if DynamoDB is out of reach, and CacheUnavailable if the cache fails.
    """

    def __init__(
        self,
        *,
        builder: WindowBuilder,
        leases: BuildLeases,
        cache: WindowCache,
        registry: Registry,
        reads: Reads,
        budget: RangeBudget,
        queue: Callable[[], Queue],
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._builder = builder
        self._leases = leases
        self._cache = cache
        self._registry = registry
        self._reads = reads
        self._budget = budget
        self._queue = queue
        self._now_ms = now_ms
        self._new_token = new_token
        self._extended_ms: dict[tuple[str, str], int] = {}

    def build_for_reader(self, leaderboard: Leaderboard, window: Window, wait_ms: int | None = None) -> None:
        """Build a window that is not complete, while its reader waits. A flush during the build leaves it incomplete.

        Args:
            leaderboard: whose window.
            window: which one.
            wait_ms: how long the reader waits; BUILD_WAIT_MS by default.

        Raises:
            TooManyRanges: if the leaderboard has no room for it.
            RangeRefused: if the cache has no room for it, or the caller's budget is spent.
            Building: if another worker builds it, or it takes longer than `wait_ms` and functions/repair completes it.
            QueueUnavailable: if functions/repair can't be asked to complete it.
        """
        on_demand = self._admit(leaderboard, window)
        deadline_ms = self._now_ms() + (BUILD_WAIT_MS if wait_ms is None else wait_ms)
        grant, build = self._builder.begin_window(leaderboard, window, self._new_token(), for_reader=True)
        if grant is Grant.HELD:
            raise Building(leaderboard.id, window, build.progress, leaderboard.calendar)
        if grant is Grant.BUILT:
            self._leases.extend(leaderboard, window, build.expires_ms)
            return

        def check_time() -> None:
            if self._now_ms() >= deadline_ms and build.progress.position < len(window.days):
                raise _TooSlow

        handed_over = False
        try:
            built = self._builder.build_window(leaderboard, window, build, check_time)
            if built and on_demand:
                self._settle_budget(leaderboard, window)
        except _TooSlow:
            handed_over = self._hand_over(leaderboard, window, build)
            raise Building(leaderboard.id, window, build.progress, leaderboard.calendar) from None
        finally:
            if not handed_over:
                self._builder.release(build)

    def build_or_resume(
        self, leaderboard: Leaderboard, window: Window, token: str, *, registered: bool | None = None
    ) -> bool:
        """Build a window to its end, or resume the build of the worker that held the lease with the same token.

        A window that is not a registered period is forgotten if no reader asks for it any more.

        Returns:
            False if the cache was flushed or failed over meanwhile.
        """
        if registered is None:
            registered = self._builder.is_kept_period(leaderboard, window)
        grant, build = self._builder.begin_window(leaderboard, window, token, registered=registered)
        if grant is Grant.BUILT:
            self._leases.extend(leaderboard, window, build.expires_ms)
        if grant is not Grant.GRANTED:
            return True
        build.ends_unasked = not registered
        try:
            built = self._builder.build_window(leaderboard, window, build)
            if built and not registered and not self._is_registered(leaderboard, window):
                self._settle_budget(leaderboard, window)
        except NoReaders:
            if self._leases.forget(leaderboard, window, build, self._now_ms()):
                self._budget.release(leaderboard.scores_id, window.id)
            return True
        else:
            return built
        finally:
            self._builder.release(build)

    def build_periods(self, leaderboard: Leaderboard) -> None:
        """Build the registered periods that the cache should keep and does not have, such as after a flush."""
        for window in self._builder.kept_periods(leaderboard):
            self.build_or_resume(leaderboard, window, self._new_token(), registered=True)

    def extend(self, leaderboard: Leaderboard, window: Window) -> None:
        """Keep a window that was built on demand for another IDLE_MS: a reader has read it."""
        now_ms, key = self._now_ms(), (leaderboard.scores_id, window.id)
        if now_ms - self._extended_ms.get(key, 0) < EXTEND_EVERY_MS:
            return
        if len(self._extended_ms) >= RANGES_MAX:
            self._extended_ms.clear()
        self._extended_ms[key] = now_ms
        with suppress(CacheUnavailable):
            self._leases.extend(leaderboard, window, now_ms + IDLE_MS)
            self._budget.touch(leaderboard.scores_id, window.id, now_ms)

    def _admit(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Whether the window counts as a range, unlike a registered period; raises if there is no room for it."""
        there = self._cache.ranges(leaderboard.scores_id, self._now_ms())
        periods = {period.window.id for period in self._registry.periods(leaderboard.id)}
        if window.id in periods:
            self._budget.release(leaderboard.scores_id, window.id)  # it may have been registered since it was built
            return False
        if window.id in there:
            self._budget.touch(leaderboard.scores_id, window.id, self._now_ms())
            return True
        self._check_room(leaderboard, window, there - periods)
        days = self._reads.recorded_days(leaderboard, window.days)
        reads = RANGE_READS + len(days) * leaderboard.shards
        for _ in range(EVICTIONS_MAX):
            admission = self._budget.admit(leaderboard.scores_id, window, CALLER.get(), reads, self._now_ms())
            if admission.is_granted:
                return True
            for scores_id, window_id in admission.victims:
                self._evict(scores_id, window_id)
        raise NoRoomForRanges("other ranges take the memory that was freed", FULL_RETRY_S)

    def _check_room(self, leaderboard: Leaderboard, window: Window, there: set[str]) -> None:
        others = [parse_id(name) for name in there]
        changing = sum(not leaderboard.is_sealed(other) for other in others)
        if len(others) >= RANGES_MAX or (changing >= OPEN_RANGES_MAX and not leaderboard.is_sealed(window)):
            raise TooManyRanges(
                f"{len(others)} ranges of {leaderboard.id} are in use, {changing} of which still change; each is "
                "removed two hours after its last read; registered periods do not count"
            )

    def _evict(self, scores_id: str, window_id: str) -> None:
        """Forget a range; one that the cache keeps by now, as a registered period does, only stops counting."""
        leaderboard = self._registry.leaderboard(parse_scores_id(scores_id)[0])
        window = parse_id(window_id)
        kept = (
            leaderboard is not None
            and leaderboard.scores_id == scores_id
            and (leaderboard.keeps(window, self._now_ms()) or self._is_registered(leaderboard, window))
        )
        if kept:
            self._budget.release(scores_id, window_id)
        else:
            self._budget.evict(scores_id, window_id)

    def _is_registered(self, leaderboard: Leaderboard, window: Window) -> bool:
        return any(period.window == window for period in self._registry.periods(leaderboard.id))

    def _settle_budget(self, leaderboard: Leaderboard, window: Window) -> None:
        with suppress(CacheUnavailable):  # then the estimate stays
            self._budget.settle(leaderboard.scores_id, window, self._now_ms())

    def _hand_over(self, leaderboard: Leaderboard, window: Window, build: Build) -> bool:
        """Let functions/repair complete a build; False if the lease is lost, and another worker builds the window."""
        try:
            self._leases.renew(build, self._now_ms())
        except LeaseLost:
            return False
        request = BuildWindow(leaderboard_id=leaderboard.id, window=window.id, token=build.token)
        self._queue().send([msgspec.json.encode(request)])
        return True
