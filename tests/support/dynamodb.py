"""DynamoDB in memory, as far as the product uses it, with places at which a test lets it fail."""

import re
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

from botocore.exceptions import ClientError

TRANSACTION_ITEMS_MAX = 100
BATCH_GET_KEYS_MAX = 100
BATCH_WRITE_ITEMS_MAX = 25
LAST = chr(0x10FFFF)
"""Comes after all that a key holds."""

Item = dict[str, Any]
Place = tuple[str, str]
"""Partition and sort key."""

_SET = re.compile(r"(\w+) = (:\w+)")
_ADD = re.compile(r"(\w+) (:\w+)")
_AFTER = re.compile(r"sk > (:\w+)")
_PREFIX = re.compile(r"begins_with\(sk, (:\w+)\)")
_BETWEEN = re.compile(r"sk BETWEEN (:\w+) AND (:\w+)")


class TransactionCanceled(ClientError):
    """As botocore's TransactionCanceledException, with the reason for each item."""

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": list(reasons)}
        super().__init__(error, "TransactWriteItems")


class ConditionalCheckFailed(ClientError):
    """As botocore's ConditionalCheckFailedException, with the item as it was if that was asked for."""

    def __init__(self, reason: Mapping[str, Any], operation: str) -> None:
        error: Any = {"Error": {"Code": "ConditionalCheckFailedException"}}
        super().__init__(error | ({"Item": reason["Item"]} if "Item" in reason else {}), operation)


class Table(dict[Place, Item]):
    """Items by partition and sort key, and the sort keys of each partition in their order."""

    def __init__(self) -> None:
        super().__init__()
        self._sorts: dict[str, list[str]] = {}

    def __setitem__(self, place: Place, item: Item) -> None:
        if place not in self:
            insort(self._sorts.setdefault(place[0], []), place[1])
        super().__setitem__(place, item)

    def __delitem__(self, place: Place) -> None:
        super().__delitem__(place)
        self._sorts[place[0]].remove(place[1])

    def sort_keys(self, partition: str, after: str, first: str, last: str, limit: int) -> list[str]:
        """The next sort keys of a partition past `after`, from `first` to `last`."""
        sorts = self._sorts.get(partition, [])
        start = max(bisect_right(sorts, after), bisect_left(sorts, first))
        return sorts[start : min(start + limit, bisect_right(sorts, last))]


class MemoryDynamoDB:
    """The requests of a boto3 client. A transaction is all or nothing; single reads are consistent, several are not.

    A subclass makes it fail: `before` and `after` a request, in the reasons of a transaction, in the keys left over.
    """

    exceptions: ClassVar = SimpleNamespace(
        TransactionCanceledException=TransactionCanceled, ConditionalCheckFailedException=ConditionalCheckFailed
    )
    page_items: ClassVar = 7
    """So few that every longer query has pages."""

    def __init__(self, tables: defaultdict[str, Table] | None = None) -> None:
        self.tables = defaultdict(Table) if tables is None else tables

    def before(self, operation: str) -> None:
        """Called ahead of each request; what it raises keeps the request from being carried out."""

    def after(self) -> None:
        """Called when something was written; it stays written, whatever this raises."""

    def cancel(self, reasons: list[dict[str, Any]]) -> None:
        """May put other reasons in the place of those for which a transaction is cancelled, or is not."""

    def is_left_over(self, number: int, keys: int) -> bool:
        """Whether a batch read leaves this one of its keys unprocessed."""
        return False

    def note_put(self, table: str, place: Place, item: Item) -> None:
        """Called with everything that was put."""

    def note_transaction(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Called with what a transaction is about to write."""

    def transact_write_items(self, TransactItems: Sequence[Mapping[str, Any]]) -> None:
        actions = [next(iter(action.items())) for action in TransactItems]
        places = [(action["TableName"], _place(action)) for _, action in actions]
        assert 1 <= len(actions) <= TRANSACTION_ITEMS_MAX
        assert len(set(places)) == len(places), "a transaction may name an item only once"
        self.before("TransactWriteItems")
        reasons = [self._reason(action) for _, action in actions]
        self.cancel(reasons)
        if any(reason["Code"] != "None" for reason in reasons):
            raise TransactionCanceled(reasons)
        self.note_transaction([action for _, action in actions])
        for kind, action in actions:
            self._write(kind, action)
        self.after()

    def put_item(self, **put: Any) -> None:
        self._write_one("Put", put)

    def update_item(self, **update: Any) -> None:
        self._write_one("Update", update)

    def delete_item(self, **delete: Any) -> None:
        self._write_one("Delete", delete)

    def get_item(self, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        self.before("GetItem")
        item = self.tables[TableName].get(_key(Key))
        return {} if item is None else {"Item": _copied(item)}

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        ((table, request),) = RequestItems.items()
        keys = request["Keys"]
        assert request["ConsistentRead"]
        assert 1 <= len(keys) <= BATCH_GET_KEYS_MAX
        assert len({_key(key) for key in keys}) == len(keys), "a batch may name a key only once"
        self.before("BatchGetItem")
        found, left = [], []
        for number, key in enumerate(keys):
            if self.is_left_over(number, len(keys)):
                left.append(key)
            elif (item := self.tables[table].get(_key(key))) is not None:
                found.append(_copied(item))
        rest = {table: {**request, "Keys": left}} if left else {}
        return {"Responses": {table: found}, "UnprocessedKeys": rest}

    def batch_write_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        ((table, requests),) = RequestItems.items()
        items = [request["PutRequest"]["Item"] for request in requests]
        assert 1 <= len(items) <= BATCH_WRITE_ITEMS_MAX
        assert len({_key(item) for item in items}) == len(items), "a batch may name a key only once"
        self.before("BatchWriteItem")
        for item in items:
            self._write("Put", {"TableName": table, "Item": item})
        self.after()
        return {"UnprocessedItems": {}}

    def get_paginator(self, name: str) -> Any:
        assert name == "query"
        return SimpleNamespace(paginate=self._pages)

    def _pages(
        self,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Any],
        ConsistentRead: bool,
        **_: Any,
    ) -> Iterator[dict[str, Any]]:
        assert ConsistentRead
        partition = ExpressionAttributeValues[":pk"]["S"]
        after, first, last = _bounds(KeyConditionExpression, ExpressionAttributeValues)
        while True:
            self.before("Query")
            table = self.tables[TableName]
            sorts = table.sort_keys(partition, after, first, last, self.page_items)
            yield {"Items": [_copied(table[partition, sort]) for sort in sorts]}
            if len(sorts) < self.page_items:
                return
            after = sorts[-1]

    def _write_one(self, kind: str, action: Mapping[str, Any]) -> None:
        operation = f"{kind}Item"
        self.before(operation)
        reason = self._reason(action)
        if reason["Code"] != "None":
            raise ConditionalCheckFailed(reason, operation)
        self._write(kind, action)
        self.after()

    def _reason(self, action: Mapping[str, Any]) -> dict[str, Any]:
        """Why a transaction with this action is cancelled; the code `None` if it is not."""
        condition = action.get("ConditionExpression")
        item = self.tables[action["TableName"]].get(_place(action))
        if condition is None or _HOLDS[condition](item, _values(action)):
            return {"Code": "None"}
        reason: dict[str, Any] = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        if action.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and item is not None:
            reason["Item"] = _copied(item)
        return reason

    def _write(self, kind: str, action: Mapping[str, Any]) -> None:
        table, place = self.tables[action["TableName"]], _place(action)
        if kind == "Put":
            table[place] = _copied(action["Item"])
            self.note_put(action["TableName"], place, action["Item"])
        elif kind == "Delete":
            if place in table:
                del table[place]
        elif kind == "Update":
            table[place] = _updated(table.get(place), action)
        else:
            assert kind == "ConditionCheck"


def number(item: Mapping[str, Any] | None, name: str, missing: int = 0) -> int:
    """A number of an item; `missing` if there is no item, or none of that name in it."""
    return missing if item is None or name not in item else int(item[name]["N"])


Condition = Callable[[Item | None, Mapping[str, Any]], bool]
_HOLDS: dict[str, Condition] = {
    "attribute_exists(pk)": lambda item, _: item is not None,
    "attribute_not_exists(pk)": lambda item, _: item is None,
    "body = :body": lambda item, values: item is not None and item["body"]["S"] == values[":body"],
    "version = :read": lambda item, values: item is not None and number(item, "version") == values[":read"],
    "version = :version": lambda item, values: item is not None and number(item, "version") == values[":version"],
    "attribute_exists(pk) AND attribute_not_exists(voided_by)": lambda item, _: (
        item is not None and "voided_by" not in item
    ),
    "(attribute_not_exists(sealing_through) OR sealing_through < :day)"
    " AND (attribute_not_exists(sealed_through) OR sealed_through < :day)": lambda item, values: (
        max(number(item, "sealing_through", -1), number(item, "sealed_through", -1)) < values[":day"]
    ),
    "version = :version AND (attribute_not_exists(sealing_through) OR sealing_through < :day)"
    " AND (attribute_not_exists(sealed_through) OR sealed_through < :day)": lambda item, values: (
        number(item, "version") == values[":version"]
        and max(number(item, "sealing_through", -1), number(item, "sealed_through", -1)) < values[":day"]
    ),
    "stamp = :stamp": lambda item, values: item is not None and number(item, "stamp") == values[":stamp"],
    "next_offset = :from": lambda item, values: item is not None and number(item, "next_offset") == values[":from"],
    "attribute_not_exists(pk) OR next_offset = :from": lambda item, values: (
        item is None or number(item, "next_offset") == values[":from"]
    ),
    "attribute_not_exists(pk) OR next_offset < :next": lambda item, values: (
        item is None or number(item, "next_offset") < values[":next"]
    ),
    "attribute_not_exists(pk) OR gap_until < :until": lambda item, values: (
        number(item, "gap_until", -1) < values[":until"]
    ),
    "attribute_not_exists(pk) OR lost_until < :until": lambda item, values: (
        number(item, "lost_until", -1) < values[":until"]
    ),
    "attribute_not_exists(pk) OR kept < :kept": lambda item, values: (
        item is None or item["kept"]["S"] < values[":kept"]
    ),
    "attribute_not_exists(pk) OR appended_at > :appended": lambda item, values: (
        item is None or number(item, "appended_at") > values[":appended"]
    ),
    "gap_until <= :until": lambda item, values: item is not None and number(item, "gap_until") <= values[":until"],
    "lost_until <= :until": lambda item, values: item is not None and number(item, "lost_until") <= values[":until"],
    "version = :version AND (attribute_not_exists(sealing_through) OR sealing_through < :through)": (
        lambda item, values: (
            number(item, "version") == values[":version"] and number(item, "sealing_through", -1) < values[":through"]
        )
    ),
    "attribute_exists(pk) AND attribute_not_exists(pseudonyms)": lambda item, _: (
        item is not None and "pseudonyms" not in item
    ),
    "pseudonyms = :count AND attribute_not_exists(moving)": lambda item, values: (
        number(item, "pseudonyms", -1) == values[":count"] and "moving" not in (item or {})
    ),
    "moving = :pseudonym": lambda item, values: (
        item is not None and "moving" in item and item["moving"]["S"] == values[":pseudonym"]
    ),
    "#snapshot = :before": lambda item, values: item is not None and item["snapshot"]["B"] == values[":before"],
    "attribute_exists(pk) AND attribute_not_exists(last_start)": lambda item, _: (
        item is not None and "last_start" not in item
    ),
    "attribute_exists(pk) AND last_start = :start": lambda item, values: (
        number(item, "last_start", -1) == values[":start"]
    ),
    "sealing_through = :through AND attribute_not_exists(seals_at)": lambda item, values: (
        number(item, "sealing_through", -1) == values[":through"] and "seals_at" not in (item or {})
    ),
    "attribute_not_exists(sealed_through) OR sealed_through < :through": lambda item, values: (
        number(item, "sealed_through", -1) < values[":through"]
    ),
}
"""Every condition that the product writes; one that is not here fails the test that meets it."""


def _bounds(condition: str, values: Mapping[str, Any]) -> tuple[str, str, str]:
    """The sort key after which a query begins, the first and the last one that it may find."""
    _, _, on_sort = condition.partition("pk = :pk AND ")
    assert condition in ("pk = :pk", f"pk = :pk AND {on_sort}"), condition
    if not on_sort:
        return "", "", LAST
    if match := _AFTER.fullmatch(on_sort):
        return values[match[1]]["S"], "", LAST
    if match := _PREFIX.fullmatch(on_sort):
        prefix = values[match[1]]["S"]
        return "", prefix, prefix + LAST
    match = _BETWEEN.fullmatch(on_sort)
    assert match is not None, condition
    return "", values[match[1]]["S"], values[match[2]]["S"]


def _updated(item: Mapping[str, Any] | None, update: Mapping[str, Any]) -> dict[str, Any]:
    """The item after `SET a = :x, … REMOVE c` or `… ADD b :y, …`; a number that is missing is 0, and so is an item that
    has none.
    """
    rest, _, removed = update["UpdateExpression"].partition("REMOVE ")
    sets, _, adds = rest.partition("ADD ")
    values = update["ExpressionAttributeValues"]
    after = {**update["Key"], **(item or {})}
    if sets:
        assert sets.startswith("SET ")
        after |= {name: dict(values[value]) for name, value in _SET.findall(sets)}
    for name, value in _ADD.findall(adds):
        before = int(after[name]["N"]) if name in after else 0
        after[name] = {"N": str(before + int(values[value]["N"]))}
    return {name: value for name, value in after.items() if name not in removed.split()}


def _values(action: Mapping[str, Any]) -> dict[str, Any]:
    values = action.get("ExpressionAttributeValues", {})
    return {name: int(value["N"]) if "N" in value else next(iter(value.values())) for name, value in values.items()}


def _place(action: Mapping[str, Any]) -> Place:
    return _key(action.get("Item") or action["Key"])


def _key(item: Mapping[str, Any]) -> Place:
    return item["pk"]["S"], item["sk"]["S"]


def _copied(item: Mapping[str, Any]) -> Item:
    """An item that nobody else holds, as far down as it is ever changed."""
    return {name: dict(value) for name, value in item.items()}
