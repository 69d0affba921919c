"""The audit log of a leaderboard: numbered entries that never change, so that it is the audit trail and says
at once who is disqualified, now or as of any act before.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class AuditAction(StrEnum):
    """What was done."""

    DISQUALIFY = "disqualify"
    """A player leaves every ranking; their events stay, and go on being counted in case they come back."""
    REINSTATE = "reinstate"
    """They come back with all their events."""
    REBUILD = "rebuild"
    """Live windows were ordered to be built anew."""
    REDRIVE = "redrive"
    """Dead letters of the leaderboard were sent back to the topic."""
    DEFINE = "define"
    """The leaderboard was created, changed or reopened."""
    DELETE = "delete"
    DEFINE_PERIOD = "define-period"
    DELETE_PERIOD = "delete-period"


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One act: who, when, why."""

    number: int
    """From 1, without gaps: the acts of a leaderboard have an order that nobody can dispute."""
    kind: AuditAction
    actor: str
    """Who did it: the subject of their token."""
    reason: str
    at_ms: int
    user_id: str | None = None
    """Whom it concerns, for acts on a player."""
    subject: str | None = None
    """What else it concerns: the id of a window, the reason code of dead letters."""


class Disqualified(Struct, frozen=True):
    """Who is disqualified as of an act."""

    audit_sequence: int = 0
    """Number of the last act that is taken into account; 0 before the first."""
    user_ids: frozenset[str] = frozenset()


def disqualified(before: Disqualified, acts: Iterable[AuditEntry]) -> Disqualified:
    """Who is disqualified once `acts` have followed, given in their order."""
    number, user_ids = before.audit_sequence, set(before.user_ids)
    for act in acts:
        if act.number != number + 1:
            raise ValueError(f"act {act.number} does not follow act {number}")
        number = act.number
        if act.user_id is not None:
            if act.kind is AuditAction.DISQUALIFY:
                user_ids.add(act.user_id)
            elif act.kind is AuditAction.REINSTATE:
                user_ids.discard(act.user_id)
    return Disqualified(number, frozenset(user_ids))
