"""Stand-ins of DynamoDB, SQS and S3 below the clients, with the faults that the real ones have."""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Self

import msgspec
from botocore.exceptions import ClientError, ReadTimeoutError
from greenlet import getcurrent, greenlet

from shared.assembly.parts import TRUTH_PATIENCE_MS
from shared.clients import DYNAMODB_ATTEMPTS
from shared.domain.calendar import parse_day
from shared.domain.periods import Period
from shared.truth.guard import Guard
from shared.truth.items import to_standing
from shared.truth.keys import LEADERBOARDS, parse_scores_id
from tests.simulation.course import Fault
from tests.simulation.scheduler import Scheduler
from tests.simulation.series_accounts import SeriesAccounts
from tests.support.dynamodb import Item, MemoryDynamoDB, Place

TIMEOUT_MS = 5_000
"""Of one attempt, as the product's setting."""
READS = frozenset({"GetItem", "BatchGetItem", "Query"})


class Dynamo(MemoryDynamoDB):
    """The tables, with the faults of the course."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._hangs_until_ms = [0]
        """One for all clients."""
        self._guard: Guard | None = None
        self._amends = False
        """Whether what is written now takes an event back, or adds one."""
        self.unanswered: Counter[greenlet] = Counter()
        """Attempts that each actor has made with this client and waited for in vain."""
        self.all_time: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
        """(leaderboard, user) → version of the all-time standing → points and instant: all that there ever were."""
        self.accepted: dict[tuple[str, str], int] = {}
        """Place of each event in the ledger → how many were accepted before it."""
        self.changed_after_close: list[tuple[str, str, str]] = []
        """Leaderboard, day and user of standings that were written though their day was sealed, and not to amend it."""
        self.recurring = SeriesAccounts()
        self.paid_for: dict[tuple[str, str], set[str]] = {}
        """Leaderboard and id of a range that has a result → the periods over its days when that was written."""

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
        for _ in range(DYNAMODB_ATTEMPTS):
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

    def before(self, operation: str) -> None:
        self._scheduler.pause()
        if operation not in READS:
            self._scheduler.hold()
        self.wait_for_answer()
        if self._scheduler.fails(Fault.THROTTLE):
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, operation)
        if self._scheduler.fails(Fault.TIMEOUT):
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def after(self) -> None:
        self._scheduler.pause()
        self.wait_for_answer()
        if self._scheduler.fails(Fault.TIMEOUT):
            raise ReadTimeoutError(endpoint_url="dynamodb")

    def cancel(self, reasons: list[dict[str, Any]]) -> None:
        if self._scheduler.fails(Fault.CONFLICT):
            reasons[self._scheduler.rng.randrange(len(reasons))] = {"Code": "TransactionConflict"}

    def is_left_over(self, number: int, keys: int) -> bool:
        """A key that is not left over may be read later than those before it."""
        if self._scheduler.fails(Fault.UNPROCESSED):
            return True
        if self._scheduler.rng.random() < 0.05:
            self._scheduler.pause()
        return False

    def note_transaction(self, actions: Sequence[Mapping[str, Any]]) -> None:
        self.recurring.note(actions, self.tables["registry"])
        self._amends = any(
            "voided_by" in action.get("UpdateExpression", "") or {"added_by", "moved"} & action.get("Item", {}).keys()
            for action in actions
        )

    def note_put(self, table: str, place: Place, item: Item) -> None:
        if table == "leaderboard-ledger":
            self.accepted.setdefault(place, len(self.accepted))
        if table == "leaderboard-standings":
            self._note_standing(*place, item)
        if table == "registry" and place[1].startswith("final#") and ".." in place[1]:
            self._note_final_range(*place)

    def _note_final_range(self, partition: str, sort: str) -> None:
        window_id, registered = sort.removeprefix("final#"), set()
        for (of, other), item in self.tables["registry"].items():
            if of == partition and other.startswith("period#"):
                period = msgspec.json.decode(item["body"]["S"], type=Period)
                if period.window.id == window_id:
                    registered.add(period.id)
        self.paid_for[partition.removeprefix("leaderboard#"), window_id] = registered

    def _note_standing(self, partition: str, user: str, item: dict[str, Any]) -> None:
        board, day, *shard = partition.split("#")
        if not shard:  # which days have standings
            return
        if day == "all-time":
            standing = to_standing(item)
            versions = self.all_time.setdefault((board, user), {})
            versions[standing.version] = (standing.points, standing.reached_at_ms)
            return
        item = self.tables["registry"][LEADERBOARDS, parse_scores_id(board)[0]]
        sealed_through = item.get("sealed_through")
        if not self._amends and sealed_through is not None and parse_day(day) <= int(sealed_through["N"]):
            self.changed_after_close.append((board, day, user))


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

    def upload_fileobj(self, Fileobj: Any, Bucket: str, Key: str, ExtraArgs: Any, Config: Any) -> None:
        self.put_object(Bucket, Key, Fileobj.read(), ExtraArgs["ContentType"])

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        self._scheduler.pause()
        if self._scheduler.fails(Fault.REFUSE):
            raise ReadTimeoutError(endpoint_url="s3")
        self.objects[Key] = Body
        self._scheduler.pause()
        if self._scheduler.fails(Fault.REFUSE):
            raise ReadTimeoutError(endpoint_url="s3")
