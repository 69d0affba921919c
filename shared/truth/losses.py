"""Records that the topic lost before they were committed, noted until somebody goes on without them.

What is committed says so only for as long as nothing is read on: the next record passes the gap.
"""

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from shared.truth import keys
from shared.truth.conditions import delete_if, update_if
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NOTE: Final = "SET lost_from = if_not_exists(lost_from, :first), lost_until = :until"
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
        key, values = _key(topic, loss.partition), {":first": loss.first, ":until": loss.until}
        update_if(self._client, self._table, key, _NOTE, _FURTHER, values=values)

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
        delete_if(self._client, self._table, _key(topic, loss.partition), _UP_TO, values={":until": loss.until})


def _key(topic: str, partition: int) -> dict[str, Any]:
    return {"pk": {"S": keys.losses_partition(topic)}, "sk": {"S": keys.progress_sort(partition)}}
