"""Records that the topic lost before they were committed, noted until somebody goes on without them.

What is committed says so only for as long as nothing is read on: the next record passes the gap.
"""

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from shared.truth import keys
from shared.truth.commits import passing_as_unavailable
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_FURTHER: Final = "attribute_not_exists(pk) OR lost_until < :until"
_UP_TO: Final = "lost_until <= :until"


class Loss(Struct, frozen=True):
    """Offsets of a partition that were not committed and are not there any more, from `first` to before `until`."""

    partition: int
    first: int
    until: int


class Losses:
    """One for each partition that has lost any, in the registry table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def note(self, topic: str, loss: Loss) -> None:
        """Note a loss, which makes one that is noted already reach further; harmless twice.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have been noted.
        """
        try:
            with passing_as_unavailable():
                self._client.update_item(
                    TableName=self._table,
                    Key=self._key(topic, loss.partition),
                    UpdateExpression="SET lost_from = if_not_exists(lost_from, :first), lost_until = :until",
                    ConditionExpression=_FURTHER,
                    ExpressionAttributeValues={":first": {"N": str(loss.first)}, ":until": {"N": str(loss.until)}},
                )
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # as much is noted already

    def of(self, topic: str) -> list[Loss]:
        """What a topic has lost, by partition.

        Raises:
            Unavailable: as above.
        """
        return [
            Loss(int(item["sk"]["S"]), int(item["lost_from"]["N"]), int(item["lost_until"]["N"]))
            for item in items(self._client, self._table, keys.losses_partition(topic))
        ]

    def strike(self, topic: str, loss: Loss) -> None:
        """Strike a loss, unless more has been noted meanwhile.

        Raises:
            Unavailable: as above; it may have been struck.
        """
        try:
            with passing_as_unavailable():
                self._client.delete_item(
                    TableName=self._table,
                    Key=self._key(topic, loss.partition),
                    ConditionExpression=_UP_TO,
                    ExpressionAttributeValues={":until": {"N": str(loss.until)}},
                )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _key(self, topic: str, partition: int) -> Any:
        return {"pk": {"S": keys.losses_partition(topic)}, "sk": {"S": keys.progress_sort(partition)}}
