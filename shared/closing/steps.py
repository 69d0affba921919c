"""What a closing does for one leaderboard, step by step: carry out acts, finish windows that are due, tell results."""

from collections.abc import Iterable, Iterator

from shared.admin.disqualifications import Disqualifications
from shared.cache.windows import CacheUnavailable
from shared.closing.coverage import CLOCK_SKEW_MS
from shared.closing.finalizer import Drift, Finalizer, NotComparable
from shared.closing.runs import Blocked, Cause, Run
from shared.domain.audit import AuditEntry
from shared.domain.calendar import Window, WindowKind
from shared.domain.rules import Leaderboard
from shared.messaging.notifications import Notifications, NotificationUnavailable, WindowFinal
from shared.rotation import Step
from shared.truth.audit_log import AuditLog
from shared.truth.failures import Unavailable
from shared.truth.finals import AlreadyDone, FinalResult, FinalResults
from shared.truth.registry import Registry
from shared.truth.work import Due, Work, WorkList


class ClosingSteps:
    """Does what the work list holds; what could not be done stays there."""

    def __init__(
        self,
        *,
        registry: Registry,
        finals: FinalResults,
        work: WorkList,
        audit_log: AuditLog,
        disqualifications: Disqualifications,
        finishing: Finalizer,
        notices: Notifications | None,
    ) -> None:
        self._registry = registry
        self._finals = finals
        self._work = work
        self._audit_log = audit_log
        self._disqualifications = disqualifications
        self._finishing = finishing
        self._notices = notices

    def steps(self, leaderboard_id: str, work: Work, run: Run) -> Iterator[Step]:
        """What is to be done for a leaderboard; none of it while it is deleted.

        Both the steps and asking for the next one raise what ends the work of this leaderboard for this run:

        Raises:
            AlreadyDone: if another run is at it.
            Unavailable: if the truth is out of reach.
        """
        leaderboard = self._registry.leaderboard(leaderboard_id)
        if leaderboard is None or leaderboard.archived:
            return
        due = work.due
        if work.audit_entries:
            yield lambda: self._carry_out(leaderboard, work.audit_entries, run)
            due = self._work.of(leaderboard.id).due
        if work.untold:
            yield lambda: self._tell(leaderboard.id, work.untold, run)
        for one in due:
            if leaderboard.is_sealed(one.window):
                yield lambda one=one: self._finish(leaderboard, one, run)  # type: ignore[misc]

    def waiting_since_ms(self, leaderboard_id: str) -> int | None:
        """Since when the window that is due and has waited longest could be final; None if there is none.

        Raises:
            Unavailable: as above.
        """
        leaderboard = self._registry.leaderboard(leaderboard_id)
        if leaderboard is None or leaderboard.archived:
            return None
        due = self._work.of(leaderboard_id).due
        since_ms = (_since_ms(leaderboard, one.window) for one in due if leaderboard.is_sealed(one.window))
        return min((one for one in since_ms if one is not None), default=None)

    def _carry_out(self, leaderboard: Leaderboard, acts: Iterable[AuditEntry], run: Run) -> None:
        """Make live windows follow the acts that were not carried out yet, and results that they touch due again.

        A result that is written later is ranked as of the act already: `FinalResults.write` sees to that.
        """
        for act in acts:
            try:
                assert act.user_id is not None  # noqa: S101 - no other act is noted as open
                self._disqualifications.carry_out(leaderboard, act.user_id)
                days = self._disqualifications.days(leaderboard, act.user_id)
                results = self._finals.windows(leaderboard.id)
                self._finals.note_due(leaderboard.id, [one for one in results if not days.isdisjoint(one.buckets)])
                self._audit_log.carried_out(leaderboard.id, act.number)
            except CacheUnavailable as error:
                run.blocked.append(_not_carried_out(leaderboard, act, Cause.CACHE, error))
            except Unavailable as error:
                run.blocked.append(_not_carried_out(leaderboard, act, Cause.TRUTH, error))

    def _tell(self, leaderboard_id: str, untold: Iterable[tuple[str, int]], run: Run) -> None:
        """Send what is to be told; what was sent and not struck for a crash is sent again."""
        try:
            for window_id, version in untold:
                final = self._finals.version(leaderboard_id, window_id, version)
                if self._notices is not None and final is not None:
                    self._notices.send(_notice(final))
                self._finals.told(leaderboard_id, window_id, version)
        except NotificationUnavailable as error:
            run.blocked.append(Blocked(leaderboard_id, "notices", Cause.NOTICE, str(error)))

    def _finish(self, leaderboard: Leaderboard, due: Due, run: Run) -> None:
        if due.window.kind is WindowKind.CUSTOM and not self._is_wanted(leaderboard, due.window):
            self._work.drop(leaderboard.id, due)
            return
        try:
            final = self._finishing.finish(leaderboard, due.window, again=True)
        except Drift as error:
            run.blocked.append(_blocked(leaderboard, due.window, Cause.DIFFERENCE, error))
        except (NotComparable, CacheUnavailable) as error:
            run.blocked.append(_blocked(leaderboard, due.window, Cause.CACHE, error))
        except Unavailable as error:
            run.blocked.append(_blocked(leaderboard, due.window, Cause.TRUTH, error))
        except AlreadyDone:
            return  # another act came between: the next run ranks by it
        else:
            if final is not None:
                run.finals.append(final)
                self._tell(leaderboard.id, [(final.window_id, final.version)], run)

    def _is_wanted(self, leaderboard: Leaderboard, window: Window) -> bool:
        """Whether a range is still registered, or was when it became final: what was won then is revised as well."""
        if any(period.window == window for period in self._registry.periods(leaderboard.id)):
            return True
        return self._finals.final(leaderboard.id, window.id) is not None


def _notice(final: FinalResult) -> WindowFinal:
    return WindowFinal(
        leaderboard_id=final.leaderboard_id,
        window_id=final.window_id,
        version=final.version,
        players=final.players,
        award_count=final.award_count,
        sha256=final.sha256,
        awards_sha256=final.awards_sha256,
    )


def _not_carried_out(leaderboard: Leaderboard, act: AuditEntry, cause: Cause, error: Exception) -> Blocked:
    return Blocked(leaderboard.id, f"act {act.number}", cause, str(error), act.at_ms)


def _blocked(leaderboard: Leaderboard, window: Window, cause: Cause, error: Exception) -> Blocked:
    return Blocked(leaderboard.id, window.id, cause, str(error), _since_ms(leaderboard, window))


def _since_ms(leaderboard: Leaderboard, window: Window) -> int | None:
    cutoff_ms = leaderboard.window_cutoff_ms(window)
    return None if cutoff_ms is None else cutoff_ms + 2 * CLOCK_SKEW_MS
