"""Ingest, our own CPU: the function's real handler on batches of the topic, DynamoDB answered below botocore."""

import importlib
import io
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from redis import Redis
from redis.connection import Connection

from infra.bench.dynamodb_stub import DynamoDBStub
from infra.bench.results import Figure
from infra.bench.traffic import Batches, different, zipf
from infra.local.cache import cache_server
from infra.local.config import Config, Ports, free_port
from shared import clients as aws
from shared.assembly import now_ms
from shared.domain.rules import Aggregation, Leaderboard
from shared.truth import keys

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ZIPF_PLAYERS: Final = 1_000_000
CONTEXT: Final = SimpleNamespace(
    function_name="ingest",
    memory_limit_in_mb=1769,
    invoked_function_arn="arn:aws:lambda:eu-central-1:000000000000:function:ingest",
    aws_request_id="request",
)


class Size(Struct, frozen=True):
    """How much is measured."""

    batch: int = 1_000
    batches: int = 40
    warm_up: int = 4
    players: int = ZIPF_PLAYERS
    baseline_events: int = 100
    """In each turn."""


TINY: Final = Size(batch=50, batches=2, warm_up=1, players=1_000, baseline_events=5)


class Cost(Struct, frozen=True):
    """What one kind of traffic cost, for each event unless said otherwise."""

    us: float
    """CPU of this process without the stub, µs."""
    items: float
    requests: float
    cache_round_trips: float
    """For each batch."""


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Measure the handler on both kinds of traffic and the baseline, turn by turn; medians over the turns."""
    with environment() as cache_url, one_core(), DynamoDBStub().in_place_of_http() as stub:
        rng, turns = random.Random(1), size.warm_up + size.batches
        all_different = Traffic(stub, 1, different(rng, size.batch, turns))
        by_zipf = Traffic(stub, 2, zipf(rng, size.players, size.batch, turns))
        with Redis.from_url(cache_url) as redis:
            baseline = Baseline(stub, redis)
            for turn in range(turns):
                progress(f"turn {turn + 1} of {turns}")
                all_different.turn()
                by_zipf.turn()
                baseline.turn(size.baseline_events)
    worst, likely = all_different.cost(size.warm_up), by_zipf.cost(size.warm_up)
    return _figures(worst, likely, median(baseline.us[size.warm_up :]), size.batch)


def _figures(worst: Cost, likely: Cost, baseline_us: float, batch: int) -> list[Figure]:
    beside = f"put_item + 3 ZINCRBY: {baseline_us:.0f} µs"
    per_batch = f"batches of {batch}"
    return [
        Figure(key="ingest_us_per_event", what="CPU an event, all different", value=worst.us, unit="µs", beside=beside),
        Figure(
            key="ingest_events_per_s_core", what="events a second on one core, all different", unit="/s",
            value=1e6 / worst.us, beside=f"baseline: {1e6 / baseline_us:.0f}/s", at_least=8_400,
        ),
        Figure(
            key="ingest_vs_baseline_ratio", what="times the baseline, all different", value=baseline_us / worst.us,
            unit="×", beside=beside, at_least=10,
        ),
        Figure(
            key="ingest_us_per_event_zipf", what="CPU an event, Zipf", value=likely.us, unit="µs", beside=beside
        ),
        Figure(
            key="ingest_events_per_s_core_zipf", what="events a second on one core, Zipf", unit="/s",
            value=1e6 / likely.us, beside=f"baseline: {1e6 / baseline_us:.0f}/s", at_least=8_400,
        ),
        Figure(
            key="ingest_vs_baseline_ratio_zipf", what="times the baseline, Zipf", value=baseline_us / likely.us,
            unit="×", beside=beside, at_least=10,
        ),
        Figure(
            key="items_per_event_worst", what="DynamoDB items written an event, all different", value=worst.items,
            beside=per_batch, at_most=3,
        ),
        Figure(key="items_per_event_zipf", what="DynamoDB items written an event, Zipf", value=likely.items),
        Figure(
            key="requests_per_event_worst", what="DynamoDB requests an event, all different", value=worst.requests,
            beside="baseline: 1",
        ),
        Figure(key="requests_per_event_zipf", what="DynamoDB requests an event, Zipf", value=likely.requests),
        Figure(
            key="cache_roundtrips_per_batch", what="Redis round trips a batch and leaderboard",
            value=worst.cache_round_trips, beside=f"baseline: {3 * batch}", at_most=2,
        ),
    ]  # fmt: skip


@contextmanager
def environment() -> Iterator[str]:
    """What the functions run with, and a Redis of their own; its URL."""
    with TemporaryDirectory() as directory, mock.patch.dict(os.environ):
        port = free_port()
        config = Config(Path(directory), Path("packages"), Ports(cache=port))
        os.environ.update(config.environment())
        with cache_server(Path(directory) / "cache", port):
            yield f"redis://127.0.0.1:{port}"


@contextmanager
def one_core() -> Iterator[None]:
    """Keeps this process, but not the servers it has started, on one core: what a Lambda of 1,769 MB has."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Traffic:
    """The ingest function over the stub, with a leaderboard and traffic of its own."""

    def __init__(self, stub: DynamoDBStub, series: int, batches: Iterator[list[int]]) -> None:
        self._stub = stub
        self._batches = batches
        leaderboard_id = f"cup-{series}"
        self._events = Batches(leaderboard_id, series, now_ms())
        sys.modules.pop("functions.ingest.handler", None)  # it reads the environment when it is imported
        self._module = importlib.import_module("functions.ingest.handler")
        put_leaderboard(stub, self._module.assembly.tables.registry, leaderboard_id)
        self._costs: list[Cost] = []

    def turn(self) -> None:
        """One invocation with the next batch, measured."""
        players = next(self._batches)
        event = self._events.event(players)
        stub, count = self._stub, len(players)
        before = stub.requests, stub.items
        with counted_round_trips() as trips, redirect_stdout(io.StringIO()):  # the metrics, which Lambda takes there
            answer: Any = None

            def handle() -> None:
                nonlocal answer
                answer = self._module.handler(event, CONTEXT)

            us = cpu_us(stub, handle)
        if answer["batchItemFailures"]:
            raise RuntimeError(f"{len(answer['batchItemFailures'])} records failed")
        items, requests = stub.items - before[1], stub.requests - before[0]
        self._costs.append(Cost(us / count, items / count, requests / count, trips[0]))

    def cost(self, warm_up: int) -> Cost:
        """Medians of the turns after the first few."""
        costs = self._costs[warm_up:]
        return Cost(*(median(values) for values in zip(*map(astuple, costs), strict=True)))


def put_leaderboard(stub: DynamoDBStub, table: str, leaderboard_id: str) -> Leaderboard:
    """A leaderboard in the registry that has events already."""
    definition = Leaderboard(id=leaderboard_id, name="Cup", aggregation=Aggregation.SUM, has_events=True)
    item = {
        "pk": {"S": keys.LEADERBOARDS},
        "sk": {"S": leaderboard_id},
        "body": {"S": msgspec.json.encode(definition).decode()},
        "version": {"N": "1"},
        "has_events": {"BOOL": True},
    }
    stub.put(table, item)
    return definition


def cpu_us(stub: DynamoDBStub, work: Callable[[], Any]) -> float:
    """CPU of this process for a piece of work, user and system, all threads, without the stub's, µs."""
    start, of_stub = time.process_time(), stub.cpu_s
    work()
    return (time.process_time() - start - (stub.cpu_s - of_stub)) * 1e6


@contextmanager
def counted_round_trips() -> Iterator[Sequence[int]]:
    """How often something was sent to Redis."""
    count = [0]
    send: Any = Connection.send_packed_command

    def counting(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        return send(*args, **kwargs)

    with mock.patch.object(Connection, "send_packed_command", counting):
        yield count


class Baseline:
    """What people write: for each event a conditional put_item of boto3, then three ZINCRBY of redis-py."""

    def __init__(self, stub: DynamoDBStub, redis: "Redis") -> None:
        self._stub = stub
        self._redis = redis
        self._client = aws.client("dynamodb", aws.TOOLS.config())
        self._events = Batches("baseline", 3, now_ms())
        self.us: list[float] = []
        """CPU an event, of each turn."""

    def turn(self, events: int) -> None:
        """Some events, measured."""
        values = [value for _, value in self._events.values(range(events))]

        def handle() -> None:
            for value in values:
                _baseline_event(self._client, self._redis, value)

        self.us.append(cpu_us(self._stub, handle) / events)


def _baseline_event(client: "DynamoDBClient", redis: "Redis", value: bytes) -> None:
    event = msgspec.json.decode(value)
    client.put_item(
        TableName="leaderboard-ledger",
        Item={
            "pk": {"S": f"{event['leaderboardId']}#{event['userId']}"},
            "sk": {"S": event["eventId"]},
            "points": {"N": str(event["points"])},
            "occurred_at": {"S": event["occurredAt"]},
            "attributes": {"M": {name: {"S": text} for name, text in event["attributes"].items()}},
        },
        ConditionExpression="attribute_not_exists(pk)",
    )
    for window in ("2026-11-23", "2026-W48", "all-time"):
        redis.zincrby(f"{event['leaderboardId']}:{window}", event["points"], event["userId"])
