"""One transaction for a group of players: their ledger puts and the standings those events touch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from shared.domain.calendar import ALL_TIME_DAY, Day, format_day
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.truth import keys
from shared.truth.failures import Cancelled, Cause, ConditionFailed, ItemCause, Unavailable, passing_as_unavailable
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

__all__ = ["Unavailable", "passing_as_unavailable"]  # for those who know them from here

TRANSACTION_ITEMS_MAX: Final = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

PlayerKey = tuple[str, str]
"""Scores id (`Leaderboard.scores_id`) and user id."""

NOTED_DAYS_MAX: Final = 100_000
"""Days of leaderboards that a function remembers to have noted, some 150 bytes each; past it, it forgets them all."""

_ABSENT = "attribute_not_exists(pk)"
_VERSION = "version = :read"


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
        return self.leaderboard.scores_id, self.user_id

    @property
    def items(self) -> int:
        """Items it takes of a transaction."""
        return len(self.entries) + len(self.standings)


class Failure(Enum):
    """What kept one item, and so its whole transaction, from being written."""

    IN_LEDGER = "in ledger"
    STALE = "stale"
    """Another call wrote the standing after it was read."""
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
        self._noted: set[tuple[str, Day]] = set()
        self._throttled: Counter[str] = Counter()

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
                actions.append(self._ledger_put(player, entry))
                owners.append((player, entry))
            for day, standing in player.standings.items():
                actions.append(standing_put(self._tables.standings, player.leaderboard, player.user_id, day, standing))
                owners.append((player, None))
        if len(actions) > TRANSACTION_ITEMS_MAX:
            raise ValueError(f"{len(actions)} items; a transaction takes {TRANSACTION_ITEMS_MAX}")
        self._note_days(players)
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=actions)  # type: ignore[arg-type]
        except (ConditionFailed, Cancelled) as failed:
            self._throttled.update(
                "standings" if entry is None else "ledger"
                for one, (_, entry) in zip(failed.causes, owners, strict=True)
                if one.cause is Cause.THROTTLED
            )
            return _failures(failed.causes, owners)
        return []

    def take_throttled(self) -> Mapping[str, int]:
        """How many items of which table were throttled since this was asked last."""
        throttled, self._throttled = self._throttled, Counter()
        return throttled

    def _note_days(self, players: Sequence[PlayerCommit]) -> None:
        """Note which days have standings before the first of them is written: no other day is read (`Reads.days`).

        A function notes a day once, so that all others of its transactions ask no more of DynamoDB than before.
        """
        touched = {(player.leaderboard.scores_id, day) for player in players for day in player.standings} - self._noted
        for scores_id, day in sorted(one for one in touched if one[1] != ALL_TIME_DAY):
            with passing_as_unavailable():
                self._client.put_item(TableName=self._tables.standings, Item=day_item(scores_id, day))
        if len(self._noted) + len(touched) > NOTED_DAYS_MAX:
            self._noted.clear()
        self._noted |= touched

    def _ledger_put(self, player: PlayerCommit, entry: LedgerEntry) -> Item:
        return {
            "Put": {
                "TableName": self._tables.ledger,
                "Item": ledger_item(entry, player.leaderboard.scores_id),
                "ConditionExpression": _ABSENT,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }


def day_item(scores_id: str, day: Day) -> Item:
    """The item by which a day may have standings."""
    return {"pk": {"S": keys.days_partition(scores_id)}, "sk": {"S": format_day(day)}}


def standing_put(table: str, leaderboard: Leaderboard, user_id: str, day: Day, standing: Standing) -> Item:
    """The item of a transaction that writes a standing over the version before it; it fails if that is another one."""
    put: Item = {
        "TableName": table,
        "Item": standing_item(leaderboard, user_id, day, standing),
        "ConditionExpression": _ABSENT,
    }
    if standing.version > 1:
        put["ConditionExpression"] = _VERSION
        put["ExpressionAttributeValues"] = {":read": {"N": str(standing.version - 1)}}
    return {"Put": put}


def _failures(causes: Sequence[ItemCause], owners: Sequence[tuple[PlayerCommit, LedgerEntry | None]]) -> list[Failed]:
    failures = []
    for one, (player, entry) in zip(causes, owners, strict=True):
        if one.cause is Cause.NONE:
            continue
        if one.cause is not Cause.CONDITION:
            failures.append(Failed(Failure.PASSING, player))
        elif entry is None:
            failures.append(Failed(Failure.STALE, player))
        else:
            failures.append(Failed(Failure.IN_LEDGER, player, entry, to_ledger_entry(one.item or {})))
    return failures
