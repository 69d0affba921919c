"""End to end on the local stack: from a Kafka producer to a rank over HTTP. The DynamoDB engine sets the pace."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from confluent_kafka import Producer
from msgspec import Struct

from infra.bench.load import percentile
from infra.bench.results import Figure
from infra.local.config import TOPIC
from infra.local.stack import Stack

BOARD: Final = "e2e"
POLL_S: Final = 0.002
VISIBLE_TIMEOUT_S: Final = 120


class Size(Struct, frozen=True):
    """How much is measured."""

    probes: int = 100
    """Events sent one at a time, each timed until its player has a rank."""
    burst: int = 2_000
    """Events of different players sent at once."""


TINY: Final = Size(probes=2, burst=20)


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Start the stack, probe it at rest, then send a burst."""
    with TemporaryDirectory() as directory:
        stack = Stack.for_test(Path(directory))
        stack.start(lambda name: progress(f"starting {name}"))
        try:
            return _measure(stack, size, progress)
        finally:
            stack.stop()


def _measure(stack: Stack, size: Size, progress: Callable[[str], None]) -> list[Figure]:
    definition = json.dumps({"name": "End to end", "aggregation": "sum"}).encode()
    url = f"{stack.url}/leaderboards/{BOARD}"
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, definition, headers, method="PUT"), timeout=30):
        pass
    producer = Producer({"bootstrap.servers": stack.config.kafka_bootstrap, "linger.ms": 0, "log_level": 2})
    progress("probes")
    _visible(f"{url}/players/{_send(producer, 'warm-up')}?window=all-time")
    visible_ms = []
    for number in range(size.probes):
        start = time.perf_counter()
        _visible(f"{url}/players/{_send(producer, f'probe-{number}')}?window=all-time")
        visible_ms.append((time.perf_counter() - start) * 1000)
    progress("burst")
    start = time.perf_counter()
    for number in range(size.burst):
        _send(producer, f"burst-{number}", flush=False)
    producer.flush()
    wanted = 1 + size.probes + size.burst
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    while (total := (_get(f"{url}/rankings?window=all-time&limit=1") or {}).get("total", 0)) < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{total} of {wanted} players are visible")
        time.sleep(0.05)
    rate = size.burst / (time.perf_counter() - start)
    p50, p99 = percentile(visible_ms, 0.5), percentile(visible_ms, 0.99)
    beside = f"{size.probes} events, one at a time"
    return [
        Figure(key="end_to_end_events_per_s", what="local stack, a burst of different players until all have a rank",
               value=rate, unit="/s", beside="bound by the DynamoDB engine: see docs/scale.md"),
        Figure(key="end_to_end_p50_ms", what="from produce to visible rank: p50", value=p50, unit="ms", beside=beside),
        Figure(key="end_to_end_p99_ms", what="from produce to visible rank: p99", value=p99, unit="ms", beside=beside),
    ]  # fmt: skip


def _send(producer: Producer, user_id: str, *, flush: bool = True) -> str:
    event = {
        "eventId": f"e-{user_id}",
        "leaderboardId": BOARD,
        "userId": user_id,
        "points": 5,
        "occurredAt": datetime.now(UTC).isoformat(),
    }
    producer.produce(TOPIC, key=f"{BOARD}:{user_id}", value=json.dumps(event))
    if flush:
        producer.flush()
    else:
        producer.poll(0)
    return user_id


def _visible(url: str) -> None:
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    while _get(url) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} did not become visible")
        time.sleep(POLL_S)


def _get(url: str) -> Any:
    """The answer; None while there is none: the leaderboard is empty, or not yet complete in the cache."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.code in (404, 503):
            return None
        raise
