"""End to end on the local stack: from a Kafka producer to a rank over HTTP. The DynamoDB engine sets the pace."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from confluent_kafka import Producer
from msgspec import Struct

from infra.bench import hops
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
        file = Path(directory) / "hops.ndjson"
        for name, value in {"HANDLER": f"{hops.__name__}.handler", hops.FILE: str(file)}.items():
            stack.process("trigger").set_environment(name, value)
        stack.start(lambda name: progress(f"starting {name}"))
        try:
            return _measure(stack, size, file, progress)
        finally:
            stack.stop()


def _measure(stack: Stack, size: Size, file: Path, progress: Callable[[str], None]) -> list[Figure]:
    definition = json.dumps({"name": "End to end", "aggregation": "sum"}).encode()
    url = f"{stack.url}/leaderboards/{BOARD}"
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, definition, headers, method="PUT"), timeout=30):
        pass
    producer = Producer({"bootstrap.servers": stack.config.kafka_bootstrap, "linger.ms": 0, "log_level": 2})
    progress("probes")
    _visible(f"{url}/players/{_send(producer, 'warm-up')}?window=all-time")
    probes = [_probe(producer, url, f"probe-{number}") for number in range(size.probes)]
    read_ms = [_timed(f"{url}/players/probe-{number}?window=all-time") for number in range(size.probes)]
    splits = _splits(probes, file)
    progress("scores over HTTP")
    called_ms = [_scored(f"{url}/players/called-{number}/scores", number) for number in range(size.probes)]
    progress("burst")
    start, cpu_s = time.perf_counter(), _cpu_s(stack)
    for number in range(size.burst):
        _send(producer, f"burst-{number}", flush=False)
    producer.flush()
    wanted = 1 + 2 * size.probes + size.burst
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    while (total := (_get(f"{url}/rankings?window=all-time&limit=1") or {}).get("total", 0)) < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{total} of {wanted} players are visible")
        time.sleep(0.05)
    rate = size.burst / (time.perf_counter() - start)
    cpu_ms = (_cpu_s(stack) - cpu_s) * 1000 / size.burst
    visible_ms = [(probe.seen_s - probe.sent_s) * 1000 for probe in probes]
    p50, p99 = percentile(visible_ms, 0.5), percentile(visible_ms, 0.99)
    beside = f"{size.probes} events, one at a time"
    reading = f"of which a read over HTTP takes {percentile(read_ms, 0.5):.1f} (p99 {percentile(read_ms, 0.99):.1f}) ms"
    return [
        Figure(key="end_to_end_events_per_s", what="local stack, a burst of different players until all have a rank",
               value=rate, unit="/s", beside="bound by the DynamoDB engine: see docs/scale.md"),
        Figure(key="end_to_end_cpu_ms", what="CPU of the whole stack an event of that burst", value=cpu_ms, unit="ms",
               beside=f"all processes; {stack.process('dynamodb').program or 'dynamodb'}"),
        Figure(key="end_to_end_p50_ms", what="from produce to visible rank: p50", value=p50, unit="ms",
               beside=f"{beside}; {reading}"),
        Figure(key="end_to_end_p99_ms", what="from produce to visible rank: p99", value=p99, unit="ms", beside=beside),
        Figure(key="score_call_p50_ms", what="score over HTTP, with its ranks in the answer: p50", unit="ms",
               value=percentile(called_ms, 0.5), beside=f"p99 {percentile(called_ms, 0.99):.1f} ms; {beside}"),
        *hops.figures(splits),
    ]  # fmt: skip


def _probe(producer: Producer, url: str, user_id: str) -> hops.Probe:
    """Send one event and wait until its player has a rank."""
    sent_s = time.time()
    _send(producer, user_id)
    acknowledged_s = time.time()
    _visible(f"{url}/players/{user_id}?window=all-time")
    return hops.Probe(f"e-{user_id}", sent_s, acknowledged_s, time.time())


def _timed(url: str) -> float:
    """How long one read takes, ms."""
    start = time.perf_counter()
    _get(url)
    return (time.perf_counter() - start) * 1000


def _scored(url: str, number: int) -> float:
    """How long a score takes that is sent over HTTP and answered with its ranks, ms."""
    body = json.dumps({"eventId": f"called-{number}", "points": 5}).encode()
    headers = {"content-type": "application/json", "prefer": "wait=20"}
    start = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="POST"), timeout=30) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{url}: {answer.status}")
    return (time.perf_counter() - start) * 1000


def _splits(probes: Sequence[hops.Probe], file: Path) -> list[dict[str, float]]:
    """The probes by hops, once the function has noted the last of them."""
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    while not {probe.event_id for probe in probes} <= (found := hops.read(file)).keys():
        if time.monotonic() > deadline:
            raise RuntimeError("the ingest function has not noted every event")
        time.sleep(0.05)
    return [hops.split(probe, found[probe.event_id]) for probe in probes]


def _cpu_s(stack: Stack) -> float:
    """CPU that the processes of the stack, and those that they started, have taken so far."""
    ticks = 0
    sessions = {process.pid for process in stack.processes}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) in sessions:  # man 5 proc: session; user and system time, of children that ended as well
                ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


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
