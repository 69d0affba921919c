"""A DynamoDB whose requests fail one by one as a test says, and threads that take turns at it."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.support.dynamodb import Item, MemoryDynamoDB, Table

URL = "http://memory"


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


class Database:
    """The tables, and clients of them."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, Table] = defaultdict(Table)
        self.transactions = 0
        """How many were asked for."""

    @property
    def items(self) -> dict[tuple[str, str, str], Item]:
        """Table, partition and sort key → item."""
        return {(name, *place): item for name, table in self.tables.items() for place, item in table.items()}

    def client(self, faults: Iterable[Fault | None] = (), before: Callable[[], None] = lambda: None) -> "Client":
        """A client whose requests fail as `faults` say, one for each, until they are used up."""
        return Client(self, iter(faults), before)


class Client(MemoryDynamoDB):
    """Fails as it is told. `before_request` is called ahead of each request."""

    page_items = 3

    def __init__(self, database: Database, faults: Iterator[Fault | None], before_request: Callable[[], None]) -> None:
        super().__init__(database.tables)
        self._database = database
        self._faults = faults
        self._before_request = before_request
        self._fault: Fault | None = None
        """That of the request that is being carried out."""

    def before(self, operation: str) -> None:
        self._before_request()
        self._fault = next(self._faults, None)
        if self._fault is Fault.THROTTLED:
            raise _client_error("ThrottlingException", 400, operation)
        if self._fault is Fault.SERVER_ERROR:
            raise _client_error("InternalServerError", 500, operation)
        if self._fault is Fault.UNREACHABLE:
            raise ConnectionClosedError(endpoint_url=URL)
        if self._fault is Fault.TIMEOUT_BEFORE:
            raise ReadTimeoutError(endpoint_url=URL)

    def after(self) -> None:
        if self._fault is Fault.TIMEOUT_AFTER:
            raise ReadTimeoutError(endpoint_url=URL)

    def cancel(self, reasons: list[dict[str, Any]]) -> None:
        """A fault of the last item comes before the conditions of all."""
        if self._fault in (Fault.CONFLICT, Fault.ITEM_THROTTLED):
            code = "TransactionConflict" if self._fault is Fault.CONFLICT else "ThrottlingError"
            reasons[:] = [{"Code": "None"}] * (len(reasons) - 1) + [{"Code": code}]

    def is_left_over(self, number: int, keys: int) -> bool:
        return self._fault is Fault.UNPROCESSED and number >= keys // 2

    def transact_write_items(self, TransactItems: Sequence[Mapping[str, Any]]) -> None:
        self._database.transactions += 1
        super().transact_write_items(TransactItems)


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


def _client_error(code: str, status: int, operation: str) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)
