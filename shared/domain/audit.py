"""The audit log of a leaderboard: numbered entries that never change. Who is disqualified follows from it alone."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.domain.calendar import ALL_TIME_DAY, DAY_MAX, DAY_MIN, Calendar, Day
from shared.domain.periods import Period
from shared.domain.series import Series

Run = tuple[Day, Day]
"""Consecutive days, the first and the last."""
EVERY_DAY: Final[Run] = (DAY_MIN, DAY_MAX)
"""The days for which a disqualification is that names none."""


class AuditAction(StrEnum):
    """What was done."""

    DISQUALIFY = "disqualify"
    """A player was removed from every ranking, or some days of theirs; their events stay and are still accepted."""
    REINSTATE = "reinstate"
    """A disqualified player was put back with all their events, or with those of some days."""
    VOID = "void"
    """An event of a player was taken back; it stays in the ledger, marked."""
    CORRECT = "correct"
    """An event of a player was added, without a record of the topic."""
    REBUILD = "rebuild"
    """A rebuild of the cache was requested."""
    REDRIVE = "redrive"
    """Dead letters of the leaderboard were sent back to the topic."""
    DEFINE = "define"
    """The leaderboard was created, changed or restored."""
    DELETE = "delete"
    DEFINE_PERIOD = "define-period"
    """A period or a series was registered or changed."""
    DELETE_PERIOD = "delete-period"
    PSEUDONYMISE = "pseudonymise"
    """A player's id was replaced by a pseudonym, which is what the entry names."""
    PURGE = "purge"
    """The leaderboard starts over; the entry's subject says from when on."""


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Who did what, when and why."""

    number: int
    """From 1, without gaps, for each leaderboard."""
    kind: AuditAction
    actor: str
    """The subject of the caller's token."""
    reason: str
    at_ms: int
    user_id: str | None = None
    """The player whom the entry is about, if any."""
    subject: str | None = None
    """What else it is about: the id of a window, of a period or of an event, the reason code of dead letters."""
    points: int | None = None
    """Of the event that was voided or added, if it is about one."""
    occurred_at_ms: int | None = None
    """Likewise."""
    period_before: Period | None = None
    """The period that was changed or deleted, as it was."""
    period_after: Period | None = None
    """The period that was registered or changed, as it was to become."""
    series_before: Series | None = None
    """Of a series, likewise. The occurrences that it registers and drops have no entries of their own."""
    series_after: Series | None = None
    """Likewise."""
    first_day: Day | None = None
    """Of a disqualification or reinstatement for some days: the first one, and the last."""
    last_day: Day | None = None

    @property
    def run(self) -> Run | None:
        """The days that a disqualification or reinstatement is for; None for all."""
        return None if self.first_day is None or self.last_day is None else (self.first_day, self.last_day)

    @property
    def days(self) -> Run:
        """The same, EVERY_DAY if it names none."""
        return self.run or EVERY_DAY

    def amended_day(self, calendar: Calendar) -> Day | None:
        """The day whose standing was changed; None if none was."""
        return None if self.occurred_at_ms is None else calendar.day_of(self.occurred_at_ms)


class Disqualified(Struct, frozen=True):
    """Who is disqualified as of an audit entry."""

    audit_sequence: int = 0
    """Number of the last entry that is taken into account; 0 before the first."""
    user_ids: frozenset[str] = frozenset()
    """Who is disqualified whatever the day."""
    days: Mapping[str, tuple[Run, ...]] = {}
    """Of each player who was ever disqualified for some days, those that are out now, maybe none; ascending.

    Of one who is in `user_ids`, what it says of the days doesn't matter.
    """
    last_pseudonym: int = 0
    """Number of the last entry by which a player got a pseudonym; 0 if nobody has."""

    @property
    def partly(self) -> frozenset[str]:
        """Who is disqualified for some days only."""
        return frozenset(user_id for user_id, runs in self.days.items() if runs) - self.user_ids

    def counts(self, user_id: str, day: Day) -> bool:
        """Whether a player's standing of a day counts.

        The one of all time does not where some days are out: the score is made of the other days then.
        """
        if user_id in self.user_ids:
            return False
        runs = self.days.get(user_id)
        if not runs:
            return True
        return day != ALL_TIME_DAY and not any(first <= day <= last for first, last in runs)

    def is_out(self, user_id: str, run: Run | None) -> bool:
        """Whether a player is disqualified on each of some days already; with None, on every day."""
        start, stop = run or EVERY_DAY
        return user_id in self.user_ids or any(first <= start and stop <= last for first, last in self._out(user_id))

    def is_back(self, user_id: str, run: Run | None) -> bool:
        """Whether a player is disqualified on none of some days; with None, on no day."""
        start, stop = run or EVERY_DAY
        return user_id not in self.user_ids and all(last < start or stop < first for first, last in self._out(user_id))

    def after(self, entries: Iterable[AuditEntry]) -> "Disqualified":
        """Who is disqualified after the entries that follow, in their order.

        Raises:
            ValueError: if an entry is missing.
        """
        number, user_ids, days = self.audit_sequence, set(self.user_ids), dict(self.days)
        last_pseudonym = self.last_pseudonym
        for entry in entries:
            if entry.number != number + 1:
                raise ValueError(f"audit entry {entry.number} does not follow entry {number}")
            number = entry.number
            if entry.user_id is None:
                continue
            if entry.kind is AuditAction.PSEUDONYMISE:
                last_pseudonym = number
            if entry.kind is AuditAction.REINSTATE:
                before = (EVERY_DAY,) if entry.user_id in user_ids else days.get(entry.user_id, ())
                left = _without(before, entry.run or EVERY_DAY)
                user_ids.discard(entry.user_id)
                if left or entry.user_id in days:
                    days[entry.user_id] = left
            elif entry.kind is AuditAction.DISQUALIFY and entry.run is None:
                user_ids.add(entry.user_id)
            elif entry.kind is AuditAction.DISQUALIFY and entry.run is not None:
                days[entry.user_id] = _joined([*days.get(entry.user_id, ()), entry.run])
        return Disqualified(number, frozenset(user_ids), days, last_pseudonym)

    def _out(self, user_id: str) -> tuple[Run, ...]:
        return self.days.get(user_id, ())


def _joined(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The same days, in as few runs as hold them."""
    joined: list[Run] = []
    for first, last in sorted(runs):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return tuple(joined)


def _without(runs: Iterable[Run], run: Run) -> tuple[Run, ...]:
    """The days of some runs that are not in another: of each, what is before it and what is after it."""
    start, stop = run
    left: list[Run] = []
    for first, last in runs:
        left += [(first, Day(min(last, start - 1))), (Day(max(first, stop + 1)), last)]
    return tuple((first, last) for first, last in left if first <= last)
