"""Export: rows a second read, sorted and written apart, and the peak of a process's memory; S3 is not in it."""

import multiprocessing
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from infra.bench.dynamodb_stub import DynamoDBStub
from infra.bench.ingest import environment, put_leaderboard
from infra.bench.rebuild import fill, handler_of
from infra.bench.results import Figure
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.domain.windows import ALL_TIME_BUCKET, Day
from shared.pipeline.ranked_table import Lines, RankedTable
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart
from shared.wiring import now_ms

BOARD: Final = Leaderboard(
    id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=(Tier(name="gold", rule=TierRule.TOP_N, value=100),)
)


class Size(Struct, frozen=True):
    """How much is measured."""

    players: tuple[int, ...] = (100_000, 1_000_000)
    read: int = 100_000
    """Standings that are read, of as many players."""


TINY: Final = Size(players=(300,), read=300)


class Steps(Struct, frozen=True):
    """Seconds of each step of one export, and the process's peak of memory."""

    load_s: float
    sort_s: float
    write_s: float
    peak_mb: float


class _Timed(RankedTable):
    load_s = sort_s = 0.0

    def _load(self, lines: Lines, file: Path) -> None:
        start = time.perf_counter()
        super()._load(lines, file)
        self.load_s = time.perf_counter() - start

    def _rank(self) -> None:
        start = time.perf_counter()
        super()._rank()
        self.sort_s = time.perf_counter() - start


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Read standings; then export a window of each size in each format, each in a process of its own."""
    progress(f"reading {size.read:,} standings")
    figures = [_read(size.read)]
    context = multiprocessing.get_context("spawn")
    for players in size.players:
        for export_format in ExportFormat:
            progress(f"{players:,} players, {export_format}")
            with ProcessPoolExecutor(1, mp_context=context) as process:
                steps = process.submit(export, players, export_format).result()
            figures.append(_figure(players, export_format, steps))
            figures.append(
                Figure(key=f"export_{export_format}_peak_mb_at_{players}", value=steps.peak_mb, unit="MB",
                       what=f"export, {export_format}, {players:,} rows: peak memory of the process")
            )  # fmt: skip
    slowest = min((one for one in figures if one.unit == "rows/s" and one.key != figures[0].key), key=_value)
    largest = max((one for one in figures if one.unit == "MB"), key=_value)
    what = "export: sort and write, slowest size and format"
    peak = "export: peak memory, largest size and format"
    return [
        Figure(key="export_rows_per_s", what=what, value=slowest.value, unit="rows/s", beside=slowest.beside,
               at_least=150_000),
        Figure(key="export_peak_mb", what=peak, value=largest.value, unit="MB", at_most=600),
        *figures,
    ]  # fmt: skip


def export(players: int, export_format: ExportFormat) -> Steps:
    """Make one file and say how long each step took."""
    with TemporaryDirectory() as name, _Timed(BOARD, _lines(players), Path(name)) as table:
        if table.rows != players:
            raise RuntimeError(f"{table.rows} of {players} rows are there")
        start = time.perf_counter()
        table.write(Path(name) / "export", export_format, Compression.NONE, ExportPart())
        write_s = time.perf_counter() - start
        return Steps(table.load_s, table.sort_s, write_s, _peak_mb())


def _peak_mb() -> float:
    """Not getrusage's ru_maxrss: a process has that from the one that started it (man 2 getrusage, execve)."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


def _figure(players: int, export_format: ExportFormat, steps: Steps) -> Figure:
    rates = {"loaded": steps.load_s, "sorted": steps.sort_s, "written": steps.write_s}
    return Figure(
        key=f"export_{export_format}_rows_per_s_at_{players}", value=players / (steps.sort_s + steps.write_s),
        unit="rows/s", what=f"export, {export_format}, {players:,} rows: sort and write",
        beside=", ".join(f"{name} {players / seconds:,.0f}/s" for name, seconds in rates.items()),
    )  # fmt: skip


def _read(players: int) -> Figure:
    """Standings a second out of DynamoDB's answers; the time of the stub that gives them is left out."""
    with environment(), DynamoDBStub().in_place_of_http() as stub:
        wiring = handler_of("repair").wiring
        leaderboard = put_leaderboard(stub, wiring.tables.registry, "cup")
        fill(stub, wiring.tables.standings, leaderboard, players)
        before, of_stub = time.perf_counter(), stub.cpu_s
        found = sum(1 for _ in wiring.reads.buckets(leaderboard, [ALL_TIME_BUCKET]))
        seconds = time.perf_counter() - before - (stub.cpu_s - of_stub)
    if found != players:
        raise RuntimeError(f"{found} of {players} standings were read")
    what = f"export: standings read out of DynamoDB's answers, {players:,}"
    return Figure(key="export_read_rows_per_s", what=what, value=players / seconds, unit="rows/s")


def _lines(players: int) -> Iterator[tuple[Day, str, Standing]]:
    rng, at_ms = random.Random(1), now_ms()
    for number in range(players):
        player = number * 7_919 % players if players % 7_919 else number  # each once, in no order
        points = rng.randrange(1_000_000)
        yield ALL_TIME_BUCKET, f"u-{player:07d}", Standing(points, at_ms - rng.randrange(86_400_000), 1, "", points, 1)


def _value(figure: Figure) -> float:
    return figure.value
