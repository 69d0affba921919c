"""Snapshots of windows in the registry table, for the time that the cache can't be asked."""

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain.snapshots import Snapshot
from shared.truth import keys
from shared.truth.failures import ConditionFailed, passing_as_unavailable
from shared.truth.queries import items

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEM_BYTES_MAX: Final = 380 * 1024
"""Of the 400 KB that an item may have (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html);
2,000 entries with names of 128 random bytes stay below it."""

_decoder = msgspec.msgpack.Decoder(Snapshot)


class Confirmation(Struct, frozen=True, array_like=True):
    """When the windows of a leaderboard were last checked, and their revisions then."""

    as_of_ms: int
    revisions: Mapping[str, int]
    """Window id → revision."""


_confirmations = msgspec.msgpack.Decoder(Confirmation)


class Snapshots:
    """The latest snapshot of each window.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def write(self, scores_id: str, window_id: str, snapshot: Snapshot, expires_ms: int) -> None:
        """Replace the snapshot of a window.

        Args:
            scores_id: whose window, see `Leaderboard.scores_id`.
            window_id: which one.
            snapshot: what is known of it.
            expires_ms: when it may go; 0 for never.
        """
        body = zlib.compress(msgspec.msgpack.encode(snapshot))
        if len(body) > ITEM_BYTES_MAX:
            raise AssertionError(f"a snapshot of {len(body)} bytes")
        item: dict[str, Any] = self._key(scores_id, window_id) | {"snapshot": {"B": body}}
        if expires_ms:
            item["expires_at"] = {"N": str(expires_ms // 1000)}  # seconds, as DynamoDB's time to live takes them
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item=item)

    def confirm(self, scores_id: str, confirmation: Confirmation) -> None:
        """Say of all windows at once that nothing has changed since their snapshots.

        It is an item of its own: whoever updates an item pays for all of it, and a snapshot is up to 380 KB.
        """
        body = msgspec.msgpack.encode(confirmation)
        item: dict[str, Any] = self._place(scores_id, keys.CONFIRMED_SNAPSHOTS) | {"confirmation": {"B": body}}
        with passing_as_unavailable():
            self._client.put_item(TableName=self._table, Item=item)

    def read(self, scores_id: str, window_id: str) -> Snapshot | None:
        """The latest snapshot of a window, as of when it was last known to be true; None if none was ever taken."""
        item = self._get(self._key(scores_id, window_id))
        if item is None:
            return None
        snapshot = _decoder.decode(zlib.decompress(item["snapshot"]["B"]))
        item = self._get(self._place(scores_id, keys.CONFIRMED_SNAPSHOTS))
        confirmed = Confirmation(0, {}) if item is None else _confirmations.decode(item["confirmation"]["B"])
        if confirmed.revisions.get(window_id) != snapshot.revision or confirmed.as_of_ms <= snapshot.as_of_ms:
            return snapshot
        return replace(snapshot, as_of_ms=confirmed.as_of_ms)

    def rename(self, scores_id: str, user_id: str, name: str) -> None:
        """Put another name in place of a user id, in every snapshot that has it; where they stand stays.

        One that has both was taken of a cache that could not be told in time: the player stays under the other name.
        """
        partition, prefix = keys.leaderboard_partition(scores_id), keys.snapshot_sort("")
        found = items(self._client, self._table, partition, "begins_with(sk, :sk)", sk=prefix)
        for sort in [item["sk"]["S"] for item in found]:
            item = self._get(self._place(scores_id, sort))  # a query doesn't decode what is binary
            if item is None:
                continue
            snapshot = _decoder.decode(zlib.decompress(item["snapshot"]["B"]))
            users = {user for user, _ in snapshot.top} | {one.user_id for one in snapshot.samples}
            if user_id not in users:
                continue
            if name in users:
                renamed = snapshot.without({user_id})
            else:
                top = [(name if user == user_id else user, score) for user, score in snapshot.top]
                samples = [replace(one, user_id=name) if one.user_id == user_id else one for one in snapshot.samples]
                renamed = replace(snapshot, top=top, samples=samples)
            self._replace(item, zlib.compress(msgspec.msgpack.encode(renamed)))

    def _replace(self, before: Mapping[str, Any], body: bytes) -> None:
        """Write a snapshot over the one that was read, unless another one has come."""
        change: Any = {"snapshot": {"B": body}}
        try:
            with passing_as_unavailable():
                self._client.put_item(
                    TableName=self._table,
                    Item={**before, **change},
                    ConditionExpression="#snapshot = :before",
                    ExpressionAttributeNames={"#snapshot": "snapshot"},  # a word that DynamoDB reserves
                    ExpressionAttributeValues={":before": before["snapshot"]},
                )
        except ConditionFailed:
            return  # it is from the cache of now, or is renamed by the next call

    def _get(self, key: Any) -> Any:
        with passing_as_unavailable():
            return self._client.get_item(TableName=self._table, Key=key).get("Item")

    def _key(self, scores_id: str, window_id: str) -> dict[str, Any]:
        return self._place(scores_id, keys.snapshot_sort(window_id))

    def _place(self, scores_id: str, sort: str) -> dict[str, Any]:
        return {"pk": {"S": keys.leaderboard_partition(scores_id)}, "sk": {"S": sort}}
