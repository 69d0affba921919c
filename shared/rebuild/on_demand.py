"""Windows that are built because somebody asks for them: at once if that is quick, else by functions/repair.

The latter takes them from a queue of their own, so that they keep no repair and no rebuild waiting.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from shared.cache.leases import Build, BuildProgress, Builds, Grant, LeaseLost, NoReaders
from shared.cache.range_budget import EVICTIONS_MAX, FULL_RETRY_S, NoRoomForRanges, RangeBudget
from shared.cache.windows import CacheUnavailable, WindowCache
from shared.domain.calendar import Day, Window, is_kept, parse_id
from shared.domain.rules import Leaderboard
from shared.messaging.queues import Queue
from shared.rebuild.builder import IDLE_MS, Rebuild
from shared.rebuild.callers import CALLER
from shared.rebuild.requests import BuildWindow
from shared.truth.reads import Reads
from shared.truth.registry import Registry

AT_ONCE_MS: Final = 1_000
"""How long a reader waits for the window that is asked for; what takes longer is done by functions/repair."""
KEEP_EVERY_MS: Final = 60_000
"""How often one function says that a window is read; it stays for IDLE_MS after the last time, unless others need its
memory."""
RANGES_MAX: Final = 200
"""Windows of one leaderboard that Redis keeps at a time because somebody asked, registered periods aside: each takes as
much memory as an all-time window."""
OPEN_RANGES_MAX: Final = 20
"""Those of them that may still change: each event in one costs one more update, so these slow ingest down."""
RANGE_READS: Final = 500
"""What a range costs its caller beside the partitions that are read for it: many small ones are much work, too."""


class Building(Exception):
    """The window is being built from the truth; who asks again after a moment finds it further."""

    def __init__(self, leaderboard_id: str, window: Window, progress: BuildProgress) -> None:
        super().__init__(f"{window.id} of {leaderboard_id} is being built")
        self.leaderboard_id = leaderboard_id
        self.window = window
        self.progress = progress


class TooManyRanges(Exception):
    """As many windows of the leaderboard as it may have were built on demand."""


class _TooSlow(Exception):
    """A build that takes longer than a reader waits."""


class OnDemandBuilds:
    """Builds of custom ranges, and of days and weeks past their time in the cache. One at a time for each window."""

    def __init__(
        self,
        *,
        rebuild: Rebuild,
        builds: Builds,
        cache: WindowCache,
        registry: Registry,
        reads: Reads,
        budget: RangeBudget,
        queue: Queue,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._rebuild = rebuild
        self._builds = builds
        self._cache = cache
        self._registry = registry
        self._reads = reads
        self._budget = budget
        self._queue = queue
        self._now_ms = now_ms
        self._new_token = new_token
        self._kept_ms: dict[tuple[str, str], int] = {}

    def build(self, leaderboard: Leaderboard, window: Window, at_once_ms: int | None = None) -> None:
        """Build a window that nobody vouches for. If the cache is flushed meanwhile, nobody does afterwards either.

        Args:
            leaderboard: whose window.
            window: which one.
            at_once_ms: how long the reader waits for it; AT_ONCE_MS for None.

        Raises:
            TooManyRanges: if the leaderboard has no room for it.
            RangeRefused: if Redis has none, or the caller has had as many built as they may.
            Building: if somebody else builds it, or it takes longer than that: then functions/repair goes on.
            QueueUnavailable: if that could not be ordered.
            Unavailable: if the truth is out of reach.
            CacheUnavailable: if Redis fails.
        """
        on_demand = self._admit(leaderboard, window)
        deadline_ms = self._now_ms() + (AT_ONCE_MS if at_once_ms is None else at_once_ms)
        grant, build = self._rebuild.begin(leaderboard, window, self._new_token(), asked=True)
        if grant is Grant.HELD:
            raise Building(leaderboard.id, window, build.progress)
        if grant is Grant.BUILT:
            self._builds.extend(leaderboard, window, build.expires_ms)
            return

        def check_time() -> None:
            if self._now_ms() >= deadline_ms and build.progress.position < len(window.buckets):
                raise _TooSlow

        handed_over = False
        try:
            built = self._rebuild.window(leaderboard, window, build, check_time)
            if built and on_demand:
                self._settle(leaderboard, window)
        except _TooSlow:
            with suppress(LeaseLost):  # then somebody else is at it, or the next reader begins anew
                self._builds.renew(build, self._now_ms())
                self._order(leaderboard, window, build.token)
                handed_over = True
            raise Building(leaderboard.id, window, build.progress) from None
        finally:
            if not handed_over:
                self._give_back(build)

    def resume(self, leaderboard: Leaderboard, window: Window, token: str, *, registered: bool | None = None) -> bool:
        """Build a window, or go on where another builder has left it, however long that takes.

        One that is no registered period is forgotten once no reader asks for it any more.

        Returns:
            False if the cache was flushed or failed over meanwhile. Somebody else may be at it, or have done it.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        if registered is None:
            registered = self._rebuild.is_kept_period(leaderboard, window)
        grant, build = self._rebuild.begin(leaderboard, window, token, registered=registered)
        if grant is Grant.BUILT:
            self._builds.extend(leaderboard, window, build.expires_ms)
        if grant is not Grant.GRANTED:
            return True
        build.ends_unasked = not registered
        try:
            built = self._rebuild.window(leaderboard, window, build)
            if built and not registered and not self._is_registered(leaderboard, window):
                self._settle(leaderboard, window)
        except NoReaders:
            if self._builds.forget(leaderboard, window, build, self._now_ms()):
                self._budget.release(leaderboard.id, window.id)
            return True
        else:
            return built
        finally:
            self._give_back(build)

    def keep_periods(self, leaderboard: Leaderboard) -> None:
        """Build the registered periods that are kept and not there, as after a flush.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        for window in self._rebuild.kept_periods(leaderboard):
            self.resume(leaderboard, window, self._new_token(), registered=True)

    def keep(self, leaderboard: Leaderboard, window: Window) -> None:
        """Let a window that was built on demand stay: somebody has just read it."""
        now_ms, place = self._now_ms(), (leaderboard.id, window.id)
        if now_ms - self._kept_ms.get(place, 0) < KEEP_EVERY_MS:
            return
        if len(self._kept_ms) >= RANGES_MAX:
            self._kept_ms.clear()
        self._kept_ms[place] = now_ms
        with suppress(CacheUnavailable):
            self._builds.extend(leaderboard, window, now_ms + IDLE_MS)
            self._budget.touch(leaderboard.id, window.id, now_ms)

    def _admit(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Whether it is built on demand, and not for everybody; raises unless there is room for it then."""
        there = self._cache.ranges(leaderboard.id, self._now_ms())
        periods = {period.window.id for period in self._registry.periods(leaderboard.id)}
        if window.id in periods:
            self._budget.release(leaderboard.id, window.id)  # it was registered since
            return False
        if window.id in there:
            self._budget.touch(leaderboard.id, window.id, self._now_ms())
            return True
        self._check_room(leaderboard, window, there - periods)
        days = self._reads.days(leaderboard, [Day(bucket) for bucket in window.buckets])
        reads = RANGE_READS + len(days) * leaderboard.shards
        for _ in range(EVICTIONS_MAX):
            admission = self._budget.admit(leaderboard.id, window, CALLER.get(), reads, self._now_ms())
            if admission.is_granted:
                return True
            for leaderboard_id, window_id in admission.victims:
                self._evict(leaderboard_id, window_id)
        raise NoRoomForRanges("others take the room that is made for ranges", FULL_RETRY_S)

    def _check_room(self, leaderboard: Leaderboard, window: Window, there: set[str]) -> None:
        others = [parse_id(name) for name in there]
        changing = sum(not leaderboard.is_sealed(other) for other in others)
        if len(others) >= RANGES_MAX or (changing >= OPEN_RANGES_MAX and not leaderboard.is_sealed(window)):
            raise TooManyRanges(
                f"{len(others)} ranges of {leaderboard.id} are in use, {changing} of which still change; each goes two "
                "hours after it was read last, registered periods don't count"
            )

    def _evict(self, leaderboard_id: str, window_id: str) -> None:
        """Forget a range, unless it is kept for everybody by now: then it only counts no longer."""
        leaderboard = self._registry.leaderboard(leaderboard_id)
        window = parse_id(window_id)
        kept = leaderboard is not None and (
            is_kept(window, leaderboard.lateness_ms, self._now_ms()) or self._is_registered(leaderboard, window)
        )
        if kept:
            self._budget.release(leaderboard_id, window_id)
        else:
            self._budget.evict(leaderboard_id, window_id)

    def _is_registered(self, leaderboard: Leaderboard, window: Window) -> bool:
        return any(period.window == window for period in self._registry.periods(leaderboard.id))

    def _settle(self, leaderboard: Leaderboard, window: Window) -> None:
        with suppress(CacheUnavailable):  # then the guess stands
            self._budget.settle(leaderboard.id, window, self._now_ms())

    def _give_back(self, build: Build) -> None:
        with suppress(CacheUnavailable):  # it lapses by itself
            self._builds.give_back(build)

    def _order(self, leaderboard: Leaderboard, window: Window, token: str) -> None:
        request = BuildWindow(leaderboard_id=leaderboard.id, window=window.id, token=token)
        self._queue.send([msgspec.json.encode(request)])
