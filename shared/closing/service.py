"""Closing: seal the days of all leaderboards, then write and announce the final results of their windows. One run:

1. Check what the topic has lost, and record it: no day is sealed over lost records.
2. Start sealing a day once every record that the broker appended by its cutoff is committed. From then on the day
   rejects events (`open → sealing`).
3. Seal it once no ingest call is left that began before step 2 (`sealing → sealed`). The same transaction marks the
   windows as due that end with it.
4. Apply audit entries that the cache missed: live windows follow, and final results that they touch are due again.
5. Publish the notifications that an earlier run left in the outbox.
6. Finalize each due window: rank it from the truth, compare the cache with that, and write the result. The same
   transaction puts the notification into the outbox.
7. Publish that notification, then mark it as published.

Steps 2 and 3 go over all leaderboards (sealing.py), steps 4 to 7 over those with work, in turn (steps.py). Every step
is idempotent; the next run tries again what is blocked. On the way over all leaderboards, a run registers the
occurrences of series that are due.

An archived leaderboard owes nothing once every day of every window that may have events is sealed and nothing of it is
on the work list. Steps 2 and 3 pass over it from then on; work that comes later, such as a disqualification, is done.
"""

from collections.abc import Callable
from itertools import islice
from typing import Final

from shared.admin.series import Occurrences
from shared.closing.coverage import CachedCoverage, Coverage
from shared.closing.runs import Blocked, Cause, ClosingRun
from shared.closing.sealing import DaySealing
from shared.closing.steps import ClosingSteps
from shared.domain.rules import Leaderboard
from shared.domain.series import Series
from shared.messaging.notifications import NotificationUnavailable
from shared.messaging.topic import TopicUnavailable
from shared.rotation import HasTime, Rotation, Turns, always
from shared.telemetry import logger
from shared.truth.failures import Unavailable
from shared.truth.final_results import AlreadyDone
from shared.truth.registry import Conflict, Registry
from shared.truth.rounds import Rounds
from shared.truth.series import SeriesRecords
from shared.truth.work import Work, WorkList

DAYS: Final = "closing-days"
WORK: Final = "closing-work"
"""Names of its rounds."""
WAITING_MAX: Final = 100
"""Leaderboards without a turn for which a run finds out how long they have waited."""


class Closing:
    """The use case of functions/close."""

    def __init__(
        self,
        *,
        registry: Registry,
        coverage: Coverage,
        days: DaySealing,
        work: ClosingSteps,
        work_list: WorkList,
        series: SeriesRecords,
        occurrences: Occurrences,
        rounds: Rounds,
        now_ms: Callable[[], int],
    ) -> None:
        self._coverage = coverage
        self._days = days
        self._work = work
        self._work_list = work_list
        self._series = series
        self._occurrences = occurrences
        self._rounds = rounds
        self._rotation = Rotation(registry, rounds, DAYS, lambda one: not one.nothing_owed)
        self._turns = Turns(rounds, WORK)
        self._now_ms = now_ms

    def run(self, has_time: HasTime = always) -> ClosingRun:
        """Seal what can be sealed and finalize what is due.

        Args:
            has_time: asked before each leaderboard and each step of its work; once it says no, the rest comes first in
                the next run.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach while leaderboards, series or work are listed.
        """
        run = ClosingRun()
        try:  # step 1
            run.lost = self._coverage.check()
        except (TopicUnavailable, Unavailable) as error:
            logger.warning("losses not checked", extra={"error": str(error)})
        phases = [self._seal_days, self._do_work]
        if self._rounds.read(DAYS).after is not None:
            phases.reverse()  # the days took all of the last run
        for phase in phases:
            phase(run, has_time)
        return run

    def _seal_days(self, run: ClosingRun, has_time: HasTime) -> None:
        """Steps 2 and 3, for every leaderboard that has events, until an archived one owes nothing any more."""
        coverage = CachedCoverage(self._coverage)
        series = self._series.all()

        def seal(leaderboard: Leaderboard) -> None:
            for one in series.get(leaderboard.id, ()):
                self._make_occurrences(leaderboard, one, run)
            if not leaderboard.has_events:
                return
            try:
                sealed = self._days.seal(leaderboard, coverage, run)
                if sealed.archived:
                    self._end_archived(sealed, run)
            except Exception as error:  # noqa: BLE001 - one leaderboard keeps no other waiting
                _failed(run, leaderboard.id, error)

        run.unchecked += self._rotation.run(seal, has_time)
        run.uncommitted, run.topic_failure = coverage.uncommitted, coverage.failure

    def _make_occurrences(self, leaderboard: Leaderboard, series: Series, run: ClosingRun) -> None:
        """Register what is due of a series. It may be late: a window whose days are sealed is due with its period."""
        try:
            self._occurrences.make(leaderboard, series)
        except Exception as error:  # noqa: BLE001 - likewise
            _failed(run, leaderboard.id, error)

    def _end_archived(self, leaderboard: Leaderboard, run: ClosingRun) -> None:
        """Pass over an archived leaderboard from the next run on, once it owes nothing."""
        if self._days.is_all_sealed(leaderboard) and self._work_list.of(leaderboard.id) == Work():
            self._days.end(leaderboard)
        else:
            run.archived_owing.add(leaderboard.id)

    def _do_work(self, run: ClosingRun, has_time: HasTime) -> None:
        """Steps 4 to 7, for every leaderboard on the work list."""
        work = self._work_list.all()
        steps = {one: self._work.steps(one, work[one], run) for one in work}
        unserved, begun = self._turns.run(steps, has_time, lambda *what: _failed(run, *what))
        run.unchecked += len(unserved)
        for one in islice(sorted(unserved | begun), WAITING_MAX):
            since_ms = self._work.waiting_since_ms(one)
            run.blocked.append(Blocked(one, "all", Cause.TIME, "its turn is in the next run", since_ms))


def _failed(run: ClosingRun, leaderboard_id: str, error: Exception) -> None:
    match error:
        case AlreadyDone() | Conflict():
            pass  # another run has done more, or the rules or a series have just changed
        case Unavailable():
            run.blocked.append(Blocked(leaderboard_id, "all", Cause.TRUTH, str(error)))
        case TopicUnavailable():
            run.blocked.append(Blocked(leaderboard_id, "all", Cause.TOPIC, str(error)))
        case NotificationUnavailable():
            run.blocked.append(Blocked(leaderboard_id, "notifications", Cause.NOTIFICATION, str(error)))
        case _:
            logger.error("leaderboard failed", exc_info=error, extra={"leaderboard": leaderboard_id})
            run.errors.append(error)
            run.blocked.append(Blocked(leaderboard_id, "all", Cause.ERROR, repr(error)))
