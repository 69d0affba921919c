"""How far runs over all leaderboards have come, in the registry table, so that each begins where the last one ended."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from shared.truth import keys
from shared.truth.failures import passing_as_unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Round(Struct, frozen=True):
    """Where a run over all leaderboards is, or where the last one ended."""

    after: str | None = None
    """The leaderboard that was looked after last; None if all of them were."""
    ended: bool = True
    """Whether that run came to its own end; otherwise it goes on, or was killed."""


class Rounds:
    """One for each kind of run."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self, name: str) -> Round:
        """Where the last run has come to.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach.
        """
        key: Any = self._key(name)
        with passing_as_unavailable():
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return Round() if item is None else Round(item["after"]["S"] or None, bool(item["ended"]["BOOL"]))

    def note(self, name: str, after: str | None, *, ended: bool) -> None:
        """Note where a run has come to.

        Raises:
            Unavailable: as above; it may have been noted.
        """
        item: Any = self._key(name) | {"after": {"S": after or ""}, "ended": {"BOOL": ended}}
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item=item)

    def _key(self, name: str) -> dict[str, Any]:
        return {"pk": {"S": keys.ROUNDS}, "sk": {"S": name}}
