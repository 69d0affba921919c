"""Purges: a leaderboard starts over, while its rules, periods and audit log stay.

A purge writes from when on events count (its start) into the definition, and nothing else, however large the
leaderboard is. Each event goes to the scores of before or after it by its own times, wherever it is on its way. The
start lies so far ahead that by then every ingest call knows it.
"""

from collections.abc import Callable
from typing import Final

from shared.admin.disqualifications import Disqualifications
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard, purge
from shared.lookups.leaderboards import Leaderboards
from shared.truth.audit_log import AuditLog
from shared.truth.final_results import FinalResults
from shared.truth.registry import Conflict, Registry

TRIES_MAX: Final = 4
"""How often a purge is decided again because another caller changed the leaderboard in between."""


class HasResult(Exception):
    """The leaderboard has a final result, which may be paid from."""


class Purges:
    """Purges leaderboards.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        leaderboards: Leaderboards,
        final_results: FinalResults,
        disqualifications: Disqualifications,
        audit_log: AuditLog,
        delay_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        """`delay_ms`: how far ahead a purge takes effect."""
        self._registry = registry
        self._leaderboards = leaderboards
        self._final_results = final_results
        self._disqualifications = disqualifications
        self._audit_log = audit_log
        self._delay_ms = delay_ms
        self._now_ms = now_ms

    def purge(self, leaderboard: Leaderboard, actor: str, reason: str) -> tuple[AuditEntry | None, Leaderboard]:
        """Let a leaderboard start over; idempotent until that takes effect.

        Returns:
            The audit entry of the purge, None if that of one announced before is not found; and the leaderboard, which
            starts over at its `last_start_ms`.

        Raises:
            HasResult: if one of its windows has a final result.
            TooManyPurges: if it was purged as often as it may be.
            Conflict: if others keep changing it.
            AuditLogConflict: if other callers' entries keep taking the number.
            AuditLogFull: if the audit log is full.
            Unavailable: if DynamoDB is out of reach; it may be purged, so call again.
        """
        for _ in range(TRIES_MAX):
            current = self._registry.leaderboard(leaderboard.id) or leaderboard
            if current.is_purging:
                return self._entry_of(current), current
            if self._final_results.windows(current.id):
                raise HasResult(f"{current.id} has final results")
            after = purge(current, self._now_ms() + self._delay_ms)
            subject = f"from {format_instant(after.last_start_ms)}"
            # before it is done: a change without an audit entry is worse than an entry of a change that failed
            entry = self._disqualifications.record(current.id, AuditAction.PURGE, actor, reason=reason, subject=subject)
            try:
                self._registry.save_purge(after)
            except Conflict:
                continue
            self._leaderboards.keep(after)
            return entry, after
        raise Conflict(f"{leaderboard.id} was changed {TRIES_MAX} times meanwhile")

    def _entry_of(self, leaderboard: Leaderboard) -> AuditEntry | None:
        """The audit entry of the last purge."""
        subject = f"from {format_instant(leaderboard.last_start_ms)}"
        entries = (one for one in self._audit_log.read(leaderboard.id) if one.kind is AuditAction.PURGE)
        return next((one for one in entries if one.subject == subject), None)
