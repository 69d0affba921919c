"""What functions leave in the registry table for a scrape to show. Nothing else depends on it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from shared.telemetry import logger
from shared.truth import keys
from shared.truth.failures import Unavailable, passing_as_unavailable
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Function(StrEnum):
    """Functions that count calls which failed; the API's failures are answers."""

    INGEST = "ingest"
    EXPORT = "export"
    REPAIR = "repair"
    CLOSE = "close"


class Run(StrEnum):
    """Schedules."""

    CLOSE = "close"
    SNAPSHOTS = "snapshots"
    ANTI_ENTROPY = "anti-entropy"


ERRORS: Final = {function: f"errors_{function}" for function in Function}
"""Function → counter of its calls that failed."""
REFUSED: Final = {function: f"refused_{function}" for function in (Function.INGEST, Function.REPAIR)}
"""Function → counter of its writes that the cache rejected."""
THROTTLED: Final = {table: f"throttled_{table}" for table in ("ledger", "standings")}
"""Table → counter of the items whose write DynamoDB throttled, for ingest."""


class RunNote(Struct, frozen=True, omit_defaults=True):
    """A run of a schedule that came to its end."""

    at_ms: int
    """When it ended."""
    unchecked: int = 0
    """Leaderboards that it had no time for."""
    delay_ms: int = 0
    """Closing: how long the longest of what is due has waited."""
    blocked: Mapping[str, int] = {}
    """Closing: days and windows that are due and cannot be closed, by cause."""
    is_lost: bool = False
    """Closing: whether a loss of records is recorded."""


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
    counts: Mapping[str, int] = {}
    """By ERRORS, REFUSED and THROTTLED; 0 is left out."""
    runs: Mapping[Run, RunNote] = {}
    """The last run of each schedule that has ended yet."""


class FunctionCounters:
    """One item for each counter, one for each topic.

    Methods raise Unavailable if DynamoDB throttles or is out of reach, unless they say what they do then.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def record_lag(self, topic: str, lag: TopicLag) -> None:
        """Replace what is known of a topic's lag."""
        self._put(keys.telemetry_lag_sort(topic), lag)

    def record_settings(self, topic: str, settings: TopicSettings) -> None:
        """Replace what is known of a topic's settings."""
        self._put(keys.telemetry_settings_sort(topic), settings)

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

    def record_run(self, run: Run, note: RunNote) -> None:
        """Replace what is known of a schedule's last run; without DynamoDB the one before stays."""
        try:
            self._put(f"{keys.TELEMETRY_RUN}{run}", note)
        except Unavailable as unavailable:  # the run is done: a missing note is no reason to do it again
            logger.warning("run not recorded for a scrape", extra={"run": run, "error": str(unavailable)})

    def count(self, counts: Mapping[str, int]) -> None:
        """Count what is more than 0; without DynamoDB it is lost. A repeated request may count twice."""
        added = {name: count for name, count in counts.items() if count}
        if not added:
            return
        try:
            with passing_as_unavailable():
                self._client.update_item(
                    TableName=self._table,
                    Key=_key(keys.TELEMETRY_COUNTS),
                    UpdateExpression="ADD " + ", ".join(f"{name} :{name}" for name in added),
                    ExpressionAttributeValues={f":{name}": {"N": str(count)} for name, count in added.items()},
                )
        except Unavailable as unavailable:
            logger.warning("not counted for a scrape", extra={"counts": added, "error": str(unavailable)})

    @contextmanager
    def counting_errors(self, function: Function) -> Iterator[None]:
        """Around a call of a function."""
        try:
            yield
        except Exception:
            self.count({ERRORS[function]: 1})
            raise

    def _put(self, sort: str, what: Struct) -> None:
        item = {**_key(sort), "body": {"S": msgspec.json.encode(what).decode()}}
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item=item)

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
            _counts(found.get(keys.TELEMETRY_COUNTS, {})),
            {
                run: msgspec.json.decode(found[f"{keys.TELEMETRY_RUN}{run}"]["body"]["S"], type=RunNote)
                for run in Run
                if f"{keys.TELEMETRY_RUN}{run}" in found
            },
        )


def _counts(item: Mapping[str, Any]) -> dict[str, int]:
    known = (*ERRORS.values(), *REFUSED.values(), *THROTTLED.values())
    return {name: int(item[name]["N"]) for name in known if name in item}


def _key(sort: str) -> dict[str, Any]:
    return {"pk": {"S": keys.TELEMETRY}, "sk": {"S": sort}}
