"""Stand-ins of DynamoDB, SQS and S3 below the clients, with the faults that the real ones have."""

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation.scheduler import Scheduler

PAGE_ITEMS = 7
THROTTLED, TIMED_OUT, CONFLICT, UNPROCESSED, REFUSED = 0.02, 0.02, 0.03, 0.1, 0.03


class TransactionCanceled(ClientError):
    """As botocore's TransactionCanceledException."""


class ConditionalCheckFailed(ClientError):
    """As botocore's ConditionalCheckFailedException."""


class Dynamo:
    """The tables. A transaction is all or nothing; single reads are consistent, several together are not."""

    exceptions = SimpleNamespace(
        TransactionCanceledException=TransactionCanceled, ConditionalCheckFailedException=ConditionalCheckFailed
    )

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.tables: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> None:
        self._before("TransactWriteItems")
        reasons = [self._reason(action["Put"]) for action in TransactItems]
        if self._scheduler.fails(CONFLICT):
            reasons[self._scheduler.rng.randrange(len(reasons))] = {"Code": "TransactionConflict"}
        if any(reason["Code"] != "None" for reason in reasons):
            error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise TransactionCanceled(error, "TransactWriteItems")
        assert len(TransactItems) <= 100
        places = [(put["TableName"], self._key(put["Item"])) for put in (one["Put"] for one in TransactItems)]
        assert len(set(places)) == len(places), "a transaction may name an item only once"
        for action in TransactItems:
            self._write(action["Put"])
        self._after()

    def put_item(self, **put: Any) -> None:
        self._before("PutItem")
        if self._reason(put)["Code"] != "None":
            raise ConditionalCheckFailed({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
        self._write(put)
        self._after()

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        self._before("BatchGetItem")
        ((table, request),) = RequestItems.items()
        assert request["ConsistentRead"]
        found, left = [], []
        for key in request["Keys"]:
            if self._scheduler.fails(UNPROCESSED):
                left.append(key)
                continue
            if self._scheduler.rng.random() < 0.05:
                self._scheduler.pause()
            item = self._table(table).get(self._key(key))
            if item is not None:
                found.append(copy.deepcopy(item))
        answer: dict[str, Any] = {"Responses": {table: found}, "UnprocessedKeys": {}}
        if left:
            answer["UnprocessedKeys"] = {table: {**request, "Keys": left}}
        return answer

    def get_paginator(self, name: str) -> Any:
        assert name == "query"
        return SimpleNamespace(paginate=self._query)

    def _query(self, TableName: str, ExpressionAttributeValues: Any, ConsistentRead: bool, **_: Any) -> Iterator[Any]:
        assert ConsistentRead
        partition, after = ExpressionAttributeValues[":pk"]["S"], ""
        while True:
            self._before("Query")
            keys = sorted(key for key in self._table(TableName) if key[0] == partition and key[1] > after)[:PAGE_ITEMS]
            yield {"Items": [copy.deepcopy(self._table(TableName)[key]) for key in keys]}
            if len(keys) < PAGE_ITEMS:
                return
            after = keys[-1][1]

    def _before(self, operation: str) -> None:
        self._scheduler.pause()
        if self._scheduler.fails(THROTTLED):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, operation)
        if self._scheduler.fails(TIMED_OUT):
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def _after(self) -> None:
        """What was written stays written, whatever becomes of the answer."""
        self._scheduler.pause()
        if self._scheduler.fails(TIMED_OUT):
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def _reason(self, put: dict[str, Any]) -> dict[str, Any]:
        item = self._table(put["TableName"]).get(self._key(put["Item"]))
        values = {name: int(value["N"]) for name, value in put.get("ExpressionAttributeValues", {}).items()}
        holds = {
            "attribute_not_exists(pk)": lambda: item is None,
            "version = :read": lambda: item is not None and int(item["version"]["N"]) == values[":read"],
            "attribute_not_exists(pk) OR next_offset < :next": lambda: (
                item is None or int(item["next_offset"]["N"]) < values[":next"]
            ),
        }[put["ConditionExpression"]]
        if holds():
            return {"Code": "None"}
        reason: dict[str, Any] = {"Code": "ConditionalCheckFailed"}
        if put.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            reason["Item"] = copy.deepcopy(item)
        return reason

    def _write(self, put: dict[str, Any]) -> None:
        self._table(put["TableName"])[self._key(put["Item"])] = copy.deepcopy(put["Item"])

    def _table(self, name: str) -> dict[tuple[str, str], dict[str, Any]]:
        return self.tables.setdefault(name, {})

    @staticmethod
    def _key(item: dict[str, Any]) -> tuple[str, str]:
        return item["pk"]["S"], item["sk"]["S"]


class Sqs:
    """Queues by URL. A send may fail, and may have been taken all the same."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.messages: dict[str, list[str]] = {}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        self._scheduler.pause()
        if self._scheduler.fails(REFUSED):
            raise ReadTimeoutError(endpoint_url="sqs")
        assert len(Entries) <= 10
        self.messages.setdefault(QueueUrl, []).extend(entry["MessageBody"] for entry in Entries)
        self._scheduler.pause()
        if self._scheduler.fails(REFUSED):
            raise ReadTimeoutError(endpoint_url="sqs")
        return {}


class Registry:
    """Definitions; nobody changes them while they are sealed."""

    def __init__(self, scheduler: Scheduler, leaderboards: Any) -> None:
        self._scheduler = scheduler
        self._leaderboards = {one.id: one for one in leaderboards}

    def leaderboard(self, leaderboard_id: str) -> Any:
        self._scheduler.pause()
        return self._leaderboards.get(leaderboard_id)

    def leaderboards(self, _limit: int) -> Any:
        self._scheduler.pause()
        return [one for one in self._leaderboards.values() if not one.closed]

    def periods(self, _leaderboard_id: str) -> Any:
        self._scheduler.pause()
        return []
