"""How far each partition of the topic is committed, and what became of its records: what closing a day waits for.

The counts are for watching, not for accounts; the ledger is the account. A record is counted with the call that records
its partition as committed past it, so at most once, however often it is delivered and to how many owners:

- as what it was in that call. A record that an earlier call had committed, but not recorded as such, is a duplicate: so
  no more are counted as applied than the ledger holds.
- not at all if that call could not record it: DynamoDB was out of reach, and the call's records came again.

Whoever hands records to ingest goes on where it has recorded to, or before that. If a worker does not, because a
consumer group was set forward or records were given up, the offsets in between are noted as a gap before they are
passed.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from shared.domain.rejections import Reason
from shared.truth import keys
from shared.truth.conditions import delete_if, update_if
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

APPLIED: Final = "applied"
DUPLICATE: Final = "duplicate"
REJECTED: Final = {reason: f"rejected_{reason}" for reason in Reason}
"""Reason → counter."""
COUNTERS: Final = (APPLIED, DUPLICATE, *REJECTED.values())
"""Attributes of the item: what can become of a record."""
KEY_MISMATCH: Final = "key_mismatch"
"""Another: records of events whose key is not that of their player, whatever became of them."""

_AT_THE_START = "attribute_not_exists(pk) OR next_offset = :from"
_FROM_THERE = "next_offset = :from"
"""Nothing has been recorded since it was read that the partition is committed to `:from`."""
_NOT_SO_FAR = "attribute_not_exists(pk) OR next_offset < :next"
_FURTHER = "attribute_not_exists(pk) OR gap_until < :until"
_UP_TO = "gap_until <= :until"
_RECORD = "SET next_offset = :next, appended_at = :appended, recorded_at = :recorded"


class Position(Struct, frozen=True):
    """Every record of the partition before `next_offset` is in the ledger, a duplicate, or on the DLQ."""

    topic: str
    partition: int
    next_offset: int
    appended_at_ms: int
    """When the broker appended the record before `next_offset`; where none stands, up to when it has appended none."""
    recorded_at_ms: int | None = None
    """When that was recorded; None where it is not recorded."""
    counts: Mapping[str, int] = {}
    """How many records became what, by COUNTERS, and had which fault, by KEY_MISMATCH, since counting began."""


class Gap(Struct, frozen=True):
    """Offsets of a partition that ingest was not handed, from `first` to before `until`; some hold no records."""

    partition: int
    first: int
    until: int


class Progress:
    """Positions in the registry table; they only ever move forward.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def advance(
        self, position: Position, now_ms: int, outcomes: Mapping[int, str], mismatched: Collection[int] = ()
    ) -> None:
        """Record a position, unless a later one is recorded already, and count the records that it settles.

        What lies between the recorded position, 0 before the first, and the first of these records is noted as a gap.

        Args:
            position: up to where the partition is committed.
            now_ms: the clock.
            outcomes: offset → which of COUNTERS, ascending, from the first record that the call was handed to the one
                before `next_offset`; those that are counted already are left out.
            mismatched: offsets of those that KEY_MISMATCH counts as well.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have recorded it.
        """
        handed = next(iter(outcomes))
        recorded = self._record(position, now_ms, outcomes, handed, mismatched)
        while recorded < position.next_offset:  # another owner has come to there meanwhile, or nobody has
            if recorded < handed:
                self._note(position.topic, Gap(position.partition, recorded, handed))
            left = {offset: outcome for offset, outcome in outcomes.items() if offset >= recorded}
            recorded = self._record(position, now_ms, left, recorded, mismatched)

    def pass_over(self, position: Position, now_ms: int) -> None:
        """Record a position though ingest never got what lies before it, unless a later one is recorded already."""
        values = {":next": position.next_offset, ":appended": position.appended_at_ms, ":recorded": now_ms}
        update_if(self._client, self._table, _place(position), _RECORD, _NOT_SO_FAR, values=values)

    def _record(
        self, position: Position, now_ms: int, outcomes: Mapping[int, str], start: int, mismatched: Collection[int]
    ) -> int:
        """Record and count if a partition is committed to `start`; the next offset of what is recorded then."""
        counts = Counter(outcomes.values())
        if faulty := sum(offset in outcomes for offset in mismatched):
            counts[KEY_MISMATCH] = faulty
        values = {
            ":from": start,
            ":next": position.next_offset,
            ":appended": position.appended_at_ms,
            ":recorded": now_ms,
            **{f":{name}": count for name, count in counts.items()},
        }
        added = ", ".join(f"{name} :{name}" for name in counts)
        change = f"{_RECORD} ADD {added}"
        condition = _FROM_THERE if start else _AT_THE_START
        before = update_if(self._client, self._table, _place(position), change, condition, values=values)
        if before is None:
            return position.next_offset
        return int(before["next_offset"]["N"]) if before else 0

    def _note(self, topic: str, gap: Gap) -> None:
        change, values = "SET gap_until = :until", {":until": gap.until}
        update_if(self._client, self._table, _gap_key(topic, gap), change, _FURTHER, values=values)

    def positions(self, topic: str) -> list[Position]:
        """The recorded positions of a topic, by partition."""
        found = items(self._client, self._table, keys.progress_partition(topic))
        return [_to_position(topic, item) for item in found]

    def gaps(self, topic: str) -> list[Gap]:
        """The gaps of a topic, by partition and offset. Whoever reads positions first knows the gaps before them."""
        found = items(self._client, self._table, keys.gaps_partition(topic))
        return [_to_gap(item) for item in found]

    def remove_gap(self, topic: str, gap: Gap) -> None:
        """Remove a gap that is resolved, unless it has been extended meanwhile.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have been removed.
        """
        delete_if(self._client, self._table, _gap_key(topic, gap), _UP_TO, values={":until": gap.until})


def _place(position: Position) -> dict[str, Any]:
    return {
        "pk": {"S": keys.progress_partition(position.topic)},
        "sk": {"S": keys.progress_sort(position.partition)},
    }


def _gap_key(topic: str, gap: Gap) -> dict[str, Any]:
    return {"pk": {"S": keys.gaps_partition(topic)}, "sk": {"S": keys.gap_sort(gap.partition, gap.first)}}


def _to_gap(item: Mapping[str, Any]) -> Gap:
    partition, _, first = item["sk"]["S"].partition("#")
    return Gap(int(partition), int(first), int(item["gap_until"]["N"]))


def _to_position(topic: str, item: Mapping[str, Any]) -> Position:
    return Position(
        topic,
        int(item["sk"]["S"]),
        int(item["next_offset"]["N"]),
        int(item["appended_at"]["N"]),
        int(item["recorded_at"]["N"]) if "recorded_at" in item else None,
        {name: int(item[name]["N"]) if name in item else 0 for name in (*COUNTERS, KEY_MISMATCH)},
    )
