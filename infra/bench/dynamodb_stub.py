"""DynamoDB below botocore: answers requests where they would go onto the wire, so that only our own CPU is measured.

The answers are what DynamoDB's would be for the requests that the service makes: conditions are checked against what
was written before, and a cancelled transaction names its reasons. Items are kept as they came, in JSON.
"""

import io
import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, Self
from unittest import mock
from zlib import crc32

import msgspec
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from msgspec import Raw, Struct

QUERY_PAGE_BYTES = 1_000_000
"""A page of a query holds up to 1 MB
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html)."""


class _S(Struct, gc=False):
    S: str


class _N(Struct, gc=False):
    N: str


class _Place(Struct, omit_defaults=True, gc=False):
    """What the conditions look at."""

    pk: _S
    sk: _S
    version: _N | None = None
    next_offset: _N | None = None


class _Put(Struct, rename="pascal", gc=False):
    table_name: str
    item: Raw
    condition_expression: str = ""
    expression_attribute_values: dict[str, _N] = {}


class _Update(Struct, rename="pascal", gc=False):
    table_name: str
    key: _Place
    update_expression: str
    condition_expression: str = ""
    expression_attribute_values: dict[str, _N] = {}


class _Action(Struct, rename="pascal", gc=False):
    put: _Put


class _Transaction(Struct, rename="pascal", gc=False):
    transact_items: list[_Action]


class _Keys(Struct, rename="pascal", gc=False):
    keys: list[_Place]


class _BatchGet(Struct, rename="pascal", gc=False):
    request_items: dict[str, _Keys]


class _Get(Struct, rename="pascal", gc=False):
    table_name: str
    key: _Place


class _Query(Struct, rename="pascal", gc=False):
    table_name: str
    expression_attribute_values: dict[str, _S]
    exclusive_start_key: _Place | None = None
    limit: int | None = None


_Item = tuple[_Place, bytes]
_place = msgspec.json.Decoder(_Place)
_put = msgspec.json.Decoder(_Put)
_update = msgspec.json.Decoder(_Update)
_added = re.compile(r"(\w+) (:\w+)")
_assigned = re.compile(r"(\w+) = (:\w+)")
_transaction = msgspec.json.Decoder(_Transaction)
_batch_get = msgspec.json.Decoder(_BatchGet)
_get = msgspec.json.Decoder(_Get)
_query = msgspec.json.Decoder(_Query)


class DynamoDBStub:
    """The tables, and what was asked of them."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str, str], _Item] = {}
        """By table, partition key and sort key; nothing in it costs the garbage collector time."""
        self._sorted: dict[tuple[str, str], list[str]] = {}
        """Sort keys of the partitions that were queried, until something is written."""
        self.requests = 0
        self.items = 0
        """Written by transactions."""
        self.cpu_s = 0.0
        """CPU that the stub itself took: not the service's, so it is taken off."""
        self._lock = Lock()
        self._operations: dict[str, Callable[[bytes], tuple[int, bytes]]] = {
            "TransactWriteItems": self._transact_write_items,
            "BatchGetItem": self._batch_get_item,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "GetItem": self._get_item,
            "Query": self._query,
        }

    @contextmanager
    def in_place_of_http(self) -> Iterator[Self]:
        """Answers every request that botocore would send."""

        def send(_: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
            return self.send(request)

        with mock.patch.object(URLLib3Session, "send", send):
            yield self

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Answer one request."""
        with self._lock:
            return self._answer(request)

    def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
        start = time.thread_time()
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else str(target)).rpartition(".")[2]
        body: Any = request.body
        status, answer = self._operations[operation](body.encode() if isinstance(body, str) else body)
        self.requests += 1
        headers: Any = answer_headers(answer)
        response = AWSResponse(request.url, status, headers, _Body(answer))
        self.cpu_s += time.thread_time() - start
        return response

    def put(self, table: str, item: Mapping[str, Any]) -> None:
        """Store an item from the side, without it being counted."""
        self._store(table, msgspec.json.encode(item))

    def _store(self, table: str, raw: bytes) -> None:
        place = _place.decode(raw)
        self._items[table, place.pk.S, place.sk.S] = (place, raw)
        self._sorted.clear()

    def _find(self, table: str, place: _Place) -> _Item | None:
        return self._items.get((table, place.pk.S, place.sk.S))

    def _holds(self, put: _Put | _Update, found: _Item | None) -> bool:
        match put.condition_expression:
            case "":
                return True
            case "attribute_not_exists(pk)":
                return found is None
            case "version = :read":
                wanted = put.expression_attribute_values[":read"].N
                return found is not None and found[0].version is not None and wanted == found[0].version.N
            case "attribute_not_exists(pk) OR next_offset = :from" | "next_offset = :from":
                if found is None or found[0].next_offset is None:
                    return found is None and put.condition_expression.startswith("attribute_not_exists")
                return int(found[0].next_offset.N) == int(put.expression_attribute_values[":from"].N)
        raise NotImplementedError(put.condition_expression)

    def _transact_write_items(self, body: bytes) -> tuple[int, bytes]:
        puts = [action.put for action in _transaction.decode(body).transact_items]
        found = [self._find(put.table_name, _place.decode(put.item)) for put in puts]
        holds = [self._holds(put, one) for put, one in zip(puts, found, strict=True)]
        if not all(holds):
            reasons = [
                {"Code": "None"}
                if held
                else {"Code": "ConditionalCheckFailed", "Message": "", **({"Item": Raw(one[1])} if one else {})}
                for held, one in zip(holds, found, strict=True)
            ]
            return 400, _error("TransactionCanceledException", CancellationReasons=reasons)
        for put in puts:
            self._store(put.table_name, bytes(put.item))
        self.items += len(puts)
        return 200, b"{}"

    def _batch_get_item(self, body: bytes) -> tuple[int, bytes]:
        ((table, wanted),) = _batch_get.decode(body).request_items.items()
        found = [one[1] for place in wanted.keys if (one := self._find(table, place))]
        answer = b'{"Responses":{"%s":[%s]},"UnprocessedKeys":{}}' % (table.encode(), b",".join(found))
        return 200, answer

    def _put_item(self, body: bytes) -> tuple[int, bytes]:
        put = _put.decode(body)
        if not self._holds(put, self._find(put.table_name, _place.decode(put.item))):
            return 400, _error("ConditionalCheckFailedException")
        self._store(put.table_name, bytes(put.item))
        return 200, b"{}"

    def _update_item(self, body: bytes) -> tuple[int, bytes]:
        update = _update.decode(body)
        found = self._find(update.table_name, update.key)
        if not self._holds(update, found):
            return 400, _error("ConditionalCheckFailedException", **({"Item": Raw(found[1])} if found else {}))
        item: dict[str, Any] = msgspec.json.decode(found[1] if found else msgspec.json.encode(update.key))
        assigned, _, added = update.update_expression.partition(" ADD ")
        values = update.expression_attribute_values
        item |= {name: values[value] for name, value in _assigned.findall(assigned)}
        for name, value in _added.findall(added):
            item[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + int(values[value].N))}
        self._store(update.table_name, msgspec.json.encode(item))
        return 200, b"{}"

    def _get_item(self, body: bytes) -> tuple[int, bytes]:
        wanted = _get.decode(body)
        found = self._find(wanted.table_name, wanted.key)
        return 200, b"{}" if found is None else b'{"Item":%s}' % found[1]

    def _query(self, body: bytes) -> tuple[int, bytes]:
        query = _query.decode(body)
        partition, *prefix = (value.S for value in query.expression_attribute_values.values())
        names = self._names(query.table_name, partition)
        if len(prefix) == len(("first", "last")):
            names = [name for name in names if prefix[0] <= name <= prefix[1]]
        elif prefix:
            names = [name for name in names if name.startswith(prefix[0])]
        start = query.exclusive_start_key
        page: list[bytes] = []
        size = 0
        for name in names[bisect_right(names, start.sk.S) if start else 0 :]:
            if size > QUERY_PAGE_BYTES or len(page) == query.limit:
                break
            page.append(self._items[query.table_name, partition, name][1])
            size += len(page[-1])
            last = name
        key = b""
        if page and last != names[-1]:
            key = b',"LastEvaluatedKey":%s' % msgspec.json.encode(_Place(_S(partition), _S(last)))
        return 200, b'{"Items":[%s],"Count":%d,"ScannedCount":%d%s}' % (b",".join(page), len(page), len(page), key)

    def _names(self, table: str, partition: str) -> list[str]:
        if not self._sorted:
            for of_table, pk, sk in self._items:
                self._sorted.setdefault((of_table, pk), []).append(sk)
            for names in self._sorted.values():
                names.sort()
        return self._sorted.get((table, partition), [])


def answer_headers(answer: bytes) -> dict[str, str]:
    """Headers as DynamoDB sends them; its CRC-32 is checked by botocore."""
    return {
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(len(answer)),
        "x-amzn-RequestId": "0" * 52,
        "x-amz-crc32": str(crc32(answer)),
    }


class _Body(io.BytesIO):
    """As urllib3's response, as far as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.getvalue()


def _error(code: str, **fields: Any) -> bytes:
    prefix = "com.amazonaws.dynamodb.v20120810#"
    return msgspec.json.encode({"__type": prefix + code, "message": code, "Message": code, **fields})
