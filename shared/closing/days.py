"""Close the buckets of a leaderboard once every record that counts for them is committed."""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from shared.closing.coverage import CLOCK_SKEW_MS, Coverage, Missing
from shared.closing.first_days import first_possible_day
from shared.closing.runs import Blocked, Cause, Run
from shared.domain.calendar import DAY_MS, Day, format_day, windows_ending
from shared.domain.rules import Leaderboard
from shared.lookups.leaderboards import KEEP_MS
from shared.messaging.topic import TopicUnavailable
from shared.truth.finals import DUE_MAX, FinalResults
from shared.truth.reads import Reads
from shared.truth.registry import Registry

INGEST_CALL_MS: Final = 60_000
"""How long an ingest call may go on: the time limit of its function in template.yaml."""
FUNCTIONS_SKEW_MS: Final = 10_000
"""How far the clocks of two functions may lie apart; AWS holds its own to milliseconds."""
LAST_CALLS_MS: Final = KEEP_MS + INGEST_CALL_MS + FUNCTIONS_SKEW_MS
"""How long after a day refuses events an ingest call may still commit one to it: it began with a definition that was
kept, and its commit is not conditional on that. Such an event was refused before, by other rules or another sum, and
has come again; or it is admitted by a longer lateness of before."""
DAYS_BACK_MAX: Final = 8
"""How many days before the newest one that could close are tried, where a backlog reaches over several days."""
DAYS_AT_ONCE: Final = 80
"""Days whose windows, weeks included, become due in one transaction."""


class Answers:
    """What the broker has answered in one run: it is asked once for each cutoff, however many leaderboards have it."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._known: dict[int, Missing | None] = {}
        self._away: str | None = None

    def missing(self, moment_ms: int) -> Missing | None:
        """What is missing until every record that was appended by a moment is committed, see Coverage.

        Raises:
            TopicUnavailable: if the broker does not answer, or has not in this run.
            Unavailable: if the registry is out of reach.
        """
        if moment_ms not in self._known:
            if self._away is not None:
                raise TopicUnavailable(self._away)
            try:
                self._known[moment_ms] = self._coverage.missing(moment_ms)
            except TopicUnavailable as error:
                self._away = str(error)
                raise
        return self._known[moment_ms]


class DaySealing:
    """Closes in two steps, see `close`; whatever is blocked is tried again by the next run."""

    def __init__(self, *, registry: Registry, finals: FinalResults, reads: Reads, now_ms: Callable[[], int]) -> None:
        self._registry = registry
        self._finals = finals
        self._reads = reads
        self._now_ms = now_ms

    def close(self, leaderboard: Leaderboard, answers: Answers, run: Run) -> Leaderboard:
        """Close the buckets that can be, in two steps; the leaderboard as it is then.

        Once every record that counts for it is committed, a bucket refuses events. It is closed when no ingest call is
        left that began before.

        Raises:
            AlreadyDone: if another run has closed more, or the rules have just changed.
            TopicUnavailable: if the broker does not answer.
            Unavailable: if the truth is out of reach.
        """
        if leaderboard.is_sealing:
            leaderboard = self._end(leaderboard)
        before = leaderboard.sealing_through
        if before is None:
            before = Day(first_possible_day(self._registry, leaderboard) - 1)
        newest = _newest_past_cutoff(leaderboard, self._now_ms())
        for number in range(newest, max(before, newest - DAYS_BACK_MAX), -1):
            day = Day(number)
            missing = answers.missing(leaderboard.cutoff_ms(day))
            if missing is None:
                return leaderboard if leaderboard.is_sealing else self._refuse(leaderboard, day)
            if number == newest:
                due_ms = leaderboard.cutoff_ms(Day(before + 1)) + 2 * CLOCK_SKEW_MS
                since_ms = max(due_ms, leaderboard.created_at_ms)
                cause = Cause.LOST if missing.is_lost else Cause.LAG
                run.blocked.append(Blocked(leaderboard.id, format_day(day), cause, missing.detail, since_ms))
        return leaderboard

    def _refuse(self, leaderboard: Leaderboard, through: Day) -> Leaderboard:
        self._finals.refuse(leaderboard, through)
        return self._end(replace(leaderboard, sealing_through=through, closes_at_ms=None))

    def _end(self, leaderboard: Leaderboard) -> Leaderboard:
        """Close the buckets that refuse events, when that is due."""
        through = leaderboard.sealing_through
        assert through is not None  # noqa: S101 - buckets refuse events
        now_ms = self._now_ms()  # later than the refusal, which was read or written
        if leaderboard.closes_at_ms is None:
            closes_at_ms = now_ms + LAST_CALLS_MS
            self._finals.close_at(leaderboard, through, closes_at_ms)
            return replace(leaderboard, closes_at_ms=closes_at_ms)
        if now_ms < leaderboard.closes_at_ms:
            return leaderboard
        self._note_periods(leaderboard, through)
        before = leaderboard.sealed_through
        if before is None:
            before = Day(first_possible_day(self._registry, leaderboard) - 1)
        owed_from = self._owed_from(leaderboard, before, through)
        for start in range(before + 1, through + 1, DAYS_AT_ONCE):
            last = Day(min(start + DAYS_AT_ONCE - 1, through))
            days = range(max(start, owed_from or start), last + 1)
            windows = [window for day in days for window in windows_ending(Day(day))]
            assert len(windows) <= DUE_MAX  # noqa: S101 - a week for every seven days
            self._finals.close(leaderboard, last, windows, owed_from)
            leaderboard = replace(leaderboard, sealed_through=last, owed_from=owed_from)
        return leaderboard

    def _note_periods(self, leaderboard: Leaderboard, through: Day) -> None:
        """Note the periods as due whose last day is about to be closed.

        Those that were registered before that day refused events are all there now; who registers one later notes it.
        """
        closed = leaderboard.sealed_through
        periods = self._registry.periods(leaderboard.id)
        over = [one.window for one in periods if one.last <= through and (closed is None or one.last > closed)]
        self._finals.note_due(leaderboard.id, dict.fromkeys(over))

    def _owed_from(self, leaderboard: Leaderboard, before: Day, through: Day) -> Day | None:
        """The first day that results are owed for, once days are closed; None for all that are closed from now on.

        Nothing can come into these days any more. The first of them with events is looked for once, and until one is
        found; later days without events get their results.
        """
        known, closed = leaderboard.owed_from, leaderboard.sealed_through
        if closed is not None and (known is None or known <= closed):
            return known  # its first days were closed before this was noted, or it has had events
        found = self._reads.first_day(leaderboard, (Day(day) for day in range(before + 1, through + 1)))
        return Day(through + 1) if found is None else found


def _newest_past_cutoff(leaderboard: Leaderboard, now_ms: int) -> Day:
    """The last day for which no broker stamps a record in time any more, by any clock."""
    return Day((now_ms - leaderboard.lateness_ms - 2 * CLOCK_SKEW_MS - 1) // DAY_MS - 1)
