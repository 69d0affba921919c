"""Build windows in Redis from the truth, while ingest goes on feeding them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import ALL_TIME_BUCKET, Day, Window, day_of
from shared.live.leases import BuildProgress
from shared.live.windows import RETENTION_MS, LiveWindows
from shared.pipeline.disqualifications import Disqualifications
from shared.truth.reads import SHARDS_AT_ONCE, Reads
from shared.truth.registry import Registry

CHUNK_PLAYERS: Final = 250
"""Standings in one call of the apply script: up to 15 ms of Redis, after which readers and ingest get their turn. It is
no slower than longer calls (docs/benchmarks.md)."""
ON_DEMAND_MS: Final = 24 * 3_600_000
"""How long a window that was built for a query stays; asked for later, it is built again."""
WEEK_DAYS: Final = 7


class Rebuild:
    """Feeds live windows with what the truth holds. Applying is idempotent, so nothing has to stop for it."""

    def __init__(
        self,
        *,
        reads: Reads,
        live: LiveWindows,
        registry: Registry,
        disqualifications: Disqualifications,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._reads = reads
        self._live = live
        self._registry = registry
        self._disqualifications = disqualifications
        self._now_ms = now_ms
        self._new_token = new_token

    def leaderboard(self, leaderboard: Leaderboard) -> bool:
        """Rebuild every window that is kept for everybody, and the registered periods, then vouch for them.

        Returns:
            False if the cache was flushed or another rebuild started in between: nothing is vouched for then.

        Raises:
            Unavailable: if the truth is out of reach.
            CacheUnavailable: if Redis fails.
        """
        token = self._new_token()
        self._live.begin_rebuild(leaderboard.id, token)
        self._show_disqualified(leaderboard)
        for period in self._registry.periods(leaderboard.id):
            self.keep_period(leaderboard, period.window)
        self.reapply(leaderboard)
        return self._live.finish_rebuild(leaderboard.id, token)

    def reapply(self, leaderboard: Leaderboard) -> int:
        """Apply all that is kept again (anti-entropy): mends what a failover of the cache may have lost.

        Returns:
            How many players' parts of windows were older than the truth.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        sealed = self._sealed(leaderboard)
        if sealed is None:
            return 0
        return self.apply(sealed, self._reads.buckets(sealed, _kept_buckets(sealed, self._now_ms())))

    def apply(self, leaderboard: Leaderboard, lines: Iterable[tuple[Day, str, Standing]]) -> int:
        """Apply standings to every window that they feed; as many were older as are returned.

        Args:
            leaderboard: whose.
            lines: also of disqualified players, whom the windows then leave out.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        self._show_disqualified(leaderboard)
        return sum(self._live.apply(leaderboard, standings, self._now_ms()) for standings in _chunks(lines))

    def window(
        self,
        leaderboard: Leaderboard,
        window: Window,
        expires_ms: int | None = None,
        *,
        token: str | None = None,
        progressed: Callable[[BuildProgress], None] = lambda _: None,
    ) -> bool:
        """Build one window that is not kept for everybody, keep it live, and vouch for it.

        Args:
            leaderboard: whose window.
            window: a custom range, or a day or week past its time in the cache.
            expires_ms: when it goes; ON_DEMAND_MS from now if not given.
            token: the builder's, if he has one already.
            progressed: is told after every step; what it raises stops the build.

        Returns:
            False if the cache was flushed or another build of it started in between.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        expires = self._now_ms() + ON_DEMAND_MS if expires_ms is None else expires_ms
        token = token or self._new_token()
        self._live.begin_window(leaderboard.id, window, token, expires)
        self._show_disqualified(leaderboard)
        sealed = self._sealed(leaderboard)
        days = [] if sealed is None else [Day(bucket) for bucket in window.buckets]
        leaderboard = sealed or leaderboard
        days_at_once = max(1, SHARDS_AT_ONCE // leaderboard.shards)
        standings = 0
        for start in range(0, len(days), days_at_once):
            some_days = days[start : start + days_at_once]
            for lines in _chunks(self._reads.buckets(leaderboard, some_days)):
                self._live.fill(leaderboard, window, lines, self._now_ms(), expires)
                standings += sum(map(len, lines.values()))
                progressed(BuildProgress(start, standings))
            progressed(BuildProgress(start + len(some_days), standings))
        return self._live.finish_window(leaderboard, window, token, expires)

    def keep_period(self, leaderboard: Leaderboard, window: Window) -> None:
        """Build the window of a registered period; it stays as long as a day or week of its last day would.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        cutoff_ms = leaderboard.window_cutoff_ms(window)
        if cutoff_ms is not None and cutoff_ms + RETENTION_MS > self._now_ms():
            self.window(leaderboard, window, cutoff_ms + RETENTION_MS)

    def _sealed(self, leaderboard: Leaderboard) -> Leaderboard | None:
        """The definition that its events were counted by; None if it has none.

        A leaderboard is sealed before its first event is written. So what is not sealed now has nothing to show, and
        what is written from now on is applied by ingest; one that was read unsealed may have changed since.
        """
        if leaderboard.sealed:
            return leaderboard
        current = self._registry.leaderboard(leaderboard.id)
        return current if current is not None and current.sealed else None

    def _show_disqualified(self, leaderboard: Leaderboard) -> None:
        self._live.show_disqualified(leaderboard.id, self._disqualifications.now(leaderboard.id))


def _kept_buckets(leaderboard: Leaderboard, now_ms: int) -> list[Day]:
    """All-time, and every day that stands in a daily or weekly window which is still kept."""
    today = day_of(now_ms)
    oldest = day_of(max(0, now_ms - leaderboard.lateness_ms - RETENTION_MS)) - WEEK_DAYS
    days = [Day(day) for day in range(max(0, oldest), today + 2)]  # tomorrow: producers' clocks may run ahead
    return [ALL_TIME_BUCKET, *days]


def _chunks(lines: Iterable[tuple[Day, str, Standing]]) -> Iterator[dict[str, dict[Day, Standing]]]:
    source = iter(lines)
    while chunk := list(islice(source, CHUNK_PLAYERS)):
        standings: dict[str, dict[Day, Standing]] = {}
        for bucket, user_id, standing in chunk:
            standings.setdefault(user_id, {})[bucket] = standing
        yield standings
