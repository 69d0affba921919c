"""Builds windows in the cache from the truth, while ingest goes on feeding them.

A rebuild of a leaderboard and the build of one window follow the same steps:

1. Take the lease. One that a builder left or lost is resumed at the progress that is recorded with it.
2. Send the disqualified players to the cache, which leaves them out of the windows from then on.
3. Read the standings of some days, oldest first, and apply them; renew the lease and record the progress.
4. Mark what was built as complete, unless a flush, a failover or another builder removed some of it.
5. Release the lease.

Applying is idempotent: a standing that ingest applies meanwhile, or a step that is repeated, changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from enum import StrEnum
from itertools import islice
from typing import Final

from msgspec import Struct

from shared.admin.disqualifications import DisqualifiedPlayers, whole
from shared.admin.eligible import all_standings
from shared.cache.errors import CacheUnavailable
from shared.cache.leases import LEASE_MS, Build, BuildLeases, BuildProgress, Grant, LeaseLost, RebuildState
from shared.cache.payloads import APPLY_PLAYERS, Standings, with_all_days
from shared.cache.windows import WindowCache
from shared.domain.audit import Disqualified
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, Day, Window, expires_ms, kept_until_ms
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.truth.reads import SHARDS_AT_ONCE, Reads
from shared.truth.registry import Registry

RENEW_EVERY_MS: Final = LEASE_MS // 6
"""How often a build renews its lease."""
IDLE_MS: Final = 2 * 3_600_000
"""How long a window that was built on demand stays in the cache after its last read."""
REAPPLY_EVERY_MS: Final = 5 * 60_000
"""How often anti-entropy is scheduled (template.yaml). Each run applies the next one of the older days."""


class RebuildOutcome(StrEnum):
    """What became of a rebuild."""

    DONE = "done"
    """The leaderboard is complete in the cache."""
    HELD = "held"
    """Another worker holds the lease."""
    LOST = "lost"
    """The cache was flushed or failed over, or another worker took the lease: nothing is marked as complete."""


class RebuildProgress(Struct, frozen=True):
    """How far the rebuild of a leaderboard is."""

    state: RebuildState
    days_read: int
    """Equal to `days` once the leaderboard is complete."""
    days: int
    """All days that are kept in the cache, and all time."""
    standings_read: int


class WindowBuilder:
    """Builds windows and applies standings again.

    Methods raise Unavailable if DynamoDB is out of reach, and CacheUnavailable if the cache fails.
    """

    def __init__(
        self,
        *,
        reads: Reads,
        cache: WindowCache,
        leases: BuildLeases,
        registry: Registry,
        disqualified_players: DisqualifiedPlayers,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._reads = reads
        self._cache = cache
        self._leases = leases
        self._registry = registry
        self._disqualified_players = disqualified_players
        self._now_ms = now_ms
        self._new_token = new_token

    def rebuild_leaderboard(self, leaderboard: Leaderboard) -> RebuildOutcome:
        """Build every window that the cache keeps."""
        grant, build = self._leases.begin_rebuild(leaderboard, self._new_token(), self._now_ms())  # 1
        if grant is Grant.HELD:
            return RebuildOutcome.HELD
        try:
            self._cache.forget_former_layout(leaderboard, self._now_ms())
            out = self._show_disqualified(leaderboard, build)  # 2
            rules = self._with_events(leaderboard)
            if rules is not None:  # 3
                if rules.keeps_all_time:
                    self._apply_all_days(rules, out, build)
                kept = self._reads.recorded_days(rules, rules.kept_days(self._now_ms()))
                left = [day for day in kept if rebuild_position(day) > build.progress.position]

                def apply(standings: Standings) -> None:
                    self._cache.apply(rules, standings, self._now_ms(), build)

                self._apply_days(rules, left, build, apply, position=rebuild_position)
            if self._has_moved(leaderboard):
                return RebuildOutcome.LOST
            return RebuildOutcome.DONE if self._leases.finish_rebuild(leaderboard, build) else RebuildOutcome.LOST  # 4
        except LeaseLost:
            return RebuildOutcome.LOST
        finally:
            self.release(build)  # 5

    def rebuild_progress(self, leaderboard: Leaderboard) -> RebuildProgress:
        """How far the rebuild of a leaderboard is."""
        now_ms = self._now_ms()
        state, progress = self._leases.rebuild_state(leaderboard, now_ms)
        kept = leaderboard.kept_days(now_ms)
        read = sum(state is RebuildState.COMPLETE or rebuild_position(day) <= progress.position for day in kept)
        return RebuildProgress(state, read, len(kept), progress.standings)

    def reapply(self, leaderboard: Leaderboard, *, everything: bool = False) -> int:
        """Apply standings again, which repairs what a failover of the cache has lost.

        Args:
            leaderboard: whose.
            everything: all days that are kept; otherwise all time, the recent days and one of the older days, in
                rotation. All time only if the cache has it.

        Returns:
            How many entries were repaired.
        """
        rules = self._with_events(leaderboard)
        if rules is None:
            return 0
        now_ms = self._now_ms()
        days = rules.kept_days(now_ms) if everything else _due_days(rules, now_ms)
        out = self._show_disqualified(rules)
        repaired = 0
        if rules.keeps_all_time or ALL_TIME.id in self._cache.ranges(rules.scores_id, now_ms):
            days = list(dict.fromkeys([ALL_TIME_DAY, *days]))
            repaired = sum(
                self._cache.apply(rules, whole(self._registry, rules, one), self._now_ms())
                for one in self._all_days(rules, out)
            )
        return repaired + self.reapply_days(rules, self._reads.recorded_days(rules, days))

    def reapply_days(self, leaderboard: Leaderboard, days: Sequence[Day]) -> int:
        """Apply the standings of some days again; returns how many entries were repaired.

        Disqualified players included, whom the windows then leave out.
        """
        self._show_disqualified(leaderboard)
        with closing(self._reads.standings_on(leaderboard, days)) as lines:
            return sum(
                self._cache.apply(leaderboard, whole(self._registry, leaderboard, standings), self._now_ms())
                for standings in _chunks(lines)
            )

    def begin_window(
        self,
        leaderboard: Leaderboard,
        window: Window,
        token: str,
        *,
        registered: bool | None = None,
        for_reader: bool = False,
    ) -> tuple[Grant, Build]:
        """Take the lease of one window that is built on demand (step 1).

        Args:
            leaderboard: whose window.
            window: which one.
            token: of the holder.
            registered: whether the window is a registered period, which is kept as long as a day; others are kept for
                IDLE_MS. None to look it up.
            for_reader: whether a reader requests it.
        """
        now_ms = self._now_ms()
        if registered is None:
            registered = self.is_kept_period(leaderboard, window)
        expires = max(now_ms + IDLE_MS, expires_ms(window, leaderboard.lateness_ms) if registered else 0)
        return self._leases.begin_window(leaderboard.scores_id, window, token, now_ms, expires, asked=for_reader)

    def is_kept_period(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Whether a window is one of `kept_periods`."""
        return window in self.kept_periods(leaderboard)

    def kept_periods(self, leaderboard: Leaderboard) -> list[Window]:
        """The windows of registered periods that the cache keeps, each once, in the order of the registry.

        A period is kept as long as a daily window of its last day.
        """
        windows = dict.fromkeys(period.window for period in self._registry.periods(leaderboard.id))
        return [window for window in windows if (kept_until_ms(window, leaderboard.lateness_ms) or 0) > self._now_ms()]

    def build_window(
        self,
        leaderboard: Leaderboard,
        window: Window,
        build: Build,
        progressed: Callable[[], None] | None = None,
    ) -> bool:
        """Build one window whose lease is held (steps 2 to 4).

        Args:
            leaderboard: whose window.
            window: a custom range, or another window that the cache doesn't keep.
            build: as `begin_window` granted it.
            progressed: is called after every step; what it raises stops the build. By default it renews the lease.

        Returns:
            Whether the window is complete; False if the lease or some of what was applied is lost.

        Raises:
            NoReaders: if no reader asks for the window any more, and the build ends for that.
        """
        try:
            out = self._show_disqualified(leaderboard, build)  # 2
            rules = self._with_events(leaderboard)
            if rules is not None:  # 3
                if window.is_all_time:
                    self._apply_all_days(rules, out, build)
                days = window.days
                left = self._reads.recorded_days(rules, days[build.progress.position :])

                def apply(standings: Standings) -> None:
                    self._cache.fill(rules, window, standings, self._now_ms(), build=build)

                def position(day: Day) -> int:
                    return len(days) if day == left[-1] else day - days[0] + 1

                self._apply_days(rules, left, build, apply, position=position, progressed=progressed)
            return not self._has_moved(leaderboard) and self._leases.finish_window(leaderboard, window, build)  # 4
        except LeaseLost:
            return False

    def rebuild_window(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Build one window from scratch, even if it is complete.

        Returns:
            Whether it is complete; False if another worker holds its lease, or the lease or some of what was applied is
            lost.
        """
        grant, build = self.begin_window(leaderboard, window, self._new_token())
        if grant is Grant.BUILT:
            self._cache.withdraw(leaderboard, window, self._now_ms())
            grant, build = self.begin_window(leaderboard, window, self._new_token())
        if grant is not Grant.GRANTED:
            return False
        try:
            return self.build_window(leaderboard, window, build)
        finally:
            self.release(build)

    def release(self, build: Build) -> None:
        """Release a lease (step 5); if the cache fails, the lease expires by itself."""
        with suppress(CacheUnavailable):
            self._leases.give_back(build)

    def _apply_days(
        self,
        leaderboard: Leaderboard,
        days: Sequence[Day],
        build: Build,
        apply: Callable[[Standings], object],
        *,
        position: Callable[[Day], int],
        progressed: Callable[[], None] | None = None,
    ) -> None:
        """Read days in their order, some in parallel, apply them, and record the progress after each step."""
        progressed = progressed or self._renewing(build)
        at_once = max(1, SHARDS_AT_ONCE // leaderboard.shards)
        standings = build.progress.standings
        for start in range(0, len(days), at_once):
            some = days[start : start + at_once]
            for chunk in _chunks(self._reads.standings_on(leaderboard, some)):
                apply(chunk)
                standings += sum(map(len, chunk.values()))
                build.progress = BuildProgress(build.progress.position, standings)
                progressed()
            build.progress = BuildProgress(position(some[-1]), standings)
            progressed()

    def _renewing(self, build: Build) -> Callable[[], None]:
        renewed_ms, recorded = self._now_ms(), build.progress.position

        def renew() -> None:
            nonlocal renewed_ms, recorded
            now_ms = self._now_ms()
            if build.progress.position != recorded or now_ms - renewed_ms >= RENEW_EVERY_MS:
                self._leases.renew(build, now_ms)
                renewed_ms, recorded = now_ms, build.progress.position

        return renew

    def _with_events(self, leaderboard: Leaderboard) -> Leaderboard | None:
        """The definition whose rules are locked; None if the leaderboard has no events.

        `has_events` is set before the first event is written. A leaderboard without it has nothing to show, and ingest
        applies what is written from now on; a definition that was read without it may have changed since.
        """
        if leaderboard.has_events:
            return leaderboard
        current = self._registry.leaderboard(leaderboard.id)
        return current if current is not None and current.has_events else None

    def _has_moved(self, leaderboard: Leaderboard) -> bool:
        """Whether a player was moved to a pseudonym while standings were read: half of them may be missing."""
        current = self._registry.leaderboard(leaderboard.id)
        return current is not None and (current.moving is not None or current.pseudonyms != leaderboard.pseudonyms)

    def _show_disqualified(self, leaderboard: Leaderboard, build: Build | None = None) -> Disqualified:
        out = self._disqualified_players.hidden(leaderboard.id)
        self._cache.show_disqualified(leaderboard.scores_id, out, build)
        return out

    def _apply_all_days(self, leaderboard: Leaderboard, out: Disqualified, build: Build) -> None:
        """Apply what the window of all time is made of for players who were ever disqualified for some days."""
        for standings in self._all_days(leaderboard, out):
            self._cache.apply(leaderboard, standings, self._now_ms(), build)
            self._leases.renew(build, self._now_ms())

    def _all_days(self, leaderboard: Leaderboard, out: Disqualified) -> Iterator[Standings]:
        """All standings of each player who was ever disqualified for some days: all time is made of days for them."""
        for user_id in sorted(out.days):
            standings = all_standings(self._reads, leaderboard, user_id, self._now_ms())
            if standings:
                yield {user_id: with_all_days(standings)}


def rebuild_position(day: Day) -> int:
    """The progress of a rebuild that has read a day: all time is first, then come the days, oldest first."""
    return 1 if day == ALL_TIME_DAY else day + 2


def _due_days(leaderboard: Leaderboard, now_ms: int) -> list[Day]:
    """The recent days, and one of the older days: the next one every REAPPLY_EVERY_MS."""
    days = [day for day in leaderboard.kept_days(now_ms) if day != ALL_TIME_DAY]
    # yesterday, today and tomorrow: nearly all events are of these days
    recent_from = leaderboard.calendar.day_of(now_ms) - 1
    older, recent = [day for day in days if day < recent_from], [day for day in days if day >= recent_from]
    return [*recent, older[now_ms // REAPPLY_EVERY_MS % len(older)]]


def _chunks(lines: Iterable[tuple[Day, str, Standing]]) -> Iterator[dict[str, dict[Day, Standing]]]:
    source = iter(lines)
    while chunk := list(islice(source, APPLY_PLAYERS)):
        standings: dict[str, dict[Day, Standing]] = {}
        for day, user_id, standing in chunk:
            standings.setdefault(user_id, {})[day] = standing
        yield standings
