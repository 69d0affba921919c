"""Stand-ins of DynamoDB, SQS and S3 below the clients, with the faults that the real ones have."""

import copy
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Self

from botocore.exceptions import ClientError, ReadTimeoutError
from greenlet import getcurrent, greenlet

from shared.assembly import TRUTH_ATTEMPTS, TRUTH_PATIENCE_MS
from shared.domain.calendar import parse_day
from shared.truth.guard import Guard
from shared.truth.items import to_standing
from shared.truth.keys import LEADERBOARDS
from tests.simulation.course import Fault
from tests.simulation.scheduler import Scheduler
from tests.support.updates import updated

PAGE_ITEMS = 7
TIMEOUT_MS = 5_000
"""Of one attempt, as the product's setting."""
LAST = chr(0x10FFFF)
"""Comes after all that a key holds."""


class TransactionCanceled(ClientError):
    """As botocore's TransactionCanceledException."""


class ConditionalCheckFailed(ClientError):
    """As botocore's ConditionalCheckFailedException."""


class Table(dict[tuple[str, str], dict[str, Any]]):
    """Items by partition and sort key, and the sort keys of each partition in their order."""

    def __init__(self) -> None:
        super().__init__()
        self._sorts: dict[str, list[str]] = {}

    def __setitem__(self, place: tuple[str, str], item: dict[str, Any]) -> None:
        if place not in self:
            insort(self._sorts.setdefault(place[0], []), place[1])
        super().__setitem__(place, item)

    def __delitem__(self, place: tuple[str, str]) -> None:
        super().__delitem__(place)
        self._sorts[place[0]].remove(place[1])

    def page(self, partition: str, after: str, first: str, last: str) -> list[str]:
        """The next sort keys of a partition past one, from the first to the last."""
        sorts = self._sorts.get(partition, [])
        start = max(bisect_right(sorts, after), bisect_left(sorts, first))
        return sorts[start : min(start + PAGE_ITEMS, bisect_right(sorts, last))]


class Dynamo:
    """The tables. A transaction is all or nothing; single reads are consistent, several together are not."""

    exceptions = SimpleNamespace(
        TransactionCanceledException=TransactionCanceled, ConditionalCheckFailedException=ConditionalCheckFailed
    )

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._hangs_until_ms = [0]
        """One for all clients."""
        self._guard: Guard | None = None
        self.unanswered: Counter[greenlet] = Counter()
        """Attempts that each actor has made with this client and waited for in vain."""
        self.tables: defaultdict[str, Table] = defaultdict(Table)
        self.all_time: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
        """(leaderboard, user) → version of the all-time standing → points and instant: all that there ever were."""
        self.accepted: dict[tuple[str, str], int] = {}
        """Place of each event in the ledger → how many were accepted before it."""
        self.changed_after_close: list[tuple[str, str, str]] = []
        """Leaderboard, day and user of standings that were written though their day was closed."""

    def guarded(self, guard: Guard) -> Self:
        """The same tables by the client of somebody who does not wait for long."""
        client = copy.copy(self)
        client._guard, client.unanswered = guard, Counter()
        return client

    def hang(self, for_ms: int) -> None:
        """Answer nobody for a while."""
        self._hangs_until_ms[0] = self._scheduler.now_ms + for_ms

    @property
    def hangs(self) -> bool:
        """Whether it answers nobody now."""
        return not self._scheduler.calm and self._scheduler.now_ms < self._hangs_until_ms[0]

    def wait_for_answer(self) -> None:
        """Where a request was sent: nothing, or all attempts of the client without an answer."""
        for _ in range(TRUTH_ATTEMPTS):
            if self._guard is not None:
                self._guard.before()
            if not self.hangs:
                if self._guard is not None:
                    self._guard.after()
                return
            self.unanswered[getcurrent()] += 1
            self._scheduler.sleep((TIMEOUT_MS if self._guard is None else TRUTH_PATIENCE_MS) / 1000)
            if self._guard is not None:
                self._guard.after(exception=ReadTimeoutError(endpoint_url="dynamodb"))
        raise ReadTimeoutError(endpoint_url="dynamodb")

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> None:
        self._before("TransactWriteItems")
        actions = [next(iter(action.items())) for action in TransactItems]
        reasons = [self._reason(action) for _, action in actions]
        if self._scheduler.fails(Fault.CONFLICT):
            reasons[self._scheduler.rng.randrange(len(reasons))] = {"Code": "TransactionConflict"}
        if any(reason["Code"] != "None" for reason in reasons):
            error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise TransactionCanceled(error, "TransactWriteItems")
        assert len(TransactItems) <= 100
        places = [(action["TableName"], self._place(action)) for _, action in actions]
        assert len(set(places)) == len(places), "a transaction may name an item only once"
        for kind, action in actions:
            self._write(kind, action)
        self._after()

    def put_item(self, **put: Any) -> None:
        self._before("PutItem")
        if self._reason(put)["Code"] != "None":
            raise ConditionalCheckFailed({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
        self._write("Put", put)
        self._after()

    def update_item(self, **update: Any) -> None:
        self._before("UpdateItem")
        reason = self._reason(update)
        if reason["Code"] != "None":
            error: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": reason["Item"]}
            raise ConditionalCheckFailed(error, "UpdateItem")
        self._write("Update", update)
        self._after()

    def delete_item(self, **delete: Any) -> None:
        self._before("DeleteItem")
        if self._reason(delete)["Code"] != "None":
            raise ConditionalCheckFailed({"Error": {"Code": "ConditionalCheckFailedException"}}, "DeleteItem")
        self._write("Delete", delete)
        self._after()

    def get_item(self, TableName: str, Key: dict[str, Any], ConsistentRead: bool = False) -> dict[str, Any]:
        self._before("GetItem")
        item = self.tables[TableName].get(self._key(Key))
        return {} if item is None else {"Item": _copied(item)}

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        self._before("BatchGetItem")
        ((table, request),) = RequestItems.items()
        assert request["ConsistentRead"]
        found, left = [], []
        for key in request["Keys"]:
            if self._scheduler.fails(Fault.UNPROCESSED):
                left.append(key)
                continue
            if self._scheduler.rng.random() < 0.05:
                self._scheduler.pause()
            item = self.tables[table].get(self._key(key))
            if item is not None:
                found.append(_copied(item))
        answer: dict[str, Any] = {"Responses": {table: found}, "UnprocessedKeys": {}}
        if left:
            answer["UnprocessedKeys"] = {table: {**request, "Keys": left}}
        return answer

    def get_paginator(self, name: str) -> Any:
        assert name == "query"
        return SimpleNamespace(paginate=self._query)

    def _query(self, TableName: str, ExpressionAttributeValues: Any, ConsistentRead: bool, **_: Any) -> Iterator[Any]:
        assert ConsistentRead
        partition = ExpressionAttributeValues[":pk"]["S"]
        prefix = ExpressionAttributeValues.get(":sk", {"S": ""})["S"]
        first = ExpressionAttributeValues.get(":first", {"S": prefix})["S"]
        after = ExpressionAttributeValues.get(":moved", {"S": ""})["S"]
        last = ExpressionAttributeValues.get(":last", {"S": prefix + LAST})["S"]
        while True:
            self._before("Query")
            table = self.tables[TableName]
            sorts = table.page(partition, after, first, last)
            yield {"Items": [_copied(table[partition, sort]) for sort in sorts]}
            if len(sorts) < PAGE_ITEMS:
                return
            after = sorts[-1]

    def _before(self, operation: str) -> None:
        self._scheduler.pause()
        self.wait_for_answer()
        if self._scheduler.fails(Fault.THROTTLE):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, operation)
        if self._scheduler.fails(Fault.TIMEOUT):
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def _after(self) -> None:
        """What was written stays written, whatever becomes of the answer."""
        self._scheduler.pause()
        self.wait_for_answer()
        if self._scheduler.fails(Fault.TIMEOUT):
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def _reason(self, put: dict[str, Any]) -> dict[str, Any]:
        item = self.tables[put["TableName"]].get(self._place(put))
        if "ConditionExpression" not in put:
            return {"Code": "None"}
        values = {name: int(value["N"]) for name, value in put.get("ExpressionAttributeValues", {}).items()}
        holds: dict[str, Callable[[], bool]] = {
            "attribute_not_exists(pk)": lambda: item is None,
            "stamp = :stamp": lambda: item is not None and _number(item, "stamp") == values[":stamp"],
            "attribute_exists(pk)": lambda: item is not None,
            "version = :read": lambda: item is not None and int(item["version"]["N"]) == values[":read"],
            "attribute_not_exists(pk) OR next_offset = :from": lambda: (
                item is None or _number(item, "next_offset") == values[":from"]
            ),
            "next_offset = :from": lambda: item is not None and _number(item, "next_offset") == values[":from"],
            "attribute_not_exists(pk) OR next_offset < :next": lambda: (
                item is None or _number(item, "next_offset") < values[":next"]
            ),
            "attribute_not_exists(pk) OR gap_until < :until": lambda: _number(item, "gap_until", -1) < values[":until"],
            "attribute_not_exists(pk) OR lost_until < :until": lambda: (
                _number(item, "lost_until", -1) < values[":until"]
            ),
            "gap_until <= :until": lambda: item is not None and _number(item, "gap_until") <= values[":until"],
            "lost_until <= :until": lambda: item is not None and _number(item, "lost_until") <= values[":until"],
            "version = :version AND (attribute_not_exists(sealing_through) OR sealing_through < :through)": lambda: (
                _number(item, "version") == values[":version"]
                and _number(item, "sealing_through", -1) < values[":through"]
            ),
            "sealing_through = :through AND attribute_not_exists(seals_at)": lambda: (
                _number(item, "sealing_through", -1) == values[":through"] and "seals_at" not in (item or {})
            ),
            "attribute_not_exists(sealed_through) OR sealed_through < :through": lambda: (
                _number(item, "sealed_through", -1) < values[":through"]
            ),
        }
        if holds[put["ConditionExpression"]]():
            return {"Code": "None"}
        reason: dict[str, Any] = {"Code": "ConditionalCheckFailed"}
        if put.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            reason["Item"] = None if item is None else _copied(item)
        return reason

    def _write(self, kind: str, action: dict[str, Any]) -> None:
        table, place = self.tables[action["TableName"]], self._place(action)
        if kind == "Put":
            table[place] = _copied(action["Item"])
            if action["TableName"] == "leaderboard-ledger":
                self.accepted.setdefault(place, len(self.accepted))
            if action["TableName"] == "leaderboard-standings":
                self._note_standing(*place, action["Item"])
        elif kind == "Delete":
            if place in table:
                del table[place]
        elif kind == "Update":
            table[place] = updated(table.get(place), action)
        else:
            assert kind == "ConditionCheck"

    def _note_standing(self, partition: str, user: str, item: dict[str, Any]) -> None:
        board, bucket, *shard = partition.split("#")
        if not shard:  # which days have standings
            return
        if bucket == "all-time":
            standing = to_standing(item)
            versions = self.all_time.setdefault((board, user), {})
            versions[standing.version] = (standing.points, standing.reached_at_ms)
            return
        sealed_through = self.tables["registry"][LEADERBOARDS, board].get("sealed_through")
        if sealed_through is not None and parse_day(bucket) <= int(sealed_through["N"]):
            self.changed_after_close.append((board, bucket, user))

    def _place(self, action: dict[str, Any]) -> tuple[str, str]:
        return self._key(action.get("Item") or action["Key"])

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
        if self._scheduler.fails(Fault.REFUSE):
            raise ReadTimeoutError(endpoint_url="sqs")
        assert len(Entries) <= 10
        self.messages.setdefault(QueueUrl, []).extend(entry["MessageBody"] for entry in Entries)
        self._scheduler.pause()
        if self._scheduler.fails(Fault.REFUSE):
            raise ReadTimeoutError(endpoint_url="sqs")
        return {}


def _copied(item: dict[str, Any]) -> dict[str, Any]:
    """An item that nobody else holds, as far down as it is ever changed."""
    return {name: dict(value) for name, value in item.items()}


class S3:
    """Objects by key. A write may fail, and may have been done all the same."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.objects: dict[str, bytes] = {}

    def get_paginator(self, name: str) -> Any:
        """Of uploads that are under way: files here fit into one request, so there are none."""
        assert name == "list_multipart_uploads"
        return SimpleNamespace(paginate=self._uploads)

    def _uploads(self, Bucket: str, Prefix: str) -> Iterator[Any]:
        self._scheduler.pause()
        if self._scheduler.fails(Fault.REFUSE):
            raise ReadTimeoutError(endpoint_url="s3")
        yield {}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        self._scheduler.pause()
        if self._scheduler.fails(Fault.REFUSE):
            raise ReadTimeoutError(endpoint_url="s3")
        self.objects[Key] = Body
        self._scheduler.pause()
        if self._scheduler.fails(Fault.REFUSE):
            raise ReadTimeoutError(endpoint_url="s3")


def _number(item: Mapping[str, Any] | None, name: str, missing: int = 0) -> int:
    return missing if item is None or name not in item else int(item[name]["N"])
