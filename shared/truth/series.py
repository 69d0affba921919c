"""Series of periods in the registry table, and the periods that are registered by them.

A series and the occurrence that it makes next are one transaction, on condition of both. So an occurrence is registered
once, whoever crashes or comes second, and one that was deleted does not come again.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.domain.series import Series
from shared.truth import keys
from shared.truth.failures import ConditionFailed, passing_as_unavailable
from shared.truth.items import period_text, series_text
from shared.truth.queries import items
from shared.truth.registry import Conflict
from shared.truth.work import due_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_NEW: Final = "attribute_not_exists(pk)"
_AS_READ: Final = "body = :body"
_SAME_VERSION: Final = "version = :version"
_GOES_ON: Final = (
    "version = :version AND (attribute_not_exists(sealing_through) OR sealing_through < :day)"
    " AND (attribute_not_exists(sealed_through) OR sealed_through < :day)"
)
_decoder = msgspec.json.Decoder(Series)


class SeriesRecords:
    """Reads (strongly consistent) and conditional writes.

    Methods raise Unavailable if DynamoDB throttles or is out of reach; then it may have been written.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def all(self) -> dict[str, list[Series]]:
        """Leaderboard id → its series, by id; those without any are not in it."""
        found: dict[str, list[Series]] = {}
        for item in items(self._client, self._table, keys.SERIES):
            leaderboard_id, _, _ = item["sk"]["S"].partition("#")
            found.setdefault(leaderboard_id, []).append(_decoder.decode(item["body"]["S"]))
        return found

    def of(self, leaderboard_id: str) -> list[Series]:
        """The series of a leaderboard, by id."""
        prefix = keys.series_sort(leaderboard_id)
        found = items(self._client, self._table, keys.SERIES, "begins_with(sk, :sk)", sk=prefix)
        return [_decoder.decode(item["body"]["S"]) for item in found]

    def find(self, leaderboard_id: str, series_id: str) -> Series | None:
        """A series; None if there is none of this id."""
        key: Any = _key(keys.SERIES, keys.series_sort(leaderboard_id, series_id))
        with passing_as_unavailable():
            item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return None if item is None else _decoder.decode(item["body"]["S"])

    def save(self, leaderboard_id: str, before: Series | None, after: Series | None, dropped: Iterable[Period]) -> None:
        """Create, change or delete a series, and delete occurrences with it.

        Args:
            leaderboard_id: whose series.
            before: as it was read; None if there was none.
            after: as it is to be; None to delete it.
            dropped: occurrences of before, as they were read.

        Raises:
            Conflict: if it was changed since, or one of these was or has a result; or if a period has its id.
        """
        of = after or before
        assert of is not None  # noqa: S101 - there is one before or after
        actions = [self._series_action(leaderboard_id, before, after)]
        partition = keys.leaderboard_partition(leaderboard_id)
        if before is None:
            actions.append(self._check(_key(partition, keys.period_sort(of.id)), _NEW))
        finals = [_key(partition, keys.final_sort(one)) for one in {one.window.id for one in dropped}]
        actions += [self._check(final, _NEW) for final in finals]
        for period in dropped:
            values = {":body": {"S": period_text(period)}}
            delete = {"TableName": self._table, "Key": _key(partition, keys.period_sort(period.id))}
            actions.append({"Delete": delete | {"ConditionExpression": _AS_READ, "ExpressionAttributeValues": values}})
        self._write(actions)

    def make(self, leaderboard: Leaderboard, series: Series, period: Period) -> Series:
        """Register the next occurrence of a series; its window is due at once if its last day rejects events already.

        Args:
            leaderboard: as it was read, not archived.
            series: as it was read.
            period: its next occurrence.

        Returns:
            The series as it is then.

        Raises:
            Conflict: if the series or the definition was changed since, or there is a period of this id.
        """
        after = replace(series, next=series.next + 1)
        partition = keys.leaderboard_partition(leaderboard.id)
        item = _key(partition, keys.period_sort(period.id)) | {"body": {"S": period_text(period)}}
        put = {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": _NEW}}
        actions = [self._series_action(leaderboard.id, series, after), put]
        definition = _key(keys.LEADERBOARDS, leaderboard.id)
        version = {":version": {"N": str(leaderboard.version)}}
        day = {":day": {"N": str(period.last)}}
        if not leaderboard.rejects(period.last):
            self._write([*actions, self._check(definition, _GOES_ON, version | day)])
            return after
        due = {"Put": {"TableName": self._table, "Item": due_item(leaderboard.id, period.window.id)}}
        self._write([*actions, self._check(definition, _SAME_VERSION, version), due])
        return after

    def pass_over(self, leaderboard_id: str, series: Series) -> Series:
        """Go on behind the next occurrence, whose id a period has; see `make`."""
        after = replace(series, next=series.next + 1)
        self._write([self._series_action(leaderboard_id, series, after)])
        return after

    def _series_action(self, leaderboard_id: str, before: Series | None, after: Series | None) -> dict[str, Any]:
        of = after or before
        assert of is not None  # noqa: S101 - likewise
        key = _key(keys.SERIES, keys.series_sort(leaderboard_id, of.id))
        condition: dict[str, Any] = {"ConditionExpression": _NEW}
        if before is not None:
            values = {":body": {"S": series_text(before)}}
            condition = {"ConditionExpression": _AS_READ, "ExpressionAttributeValues": values}
        if after is None:
            return {"Delete": {"TableName": self._table, "Key": key, **condition}}
        return {"Put": {"TableName": self._table, "Item": key | {"body": {"S": series_text(after)}}, **condition}}

    def _check(self, key: dict[str, Any], condition: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
        check: dict[str, Any] = {"TableName": self._table, "Key": key, "ConditionExpression": condition}
        return {"ConditionCheck": check | ({"ExpressionAttributeValues": values} if values else {})}

    def _write(self, actions: list[dict[str, Any]]) -> None:
        request: Any = actions
        try:
            with passing_as_unavailable():
                self._client.transact_write_items(TransactItems=request)
        except ConditionFailed as failed:
            raise Conflict(str(failed)) from failed


def _key(partition: str, sort: str) -> dict[str, Any]:
    return {"pk": {"S": partition}, "sk": {"S": sort}}
