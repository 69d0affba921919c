"""Export: rows a second read, loaded, sorted and written apart, and the peak of a process's memory; S3 is not in it."""

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar
from unittest import mock

import msgspec
from msgspec import Raw, Struct

from infra.bench.dynamodb_stub import DynamoDBStub
from infra.bench.results import Figure
from infra.local.config import Config, Ports
from shared import settings
from shared.assembly import Assembly
from shared.domain.calendar import ALL_TIME_DAY
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.exports.table import Lines, RankedTable
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart
from shared.truth.items import standing_item

T = TypeVar("T")

BOARD: Final = Leaderboard(
    id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=(Tier(name="gold", rule=TierRule.TOP_N, value=100),)
)
AT_MS: Final = 1_795_430_000_000
SPREAD: Final = 2_654_435_761
"""Knuth's multiplicative hash: points and times that are in no order."""
DIGITS: Final = 7
"""Of a player's number in the id, so that ids are in the order of numbers."""
NAMES: Final = {"-1": "points", "-2": "at", "u-": "user"}
"""What stands in a standing's item where the made-up ones differ."""


class Size(Struct, frozen=True):
    """How much is measured."""

    players: tuple[int, ...] = (100_000, 1_000_000)


TINY: Final = Size(players=(300,))


class Steps(Struct, frozen=True):
    """Seconds of each step of one export, and the process's peak of memory."""

    load_s: float
    """Reading among it: while one thread loads, others read. Without what the stub takes for its answers."""
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


class Standings(DynamoDBStub):
    """The standings of as many players, made up when they are asked for, so that they take no memory of the process."""

    def __init__(self, players: int) -> None:
        super().__init__()
        self.players = players
        item = msgspec.json.encode(standing_item(BOARD, "u-", ALL_TIME_DAY, Standing(-1, -2, 1, "", -1, 1))).decode()
        self._item = re.sub(r'"(-1|-2|u-)"', lambda found: f'"{{{NAMES[found[1]]}}}"', re.sub(r"([{}])", r"\1\1", item))

    def numbers(self, partition: str) -> range:
        """Players of a partition, ascending."""
        return range(int(partition.rpartition("#")[2]), self.players, BOARD.shards)

    def _query(self, body: bytes) -> tuple[int, bytes]:
        query = msgspec.json.decode(body)
        all_numbers = self.numbers(query["ExpressionAttributeValues"][":pk"]["S"])
        last = query.get("ExclusiveStartKey")
        start = 0 if last is None else all_numbers.index(int(last["sk"]["S"].removeprefix("u-"))) + 1
        numbers = all_numbers[start : start + query["Limit"]]
        answer: dict[str, Any] = {"Items": [Raw(self._standing(number)) for number in numbers], "Count": len(numbers)}
        if numbers and numbers[-1] != all_numbers[-1]:
            answer["LastEvaluatedKey"] = {"pk": {"S": "-"}, "sk": {"S": user_id(numbers[-1])}}
        return 200, msgspec.json.encode(answer)

    def _standing(self, number: int) -> bytes:
        spread = number * SPREAD % 2**32
        return self._item.format(
            points=spread % 1_000_000, at=AT_MS + spread % 86_400_000, user=user_id(number)
        ).encode()


def user_id(number: int) -> str:
    """The id of a player."""
    return f"u-{number:0{DIGITS}d}"


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Read a window of each size, then export it in each format; each in a process of its own."""
    reads, rates, peaks = [], [], []
    for players in size.players:
        progress(f"{players:,} players: reading")
        read_s, memory_mb = apart(read, players)
        reads.append(
            Figure(key=f"export_read_rows_per_s_at_{players}", value=players / read_s, unit="rows/s",
                   what=f"export: standings read out of DynamoDB's answers, {players:,}",
                   beside=f"peak memory {memory_mb:.0f} MB")
        )  # fmt: skip
        for export_format in (ExportFormat.CSV, ExportFormat.NDJSON, ExportFormat.PARQUET):  # those for programs
            progress(f"{players:,} players, {export_format}")
            steps = apart(export, players, export_format)
            rates.append(_figure(players, export_format, steps))
            peaks.append(
                Figure(key=f"export_{export_format}_peak_mb_at_{players}", value=steps.peak_mb, unit="MB",
                       what=f"export, {export_format}, {players:,} rows: peak memory of the process, reading included")
            )  # fmt: skip
    slowest, largest = min(rates, key=_value), max(peaks, key=_value)
    what = "export: sort and write, slowest size and format"
    peak = "export: peak memory, reading included, largest size and format"
    return [
        Figure(key="export_rows_per_s", what=what, value=slowest.value, unit="rows/s", beside=slowest.beside,
               at_least=150_000),
        Figure(key="export_peak_mb", what=peak, value=largest.value, unit="MB", at_most=600),
        *reads,
        *(figure for pair in zip(rates, peaks, strict=True) for figure in pair),
    ]  # fmt: skip


def read(players: int) -> tuple[float, float]:
    """Read a window and forget it: seconds without the stub's, and the process's peak of memory in MB."""
    with _truth(players) as (stub, lines):
        start = time.perf_counter()
        found = sum(1 for _ in lines)
        seconds = time.perf_counter() - start - stub.cpu_s
    if found != players:
        raise RuntimeError(f"{found} of {players} standings were read")
    return seconds, peak_mb()


def export(players: int, export_format: ExportFormat) -> Steps:
    """Make one file and say how long each step took."""
    with _truth(players) as (stub, lines), TemporaryDirectory() as name, _Timed(BOARD, lines, Path(name)) as table:
        if table.rows != players:
            raise RuntimeError(f"{table.rows} of {players} rows are there")
        start = time.perf_counter()
        table.write(Path(name) / "export", export_format, Compression.NONE, ExportPart())
        write_s = time.perf_counter() - start
        return Steps(table.load_s - stub.cpu_s, table.sort_s, write_s, peak_mb())


@contextmanager
def _truth(players: int) -> Iterator[tuple[DynamoDBStub, Lines]]:
    """The standings of a window as an export reads them."""
    environment = Config(Path("state"), Path("packages"), Ports()).environment()
    with mock.patch.dict(os.environ, environment), Standings(players).in_place_of_http() as stub:
        yield stub, Assembly(settings.load()).reads.standings_on(BOARD, [ALL_TIME_DAY])


def apart(work: Callable[..., T], *of: Any) -> T:
    """Run work in a process of its own, so that its peak of memory is its own, too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *of).result()


def peak_mb() -> float:
    """The most memory that this process ever had, in MB.

    Not getrusage's ru_maxrss: a process has that from the one that started it (man 2 getrusage, execve).
    """
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


def _figure(players: int, export_format: ExportFormat, steps: Steps) -> Figure:
    rates = {"read and loaded": steps.load_s, "sorted": steps.sort_s, "written": steps.write_s}
    return Figure(
        key=f"export_{export_format}_rows_per_s_at_{players}", value=players / (steps.sort_s + steps.write_s),
        unit="rows/s", what=f"export, {export_format}, {players:,} rows: sort and write",
        beside=", ".join(f"{name} {players / seconds:,.0f}/s" for name, seconds in rates.items()),
    )  # fmt: skip


def _value(figure: Figure) -> float:
    return figure.value
