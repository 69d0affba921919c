"""What became of one event: whether the ledger holds it and, where not, how far the topic is committed."""

from collections.abc import Sequence

from msgspec import Struct

from shared.domain.rules import Leaderboard
from shared.truth.items import LedgerEntry
from shared.truth.progress import Position, Progress
from shared.truth.reads import Reads


class EventStatus(Struct, frozen=True):
    """An event as the ledger holds it; where it doesn't, why it may still come."""

    entry: LedgerEntry | None
    """None: no record before `positions` holds the event and counts."""
    positions: Sequence[Position] = ()
    """Of each partition that has one; empty where there is an entry."""


class EventLookup:
    """Looks for events by id.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(self, reads: Reads, progress: Progress, topic: str) -> None:
        self._reads = reads
        self._progress = progress
        self._topic = topic

    def status(self, leaderboard: Leaderboard, user_id: str, event_id: str) -> EventStatus:
        """What became of a player's event.

        The ledger is read once more after the positions: ingest records a position after the events before it, so an
        event that is missing then was not applied from any record before them, however busy the topic is.
        """
        place = leaderboard.scores_id, user_id, event_id
        entry = self._reads.entry(*place)
        if entry is not None:
            return EventStatus(entry)
        positions = self._progress.positions(self._topic)
        entry = self._reads.entry(*place)
        return EventStatus(None, positions) if entry is None else EventStatus(entry)
