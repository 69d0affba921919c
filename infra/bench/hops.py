"""Where the time from a producer to a rank goes: the ingest function with a note of each of its hops.

`handler` stands in place of the function's in the trigger. It writes one line an invocation to the file in BENCH_HOPS
once the invocation is over; a hop costs two readings of the clock. The producer and the reader add their times: it is
one machine, and so one clock.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from infra.bench.load import percentile
from infra.bench.results import Figure

FILE: Final = "BENCH_HOPS"
READ: Final = "read"
TRANSACTION: Final = "transaction"
SCRIPT: Final = "script"
HOPS: Final[Mapping[str, str]] = {
    "produce": "until the broker has acknowledged the event",
    "fetch": "fetched by the trigger, until the function has it",
    "decode": "decoded, validated and grouped",
    READ: "standings read",
    TRANSACTION: "ledger and standings written",
    SCRIPT: "cache written",
    "between": "the rest of the function, between those",
    "visible": "until a reader's next question is answered with it",
}
"""In the order in which an event comes through them. They are all of the time: each begins where another ends."""


class Span(Struct, frozen=True, array_like=True):
    """One call of a hop, in seconds since 1970."""

    hop: str
    start_s: float
    end_s: float


class Invocation(Struct, frozen=True):
    """What the function did with one batch."""

    event_ids: list[str]
    entered_s: float
    spans: list[Span]

    def start_s(self, hop: str) -> float:
        """When a hop began first."""
        return min(one.start_s for one in self.spans if one.hop == hop)

    def end_s(self, hop: str) -> float:
        """When it ended last."""
        return max(one.end_s for one in self.spans if one.hop == hop)


class Probe(Struct, frozen=True):
    """One event as producer and reader saw it, in seconds since 1970."""

    event_id: str
    sent_s: float
    acknowledged_s: float
    seen_s: float


def noted(hop: str, call: Callable[..., Any], spans: list[Span]) -> Callable[..., Any]:
    """The call, with a note of when it was."""

    def measured(*args: Any, **more: Any) -> Any:
        start_s = time.time()
        try:
            return call(*args, **more)
        finally:
            spans.append(Span(hop, start_s, time.time()))

    return measured


def instrumented(file: Path) -> Callable[[Any, Any], Any]:
    """The ingest function's handler, its hops noted in the file."""
    from functions.ingest import handler as ingest  # noqa: PLC0415 - it reads the environment
    from shared.cache.windows import WindowCache  # noqa: PLC0415
    from shared.truth.commits import Commits  # noqa: PLC0415
    from shared.truth.reads import Reads  # noqa: PLC0415

    spans: list[Span] = []
    calls = (Reads, "standings", READ), (Commits, "commit", TRANSACTION), (WindowCache, "apply", SCRIPT)
    for owner, name, hop in calls:
        setattr(owner, name, noted(hop, getattr(owner, name), spans))

    def handle(event: Any, context: Any) -> Any:
        entered_s = time.time()
        spans.clear()
        answer = ingest.handler(event, context)
        records = [raw for partition in event["records"].values() for raw in partition]
        ids = [str(msgspec.json.decode(ingest._decode(raw["value"]) or b"{}").get("eventId")) for raw in records]
        with file.open("ab") as lines:
            lines.write(msgspec.json.encode(Invocation(ids, entered_s, spans)) + b"\n")
        return answer

    return handle


def handler(event: Any, context: Any) -> Any:
    """The ingest function, for `HANDLER` of the trigger."""
    global _handle  # noqa: PLW0603 - made with the first event, as the environment is read then
    if _handle is None:
        _handle = instrumented(Path(os.environ[FILE]))
    return _handle(event, context)


_handle: Callable[[Any, Any], Any] | None = None


def read(file: Path) -> dict[str, Invocation]:
    """Each event's first invocation that wrote it to truth and cache, by event id."""
    found: dict[str, Invocation] = {}
    for line in file.read_bytes().splitlines() if file.exists() else ():
        invocation = msgspec.json.decode(line, type=Invocation)
        if {READ, TRANSACTION, SCRIPT} <= {one.hop for one in invocation.spans}:
            for event_id in invocation.event_ids:
                found.setdefault(event_id, invocation)
    return found


def split(probe: Probe, invocation: Invocation) -> dict[str, float]:
    """How long each hop took, in ms; together what passed between sending and seeing.

    The function may have an event before its producer has heard of it, and a reader may see it before the function has
    heard from the cache: a hop ends where the next one has begun.
    """
    acknowledged_s = min(probe.acknowledged_s, invocation.entered_s)
    shown_s = min(invocation.end_s(SCRIPT), probe.seen_s)
    calls = (READ, TRANSACTION, SCRIPT)
    starts, ends = ({hop: of(hop) for hop in calls} for of in (invocation.start_s, invocation.end_s))
    seconds = {
        "produce": acknowledged_s - probe.sent_s,
        "fetch": invocation.entered_s - acknowledged_s,
        "decode": starts[READ] - invocation.entered_s,
        READ: ends[READ] - starts[READ],
        TRANSACTION: ends[TRANSACTION] - starts[TRANSACTION],
        SCRIPT: shown_s - starts[SCRIPT],
        "between": starts[TRANSACTION] - ends[READ] + starts[SCRIPT] - ends[TRANSACTION],
        "visible": probe.seen_s - shown_s,
    }
    return {hop: took * 1000 for hop, took in seconds.items()}


def figures(splits: Sequence[Mapping[str, float]]) -> list[Figure]:
    """p50 and p99 of each hop, and its share of the whole time of all probes."""
    whole = sum(sum(one.values()) for one in splits)
    found = []
    for hop, what in HOPS.items():
        each = [one[hop] for one in splits]
        slow = f"p99 {percentile(each, 0.99):.1f}, max {max(each):.1f} ms"
        beside = f"{slow}; {100 * sum(each) / whole:.0f} % of the time; {what}"
        found.append(
            Figure(key=f"hop_{hop}_p50_ms", what=f"  hop {hop}: p50", value=percentile(each, 0.5), unit="ms",
                   beside=beside)
        )  # fmt: skip
    return found
