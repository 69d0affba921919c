"""How far each partition of the topic is committed, and what became of its records: what closing a bucket waits for.

The counts are for watching, not for accounts; the ledger is the account. A record is counted with the call that records
its partition as committed past it, so at most once, however often it is delivered and to how many owners:

- as what it was in that call. A record that an earlier call had committed, but not recorded as such, is a duplicate: so
  no more are counted as applied than the ledger holds.
- not at all if that call could not record it: DynamoDB was out of reach, and only the call's last record came again.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from shared.domain.rejections import Reason
from shared.truth import keys
from shared.truth.commits import passing_as_unavailable
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

APPLIED: Final = "applied"
DUPLICATE: Final = "duplicate"
REJECTED: Final = {reason: f"rejected_{reason}" for reason in Reason}
"""Reason → counter."""
COUNTERS: Final = (APPLIED, DUPLICATE, *REJECTED.values())
"""Attributes of the item: what can become of a record."""

_NOT_YET = "attribute_not_exists(pk) OR next_offset <= :first"
"""None of the records that are to be counted, `:first` being the first of them, is counted already."""
_RECORD = "SET next_offset = :next, appended_at = :appended, recorded_at = :recorded"


class Position(Struct, frozen=True):
    """Every record of the partition before `next_offset` is in the ledger, a duplicate, or on the DLQ."""

    topic: str
    partition: int
    next_offset: int
    appended_at_ms: int
    """When the broker appended the record before `next_offset`; where none stands, up to when it has appended none."""
    recorded_at_ms: int | None = None
    """When that was recorded; None where it is still to be, or nobody noted it."""
    counts: Mapping[str, int] = {}
    """How many records became what, by COUNTERS, since counting began."""


class Progress:
    """Positions in the registry table; they only ever move forward."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def advance(self, position: Position, now_ms: int, outcomes: Mapping[int, str]) -> None:
        """Record a position, unless a later one is recorded already, and count the records that it settles.

        Args:
            position: up to where the partition is committed.
            now_ms: the clock.
            outcomes: offset → which of COUNTERS, ascending, up to the record before `next_offset`; those that are
                counted already are left out.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have recorded it.
        """
        recorded = self._record(position, now_ms, outcomes)
        while recorded < position.next_offset:  # another owner came to there meanwhile, each time further on
            outcomes = {offset: outcome for offset, outcome in outcomes.items() if offset >= recorded}
            recorded = self._record(position, now_ms, outcomes)

    def _record(self, position: Position, now_ms: int, outcomes: Mapping[int, str]) -> int:
        """Record and count, unless some of it is counted already; the next offset of what is recorded then."""
        counts = Counter(outcomes.values())
        first = next(iter(outcomes), position.next_offset - 1)
        values = {
            ":first": first,
            ":next": position.next_offset,
            ":appended": position.appended_at_ms,
            ":recorded": now_ms,
            **{f":{name}": count for name, count in counts.items()},
        }
        added = ", ".join(f"{name} :{name}" for name in counts)
        try:
            with passing_as_unavailable():
                self._client.update_item(
                    TableName=self._table,
                    Key={
                        "pk": {"S": keys.progress_partition(position.topic)},
                        "sk": {"S": keys.progress_sort(position.partition)},
                    },
                    UpdateExpression=f"{_RECORD} ADD {added}" if added else _RECORD,
                    ConditionExpression=_NOT_YET,
                    ExpressionAttributeValues={name: {"N": str(value)} for name, value in values.items()},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            found: Any = error.response
            return int(found["Item"]["next_offset"]["N"])
        return position.next_offset

    def positions(self, topic: str) -> list[Position]:
        """The recorded positions of a topic, by partition.

        Raises:
            Unavailable: as above.
        """
        found = items(self._client, self._table, keys.progress_partition(topic))
        return [_to_position(topic, item) for item in found]


def _to_position(topic: str, item: Mapping[str, Any]) -> Position:
    return Position(
        topic,
        int(item["sk"]["S"]),
        int(item["next_offset"]["N"]),
        int(item["appended_at"]["N"]),
        int(item["recorded_at"]["N"]) if "recorded_at" in item else None,
        {name: int(item[name]["N"]) if name in item else 0 for name in COUNTERS},
    )
