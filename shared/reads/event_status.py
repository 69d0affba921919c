"""What became of one event: whether the ledger holds it and, where not, why it was rejected and how far the topic is
committed."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from shared.domain.rules import Leaderboard
from shared.truth.items import LedgerEntry
from shared.truth.letters import LetterRegister, Refusal
from shared.truth.progress import Position, Progress
from shared.truth.reads import Reads


class EventStatus(Struct, frozen=True):
    """An event as the ledger holds it; where it doesn't, why it may still come."""

    entry: LedgerEntry | None
    """None: no record before `positions` holds the event and counts."""
    positions: Sequence[Position] = ()
    """Of each partition that has one; empty where there is an entry."""
    refusal: Refusal | None = None
    """Why a record of the event was rejected, where there is no entry and that is known."""


class EventLookup:
    """Looks for events by id.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(
        self, reads: Reads, progress: Progress, letters: LetterRegister, topic: str, now_ms: Callable[[], int]
    ) -> None:
        self._reads = reads
        self._progress = progress
        self._letters = letters
        self._topic = topic
        self._now_ms = now_ms

    def status(self, leaderboard: Leaderboard, user_id: str, event_id: str) -> EventStatus:
        """What became of a player's event.

        The ledger is read once more after the positions: ingest records a position after the events before it, so an
        event that is missing then was not applied from any record before them, however busy the topic is. Ingest
        registers dead letters before it records the position, too.
        """
        place = leaderboard.scores_id, user_id, event_id
        entry = self._reads.entry(*place)
        if entry is not None:
            return EventStatus(entry)
        positions = self._progress.positions(self._topic)
        entry = self._reads.entry(*place)
        if entry is not None:
            return EventStatus(entry)
        return EventStatus(None, positions, self._letters.refusal(leaderboard.id, user_id, event_id, self._now_ms()))
