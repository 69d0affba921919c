"""Close buckets once every record that counts for them is committed, and finish the windows that are due then."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.acts import Act
from shared.domain.rules import Leaderboard
from shared.domain.windows import DAY_MS, Day, Window, daily, day_of, format_day, weekly
from shared.live.windows import CacheUnavailable
from shared.notices import Notices, NoticeUnavailable, WindowFinal
from shared.observability import logger
from shared.pipeline.coverage import CLOCK_SKEW_MS, Coverage, Missing
from shared.pipeline.disqualifications import Discipline
from shared.pipeline.finishing import Difference, Finishing, NotComparable
from shared.pipeline.leaderboards import KEEP_MS
from shared.topic import TopicUnavailable
from shared.truth.acts import Acts
from shared.truth.commits import Unavailable
from shared.truth.finals import DUE_MAX, AlreadyDone, FinalRanking, Finals
from shared.truth.registry import Registry

INGEST_CALL_MS: Final = 60_000
"""How long an ingest call may go on: the time limit of its function in template.yaml."""
FUNCTIONS_SKEW_MS: Final = 10_000
"""How far the clocks of two functions may lie apart; AWS holds its own to milliseconds."""
LAST_CALLS_MS: Final = KEEP_MS + INGEST_CALL_MS + FUNCTIONS_SKEW_MS
"""How long after a day refuses events an ingest call may still commit one to it: it began with a definition that was
kept, and its commit is not conditional on that. Such an event was refused before, by other rules or another sum, and
has come again; or it is admitted by a longer lateness of before."""
BACKLOG_MS: Final = 7 * DAY_MS
"""How long records may have waited on the topic when their leaderboard is created: the usual retention."""
LEADERBOARDS_MAX: Final = 10_000
"""Leaderboards that one run looks after."""
DAYS_BACK_MAX: Final = 8
"""How many days before the newest one that could close are tried, where a backlog reaches over several days."""
DAYS_AT_ONCE: Final = 80
"""Days whose windows, weeks included, become due in one transaction."""


class Cause(StrEnum):
    """What keeps a bucket from being closed or a window from becoming final."""

    LAG = "lag"
    """A partition has not passed the offset that the cutoff falls on."""
    LOST = "lost"
    """The topic does not fit what is committed: its retention took records before, or it was made anew."""
    DIFFERENCE = "difference"
    """Cache and truth disagree."""
    CACHE = "cache"
    """The cache can't be compared now: it is out of reach or being rebuilt."""
    TRUTH = "truth"
    TOPIC = "topic"
    NOTICE = "notice"
    """A result is there, but nobody could be told."""
    ERROR = "error"
    """Something that is for people to mend; the log has it in full."""


class Blocked(Struct, frozen=True):
    """A day or window that has to wait."""

    leaderboard_id: str
    what: str
    """Id of the window, or the day."""
    cause: Cause
    detail: str
    since_ms: int | None = None
    """Since when it could be closed or final."""


class Run:
    """What one run did."""

    def __init__(self) -> None:
        self.finals: list[FinalRanking] = []
        self.blocked: list[Blocked] = []
        self.lost: Missing | None = None
        """What the topic has lost, though no day may be due that it would block."""
        self.errors: list[Exception] = []
        """What nobody expected, once for each leaderboard that was not looked after for it."""

    def delay_ms(self, now_ms: int) -> int:
        """How long what is blocked has waited, at the most; 0 if nothing is."""
        return max((now_ms - one.since_ms for one in self.blocked if one.since_ms is not None), default=0)


class Closing:
    """Goes over all leaderboards; whatever is blocked is tried again by the next run."""

    def __init__(
        self,
        *,
        registry: Registry,
        finals: Finals,
        acts: Acts,
        discipline: Discipline,
        coverage: Coverage,
        finishing: Finishing,
        notices: Notices | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._finals = finals
        self._acts = acts
        self._discipline = discipline
        self._coverage = coverage
        self._finishing = finishing
        self._notices = notices
        self._now_ms = now_ms

    def run(self, has_time: Callable[[], bool] = lambda: True) -> Run:
        """Close what can be closed and finish what is due.

        Args:
            has_time: asked before each window; what is left when it says no is for the next run.

        Raises:
            Unavailable: if the registry is out of reach from the start.
        """
        run = Run()
        try:
            run.lost = self._coverage.look()
        except (TopicUnavailable, Unavailable) as error:
            logger.warning("not looked for losses", extra={"error": str(error)})
        for leaderboard in self._registry.leaderboards(LEADERBOARDS_MAX):
            if not leaderboard.sealed:
                continue  # it has no events
            try:
                if not self._look_after(leaderboard, run, has_time):
                    break
            except Exception as error:  # noqa: BLE001 - one leaderboard keeps no other waiting
                logger.exception("leaderboard not looked after", extra={"leaderboard": leaderboard.id})
                run.errors.append(error)
                run.blocked.append(Blocked(leaderboard.id, "all", Cause.ERROR, repr(error)))
        return run

    def _look_after(self, leaderboard: Leaderboard, run: Run, has_time: Callable[[], bool]) -> bool:
        """Close and finish what can be of one leaderboard; False if there was no time for all of it."""
        try:
            closed = self._close(leaderboard, run)
            self._carry_out(closed, run)
            for window, again in self._due(closed):
                if not has_time():
                    return False
                self._finish(closed, window, run, again=again)
            self._tell(closed)
        except AlreadyDone:
            pass  # another run has closed more, or the rules have just changed
        except Unavailable as error:
            run.blocked.append(Blocked(leaderboard.id, "all", Cause.TRUTH, str(error)))
        except TopicUnavailable as error:
            run.blocked.append(Blocked(leaderboard.id, "all", Cause.TOPIC, str(error)))
        except NoticeUnavailable as error:
            run.blocked.append(Blocked(leaderboard.id, "notices", Cause.NOTICE, str(error)))
        return True

    def _close(self, leaderboard: Leaderboard, run: Run) -> Leaderboard:
        """Close the buckets that can be, in two steps; the leaderboard as it is then.

        Once every record that counts for it is committed, a bucket refuses events. It is closed when no ingest call is
        left that began before.
        """
        if leaderboard.is_closing:
            leaderboard = self._end(leaderboard)
        before = leaderboard.refusing_through
        if before is None:
            before = self._before_all(leaderboard)
        newest = _newest_past_cutoff(leaderboard, self._now_ms())
        for number in range(newest, max(before, newest - DAYS_BACK_MAX), -1):
            day = Day(number)
            missing = self._coverage.missing(leaderboard.cutoff_ms(day))
            if missing is None:
                return leaderboard if leaderboard.is_closing else self._refuse(leaderboard, day)
            if number == newest:
                due_ms = leaderboard.cutoff_ms(Day(before + 1)) + 2 * CLOCK_SKEW_MS
                since_ms = max(due_ms, leaderboard.created_at_ms)
                cause = Cause.LOST if missing.is_lost else Cause.LAG
                run.blocked.append(Blocked(leaderboard.id, format_day(day), cause, missing.detail, since_ms))
        return leaderboard

    def _before_all(self, leaderboard: Leaderboard) -> Day:
        """The last bucket that no record can have counted for, by any rules since the creation."""
        versions = (self._registry.rules(leaderboard.id, number) for number in range(1, leaderboard.version))
        earlier_ms = [one.lateness_ms for one in versions if one is not None]
        oldest_ms = leaderboard.created_at_ms - max([leaderboard.lateness_ms, *earlier_ms]) - BACKLOG_MS
        return Day(day_of(max(0, oldest_ms)) - 1)

    def _refuse(self, leaderboard: Leaderboard, through: Day) -> Leaderboard:
        self._finals.refuse(leaderboard, through)
        return self._end(replace(leaderboard, refusing_through=through, closes_at_ms=None))

    def _end(self, leaderboard: Leaderboard) -> Leaderboard:
        """Close the buckets that refuse events, when that is due."""
        through = leaderboard.refusing_through
        assert through is not None  # noqa: S101 - buckets refuse events
        now_ms = self._now_ms()  # later than the refusal, which was read or written
        if leaderboard.closes_at_ms is None:
            closes_at_ms = now_ms + LAST_CALLS_MS
            self._finals.close_at(leaderboard, through, closes_at_ms)
            return replace(leaderboard, closes_at_ms=closes_at_ms)
        if now_ms < leaderboard.closes_at_ms:
            return leaderboard
        before = leaderboard.closed_through
        if before is None:
            before = self._before_all(leaderboard)
        for start in range(before + 1, through + 1, DAYS_AT_ONCE):
            last = Day(min(start + DAYS_AT_ONCE - 1, through))
            windows = [window for day in range(start, last + 1) for window in _windows_ending(Day(day))]
            assert len(windows) <= DUE_MAX  # noqa: S101 - a week for every seven days
            self._finals.close(leaderboard, last, windows)
            leaderboard = replace(leaderboard, closed_through=last)
        return leaderboard

    def _carry_out(self, leaderboard: Leaderboard, run: Run) -> None:
        """Make live windows follow the acts that were not carried out yet, and results that they touch due again.

        A result that is written later is ranked as of the act already: `Finals.write` sees to that.
        """
        for act in self._acts.open(leaderboard.id):
            try:
                assert act.user_id is not None  # noqa: S101 - no other act is noted as open
                self._discipline.carry_out(leaderboard, act.user_id)
                days = self._discipline.days(leaderboard, act.user_id)
                results = self._finals.windows(leaderboard.id)
                self._finals.revise(leaderboard.id, [one for one in results if not days.isdisjoint(one.buckets)])
                self._acts.carried_out(leaderboard.id, act.number)
            except CacheUnavailable as error:
                run.blocked.append(_not_carried_out(leaderboard, act, Cause.CACHE, error))
            except Unavailable as error:
                run.blocked.append(_not_carried_out(leaderboard, act, Cause.TRUTH, error))

    def _due(self, leaderboard: Leaderboard) -> Iterator[tuple[Window, bool]]:
        """Windows to be finished, and whether such a window may have a result that is to be followed by another."""
        due = self._finals.due(leaderboard.id)
        periods = dict.fromkeys(one.window for one in self._registry.periods(leaderboard.id))
        windows = [(window, True) for window in due] + [(window, False) for window in periods if window not in due]
        # what another run has closed since this one read the leaderboard is that one's to finish
        yield from ((window, again) for window, again in windows if leaderboard.is_settled(window))

    def _tell(self, leaderboard: Leaderboard) -> None:
        """Send what is to be told; what was sent and not struck for a crash is sent again."""
        for window_id, version in self._finals.untold(leaderboard.id):
            final = self._finals.version(leaderboard.id, window_id, version)
            if self._notices is not None and final is not None:
                self._notices.send(_notice(final))
            self._finals.told(leaderboard.id, window_id, version)

    def _finish(self, leaderboard: Leaderboard, window: Window, run: Run, *, again: bool) -> None:
        try:
            final = self._finishing.finish(leaderboard, window, again=again)
        except Difference as error:
            run.blocked.append(_blocked(leaderboard, window, Cause.DIFFERENCE, error))
        except (NotComparable, CacheUnavailable) as error:
            run.blocked.append(_blocked(leaderboard, window, Cause.CACHE, error))
        except Unavailable as error:
            run.blocked.append(_blocked(leaderboard, window, Cause.TRUTH, error))
        except AlreadyDone:
            return  # another act came between: the next run ranks by it
        else:
            if final is not None:
                run.finals.append(final)


def _notice(final: FinalRanking) -> WindowFinal:
    return WindowFinal(
        leaderboard_id=final.leaderboard_id,
        window_id=final.window_id,
        version=final.version,
        players=final.players,
        awards=final.awards,
        sha256=final.sha256,
        awards_sha256=final.awards_sha256,
    )


def _newest_past_cutoff(leaderboard: Leaderboard, now_ms: int) -> Day:
    """The last day for which no broker stamps a record in time any more, by any clock."""
    return Day((now_ms - leaderboard.lateness_ms - 2 * CLOCK_SKEW_MS - 1) // DAY_MS - 1)


def _windows_ending(day: Day) -> Iterator[Window]:
    yield daily(day)
    if weekly(day).last == day:
        yield weekly(day)


def _not_carried_out(leaderboard: Leaderboard, act: Act, cause: Cause, error: Exception) -> Blocked:
    return Blocked(leaderboard.id, f"act {act.number}", cause, str(error), act.at_ms)


def _blocked(leaderboard: Leaderboard, window: Window, cause: Cause, error: Exception) -> Blocked:
    cutoff_ms = leaderboard.window_cutoff_ms(window)
    since_ms = None if cutoff_ms is None else cutoff_ms + 2 * CLOCK_SKEW_MS
    return Blocked(leaderboard.id, window.id, cause, str(error), since_ms)
