"""Changes of series: what becomes of the occurrences that they have registered, and of those to come."""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from functions.api.periods import TRIES_MAX, Periods
from functions.api.problems import InvalidRequest, TooManyPeriods
from shared.admin.disqualifications import Disqualifications
from shared.admin.series import Occurrences
from shared.domain.audit import AuditAction
from shared.domain.calendar import Day
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.domain.series import Series
from shared.truth.registry import Conflict, Registry
from shared.truth.series import SeriesRecords

SERIES_MAX: Final = 10
"""Series of one leaderboard: an event costs one more update of the cache for each that has an occurrence then."""
DROPPED_MAX: Final = 40
"""Occurrences that go with a change of their series, by one transaction; others stay. A few have not begun, unless
somebody has put off others by hand."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def disqualifications(self) -> Disqualifications: ...
    @property
    def occurrences(self) -> Occurrences: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def series(self) -> SeriesRecords: ...


class RecurringPeriods:
    """Registers, changes and deletes series. Each change is in the audit log, before it is done.

    A change is for what has not begun. Players play for an occurrence that has: it stays as it is, and is changed or
    deleted as the period that it is. What was promised is kept first: an occurrence that is due, because nobody has
    registered it in time, is registered as the series was before it is changed.
    """

    def __init__(self, use_cases: UseCases, periods: Periods, now_ms: Callable[[], int]) -> None:
        self._use_cases = use_cases
        self._periods = periods
        self._now_ms = now_ms

    def put(self, leaderboard: Leaderboard, wanted: Series, reason: str | None, actor: str) -> tuple[Series, bool]:
        """Register a series, or change it, and register its occurrences that are due.

        Args:
            leaderboard: whose series, as it is now.
            wanted: as it is to be.
            reason: why, if that is to be recorded.
            actor: who asks for it.

        Returns:
            The series, and whether it is new.

        Raises:
            InvalidRequest: naming `every`, if a period has the id.
            TooManyPeriods: if it is one series too many.
            Conflict: if others keep changing it.
            AuditLogConflict, AuditLogFull, Unavailable: if it can't be recorded or written.
        """
        for _ in range(TRIES_MAX):
            try:
                before = self._up_to_date(leaderboard, wanted.id)
                if before is not None and before.is_as(wanted):
                    return before, False
                if before is None:
                    self._check_new(leaderboard, wanted.id)
                stay, dropped = self._split(leaderboard, wanted)
                follow = wanted.begin if before is None else wanted.go_on
                after = follow(self._today(leaderboard), stay)
                self._record(leaderboard, actor, reason, before, after)
                self._use_cases.series.save(leaderboard.id, before, after, dropped)
            except Conflict:
                continue
            self._withdraw(leaderboard, dropped)
            return self._made(leaderboard, after), before is None
        raise Conflict(f"{wanted.id} was changed {TRIES_MAX} times meanwhile")

    def delete(self, leaderboard: Leaderboard, series_id: str, reason: str | None, actor: str) -> bool:
        """Delete a series with its occurrences that have not begun.

        Returns:
            Whether there was one of this id.

        Raises:
            Conflict, AuditLogConflict, AuditLogFull, Unavailable: as `put`.
        """
        for _ in range(TRIES_MAX):
            try:
                before = self._up_to_date(leaderboard, series_id)
                if before is None:
                    return False
                _, dropped = self._split(leaderboard, before)
                self._record(leaderboard, actor, reason, before, None)
                self._use_cases.series.save(leaderboard.id, before, None, dropped)
            except Conflict:
                continue
            self._withdraw(leaderboard, dropped)
            return True
        raise Conflict(f"{series_id} was changed {TRIES_MAX} times meanwhile")

    def _up_to_date(self, leaderboard: Leaderboard, series_id: str) -> Series | None:
        """A series whose occurrences that are due are registered; None if there is none.

        Raises:
            Conflict: if some are left, or another worker registers them.
        """
        series = self._use_cases.series.find(leaderboard.id, series_id)
        if series is None:
            return None
        series = self._make(leaderboard, series)
        if not self._use_cases.occurrences.is_up_to_date(leaderboard, series):
            raise Conflict(f"occurrences of {series_id} are still to be registered")
        return series

    def _made(self, leaderboard: Leaderboard, series: Series) -> Series:
        """The series with its first occurrences; if that fails now, closing registers them."""
        try:
            return self._make(leaderboard, series)
        except Conflict:
            return series

    def _make(self, leaderboard: Leaderboard, series: Series) -> Series:
        series, made = self._use_cases.occurrences.make(leaderboard, series)
        for period in made:
            self._periods.build(leaderboard, period)
        return series

    def _check_new(self, leaderboard: Leaderboard, series_id: str) -> None:
        if self._use_cases.registry.period(leaderboard.id, series_id) is not None:
            message = f"must not be given: {series_id} is a period of its own; delete it or take another id"
            raise InvalidRequest(message, "every")
        if len(self._use_cases.series.of(leaderboard.id)) >= SERIES_MAX:
            raise TooManyPeriods(f"{leaderboard.id} has {SERIES_MAX} series")

    def _split(self, leaderboard: Leaderboard, series: Series) -> tuple[list[Period], list[Period]]:
        """The occurrences that stay, and those that have not begun."""
        today = self._today(leaderboard)
        found = [one for one in self._use_cases.registry.periods(leaderboard.id) if series.owns(one)]
        dropped = [one for one in found if one.first > today][:DROPPED_MAX]
        return [one for one in found if one not in dropped], dropped

    def _today(self, leaderboard: Leaderboard) -> Day:
        return leaderboard.calendar.day_of(self._now_ms())

    def _record(
        self, leaderboard: Leaderboard, actor: str, reason: str | None, before: Series | None, after: Series | None
    ) -> None:
        kind = AuditAction.DELETE_PERIOD if after is None else AuditAction.DEFINE_PERIOD
        subject = next(one.id for one in (before, after) if one is not None)
        self._use_cases.disqualifications.record(
            leaderboard.id, kind, actor, reason=reason or "", subject=subject, series=(before, after)
        )

    def _withdraw(self, leaderboard: Leaderboard, dropped: Iterable[Period]) -> None:
        for period in dropped:
            self._periods.withdraw(leaderboard, period)
