"""Build windows in Redis from the truth, while ingest goes on feeding them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from typing import Final

from msgspec import Struct

from shared.admin.disqualifications import DisqualifiedPlayers
from shared.cache.leases import LEASE_MS, Build, BuildProgress, Builds, Grant, LeaseLost, RebuildState
from shared.cache.windows import (
    APPLY_PLAYERS,
    CacheUnavailable,
    Standings,
    WindowCache,
)
from shared.domain.calendar import ALL_TIME_BUCKET, Day, Window, expires_ms, kept_buckets, kept_until_ms
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.truth.reads import SHARDS_AT_ONCE, Reads
from shared.truth.registry import Registry

RENEW_EVERY_MS: Final = LEASE_MS // 6
"""How often a build that gets on says so."""
IDLE_MS: Final = 2 * 3_600_000
"""How long a window that was built on demand stays after it was read last; asked for later, it is built again."""
REAPPLY_EVERY_MS: Final = 5 * 60_000
"""How often anti-entropy is scheduled (template.yaml): each time it goes on to the next of the older days."""
RECENT_DAYS: Final = 3
"""Days, tomorrow among them, that anti-entropy applies every time; they take nearly all of what is written."""


class Outcome(StrEnum):
    """What became of a rebuild."""

    DONE = "done"
    """The cache vouches for all that is kept."""
    HELD = "held"
    """Somebody else is at it."""
    LOST = "lost"
    """The cache was flushed, failed over, or somebody else took over: nothing is vouched for."""


class RebuildProgress(Struct, frozen=True):
    """How far a leaderboard's windows are rebuilt."""

    state: RebuildState
    buckets_read: int
    """All time and each day that is kept are a bucket; all of them once it is complete."""
    buckets: int
    standings_read: int


class Rebuild:
    """Feeds live windows with what the truth holds. Applying is idempotent, so nothing has to stop for it."""

    def __init__(
        self,
        *,
        reads: Reads,
        cache: WindowCache,
        builds: Builds,
        registry: Registry,
        disqualified_players: DisqualifiedPlayers,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._reads = reads
        self._cache = cache
        self._builds = builds
        self._registry = registry
        self._disqualified_players = disqualified_players
        self._now_ms = now_ms
        self._new_token = new_token

    def leaderboard(self, leaderboard: Leaderboard) -> Outcome:
        """Rebuild every window that is kept for everybody, then vouch for them. One that died before is gone on with.

        Raises:
            Unavailable: if the truth is out of reach.
            CacheUnavailable: if Redis fails.
        """
        grant, build = self._builds.begin_rebuild(leaderboard, self._new_token(), self._now_ms())
        if grant is Grant.HELD:
            return Outcome.HELD
        try:
            self._show_disqualified(leaderboard)
            sealed = self._with_events(leaderboard)
            if sealed is not None:
                kept = self._reads.days(sealed, kept_buckets(sealed.lateness_ms, self._now_ms()))
                done = build.progress.position

                def fill(standings: Standings) -> None:
                    self._cache.apply(sealed, standings, self._now_ms(), build)

                left = [bucket for bucket in kept if rebuild_position(bucket) > done]
                self._fill(sealed, left, build, fill, position=rebuild_position)
            return Outcome.DONE if self._builds.finish_rebuild(leaderboard, build) else Outcome.LOST
        except LeaseLost:
            return Outcome.LOST
        finally:
            with suppress(CacheUnavailable):  # it lapses by itself
                self._builds.give_back(build)

    def progress(self, leaderboard: Leaderboard) -> RebuildProgress:
        """How far the windows that are kept for everybody are rebuilt.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        now_ms = self._now_ms()
        state, progress = self._builds.rebuild_state(leaderboard, now_ms)
        kept = kept_buckets(leaderboard.lateness_ms, now_ms)
        read = sum(state is RebuildState.COMPLETE or rebuild_position(bucket) <= progress.position for bucket in kept)
        return RebuildProgress(state, read, len(kept), progress.standings)

    def reapply(self, leaderboard: Leaderboard, *, everything: bool = False) -> int:
        """Apply again what is kept (anti-entropy): repairs what a failover of the cache may have lost.

        Args:
            leaderboard: whose.
            everything: all that is kept; otherwise all time, the recent days, and one of the older ones by turns.

        Returns:
            How many players' parts of windows were older than the truth.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        sealed = self._with_events(leaderboard)
        if sealed is None:
            return 0
        now_ms = self._now_ms()
        buckets = kept_buckets(sealed.lateness_ms, now_ms) if everything else _due_buckets(sealed, now_ms)
        return self.apply(sealed, self._reads.buckets(sealed, self._reads.days(sealed, buckets)))

    def apply(self, leaderboard: Leaderboard, lines: Iterable[tuple[Day, str, Standing]]) -> int:
        """Apply standings to every window that they feed; as many were older as are returned.

        Args:
            leaderboard: whose.
            lines: also of disqualified players, whom the windows then leave out.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        self._show_disqualified(leaderboard)
        return sum(self._cache.apply(leaderboard, standings, self._now_ms()) for standings in _chunks(lines))

    def begin(
        self,
        leaderboard: Leaderboard,
        window: Window,
        token: str,
        *,
        registered: bool | None = None,
        asked: bool = False,
    ) -> tuple[Grant, Build]:
        """Take the right to build one window that is not kept for everybody; `asked` if it is a reader who asks.

        A registered period stays as long as a day or week of its last day would, any other range for IDLE_MS.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        now_ms = self._now_ms()
        if registered is None:  # whoever goes through the periods has read them already
            registered = self.is_kept_period(leaderboard, window)
        expires = max(now_ms + IDLE_MS, expires_ms(window, leaderboard.lateness_ms) if registered else 0)
        return self._builds.begin_window(leaderboard.id, window, token, now_ms, expires, asked=asked)

    def is_kept_period(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Whether a window is one of the `kept_periods`.

        Raises:
            Unavailable: as above.
        """
        return window in self.kept_periods(leaderboard)

    def kept_periods(self, leaderboard: Leaderboard) -> list[Window]:
        """Windows of the registered periods whose last day is no further back than a daily window is kept.

        Each once, in the order of the registry.

        Raises:
            Unavailable: as above.
        """
        windows = dict.fromkeys(period.window for period in self._registry.periods(leaderboard.id))
        return [window for window in windows if (kept_until_ms(window, leaderboard.lateness_ms) or 0) > self._now_ms()]

    def window(
        self,
        leaderboard: Leaderboard,
        window: Window,
        build: Build,
        progressed: Callable[[], None] | None = None,
    ) -> bool:
        """Read the truth into a window, keep it live, and vouch for it.

        Args:
            leaderboard: whose window.
            window: a custom range, or a day or week past its time in the cache.
            build: as granted by `begin`; goes on where it is.
            progressed: is called after every step, and what it raises stops the build; renews the lease if not given.

        Returns:
            False if what was filled in is not all there: the cache was flushed, failed over, or somebody took over.

        Raises:
            NoReaders: if the build ends because of that.
            Unavailable, CacheUnavailable: as above.
        """
        try:
            self._show_disqualified(leaderboard)
            sealed = self._with_events(leaderboard)
            if sealed is not None:
                days = [Day(bucket) for bucket in window.buckets]

                def fill(standings: Standings) -> None:
                    self._cache.fill(sealed, window, standings, self._now_ms(), build=build)

                left = self._reads.days(sealed, days[build.progress.position :])

                def position(day: Day) -> int:
                    return len(days) if day == left[-1] else day - days[0] + 1

                self._fill(sealed, left, build, fill, position=position, progressed=progressed)
            return self._builds.finish_window(leaderboard, window, build)
        except LeaseLost:
            return False

    def anew(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Build one window, also one that somebody vouches for; False as above, or if somebody else is building it.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        grant, build = self.begin(leaderboard, window, self._new_token())
        if grant is Grant.BUILT:
            self._cache.withdraw(leaderboard, window, self._now_ms())
            grant, build = self.begin(leaderboard, window, self._new_token())
        if grant is not Grant.GRANTED:
            return False
        try:
            return self.window(leaderboard, window, build)
        finally:
            with suppress(CacheUnavailable):
                self._builds.give_back(build)

    def _fill(
        self,
        leaderboard: Leaderboard,
        buckets: Sequence[Day],
        build: Build,
        fill: Callable[[Standings], object],
        *,
        position: Callable[[Day], int],
        progressed: Callable[[], None] | None = None,
    ) -> None:
        """Read buckets in their order, some at once, and note after each step how far that is."""
        progressed = progressed or self._renewing(build)
        at_once = max(1, SHARDS_AT_ONCE // leaderboard.shards)
        standings = build.progress.standings
        for start in range(0, len(buckets), at_once):
            some = buckets[start : start + at_once]
            for chunk in _chunks(self._reads.buckets(leaderboard, some)):
                fill(chunk)
                standings += sum(map(len, chunk.values()))
                build.progress = BuildProgress(build.progress.position, standings)
                progressed()
            build.progress = BuildProgress(position(some[-1]), standings)
            progressed()

    def _renewing(self, build: Build) -> Callable[[], None]:
        renewed_ms, noted = self._now_ms(), build.progress.position

        def renew() -> None:
            nonlocal renewed_ms, noted
            now_ms = self._now_ms()
            if build.progress.position != noted or now_ms - renewed_ms >= RENEW_EVERY_MS:
                self._builds.renew(build, now_ms)
                renewed_ms, noted = now_ms, build.progress.position

        return renew

    def _with_events(self, leaderboard: Leaderboard) -> Leaderboard | None:
        """The definition that its events were counted by; None if it has none.

        A leaderboard is sealed before its first event is written. So what is not sealed now has nothing to show, and
        what is written from now on is applied by ingest; one that was read unsealed may have changed since.
        """
        if leaderboard.has_events:
            return leaderboard
        current = self._registry.leaderboard(leaderboard.id)
        return current if current is not None and current.has_events else None

    def _show_disqualified(self, leaderboard: Leaderboard) -> None:
        self._cache.show_disqualified(leaderboard.id, self._disqualified_players.now(leaderboard.id))


def rebuild_position(bucket: Day) -> int:
    """How far a rebuild is once it has read a bucket: all time comes first, then the days from the oldest on."""
    return 1 if bucket == ALL_TIME_BUCKET else bucket + 2


def _due_buckets(leaderboard: Leaderboard, now_ms: int) -> list[Day]:
    """All-time, the recent days, and the one of the older days whose turn it is."""
    all_time, *days = kept_buckets(leaderboard.lateness_ms, now_ms)
    older, recent = days[:-RECENT_DAYS], days[-RECENT_DAYS:]
    turn = older[now_ms // REAPPLY_EVERY_MS % len(older)]
    return [all_time, *recent, turn]


def _chunks(lines: Iterable[tuple[Day, str, Standing]]) -> Iterator[dict[str, dict[Day, Standing]]]:
    source = iter(lines)
    while chunk := list(islice(source, APPLY_PLAYERS)):
        standings: dict[str, dict[Day, Standing]] = {}
        for bucket, user_id, standing in chunk:
            standings.setdefault(user_id, {})[bucket] = standing
        yield standings
