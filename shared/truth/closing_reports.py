"""What the last run of closing found blocked, in the registry table, for `GET …/closing` to show.

Nothing else depends on it: closing itself never reads why something was blocked.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from shared.truth import keys
from shared.truth.failures import passing_as_unavailable
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Found(Struct, frozen=True):
    """Something that kept work waiting."""

    detail: str
    """In words, for operators."""
    since_ms: int
    """When the first of the runs ended that have found it, one after another, up to the last one."""


class Uncommitted(Struct, frozen=True):
    """Records that the broker appended by a moment and that are not committed."""

    moment_ms: int
    is_lost: bool
    found: Found


class RunReport(Struct, frozen=True):
    """What a run found that concerns every leaderboard."""

    started_ms: int
    ended_ms: int
    off: Found | None = None
    """Why it did nothing at all."""
    lost: Found | None = None
    """What the topic has lost."""
    topic: Found | None = None
    """Why the broker could not be asked."""
    uncommitted: tuple[Uncommitted, ...] = ()
    """By moment."""
    unchecked: int = 0
    """Leaderboards that it had no time for."""


class BlockedWork(Struct, frozen=True):
    """A window, audit entry or notification of one leaderboard that had to wait, or `all` of its work."""

    what: str
    cause: str
    found: Found


BoardReport = tuple[BlockedWork, ...]
_decode_run: Final = msgspec.json.Decoder(RunReport).decode
_decode_board: Final = msgspec.json.Decoder(BoardReport).decode


class ClosingReports:
    """One item for the last run, and one for each leaderboard of which it found something blocked.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def run(self) -> RunReport | None:
        """The last report of a run; None before the first one."""
        body = self._body(keys.CLOSING_RUN)
        return None if body is None else _decode_run(body)

    def board(self, leaderboard_id: str) -> BoardReport:
        """What the last run found blocked of one leaderboard."""
        body = self._body(keys.closing_board_sort(leaderboard_id))
        return () if body is None else _decode_board(body)

    def boards(self) -> dict[str, BoardReport]:
        """Leaderboard id → what the last run found blocked; those without anything are not in it."""
        prefix = keys.closing_board_sort("")
        found = items(self._client, self._table, keys.CLOSING, "begins_with(sk, :sk)", sk=prefix)
        return {item["sk"]["S"].removeprefix(prefix): _decode_board(item["body"]["S"]) for item in found}

    def replace(
        self, report: RunReport, before: Mapping[str, Sequence[BlockedWork]], now: Mapping[str, Sequence[BlockedWork]]
    ) -> None:
        """Store the reports of a run in place of those of the run before; leaderboards of which both say the same
        cost nothing. The run's own comes last: it says of when the others are.

        Args:
            report: of the run.
            before: what `boards` returned.
            now: what is blocked now, by leaderboard.
        """
        for leaderboard_id in sorted(before.keys() - now.keys()):
            with passing_as_unavailable():
                self._client.delete_item(TableName=self._table, Key=_key(keys.closing_board_sort(leaderboard_id)))
        for leaderboard_id, blocked in now.items():
            if tuple(before.get(leaderboard_id, ())) != tuple(blocked):
                self._put(keys.closing_board_sort(leaderboard_id), tuple(blocked))
        self._put(keys.CLOSING_RUN, report)

    def _put(self, sort: str, report: object) -> None:
        body = {"body": {"S": msgspec.json.encode(report).decode()}}
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item=_key(sort) | body)

    def _body(self, sort: str) -> str | None:
        with passing_as_unavailable():
            item = self._client.get_item(TableName=self._table, Key=_key(sort), ConsistentRead=True).get("Item")
        return None if item is None else item["body"]["S"]


def _key(sort: str) -> dict[str, Any]:
    return {"pk": {"S": keys.CLOSING}, "sk": {"S": sort}}
