"""Standings as they were at an audit entry, of the players whose events were amended since."""

from collections.abc import Mapping, Set
from typing import Final

from shared.domain.audit import AuditAction
from shared.domain.calendar import ALL_TIME_DAY, Day, Window, WindowKind
from shared.domain.refolding import refold
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.truth.audit_log import AuditLog
from shared.truth.reads import Reads

AMENDING: Final = (AuditAction.VOID, AuditAction.CORRECT)


class AmendedPlayers:
    """Folds the ledger as of an audit entry, for a result or a file that is ranked as of it.

    An amendment and its audit entry are one transaction. So of standings that were read before this is asked, all that
    are ahead of the entry belong to these players.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, audit_log: AuditLog, reads: Reads) -> None:
        self._audit_log = audit_log
        self._reads = reads

    def as_of(
        self, leaderboard: Leaderboard, window: Window, audit_sequence: int, apart: Set[str] = frozenset()
    ) -> Mapping[str, Mapping[Day, Standing]]:
        """User id → their standings of the window's days as of an audit entry, by day; none for who had no events.

        Only players of whom a later entry amends an event in the window. Of all time, those of each day for players
        `apart`, who are disqualified for some days.
        """
        user_ids = {
            entry.user_id
            for entry in self._audit_log.read(leaderboard.id, audit_sequence)
            if entry.user_id is not None
            and entry.kind in AMENDING
            and _is_in(window, entry.amended_day(leaderboard.calendar))
        }
        return {
            user_id: self._standings(leaderboard, window, user_id, audit_sequence, apart)
            for user_id in sorted(user_ids)
        }

    def _standings(
        self, leaderboard: Leaderboard, window: Window, user_id: str, audit_sequence: int, apart: Set[str]
    ) -> dict[Day, Standing]:
        entries = self._reads.ledger(leaderboard.scores_id, user_id)
        folded = refold(leaderboard, (one.event for one in entries if one.counts(audit_sequence)))
        every_day = window.kind is WindowKind.ALL_TIME and user_id in apart
        days = folded.keys() - {ALL_TIME_DAY} if every_day else folded.keys() & set(window.days)
        return {day: folded[day] for day in sorted(days)}


def _is_in(window: Window, day: Day | None) -> bool:
    return day is not None and (window.kind is WindowKind.ALL_TIME or window.first <= day <= window.last)
