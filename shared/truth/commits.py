"""One transaction for a group of players: their ledger puts and the standings those events touch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from msgspec import Struct

from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import Day
from shared.truth.items import (
    Item,
    LedgerEntry,
    ledger_item,
    standing_item,
    to_ledger_entry,
)
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TRANSACTION_ITEMS_MAX: Final = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

_PASSING: Final = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_PASSING_ERRORS: Final = (HTTPClientError, BotoConnectionError, CredentialRetrievalError, MetadataRetrievalError)
"""Of the client's own errors; the others are wrong settings."""

PlayerKey = tuple[str, str]
"""Leaderboard id and user id."""

_ABSENT = "attribute_not_exists(pk)"
_VERSION = "version = :read"


class Unavailable(Exception):
    """The truth did not take the request and may take it later: throttled, in conflict, or out of reach.

    After a timeout it may even have taken it; the next try then finds its own events as duplicates.
    """


class PlayerCommit(Struct, frozen=True):
    """What one player's events write."""

    leaderboard: Leaderboard
    user_id: str
    entries: Sequence[LedgerEntry]
    standings: Mapping[Day, Standing]
    """Every standing they touch as it shall be, one version above the one that was read."""

    @property
    def key(self) -> PlayerKey:
        """Whose events these are."""
        return self.leaderboard.id, self.user_id

    @property
    def items(self) -> int:
        """Items it takes of a transaction."""
        return len(self.entries) + len(self.standings)


class Failure(Enum):
    """What kept one item, and so its whole transaction, from being written."""

    IN_LEDGER = "in ledger"
    STALE = "stale"
    """Somebody else wrote the standing after it was read."""
    PASSING = "passing"
    """Throttled or in conflict with another transaction."""


class Failed(Struct, frozen=True):
    """An item of a cancelled transaction that failed."""

    failure: Failure
    player: PlayerCommit
    entry: LedgerEntry | None = None
    """The event that was to be put, where it is `IN_LEDGER`."""
    existing: LedgerEntry | None = None
    """What the ledger holds under its id."""


class Commits:
    """Writes ledger and standings, so that an event is in the one if and only if it is in the other."""

    def __init__(self, client: "DynamoDBClient", tables: Tables) -> None:
        self._client = client
        self._tables = tables

    def commit(self, players: Sequence[PlayerCommit]) -> list[Failed]:
        """Write all of it or nothing. An empty answer means that it is written.

        Args:
            players: different players, at most TRANSACTION_ITEMS_MAX items together.

        Returns:
            The items that failed; then nothing was written.

        Raises:
            Unavailable: if the request as a whole failed in passing; it may have been written.
        """
        actions: list[Item] = []
        owners: list[tuple[PlayerCommit, LedgerEntry | None]] = []
        for player in players:
            for entry in player.entries:
                actions.append(self._ledger_put(entry))
                owners.append((player, entry))
            for bucket, standing in player.standings.items():
                actions.append(self._standing_put(player, bucket, standing))
                owners.append((player, None))
        if len(actions) > TRANSACTION_ITEMS_MAX:
            raise ValueError(f"{len(actions)} items; a transaction takes {TRANSACTION_ITEMS_MAX}")
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=actions)  # type: ignore[arg-type]
        except self._client.exceptions.TransactionCanceledException as error:
            return _failures(error.response["CancellationReasons"], owners)
        return []

    def _ledger_put(self, entry: LedgerEntry) -> Item:
        return {
            "Put": {
                "TableName": self._tables.ledger,
                "Item": ledger_item(entry),
                "ConditionExpression": _ABSENT,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _standing_put(self, player: PlayerCommit, bucket: Day, standing: Standing) -> Item:
        put: Item = {
            "TableName": self._tables.standings,
            "Item": standing_item(player.leaderboard, player.user_id, bucket, standing),
            "ConditionExpression": _ABSENT,
        }
        if standing.version > 1:
            put["ConditionExpression"] = _VERSION
            put["ExpressionAttributeValues"] = {":read": {"N": str(standing.version - 1)}}
        return {"Put": put}


@contextmanager
def passing_as_unavailable() -> Iterator[None]:
    """Turns what may pass by itself into Unavailable, around calls of a boto3 client.

    What a condition refused is an answer, not a fault, and left to the caller like every other lasting error.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise_if_lasting(error)
        raise Unavailable(str(error)) from error


def raise_if_lasting(error: ClientError | BotoCoreError) -> None:
    """Raise the error again unless it may pass: a missing table or a denied permission is for people to mend."""
    if isinstance(error, BotoCoreError) and not isinstance(error, _PASSING_ERRORS):
        raise error
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if error.response["Error"]["Code"] not in _PASSING and status < 500:
            raise error


def causes_of(cancelled: ClientError) -> set[str]:
    """Why DynamoDB cancelled a transaction: the codes of its items.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
    """
    response: Mapping[str, Any] = cancelled.response
    return {reason["Code"] for reason in response.get("CancellationReasons", ())} - {"None"}


def _failures(
    reasons: Sequence[Mapping[str, Any]], owners: Sequence[tuple[PlayerCommit, LedgerEntry | None]]
) -> list[Failed]:
    failures = []
    for reason, (player, entry) in zip(reasons, owners, strict=True):
        code = reason["Code"]
        if code == "None":
            continue
        if code != "ConditionalCheckFailed":
            if code not in _PASSING:
                raise RuntimeError(f"transaction cancelled: {code}: {reason.get('Message', '')}")
            failures.append(Failed(Failure.PASSING, player))
        elif entry is None:
            failures.append(Failed(Failure.STALE, player))
        else:
            failures.append(Failed(Failure.IN_LEDGER, player, entry, to_ledger_entry(reason["Item"])))
    return failures
