"""The product's progress, which nobody may record past a record that is not accounted for."""

from typing import TYPE_CHECKING, Any

import msgspec

from shared.domain.calendar import Day
from shared.domain.rules import Leaderboard
from shared.messaging.dead_letters import DeadLetter
from shared.truth.final_results import FinalResults
from shared.truth.keys import ledger_partition
from shared.truth.progress import Gap, Position, Progress
from tests.support.oracle import Rejected, instant, parse

if TYPE_CHECKING:
    from tests.simulation.world import World

DLQ = "dlq"


class Accounts:
    """Up to where every record was seen in the ledger or on the dead-letter queue."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._seen: dict[int, int] = {}
        self._letters: set[tuple[int, int]] = set()
        self._read = 0
        self.missing: list[tuple[int, int]] = []
        """Partition and offset of records that were passed before they were there."""

    def look(self, position: Position) -> None:
        """Look for each record before a position that is about to be recorded."""
        self._read_letters()
        partition = position.partition
        start = max(self._seen.get(partition, 0), self._world.removed[partition])  # nobody can hand over what is gone
        for offset in range(start, position.next_offset):
            if (partition, offset) not in self._letters and not self._is_in_ledger(partition, offset):
                self.missing.append((partition, offset))
        self._seen[partition] = max(position.next_offset, self._seen.get(partition, 0))

    def uncounted(self, cutoff_ms: int | None = None) -> list[tuple[int, int]]:
        """Records that the broker stamped by a cutoff, or at all, that are nowhere, and of which nobody has said that
        they are lost.
        """
        self._read_letters()
        return [
            place
            for log in self._world.topic
            for record in log
            if record.stamped and (cutoff_ms is None or record.appended_at_ms <= cutoff_ms)
            if (place := (record.partition, record.offset)) not in self._letters
            if not record.offset < self._world.acknowledged[record.partition]
            if not self._is_in_ledger(*place)
        ]

    def _read_letters(self) -> None:
        bodies = self._world.sqs.messages.get(DLQ, [])
        for body in bodies[self._read :]:
            letter = msgspec.json.decode(body, type=DeadLetter)
            self._letters.add((letter.partition, letter.offset))
        self._read = len(bodies)

    def is_removed(self, gap: Gap) -> bool:
        """Whether the retention has removed all of a gap."""
        return gap.until <= self._world.removed[gap.partition]

    def go_back(self, positions: dict[int, int]) -> None:
        """What comes from these offsets on comes again, and so do its dead letters."""
        self._seen, self._letters, self._read = positions, set(), 0

    def _is_in_ledger(self, partition: int, offset: int) -> bool:
        record = self._world.topic[partition][offset]
        try:
            event = parse(record.value)
        except Rejected:
            return False
        name = self._world.counted_for(event["leaderboardId"], instant(event["occurredAt"]), record.appended_at_ms)
        names = event["userId"], self._world.named(event["leaderboardId"], event["userId"])
        places = [(ledger_partition(name, one), event["eventId"]) for one in names]  # the second one may be on its way
        return any(place in self._world.dynamo.tables["leaderboard-ledger"] for place in places)


class WatchedProgress(Progress):
    """Looks before it records."""

    def __init__(self, accounts: Accounts, client: Any, table: str) -> None:
        super().__init__(client, table)
        self._accounts = accounts

    def advance(self, position: Position, *more: Any) -> None:
        """As the product's."""
        self._accounts.look(position)
        super().advance(position, *more)

    def _note(self, topic: str, gap: Gap) -> None:
        assert self._accounts.is_removed(gap), f"every record that is there is handed over: {gap}"
        super()._note(topic, gap)


class WatchedFinals(FinalResults):
    """Looks before a day refuses events."""

    def __init__(self, accounts: Accounts, client: Any, table: str) -> None:
        super().__init__(client, table)
        self._accounts = accounts

    def start_sealing(self, leaderboard: Leaderboard, through: Day) -> None:
        """As the product's."""
        assert self._accounts.uncounted(leaderboard.cutoff_ms(through)) == [], "no day refuses what is not counted"
        super().start_sealing(leaderboard, through)
