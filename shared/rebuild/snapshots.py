"""Takes snapshots of windows while they are complete, and finds the latest one of a window."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from shared.admin.disqualifications import DisqualifiedPlayers
from shared.admin.eligible import eligible, eligible_of, eligible_of_all_time
from shared.cache.windows import WindowCache
from shared.domain.audit import Disqualified
from shared.domain.calendar import LONGEST_DAYS, Window, WindowKind, kept_until_ms, recent_windows
from shared.domain.rules import Leaderboard
from shared.domain.snapshots import Snapshot, snapshot_of
from shared.lookups.remembered import Remembered
from shared.rebuild.small_window import rank_players
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.snapshots import Confirmation, Snapshots

KEEP_MS: Final = 2_000
"""How long a function answers from a snapshot before it reads the snapshot again."""
FOLDED_STANDINGS_MAX: Final = 20_000
"""Standings that one read folds for a window without a snapshot; they take some seconds to read."""
FOLDED_DAYS_MAX: Final = LONGEST_DAYS
"""Days of a window that one read folds. Longer windows are built on demand."""
KNOWN_MAX: Final = 100
"""Snapshots in the memory of a function, up to 300 KB each; with one more it forgets them all."""


class WindowSnapshots:
    """Snapshots of current windows and registered periods.

    Methods raise Unavailable if DynamoDB is out of reach, and CacheUnavailable if the cache fails.
    """

    def __init__(
        self,
        *,
        cache: WindowCache,
        store: Snapshots,
        reads: Reads,
        registry: Registry,
        disqualified_players: DisqualifiedPlayers,
        now_ms: Callable[[], int],
    ) -> None:
        self._cache = cache
        self._store = store
        self._reads = reads
        self._registry = registry
        self._disqualified_players = disqualified_players
        self._now_ms = now_ms
        self._written: dict[tuple[str, str], int] = {}
        self._known: Remembered[tuple[str, str], Snapshot | None] = Remembered(KEEP_MS, KNOWN_MAX, now_ms)

    def take(self, leaderboard: Leaderboard) -> int:
        """Write snapshots of windows that have changed, and confirm those of the others; returns how many it wrote."""
        taken, as_of_ms, revisions = 0, self._now_ms(), dict[str, int]()
        for window in self._changeable(leaderboard):
            complete, snapshot = self._cache.snapshot(leaderboard, window, self._now_ms())
            key = (leaderboard.scores_id, window.id)
            if not complete:
                continue
            revisions[window.id] = snapshot.revision
            if self._written.get(key) == snapshot.revision:
                continue
            self._store.write(*key, snapshot, kept_until_ms(window, leaderboard.lateness_ms) or 0)
            self._written[key] = snapshot.revision
            taken += 1
        if revisions:
            self._store.confirm(leaderboard.scores_id, Confirmation(as_of_ms, revisions))
        return taken

    def find(self, leaderboard: Leaderboard, window: Window) -> Snapshot | None:
        """The latest snapshot of a window, or its standings of now if there is none.

        Players who were disqualified since are left out; those who were reinstated are in the next snapshot.

        Returns:
            None for a window without a snapshot that is too large to be folded.
        """
        key = (leaderboard.scores_id, window.id)
        return self._known.get(key, lambda: self._read(leaderboard, window), or_older=False)

    def _read(self, leaderboard: Leaderboard, window: Window) -> Snapshot | None:
        disqualified = self._disqualified_players.hidden(leaderboard.id)
        stored = self._store.read(leaderboard.scores_id, window.id)
        if stored is None:
            return self._fold(leaderboard, window, disqualified)
        return self._placed_again(leaderboard, window, stored.without(disqualified.user_ids), disqualified)

    def _fold(self, leaderboard: Leaderboard, window: Window, disqualified: Disqualified) -> Snapshot | None:
        if len(window.days) > FOLDED_DAYS_MAX:
            return None
        as_of_ms = self._now_ms()
        days = self._reads.recorded_days(leaderboard, window.days)
        source = self._reads.standings_on(leaderboard, days)
        lines = list(islice(source, FOLDED_STANDINGS_MAX + 1))
        if len(lines) > FOLDED_STANDINGS_MAX:
            return None
        counted = eligible(lines, disqualified)
        if window.kind is WindowKind.ALL_TIME:
            counted = eligible_of_all_time(self._reads, leaderboard, lines, disqualified, as_of_ms)
        return snapshot_of(leaderboard, 0, as_of_ms, rank_players(leaderboard, counted))

    def _placed_again(
        self, leaderboard: Leaderboard, window: Window, stored: Snapshot, disqualified: Disqualified
    ) -> Snapshot:
        """With players of the top who are disqualified for some days where their scores of now stand."""
        moved = {user_id for user_id, _ in stored.top} & disqualified.partly
        if not moved:
            return stored
        counted = eligible_of(
            moved,
            reads=self._reads,
            leaderboard=leaderboard,
            window=window,
            disqualified=disqualified,
            now_ms=self._now_ms(),
        )
        lines = ((day, user_id, standing) for user_id, own in counted.items() for day, standing in own.items())
        scores = dict(rank_players(leaderboard, lines))
        return stored.placed_again(leaderboard.order, moved, scores)

    def _changeable(self, leaderboard: Leaderboard) -> Iterator[Window]:
        today = leaderboard.calendar.day_of(self._now_ms())
        periods = [period.window for period in self._registry.periods(leaderboard.id) if period.first <= today]
        recent = [window for window in recent_windows(today) if window.kind in leaderboard.windows]
        for window in dict.fromkeys(recent + periods):
            if not leaderboard.is_sealed(window) or self._is_outdated(leaderboard, window):
                yield window

    def _is_outdated(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Whether a sealed window has changed since its snapshot: an event of it was voided or added, or a player
        disqualified.
        """
        written = self._written.get((leaderboard.scores_id, window.id))
        return written is None or self._cache.revision(leaderboard, window) not in (0, written)
