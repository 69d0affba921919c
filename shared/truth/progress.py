"""How far each partition of the topic is committed: what closing a bucket waits for."""

from typing import TYPE_CHECKING

from msgspec import Struct

from shared.truth import keys
from shared.truth.commits import passing_as_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_FORWARD = "attribute_not_exists(pk) OR next_offset < :next"


class Position(Struct, frozen=True):
    """Every record of the partition before `next_offset` is in the ledger, a duplicate, or on the DLQ."""

    topic: str
    partition: int
    next_offset: int
    appended_at_ms: int
    """When the broker appended the record before `next_offset`."""


class Progress:
    """Positions in the registry table; they only ever move forward."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def advance(self, position: Position) -> None:
        """Record a position, unless a later one is recorded already.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach.
        """
        try:
            with passing_as_unavailable():
                self._client.put_item(
                    TableName=self._table,
                    Item={
                        "pk": {"S": keys.progress_partition(position.topic)},
                        "sk": {"S": keys.progress_sort(position.partition)},
                        "next_offset": {"N": str(position.next_offset)},
                        "appended_at": {"N": str(position.appended_at_ms)},
                    },
                    ConditionExpression=_FORWARD,
                    ExpressionAttributeValues={":next": {"N": str(position.next_offset)}},
                )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def positions(self, topic: str) -> list[Position]:
        """The recorded positions of a topic, by partition.

        Raises:
            Unavailable: as above.
        """
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": keys.progress_partition(topic)}},
            ConsistentRead=True,
        )
        with passing_as_unavailable():
            return [
                Position(topic, int(item["sk"]["S"]), int(item["next_offset"]["N"]), int(item["appended_at"]["N"]))
                for page in pages
                for item in page["Items"]
            ]
