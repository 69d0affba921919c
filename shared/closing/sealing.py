"""Seal days (`open → sealing → sealed`): steps 2 and 3 of closing, see shared/closing/service.py."""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from shared.closing.coverage import CachedCoverage
from shared.closing.runs import Blocked, Cause, ClosingRun
from shared.closing.schedule import CLOCK_SKEW_MS, LAST_CALLS_MS, newest_past_cutoff
from shared.domain.calendar import Day, format_day
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.lookups.first_days import first_possible_day
from shared.lookups.zones import first_moved
from shared.telemetry import logger
from shared.truth.final_results import DUE_MAX, FinalResults
from shared.truth.reads import Reads
from shared.truth.registry import Registry

DAYS_BACK_MAX: Final = 8
"""How many days before the newest one past its cutoff are tried, where a backlog reaches over several days."""
DAYS_AT_ONCE: Final = 80
"""Days that one transaction seals, with the windows, weeks and months included, that become due with them."""


class DaySealing:
    """Moves days from open to sealing and from sealing to sealed; the next run tries again what is blocked."""

    def __init__(
        self, *, registry: Registry, final_results: FinalResults, reads: Reads, now_ms: Callable[[], int]
    ) -> None:
        self._registry = registry
        self._final_results = final_results
        self._reads = reads
        self._now_ms = now_ms
        self._told: set[str] = set()

    def seal(self, leaderboard: Leaderboard, coverage: CachedCoverage, run: ClosingRun) -> Leaderboard:
        """Seal every day that can be sealed, and start sealing the days whose records are all committed.

        Returns:
            The leaderboard as it is then.

        Raises:
            AlreadyDone: if another run has sealed more, or the rules have just changed.
            TopicUnavailable: if the broker does not answer.
            Unavailable: if DynamoDB throttles or is out of reach.
        """
        self._tell_moved(leaderboard)
        if leaderboard.is_sealing:
            leaderboard = self._finish_sealing(leaderboard)
        before = leaderboard.sealing_through
        if before is None:
            before = Day(first_possible_day(self._registry, leaderboard) - 1)
        newest = self._newest(leaderboard, before)
        for number in range(newest, max(before, newest - DAYS_BACK_MAX), -1):
            day = Day(number)
            missing = coverage.missing(leaderboard.cutoff_ms(day))
            if missing is None:
                return leaderboard if leaderboard.is_sealing else self._start_sealing(leaderboard, day)
            if number == newest:
                due_ms = leaderboard.cutoff_ms(Day(before + 1)) + 2 * CLOCK_SKEW_MS
                since_ms = max(due_ms, leaderboard.created_at_ms)
                cause = Cause.LOST if missing.is_lost else Cause.LAG
                run.blocked.append(Blocked(leaderboard.id, format_day(day), cause, missing.detail, since_ms))
        return leaderboard

    def is_all_sealed(self, leaderboard: Leaderboard) -> bool:
        """Whether an archived leaderboard has no day left to seal. Nothing is read while its last week goes on."""
        sealed = leaderboard.sealed_through
        if leaderboard.is_sealing or sealed is None or not _covers(sealed, leaderboard, []):
            return False
        return _covers(sealed, leaderboard, self._registry.periods(leaderboard.id))

    def end(self, leaderboard: Leaderboard) -> None:
        """Record that an archived leaderboard owes nothing: no day of it is looked at again.

        Raises:
            AlreadyDone: if its definition was changed.
        """
        self._final_results.record_nothing_owed(leaderboard)

    def _newest(self, leaderboard: Leaderboard, before: Day) -> Day:
        """The last day that may be sealed now; of an archived leaderboard none past the windows that may have events.

        Args:
            leaderboard: whose day.
            before: the last day that is sealing or sealed.
        """
        newest = newest_past_cutoff(leaderboard, self._now_ms())
        if not leaderboard.archived or newest <= before:
            return newest
        through = leaderboard.owed_through(self._registry.periods(leaderboard.id))
        return newest if through is None else min(newest, through)

    def _tell_moved(self, leaderboard: Leaderboard) -> None:
        """Log, once of each leaderboard, from when on its days would begin otherwise by the zones' rules of now."""
        through = leaderboard.sealing_through
        moved = first_moved(leaderboard.calendar, Day(-1) if through is None else through)
        if moved is not None and leaderboard.id not in self._told:
            self._told.add(leaderboard.id)
            differs = {"leaderboard": leaderboard.id, "zone": leaderboard.time_zone, "from": format_day(moved)}
            logger.warning("days begin by former rules of time zones", extra=differs)

    def _start_sealing(self, leaderboard: Leaderboard, through: Day) -> Leaderboard:
        """Step 2: let the days up to `through` reject every event that is not in the ledger."""
        self._final_results.start_sealing(leaderboard, through)
        return self._finish_sealing(replace(leaderboard, sealing_through=through, seals_at_ms=None))

    def _finish_sealing(self, leaderboard: Leaderboard) -> Leaderboard:
        """Step 3: seal the days that are sealing, once no ingest call is left that began before they were."""
        through = leaderboard.sealing_through
        assert through is not None  # noqa: S101 - a leaderboard with days that are sealing
        now_ms = self._now_ms()  # later than the start of sealing, which was read or written
        if leaderboard.seals_at_ms is None:
            seals_at_ms = now_ms + LAST_CALLS_MS
            self._final_results.seal_at(leaderboard, through, seals_at_ms)
            return replace(leaderboard, seals_at_ms=seals_at_ms)
        if now_ms < leaderboard.seals_at_ms:
            return leaderboard
        self._mark_periods_due(leaderboard, through)
        before = leaderboard.sealed_through
        if before is None:
            before = Day(first_possible_day(self._registry, leaderboard) - 1)
        results_from = self._results_from(leaderboard, before, through)
        for start in range(before + 1, through + 1, DAYS_AT_ONCE):
            last = Day(min(start + DAYS_AT_ONCE - 1, through))
            days = range(max(start, results_from or start), last + 1)
            ending = (window for day in days for window in leaderboard.windows_ending(Day(day)))
            windows = [window for window in ending if not leaderboard.begins_after_archiving(window)]
            assert len(windows) <= DUE_MAX  # noqa: S101 - a week for every seven days, a month for 28
            self._final_results.seal(leaderboard, last, windows, results_from)
            leaderboard = replace(leaderboard, sealed_through=last, results_from=results_from)
        return leaderboard

    def _mark_periods_due(self, leaderboard: Leaderboard, through: Day) -> None:
        """Mark the periods as due whose last day is about to be sealed.

        All that were registered before that day became `sealing` are read here; a later registration marks its own.
        """
        sealed = leaderboard.sealed_through
        periods = self._registry.periods(leaderboard.id)
        over = [one.window for one in periods if one.last <= through and (sealed is None or one.last > sealed)]
        owed = [window for window in over if not leaderboard.begins_after_archiving(window)]
        self._final_results.mark_due(leaderboard.id, dict.fromkeys(owed))

    def _results_from(self, leaderboard: Leaderboard, before: Day, through: Day) -> Day | None:
        """The first day that results are owed for; None for all that are sealed from now on.

        No event can be added to these days any more, so their first day with events is searched once, until there is
        one. Later days get results even without events.
        """
        known, sealed = leaderboard.results_from, leaderboard.sealed_through
        if leaderboard.is_purging:
            return Day(through + 1)  # these days are over before it starts over
        restarted = leaderboard.calendar.day_of(leaderboard.last_start_ms)
        is_outdated = known is not None and known < restarted  # a purge came after it
        if sealed is not None and (known is None or known <= sealed) and not is_outdated:
            return known  # its first days were sealed before this was recorded, or it has had events
        found = self._reads.first_day(leaderboard, (Day(day) for day in range(before + 1, through + 1)))
        return Day(through + 1) if found is None else found


def _covers(sealed: Day, leaderboard: Leaderboard, periods: Iterable[Period]) -> bool:
    """Whether all days that an archived leaderboard owes are sealed."""
    through = leaderboard.owed_through(periods)
    return through is not None and sealed >= through
