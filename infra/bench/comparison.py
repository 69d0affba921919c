"""What a developer of a game backend compares, beside Nakama: `make bench PARTS=table` measures and prints it.

Nakama was measured once, on a machine of the same kind; its figures stand here as they came. Less than a
tenth of difference is par, since runs of the same code differ by as much.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from infra.bench.results import Entry

PARTS: Final = ("reads", "ingest", "imports", "rebuild", "end_to_end")
"""What measures our side of the rows."""
PEER: Final = (
    "Nakama 3.40.0 with PostgreSQL 15.18 at its defaults, 1,000,000 players, two cores, quiet, the same client by turns"
)
MARGIN: Final = 0.1
QUIET_LOAD: Final = 0.5
"""Load of a machine up to which it passes for quiet."""
NOT_MEASURED: Final = "not measured"


class Row(Struct, frozen=True, kw_only=True):
    """One thing to compare."""

    what: str
    peer: tuple[float, float] | None
    """The peer's least and largest figure; None where there is nothing to compare."""
    unit: str
    keys: tuple[str, ...]
    """Figures that ours is made of."""
    ours: Callable[..., float] = lambda value: value
    """Ours of the values of those figures."""
    is_rate: bool = False
    """Whether more is better."""
    method: str
    limit: float | None = None
    """An aim of our own, where there is no peer."""

    def value(self, entries: Mapping[str, Entry]) -> float | None:
        """Ours; None unless all of it was measured."""
        if not all(key in entries for key in self.keys):
            return None
        return self.ours(*(entries[key].figure.value for key in self.keys))

    def doubt(self, entries: Mapping[str, Entry]) -> str:
        """What is said beside a figure that was not measured on a quiet machine; nothing if it was."""
        loads = [entries[key].load for key in self.keys]
        return ", measure again" if any(load is not None and load > QUIET_LOAD for load in loads) else ""

    def compared(self, value: float) -> str:
        """In plain words: ahead of all of the peer's range, behind all of it, or par."""
        if self.peer is None:
            return "" if self.limit is None else "aim met" if value <= self.limit else "aim missed"
        least, most = self.peer
        if self.is_rate:
            return "ahead" if value > most * (1 + MARGIN) else "behind" if value < least * (1 - MARGIN) else "par"
        return "ahead" if value < least * (1 - MARGIN) else "behind" if value > most * (1 + MARGIN) else "par"


ROWS: Final = (
    Row(what="top 100 at 200/s, p50", peer=(3.1, 3.1), unit="ms", keys=("read_top_page_p50_ms",),
        method="over HTTP, kinds of reads by turns, 2,000 updates/s beside it"),
    Row(what="top 100 at 200/s, p99", peer=(4.8, 12.7), unit="ms", keys=("read_top_page_p99_ms",), method="the same"),
    Row(what="100 at rank 900,000, p50", peer=(3.1, 3.8), unit="ms", keys=("read_deep_page_p50_ms",),
        method="the same"),
    Row(what="100 at rank 900,000, p99", peer=(6, 17), unit="ms", keys=("read_deep_page_p99_ms",), method="the same"),
    Row(what="one player ± 10, p50", peer=(2.4, 2.6), unit="ms", keys=("read_player_p50_ms",), method="the same"),
    Row(what="one player ± 10, p99", peer=(4.1, 9.5), unit="ms", keys=("read_player_p99_ms",), method="the same"),
    Row(what="highest rate with p99 < 10 ms", peer=(300, 300), unit="/s", keys=("read_rate_max",), is_rate=True,
        method="the same, 8 s a rate"),
    Row(what="page by cursor at rank 900,000, CPU", peer=(72.8, 72.8), unit="ms", keys=("cursor_page_cpu_ms",),
        method="function and cache, nothing written"),
    Row(what="write into three windows, own CPU", peer=(1.28, 1.66), unit="ms", keys=("ingest_us_per_event",),
        ours=lambda us: us / 1000, method="ingest of batches of 1,000 players, DynamoDB and cache not counted"),
    Row(what="closed loop, 16 connections, top 100", peer=(131, 131), unit="/s", keys=("closed_loop_at_rest_per_s",),
        is_rate=True, method="nothing written beside it"),
    Row(what="whole local stack, events a second", peer=(1_062, 1_371), unit="/s", keys=("end_to_end_events_per_s",),
        is_rate=True, method="a burst of 2,000 different players until all have a rank"),
    Row(what="whole local stack, CPU an event", peer=(1.3, 1.7), unit="ms", keys=("end_to_end_cpu_ms",),
        method="all processes, broker, cache and database included"),
    Row(what="write to visible rank, p50", peer=(3.0, 3.0), unit="ms", keys=("end_to_end_p50_ms",),
        method="Kafka producer to an HTTP reader, one at a time; the peer's rank is in the answer of the write"),
    Row(what="a score over HTTP with its rank in the answer, p50", peer=(3.0, 3.0), unit="ms",
        keys=("score_call_p50_ms",),
        method="`POST …/scores` with `Prefer: wait`: through Kafka, ledger and cache"),
    Row(what="rebuild of 1,000,000 players × 3 windows", peer=(24.0, 24.0), unit="s",
        keys=("rebuild_entries_per_s_at_1000000",), ours=lambda rate: 3_000_000 / rate,
        method="from DynamoDB's answers, the network to it not counted"),
    Row(what="import of the API, times FastAPI's", peer=None, unit="×", keys=("import_ratio_api",), limit=1.4,
        method="no peer; aim ≤ 1.4"),
)  # fmt: skip


def markdown(entries: Mapping[str, Entry], rows: tuple[Row, ...] = ROWS) -> str:
    """The table, a line for each row, with when and on what ours was measured."""
    lines = ["| | Nakama | ours | | how ours was measured |", "|---|---:|---:|---|---|"]
    for row in rows:
        value = row.value(entries)
        shown = NOT_MEASURED if value is None else f"{_number(value)} {row.unit}"
        word = "" if value is None else row.compared(value) + row.doubt(entries)
        lines.append(f"| {row.what} | {_range(row)} | {shown} | {word} | {row.method} |")
    keys = [key for row in rows for key in row.keys if key in entries]
    runs = sorted({entries[key].run for key in keys})
    return "\n".join([*lines, "", f"Nakama: {PEER}.", "", *(f"- {run}" for run in runs)])


def _range(row: Row) -> str:
    if row.peer is None:
        return "–"
    least, most = row.peer
    return f"{_number(least)} {row.unit}" if least == most else f"{_number(least)}–{_number(most)} {row.unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
