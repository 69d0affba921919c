"""The work of closing for one leaderboard: steps 4 to 7, see shared/closing/service.py."""

from collections.abc import Callable, Iterable, Iterator

from shared.admin.disqualifications import Disqualifications
from shared.admin.pseudonyms import Pseudonymisation
from shared.cache.errors import CacheUnavailable
from shared.closing.finalizer import Drift, Finalizer, NotComparable
from shared.closing.runs import Blocked, Cause, ClosingRun
from shared.closing.schedule import CLOCK_SKEW_MS
from shared.domain.audit import AuditEntry
from shared.domain.calendar import Window, WindowKind
from shared.domain.periods import Period
from shared.domain.pseudonyms import Move
from shared.domain.rules import Leaderboard
from shared.messaging.notifications import Notifications, NotificationUnavailable, WindowFinal
from shared.rotation import Step
from shared.truth.audit_log import AuditLog
from shared.truth.failures import Unavailable
from shared.truth.final_results import AlreadyDone, FinalResult, FinalResults
from shared.truth.registry import Registry
from shared.truth.work import Due, Work, WorkList


class ClosingSteps:
    """Does what the work list holds; what can't be done stays there.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        final_results: FinalResults,
        work: WorkList,
        audit_log: AuditLog,
        disqualifications: Disqualifications,
        pseudonymisation: Pseudonymisation,
        finalizer: Finalizer,
        notifications: Notifications | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._final_results = final_results
        self._work = work
        self._audit_log = audit_log
        self._disqualifications = disqualifications
        self._pseudonymisation = pseudonymisation
        self._finalizer = finalizer
        self._notifications = notifications
        self._now_ms = now_ms

    def steps(self, leaderboard_id: str, work: Work, run: ClosingRun) -> Iterator[Step]:
        """The steps for a leaderboard, in their order; an archived one owes its results like any other.

        Both a step and the request for the next one may raise. That ends the leaderboard's work for this run:

        Raises:
            AlreadyDone: if another run works on the leaderboard.
        """
        leaderboard = self._registry.leaderboard(leaderboard_id)
        if leaderboard is None:
            return
        if leaderboard.archived:
            run.archived_owing.add(leaderboard_id)
        due = work.due
        for move in work.moves:
            yield lambda move=move: self._move(leaderboard.id, move, run)  # type: ignore[misc]
        if work.moves and (self._registry.leaderboard(leaderboard_id) or leaderboard).moving is not None:
            return  # nothing is ranked from half of a player
        if work.audit_entries:
            yield lambda: self._apply_audit_entries(leaderboard, work.audit_entries, run)
            due = self._work.of(leaderboard.id).due
        if work.pending_notifications:
            yield lambda: self._publish(leaderboard.id, work.pending_notifications, run)
        for one in due:
            if leaderboard.is_sealed(one.window):
                yield lambda one=one: self._finalize(leaderboard, one, run)  # type: ignore[misc]

    def waiting_since_ms(self, leaderboard_id: str) -> int | None:
        """Since when the longest-waiting due window could be final; None if no window is due."""
        leaderboard = self._registry.leaderboard(leaderboard_id)
        if leaderboard is None:
            return None
        due = self._work.of(leaderboard_id).due
        since_ms = (_since_ms(leaderboard, one.window) for one in due if leaderboard.is_sealed(one.window))
        return min((one for one in since_ms if one is not None), default=None)

    def _move(self, leaderboard_id: str, move: Move, run: ClosingRun) -> None:
        """Step 4, for players who get a pseudonym."""
        leaderboard = self._registry.leaderboard(leaderboard_id)
        assert leaderboard is not None  # noqa: S101 - it has work
        what = f"audit entry {move.number}"
        try:
            self._pseudonymisation.go_on(leaderboard, move)
        except CacheUnavailable as error:
            run.blocked.append(Blocked(leaderboard_id, what, Cause.CACHE, str(error), move.at_ms))
        except Unavailable as error:
            run.blocked.append(Blocked(leaderboard_id, what, Cause.TRUTH, str(error), move.at_ms))

    def _apply_audit_entries(self, leaderboard: Leaderboard, entries: Iterable[AuditEntry], run: ClosingRun) -> None:
        """Step 4. A result that is written later is ranked as of these entries: `FinalResults.write` sees to that."""
        for entry in entries:
            try:
                assert entry.user_id is not None  # noqa: S101 - no other entry is recorded as not applied
                amended = entry.amended_day(leaderboard.calendar)
                self._disqualifications.apply(leaderboard, entry.user_id, amended)
                first, last = entry.days
                played = {amended} if amended is not None else self._disqualifications.days(leaderboard, entry.user_id)
                days = {day for day in played if first <= day <= last}
                results = self._final_results.windows(leaderboard.id)
                self._final_results.mark_due(leaderboard.id, [one for one in results if not days.isdisjoint(one.days)])
                self._audit_log.mark_applied(leaderboard.id, entry.number)
            except CacheUnavailable as error:
                run.blocked.append(_not_applied(leaderboard, entry, Cause.CACHE, error))
            except Unavailable as error:
                run.blocked.append(_not_applied(leaderboard, entry, Cause.TRUTH, error))

    def _publish(self, leaderboard_id: str, pending: Iterable[tuple[str, int]], run: ClosingRun) -> None:
        """Steps 5 and 7. After a crash between sending and marking, a notification is sent again."""
        try:
            for window_id, version in pending:
                final = self._final_results.version(leaderboard_id, window_id, version)
                told_at_ms = None
                if self._notifications is not None and final is not None:
                    self._notifications.send(_notification(final))
                    told_at_ms = self._now_ms()
                self._final_results.mark_published(leaderboard_id, window_id, version, told_at_ms)
        except NotificationUnavailable as error:
            run.blocked.append(Blocked(leaderboard_id, "notifications", Cause.NOTIFICATION, str(error)))

    def _finalize(self, leaderboard: Leaderboard, due: Due, run: ClosingRun) -> None:
        """Step 6, and 7 for its result."""
        period = self._period(leaderboard, due.window)
        if not leaderboard.counts_in(due.window) or not self._is_wanted(leaderboard, due.window, period):
            self._work.drop(leaderboard.id, due)
            return
        try:
            final = self._finalizer.finalize(leaderboard, due.window, revise=True, period=period)
        except Drift as error:
            run.blocked.append(_blocked(leaderboard, due.window, Cause.DRIFT, error))
        except (NotComparable, CacheUnavailable) as error:
            run.blocked.append(_blocked(leaderboard, due.window, Cause.CACHE, error))
        except Unavailable as error:
            run.blocked.append(_blocked(leaderboard, due.window, Cause.TRUTH, error))
        except AlreadyDone:
            return  # another audit entry came between: the next run ranks by it
        else:
            if final is not None:
                run.final_results.append(final)
                self._publish(leaderboard.id, [(final.window_id, final.version)], run)

    def _period(self, leaderboard: Leaderboard, window: Window) -> Period | None:
        """A period over the days of a range; None if there is none, and for a window of another kind."""
        if window.kind is not WindowKind.CUSTOM:
            return None
        return next((one for one in self._registry.periods(leaderboard.id) if one.window == window), None)

    def _is_wanted(self, leaderboard: Leaderboard, window: Window, period: Period | None) -> bool:
        """Whether a range is registered, or has a result: one of before periods stayed may have outlived its own. Days
        and weeks always are.
        """
        if period is not None or window.kind is not WindowKind.CUSTOM:
            return True
        return self._final_results.final(leaderboard.id, window.id) is not None


def _notification(final: FinalResult) -> WindowFinal:
    return WindowFinal(
        leaderboard_id=final.leaderboard_id,
        window_id=final.window_id,
        version=final.version,
        players=final.players,
        award_count=final.award_count,
        sha256=final.sha256,
        awards_sha256=final.awards_sha256,
    )


def _not_applied(leaderboard: Leaderboard, entry: AuditEntry, cause: Cause, error: Exception) -> Blocked:
    return Blocked(leaderboard.id, f"audit entry {entry.number}", cause, str(error), entry.at_ms)


def _blocked(leaderboard: Leaderboard, window: Window, cause: Cause, error: Exception) -> Blocked:
    return Blocked(leaderboard.id, window.id, cause, str(error), _since_ms(leaderboard, window))


def _since_ms(leaderboard: Leaderboard, window: Window) -> int | None:
    cutoff_ms = leaderboard.window_cutoff_ms(window)
    return None if cutoff_ms is None else cutoff_ms + 2 * CLOCK_SKEW_MS
