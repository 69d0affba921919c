"""The audit log of a leaderboard: numbered entries that never change. Who is disqualified follows from it alone."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from shared.domain.periods import Period


class AuditAction(StrEnum):
    """What was done."""

    DISQUALIFY = "disqualify"
    """A player was removed from every ranking; their events stay and are still accepted."""
    REINSTATE = "reinstate"
    """A disqualified player was put back with all their events."""
    REBUILD = "rebuild"
    """A rebuild of the cache was requested."""
    REDRIVE = "redrive"
    """Dead letters of the leaderboard were sent back to the topic."""
    DEFINE = "define"
    """The leaderboard was created, changed or restored."""
    DELETE = "delete"
    DEFINE_PERIOD = "define-period"
    DELETE_PERIOD = "delete-period"
    PURGE = "purge"
    """The leaderboard begins anew; the entry's subject says from when on."""


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
    """What else it is about: the id of a window or period, the reason code of dead letters."""
    period_before: Period | None = None
    """The period that was changed or deleted, as it was."""
    period_after: Period | None = None
    """The period that was registered or changed, as it was to become."""


class Disqualified(Struct, frozen=True):
    """Who is disqualified as of an audit entry."""

    audit_sequence: int = 0
    """Number of the last entry that is taken into account; 0 before the first."""
    user_ids: frozenset[str] = frozenset()

    def after(self, entries: Iterable[AuditEntry]) -> "Disqualified":
        """Who is disqualified after the entries that follow, in their order.

        Raises:
            ValueError: if an entry is missing.
        """
        number, user_ids = self.audit_sequence, set(self.user_ids)
        for entry in entries:
            if entry.number != number + 1:
                raise ValueError(f"audit entry {entry.number} does not follow entry {number}")
            number = entry.number
            if entry.user_id is not None:
                if entry.kind is AuditAction.DISQUALIFY:
                    user_ids.add(entry.user_id)
                elif entry.kind is AuditAction.REINSTATE:
                    user_ids.discard(entry.user_id)
        return Disqualified(number, frozenset(user_ids))
