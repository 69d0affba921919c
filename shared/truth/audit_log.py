"""The audit logs of leaderboards in the registry table: appended to, never changed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.domain.audit import AuditEntry
from shared.truth import keys
from shared.truth.failures import Cancelled, ConditionFailed, passing_as_unavailable
from shared.truth.queries import items
from shared.truth.work import work_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NOT_YET: Final = "attribute_not_exists(pk)"
_decoder = msgspec.json.Decoder(AuditEntry)


class AuditLogConflict(Exception):
    """Another entry has the number. Read the log again and decide again."""


class AuditLog:
    """Appends entries and reads them, strongly consistent.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def append(self, leaderboard_id: str, entry: AuditEntry) -> None:
        """Write an entry; one about a player is also added to the work list, to be applied by closing.

        Raises:
            AuditLogConflict: if there is an entry of this number, or one is being written.
            Unavailable: if DynamoDB throttles or is out of reach; it may have been written.
        """
        actions: Any = self.actions(leaderboard_id, entry)
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=actions)
        except ConditionFailed as failed:
            raise AuditLogConflict(str(entry.number)) from failed
        except Cancelled as cancelled:
            if cancelled.is_in_conflict:
                raise AuditLogConflict(str(entry.number)) from cancelled
            raise

    def actions(self, leaderboard_id: str, entry: AuditEntry) -> list[dict[str, Any]]:
        """What appends an entry, as items of a transaction; the first one fails if there is an entry of its number."""
        body = {"body": {"S": msgspec.json.encode(entry).decode()}}
        log = self._key(leaderboard_id, keys.audit_entry_sort(entry.number)) | body
        actions = [{"Put": {"TableName": self._table, "Item": log, "ConditionExpression": _NOT_YET}}]
        if entry.user_id is not None:
            work = work_key(keys.open_audit_entry_sort(leaderboard_id, entry.number)) | body
            actions.append({"Put": {"TableName": self._table, "Item": work}})
        return actions

    def read(self, leaderboard_id: str, after: int = 0, limit: int | None = None) -> Iterator[AuditEntry]:
        """The entries that follow number `after`, in their order, at most `limit` of them."""
        first, last = keys.audit_entry_sort(after + 1), keys.audit_entry_sort(keys.AUDIT_NUMBER_MAX)
        return self._query(leaderboard_id, "sk BETWEEN :first AND :last", limit, first=first, last=last)

    def mark_applied(self, leaderboard_id: str, number: int) -> None:
        """Remove an entry from those that are to be applied."""
        key: Any = work_key(keys.open_audit_entry_sort(leaderboard_id, number))
        with passing_as_unavailable():
            self._client.delete_item(TableName=self._table, Key=key)

    def _query(
        self, leaderboard_id: str, condition: str, limit: int | None = None, **values: str
    ) -> Iterator[AuditEntry]:
        partition = keys.leaderboard_partition(leaderboard_id)
        for item in items(self._client, self._table, partition, condition, limit=limit, **values):
            yield _decoder.decode(item["body"]["S"])

    def _key(self, leaderboard_id: str, sort: str) -> dict[str, Any]:
        return {"pk": {"S": keys.leaderboard_partition(leaderboard_id)}, "sk": {"S": sort}}
