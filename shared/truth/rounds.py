"""How far runs over leaderboards came, in the registry table, so that each begins where the last one ended."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from shared.truth import keys
from shared.truth.failures import passing_as_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Round(Struct, frozen=True):
    """Where a run over all leaderboards is, or where the last one ended."""

    after: str | None = None
    """The leaderboard that the run worked on last; None if it came to all of them."""
    ended: bool = True
    """Whether the run ended by itself; otherwise it is under way, or was killed."""


class Rounds:
    """Reads and records one round for each kind of run."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self, name: str) -> Round:
        """How far the last run came.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach.
        """
        key: Any = self._key(name)
        with passing_as_unavailable():
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return Round() if item is None else Round(item["after"]["S"] or None, bool(item["ended"]["BOOL"]))

    def record(self, name: str, after: str | None, *, ended: bool) -> None:
        """Record how far a run is.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may be recorded.
        """
        item: Any = self._key(name) | {"after": {"S": after or ""}, "ended": {"BOOL": ended}}
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item=item)

    def _key(self, name: str) -> dict[str, Any]:
        return {"pk": {"S": keys.ROUNDS}, "sk": {"S": name}}
