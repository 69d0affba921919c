"""What functions leave in the registry table for a scrape to show. Nothing else depends on it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from shared.truth import keys
from shared.truth.failures import passing_as_unavailable
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class TopicLag(Struct, frozen=True):
    """How far the commits of a topic were behind its ends, at one check."""

    at_ms: int
    records: Mapping[int, int]
    """Partition → offsets from what was committed to its end."""


class TopicSettings(Struct, frozen=True):
    """What was wrong with the settings of a topic, at one check."""

    at_ms: int
    wrong: Sequence[str]
    """In words, each naming the setting; empty if all are right."""


class Noted(Struct, frozen=True):
    """All that was left."""

    topic: str
    repaired: int
    """Parts of live windows that were older than the truth and brought up to it, since counting began."""
    lag: TopicLag | None
    """As of the last check; None before the first."""
    settings: TopicSettings | None = None
    """Likewise."""
    archived_owing: int | None = None
    """Archived leaderboards that owe something, as of the last run of closing; None before the first."""


class FunctionCounters:
    """One item for each counter, one for each topic.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def record_lag(self, topic: str, lag: TopicLag) -> None:
        """Replace what is known of a topic's lag."""
        body = msgspec.json.encode(lag).decode()
        with passing_as_unavailable():
            self._client.put_item(
                TableName=self._table, Item={**_key(keys.telemetry_lag_sort(topic)), "body": {"S": body}}
            )

    def record_settings(self, topic: str, settings: TopicSettings) -> None:
        """Replace what is known of a topic's settings."""
        body = msgspec.json.encode(settings).decode()
        with passing_as_unavailable():
            self._client.put_item(
                TableName=self._table, Item={**_key(keys.telemetry_settings_sort(topic)), "body": {"S": body}}
            )

    def record_archived_owing(self, count: int) -> None:
        """Replace how many archived leaderboards owe something."""
        with passing_as_unavailable():
            self._client.put_item(
                TableName=self._table,
                Item={**_key(keys.TELEMETRY_ARCHIVED_OWING), "leaderboards": {"N": str(count)}},
            )

    def count_repaired(self, count: int) -> None:
        """Count repaired entries. A request that is repeated after a timeout may count twice."""
        with passing_as_unavailable():
            self._client.update_item(
                TableName=self._table,
                Key=_key(keys.TELEMETRY_REPAIRED),
                UpdateExpression="ADD repaired :repaired",
                ExpressionAttributeValues={":repaired": {"N": str(count)}},
            )

    def noted(self, topic: str) -> Noted:
        """What was left, of this topic."""
        found = {item["sk"]["S"]: item for item in items(self._client, self._table, keys.TELEMETRY)}
        repaired, lag = found.get(keys.TELEMETRY_REPAIRED), found.get(keys.telemetry_lag_sort(topic))
        settings, owing = found.get(keys.telemetry_settings_sort(topic)), found.get(keys.TELEMETRY_ARCHIVED_OWING)
        return Noted(
            topic,
            0 if repaired is None else int(repaired["repaired"]["N"]),
            None if lag is None else msgspec.json.decode(lag["body"]["S"], type=TopicLag),
            None if settings is None else msgspec.json.decode(settings["body"]["S"], type=TopicSettings),
            None if owing is None else int(owing["leaderboards"]["N"]),
        )


def _key(sort: str) -> dict[str, Any]:
    return {"pk": {"S": keys.TELEMETRY}, "sk": {"S": sort}}
