"""Records that the topic lost before they were committed, kept until an operator acknowledges them; and the ends of
each topic, since nothing else shows what a former topic held.

Positions alone show a loss only until ingest reads on: the next record passes it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from shared.truth import keys
from shared.truth.conditions import delete_if, update_if
from shared.truth.failures import passing_as_unavailable
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_EXTEND: Final = "SET lost_until = :until"
_FURTHER: Final = "attribute_not_exists(pk) OR lost_until < :until"
_UP_TO: Final = "lost_until <= :until"


class Loss(Struct, frozen=True):
    """Offsets of a partition that were not committed and are not there any more, from `first` to before `until`.

    Where both are the same, the topic was recreated, and it is not known what it held before from there on.
    """

    partition: int
    first: int
    until: int


class Losses:
    """One item for each loss, by its first offset, and one for each topic; in the registry table.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def record(self, topic: str, loss: Loss) -> None:
        """Record a loss, or extend the one that begins at the same offset; harmless twice.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have been recorded.
        """
        update_if(self._client, self._table, _key(topic, loss), _EXTEND, _FURTHER, values={":until": loss.until})

    def of(self, topic: str) -> list[Loss]:
        """What a topic has lost, by partition and offset."""
        return [_to_loss(item) for item in items(self._client, self._table, keys.losses_partition(topic))]

    def remove(self, topic: str, loss: Loss) -> None:
        """Remove a loss, unless it has been extended meanwhile.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have been removed.
        """
        delete_if(self._client, self._table, _key(topic, loss), _UP_TO, values={":until": loss.until})

    def record_ends(self, topic: str, ends: Mapping[int, int]) -> None:
        """Replace the ends of a topic.

        Args:
            topic: its name.
            ends: partition → the offset that its next record will have.
        """
        body = msgspec.json.encode(ends).decode()
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item={**_topic_key(topic), "ends": {"S": body}})

    def ends(self) -> dict[str, dict[int, int]]:
        """Topic → its ends when it was read last; without those that were forgotten."""
        found = items(self._client, self._table, keys.TOPICS)
        return {item["sk"]["S"]: msgspec.json.decode(item["ends"]["S"], type=dict[int, int]) for item in found}

    def forget(self, topic: str) -> None:
        """Forget a former topic, of which nothing is missing."""
        with passing_as_unavailable():
            self._client.delete_item(TableName=self._table, Key=_topic_key(topic))


def _key(topic: str, loss: Loss) -> dict[str, Any]:
    return {"pk": {"S": keys.losses_partition(topic)}, "sk": {"S": keys.gap_sort(loss.partition, loss.first)}}


def _topic_key(topic: str) -> dict[str, Any]:
    return {"pk": {"S": keys.TOPICS}, "sk": {"S": topic}}


def _to_loss(item: Mapping[str, Any]) -> Loss:
    partition, _, first = item["sk"]["S"].partition("#")
    return Loss(int(partition), int(first), int(item["lost_until"]["N"]))
