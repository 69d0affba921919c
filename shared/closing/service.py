"""Close buckets once every record that counts for them is committed, and finish the windows that are due then."""

from collections.abc import Callable
from itertools import islice
from typing import Final

from shared.closing.coverage import Coverage
from shared.closing.days import Answers, DaySealing
from shared.closing.runs import Blocked, Cause, Run
from shared.closing.steps import ClosingSteps
from shared.domain.rules import Leaderboard
from shared.messaging.notifications import NotificationUnavailable
from shared.messaging.topic import TopicUnavailable
from shared.rotation import HasTime, Rotation, Turns, always
from shared.telemetry import logger
from shared.truth.failures import Unavailable
from shared.truth.finals import AlreadyDone
from shared.truth.older_work import OlderWork
from shared.truth.registry import Registry
from shared.truth.rounds import Rounds
from shared.truth.work import WorkList

DAYS: Final = "closing-days"
WORK: Final = "closing-work"
"""Names of its rounds."""
WAITING_MAX: Final = 100
"""Leaderboards that had no time, of which a run finds out how long they have waited."""


class Closing:
    """Goes over the days of all leaderboards, then over the work of those that have any, in turn.

    Whatever is blocked is tried again by the next run.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        coverage: Coverage,
        days: DaySealing,
        work: ClosingSteps,
        work_list: WorkList,
        older_work: OlderWork,
        rounds: Rounds,
        now_ms: Callable[[], int],
    ) -> None:
        self._coverage = coverage
        self._days = days
        self._work = work
        self._work_list = work_list
        self._older_work = older_work
        self._rounds = rounds
        self._rotation = Rotation(registry, rounds, DAYS)
        self._turns = Turns(rounds, WORK)
        self._now_ms = now_ms

    def run(self, has_time: HasTime = always) -> Run:
        """Close what can be closed and finish what is due.

        Args:
            has_time: asked before each leaderboard and each window; what is left when it says no comes first in the
                next run.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        run = Run()
        try:
            run.lost = self._coverage.look()
        except (TopicUnavailable, Unavailable) as error:
            logger.warning("not looked for losses", extra={"error": str(error)})
        parts = [self._close_days, self._do_work]
        if self._rounds.read(DAYS).after is not None:
            parts.reverse()  # the days took all of the last run
        for part in parts:
            part(run, has_time)
        return run

    def _close_days(self, run: Run, has_time: HasTime) -> None:
        answers = Answers(self._coverage)

        def close(leaderboard: Leaderboard) -> None:
            if not leaderboard.has_events:
                return  # it has no events
            try:
                self._days.close(leaderboard, answers, run)
            except Exception as error:  # noqa: BLE001 - one leaderboard keeps no other waiting
                _failed(run, leaderboard.id, error)

        run.unchecked += self._rotation.go(close, has_time)

    def _do_work(self, run: Run, has_time: HasTime) -> None:
        self._older_work.move(self._now_ms())
        work = self._work_list.all()
        steps = {one: self._work.steps(one, work[one], run) for one in work}
        unserved, begun = self._turns.take(steps, has_time, lambda *what: _failed(run, *what))
        run.unchecked += len(unserved)
        for one in islice(sorted(unserved | begun), WAITING_MAX):
            since_ms = self._work.waiting_since_ms(one)
            run.blocked.append(Blocked(one, "all", Cause.TIME, "its turn is in the next run", since_ms))


def _failed(run: Run, leaderboard_id: str, error: Exception) -> None:
    match error:
        case AlreadyDone():
            pass  # another run has closed more, or the rules have just changed
        case Unavailable():
            run.blocked.append(Blocked(leaderboard_id, "all", Cause.TRUTH, str(error)))
        case TopicUnavailable():
            run.blocked.append(Blocked(leaderboard_id, "all", Cause.TOPIC, str(error)))
        case NotificationUnavailable():
            run.blocked.append(Blocked(leaderboard_id, "notices", Cause.NOTICE, str(error)))
        case _:
            logger.error("leaderboard not looked after", exc_info=error, extra={"leaderboard": leaderboard_id})
            run.errors.append(error)
            run.blocked.append(Blocked(leaderboard_id, "all", Cause.ERROR, repr(error)))
