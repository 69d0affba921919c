"""DynamoDB in memory, as far as committing and counting use it, and the ways in which it lets a caller down."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from enum import Enum
from typing import Any, ClassVar

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.support.updates import updated

URL = "http://memory"
TRANSACTION_ITEMS_MAX = 100
BATCH_GET_KEYS_MAX = 100
PAGE_ITEMS = 3
"""So few that every longer query has pages."""


class Fault(Enum):
    """What goes wrong with one request."""

    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    TIMEOUT_BEFORE = "timed out, not written"
    TIMEOUT_AFTER = "timed out, written"
    CONFLICT = "one item in conflict with another transaction"
    ITEM_THROTTLED = "one item throttled"
    UNPROCESSED = "keys left over"
    SERVER_ERROR = "internal server error"


class TransactionCanceled(ClientError):
    """As botocore makes it, with the reason for each item."""

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": list(reasons)}
        super().__init__(error, "TransactWriteItems")


class ConditionalCheckFailed(ClientError):
    """As botocore makes it, with the item as it was."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        error: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": item}
        super().__init__(error, "UpdateItem")


class Exceptions:
    """The client's exception classes."""

    ConditionalCheckFailedException = ConditionalCheckFailed
    TransactionCanceledException = TransactionCanceled


class MemoryDynamoDB:
    """The items, and how many transactions were written."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.transactions = 0

    def client(self, faults: Iterable[Fault | None] = (), before: Callable[[], None] = lambda: None) -> "Client":
        """A client whose requests fail as `faults` say, one for each, until they are used up."""
        return Client(self, iter(faults), before)


class Client:
    """The requests of a boto3 client. `before` is called ahead of each."""

    exceptions: ClassVar = Exceptions

    def __init__(self, database: MemoryDynamoDB, faults: Iterator[Fault | None], before: Callable[[], None]) -> None:
        self._database = database
        self._faults = faults
        self._before = before

    def transact_write_items(self, **request: Any) -> None:
        puts = [action["Put"] for action in request["TransactItems"]]
        places = [(put["TableName"], put["Item"]["pk"]["S"], put["Item"]["sk"]["S"]) for put in puts]
        assert 1 <= len(puts) <= TRANSACTION_ITEMS_MAX
        assert len(set(places)) == len(places), "DynamoDB takes an item once in a transaction"
        fault = self._fault("TransactWriteItems")
        if fault in (Fault.CONFLICT, Fault.ITEM_THROTTLED):
            code = "TransactionConflict" if fault is Fault.CONFLICT else "ThrottlingError"
            raise TransactionCanceled([{"Code": "None"}] * (len(puts) - 1) + [{"Code": code}])
        items = self._database.items
        reasons = [_judge(put, items.get(place)) for put, place in zip(puts, places, strict=True)]
        if any(reason["Code"] != "None" for reason in reasons):
            raise TransactionCanceled(reasons)
        for put, place in zip(puts, places, strict=True):
            items[place] = deepcopy(put["Item"])
        self._database.transactions += 1
        if fault is Fault.TIMEOUT_AFTER:
            raise ReadTimeoutError(endpoint_url=URL)

    def put_item(self, TableName: str, Item: dict[str, Any]) -> None:
        fault = self._fault("PutItem")
        self._database.items[TableName, Item["pk"]["S"], Item["sk"]["S"]] = deepcopy(Item)
        if fault is Fault.TIMEOUT_AFTER:
            raise ReadTimeoutError(endpoint_url=URL)

    def update_item(self, **update: Any) -> None:
        place = update["TableName"], update["Key"]["pk"]["S"], update["Key"]["sk"]["S"]
        fault = self._fault("UpdateItem")
        stored = self._database.items.get(place)
        before, values = stored or {}, update["ExpressionAttributeValues"]
        holds: dict[str, Callable[[], bool]] = {
            "next_offset = :from": lambda: before["next_offset"] == values[":from"],
            "attribute_not_exists(pk) OR next_offset = :from": lambda: before["next_offset"] == values[":from"],
            "attribute_not_exists(pk) OR gap_until < :until": lambda: _is_less(before["gap_until"], values[":until"]),
        }
        assert update["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"
        may_be_new = "attribute_not_exists(pk)" in update["ConditionExpression"]
        if not (may_be_new if stored is None else holds[update["ConditionExpression"]]()):
            raise ConditionalCheckFailed(deepcopy(before))
        self._database.items[place] = updated(stored, update)
        if fault is Fault.TIMEOUT_AFTER:
            raise ReadTimeoutError(endpoint_url=URL)

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        fault = self._fault("BatchGetItem")
        ((table, wanted),) = request["RequestItems"].items()
        keys = wanted["Keys"]
        assert wanted["ConsistentRead"] is True
        assert 1 <= len(keys) <= BATCH_GET_KEYS_MAX
        places = [(table, key["pk"]["S"], key["sk"]["S"]) for key in keys]
        assert len(set(places)) == len(places), "DynamoDB takes a key once in a request"
        answered = len(keys) // 2 if fault is Fault.UNPROCESSED else len(keys)
        found = [deepcopy(self._database.items[place]) for place in places[:answered] if place in self._database.items]
        left = {table: {**wanted, "Keys": keys[answered:]}} if answered < len(keys) else {}
        return {"Responses": {table: found}, "UnprocessedKeys": left}

    def get_paginator(self, operation: str) -> "Paginator":
        assert operation == "query"
        return Paginator(self._database, self._fault)

    def _fault(self, operation: str) -> Fault | None:
        """The request's fault; raises those that keep the request from being carried out at all."""
        self._before()
        fault = next(self._faults, None)
        if fault is Fault.THROTTLED:
            raise _client_error("ThrottlingException", 400, operation)
        if fault is Fault.SERVER_ERROR:
            raise _client_error("InternalServerError", 500, operation)
        if fault is Fault.UNREACHABLE:
            raise ConnectionClosedError(endpoint_url=URL)
        if fault is Fault.TIMEOUT_BEFORE:
            raise ReadTimeoutError(endpoint_url=URL)
        return fault


def _is_less(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return int(one["N"]) < int(other["N"])


class Paginator:
    """Pages of one partition, by sort key."""

    def __init__(self, database: MemoryDynamoDB, fault: Callable[[str], Fault | None]) -> None:
        self._database = database
        self._fault = fault

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        assert request["ConsistentRead"] is True
        assert request["KeyConditionExpression"] == "pk = :pk"
        wanted = request["TableName"], request["ExpressionAttributeValues"][":pk"]["S"]
        after = ""
        while True:
            self._fault("Query")
            stored = self._database.items
            rest = sorted(place for place in stored if place[:2] == wanted and (not after or place[2] > after))
            page = rest[:PAGE_ITEMS]
            yield {"Items": [deepcopy(stored[place]) for place in page]}
            if len(rest) <= PAGE_ITEMS:
                return
            after = page[-1][2]


class Turns:
    """Lets threads go on one at a time, in the order of a schedule: the same interleaving at every run."""

    def __init__(self, threads: int, schedule: Iterable[int]) -> None:
        self._schedule = iter(schedule)
        self._running = set(range(threads))
        self._changed = threading.Condition()
        self._turn = 0
        self._next()

    def wait(self, thread: int) -> None:
        """Called ahead of each request: give the turn away, go on when it is this thread's again."""
        with self._changed:
            self._next()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._turn == thread)

    def run(self, calls: Sequence[Callable[[], None]]) -> None:
        """Run every call on a thread of its own; raises what the first failing one raised."""
        errors: list[BaseException] = []
        threads = [threading.Thread(target=self._run, args=(number, call, errors)) for number, call in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _run(self, thread: int, call: Callable[[], None], errors: list[BaseException]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._turn == thread)
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
            errors.append(error)
        finally:
            with self._changed:
                self._running.discard(thread)
                self._next()
                self._changed.notify_all()

    def _next(self) -> None:
        wanted = next(self._schedule, self._turn + 1)
        running = sorted(self._running)
        if running:
            self._turn = running[wanted % len(running)]


def _judge(put: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
    if put["ConditionExpression"] == "attribute_not_exists(pk)":
        holds = stored is None
    else:
        assert put["ConditionExpression"] == "version = :read"
        holds = stored is not None and stored["version"] == put["ExpressionAttributeValues"][":read"]
    if holds:
        return {"Code": "None"}
    reason: dict[str, Any] = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    if put.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and stored is not None:
        reason["Item"] = deepcopy(stored)
    return reason


def _client_error(code: str, status: int, operation: str) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)
