"""Profiles of players in the registry table, one item for each player who has one; of several the newest stays.

A player's item is under the scores id, so a purge begins without any. Under an id that was replaced by a pseudonym a
fence (shared/truth/pseudonyms.py) stands until nothing goes by the id any more: it is newer than whatever an ingest
call may still bring.
"""

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from shared.domain.profiles import KeptProfile, kept_of
from shared.truth import keys
from shared.truth.failures import ConditionFailed, passing_as_unavailable
from shared.truth.queries import BATCH_GET_KEYS_MAX, batch_get

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.retries import Backoff

_NEWER: Final = "attribute_not_exists(pk) OR kept < :kept"
_WRITE: Final = "SET kept = :kept"


class Profiles:
    """Reads and writes profiles.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str, backoff: "Backoff") -> None:
        self._client = client
        self._table = table
        self._backoff = backoff

    def read(self, scores_id: str, user_ids: Iterable[str]) -> dict[str, KeptProfile]:
        """The profiles of some players; those who never had one are not in the answer."""
        asked = {keys.profile_partition(scores_id, user_id): user_id for user_id in user_ids}
        found: dict[str, KeptProfile] = {}
        partitions = iter(asked)
        while chunk := list(islice(partitions, BATCH_GET_KEYS_MAX)):
            places = [(partition, keys.PROFILE) for partition in chunk]
            for item in batch_get(self._client, self._table, places, self._backoff):
                found[asked[item["pk"]["S"]]] = kept_of(item["kept"]["S"])
        return found

    def write(self, scores_id: str, user_id: str, profile: KeptProfile) -> KeptProfile:
        """Write a profile unless a newer one is there; harmless twice, and in any order.

        Returns:
            The one that is there now.
        """
        try:
            with passing_as_unavailable():
                self._client.update_item(
                    TableName=self._table,
                    Key=_key(scores_id, user_id),
                    UpdateExpression=_WRITE,
                    ConditionExpression=_NEWER,
                    ExpressionAttributeValues={":kept": {"S": profile.value}},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ConditionFailed as failed:
            return kept_of(failed.item["kept"]["S"])
        return profile

    def clear(self, scores_id: str, user_id: str) -> None:
        """Take the fence away, and with it the last of the id; harmless twice."""
        with passing_as_unavailable():
            self._client.delete_item(TableName=self._table, Key=_key(scores_id, user_id))


def profile_item(scores_id: str, user_id: str, profile: KeptProfile) -> dict[str, Any]:
    """The item of a player's profile."""
    return _key(scores_id, user_id) | {"kept": {"S": profile.value}}


def _key(scores_id: str, user_id: str) -> dict[str, Any]:
    return {"pk": {"S": keys.profile_partition(scores_id, user_id)}, "sk": {"S": keys.PROFILE}}
