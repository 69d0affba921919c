"""Changes of periods: which may change until when, and what the cache has to follow."""

from collections.abc import Callable
from typing import Final, Protocol

from functions.api.problems import FinalResultExists, InvalidRequest, TooManyPeriods, UnknownPeriod
from shared.admin.disqualifications import Disqualifications
from shared.cache.errors import CacheUnavailable
from shared.cache.windows import WindowCache
from shared.domain.audit import AuditAction
from shared.domain.calendar import WindowStatus
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.messaging.queues import QueueUnavailable
from shared.rebuild.on_demand import Building, OnDemandBuilds
from shared.telemetry import logger
from shared.truth.commits import Unavailable
from shared.truth.final_results import FinalResults
from shared.truth.registry import Conflict, Registry
from shared.truth.series import SeriesRecords

TRIES_MAX: Final = 4
"""How often a change is decided again because another caller, or closing, was faster."""
PERIODS_MAX: Final = 500
"""Periods of one leaderboard that can still change: an event within one costs one more update of the cache."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def cache(self) -> WindowCache: ...
    @property
    def disqualifications(self) -> Disqualifications: ...
    @property
    def final_results(self) -> FinalResults: ...
    @property
    def on_demand_builds(self) -> OnDemandBuilds: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def series(self) -> SeriesRecords: ...


class Periods:
    """Registers, changes and deletes periods. Each change is in the audit log, before it is done.

    Closing writes a result on condition of its period, and a period changes on condition that it has no result. So a
    period whose window is final stays for good, and no other window is paid in its place.
    """

    def __init__(self, use_cases: UseCases, now_ms: Callable[[], int]) -> None:
        self._use_cases = use_cases
        self._now_ms = now_ms

    def put(self, leaderboard: Leaderboard, period: Period, reason: str | None, actor: str) -> bool:
        """Register a period, or change it.

        Args:
            leaderboard: whose period, as it is now.
            period: as it is to be.
            reason: why; required to change the days of a period that is over.
            actor: who asks for it.

        Returns:
            Whether it is new.

        Raises:
            FinalResultExists: if other days are wanted, and the period has a result.
            InvalidRequest: naming `reason`, if that is missing; or `to`, if a series has the id.
            UnknownPeriod: if it has the id of an occurrence and is none.
            TooManyPeriods: if it is one too many.
            Conflict: if others keep changing it.
            AuditLogConflict, AuditLogFull, Unavailable: if it can't be recorded or written.
        """
        for _ in range(TRIES_MAX):
            before = self._use_cases.registry.period(leaderboard.id, period.id)
            if before == period:
                return False
            if before is None:
                self._check_new(leaderboard, period.id)
                self._check_room(leaderboard)
            elif before.window != period.window:
                self._check_changeable(leaderboard, before, reason)
            self._record(leaderboard, actor, reason, before, period)
            try:
                self._use_cases.registry.save_period(leaderboard.id, period, before=before)
            except Conflict:
                continue
            if before is not None:
                self.withdraw(leaderboard, before)
            self.build(leaderboard, period)
            return before is None
        raise Conflict(f"{period.id} was changed {TRIES_MAX} times meanwhile")

    def delete(self, leaderboard: Leaderboard, period_id: str, reason: str | None, actor: str) -> None:
        """Delete a period that has no result.

        Raises:
            UnknownPeriod: if there is none.
            FinalResultExists: if it has a result.
            InvalidRequest: naming `reason`, if that is missing though the period is over.
            Conflict, AuditLogConflict, AuditLogFull, Unavailable: as `put`.
        """
        for _ in range(TRIES_MAX):
            period = self._use_cases.registry.period(leaderboard.id, period_id)
            if period is None:
                raise UnknownPeriod(f"{leaderboard.id} has no such period")
            self._check_changeable(leaderboard, period, reason)
            self._record(leaderboard, actor, reason, period, None)
            try:
                self._use_cases.registry.delete_period(leaderboard.id, period)
            except Conflict:
                continue
            self.withdraw(leaderboard, period)
            return
        raise Conflict(f"{period_id} was changed {TRIES_MAX} times meanwhile")

    def _check_new(self, leaderboard: Leaderboard, period_id: str) -> None:
        if "~" in period_id:
            raise UnknownPeriod(f"{leaderboard.id} has no such period; those with ~ are registered by a series")
        if self._use_cases.series.find(leaderboard.id, period_id) is not None:
            raise InvalidRequest(f"must not be given: {period_id} is a series; delete it or take another id", "to")

    def _check_room(self, leaderboard: Leaderboard) -> None:
        periods = self._use_cases.registry.periods(leaderboard.id)
        if sum(not leaderboard.is_sealed(one.window) for one in periods) >= PERIODS_MAX:
            raise TooManyPeriods(f"{leaderboard.id} has {PERIODS_MAX} periods that can still change")

    def _check_changeable(self, leaderboard: Leaderboard, period: Period, reason: str | None) -> None:
        window = period.window
        if self._use_cases.final_results.final(leaderboard.id, window.id) is not None:
            raise FinalResultExists(f"{period.id} has a final result of {window.id}: nothing but its name can change")
        if reason is None and leaderboard.calendar.status(window, self._now_ms()) is not WindowStatus.OPEN:
            raise InvalidRequest(f"must say why: {period.id} is over, and its players have played for it", "reason")

    def _record(
        self, leaderboard: Leaderboard, actor: str, reason: str | None, before: Period | None, after: Period | None
    ) -> None:
        """Write it down before it is done: an entry of a change that failed is better than a change without one."""
        kind = AuditAction.DELETE_PERIOD if after is None else AuditAction.DEFINE_PERIOD
        subject = next(one.id for one in (before, after) if one is not None)
        self._use_cases.disqualifications.record(
            leaderboard.id, kind, actor, reason=reason or "", subject=subject, periods=(before, after)
        )

    def build(self, leaderboard: Leaderboard, period: Period) -> None:
        """Build the window of a period that was registered, if that is quick; else functions/repair does, as it does if
        this fails now.
        """
        try:
            self._use_cases.on_demand_builds.build_for_reader(leaderboard, period.window)
        except (Building, CacheUnavailable, QueueUnavailable, Unavailable) as error:
            logger.info("period is built later", extra={"period": period.id, "error": str(error)})

    def withdraw(self, leaderboard: Leaderboard, period: Period) -> None:
        """Let the window of a period that was deleted go, unless another period has the same days."""
        others = {other.window for other in self._use_cases.registry.periods(leaderboard.id)}
        if period.window in others:
            return
        try:
            self._use_cases.cache.withdraw(leaderboard, period.window, self._now_ms())
        except CacheUnavailable as error:  # it expires
            logger.warning("window not forgotten", extra={"period": period.id, "error": str(error)})
