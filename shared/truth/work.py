"""What functions/close has to do: one list for all leaderboards, so that those with nothing to do cost nothing.

The transaction that makes a piece of work necessary adds it; the one that does it removes it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from msgspec import Struct, field

from shared.domain.audit import AuditEntry
from shared.domain.calendar import Window, parse_id
from shared.domain.pseudonyms import Move
from shared.truth import keys
from shared.truth.conditions import delete_if
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_decoder = msgspec.json.Decoder(AuditEntry)
_moves = msgspec.json.Decoder(Move)


class Due(Struct, frozen=True):
    """A window that has no result yet, or whose result may have to be followed by another version."""

    window: Window
    stamp: int
    """A new one each time that the window is marked as due."""


class Work(Struct, frozen=True):
    """What there is to be done for one leaderboard."""

    due: list[Due] = field(default_factory=list)
    """By window id. The days of some may still have to be sealed."""
    pending_notifications: list[tuple[str, int]] = field(default_factory=list)
    """The outbox: window ids and versions of results that are not published yet; a window's first version first."""
    audit_entries: list[AuditEntry] = field(default_factory=list)
    """Audit entries of players that are not applied to live windows and results yet, in their order."""
    moves: list[Move] = field(default_factory=list)
    """Players who are on the way to a pseudonym."""


class WorkList:
    """Reads (strongly consistent).

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def all(self) -> dict[str, Work]:
        """Leaderboard id → what there is to be done for it; those with nothing to do are not in it."""
        return _by_leaderboard(items(self._client, self._table, keys.WORK))

    def of(self, leaderboard_id: str) -> Work:
        """What there is to be done for one leaderboard."""
        prefix = keys.work_sort(leaderboard_id)
        found = items(self._client, self._table, keys.WORK, "begins_with(sk, :sk)", sk=prefix)
        return _by_leaderboard(found).get(leaderboard_id, Work())

    def drop(self, leaderboard_id: str, due: Due) -> None:
        """Remove a window that needs no result, unless it was marked as due again since.

        Raises:
            Unavailable: if DynamoDB throttles or is out of reach; it may have been removed.
        """
        key = work_key(keys.due_sort(leaderboard_id, due.window.id))
        delete_if(self._client, self._table, key, "stamp = :stamp", values={":stamp": due.stamp})


def work_key(sort: str) -> dict[str, Any]:
    """The key of a piece of work."""
    return {"pk": {"S": keys.WORK}, "sk": {"S": sort}}


def due_item(leaderboard_id: str, window_id: str) -> dict[str, Any]:
    """The item that marks a window as due."""
    return work_key(keys.due_sort(leaderboard_id, window_id)) | {"stamp": {"N": str(new_stamp())}}


def new_stamp() -> int:
    """A number that no other item has; DynamoDB keeps 38 digits."""
    return uuid4().int >> 64


def _by_leaderboard(found: Iterable[Mapping[str, Any]]) -> dict[str, Work]:
    work: dict[str, Work] = {}
    for item in found:
        leaderboard_id, kind, rest = item["sk"]["S"].split("#", 2)
        one = work.setdefault(leaderboard_id, Work())
        match kind:
            case "due":
                one.due.append(Due(parse_id(rest), int(item["stamp"]["N"])))
            case "notification":
                window_id, _, version = rest.partition("#")
                one.pending_notifications.append((window_id, int(version)))
            case "open-audit":
                one.audit_entries.append(_decoder.decode(item["body"]["S"]))
            case "move":
                one.moves.append(_moves.decode(item["body"]["S"]))
            case _:
                raise ValueError(f"{kind} is not a known kind of work")
    return work
