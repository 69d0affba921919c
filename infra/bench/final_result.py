"""The result of a window: compared with a real Redis and written, and the process's peak of memory; S3 is a sink."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from infra.bench.export import BOARD, Standings, apart, peak_mb
from infra.bench.ingest import environment
from infra.bench.results import Figure
from infra.local.config import Config, Ports
from shared import settings
from shared.assembly import Assembly, now_ms
from shared.closing.finalizer import Finalizer
from shared.domain.audit import Disqualified
from shared.domain.calendar import Day, format_day, parse_day, weekly
from shared.files.upload import PART_BYTES
from shared.rebuild.builder import WindowBuilder
from shared.truth.keys import days_partition

WEEK: Final = weekly(Day(20_601))
"""A week in May 2026: it has left the cache, which is built for the comparison."""


class Size(Struct, frozen=True):
    """How much is measured."""

    players: tuple[int, ...] = (1_000_000, 3_000_000)


TINY: Final = Size(players=(300,))


class Week(Standings):
    """Standings of a week: most players have two, on Monday and Friday for example."""

    def numbers(self, partition: str) -> range:
        """Players of a partition, ascending."""
        _, day, shard = partition.split("#")
        weekday = (parse_day(day) - WEEK.first) % 4
        first = next(
            (one for one in range(int(shard), 4 * BOARD.shards, BOARD.shards) if one // BOARD.shards == weekday), 0
        )
        return range(first, self.players, 4 * BOARD.shards)

    def _query(self, body: bytes) -> tuple[int, bytes]:
        if msgspec.json.decode(body)["ExpressionAttributeValues"][":pk"]["S"] != days_partition(BOARD.id):
            return super()._query(body)
        days = [{"sk": {"S": format_day(day)}} for day in WEEK.days]
        return 200, msgspec.json.encode({"Items": days, "Count": len(days)})


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Write the result of a window of each size, each in a process of its own."""
    rates, peaks = [], []
    for players in size.players:
        progress(f"{players:,} players")
        with environment() as url:
            build_s, finish_s, peak = apart(finish, url, players)
        rates.append(
            Figure(key=f"final_result_players_per_s_at_{players}", value=players / finish_s, unit="players/s",
                   what=f"result of a week, {players:,} players: read, compared with the cache, written",
                   beside=f"{finish_s:.0f} s; built in the cache before in {build_s:.0f} s")
        )  # fmt: skip
        peaks.append(
            Figure(key=f"final_result_peak_mb_at_{players}", value=peak, unit="MB",
                   what=f"result of a week, {players:,} players: peak memory of the process")
        )  # fmt: skip
    what = "result of a window: peak memory, largest size"
    largest = Figure(key="final_result_peak_mb", what=what, value=peaks[-1].value, unit="MB", at_most=600)
    return [largest, *(figure for pair in zip(rates, peaks, strict=True) for figure in pair)]


def finish(cache_url: str, players: int) -> tuple[float, float, float]:
    """Build the week in the cache and write its result: seconds of each without the stub's, and the peak in MB."""
    variables = Config(Path("state"), Path("packages"), Ports()).environment() | {
        "CACHE_URL": cache_url, "CACHE_TIMEOUT_MS": "20000",
    }  # fmt: skip
    board = replace(BOARD, has_events=True, sealed_through=WEEK.last)
    with mock.patch.dict(os.environ, variables), Week(players).in_place_of_http() as stub:
        assembly = Assembly(settings.load())
        registry: Any = SimpleNamespace(periods=lambda _: [], leaderboard=lambda _: None)
        nobody: Any = SimpleNamespace(now=lambda _: Disqualified(), hidden=lambda _: Disqualified())
        builder = WindowBuilder(
            reads=assembly.reads, cache=assembly.cache, leases=assembly.builds, registry=registry,
            disqualified_players=nobody, now_ms=now_ms, new_token=lambda: "token",
        )  # fmt: skip
        nobody_amended: Any = SimpleNamespace(as_of=lambda *_: {})
        final_results: Any = SimpleNamespace(final=lambda *_: None, write=lambda *_: None)
        no_pseudonyms: Any = SimpleNamespace(issued=lambda *_: {})
        finalizer = Finalizer(
            reads=assembly.reads, cache=assembly.cache, builder=builder, final_results=final_results, registry=registry,
            pseudonyms=no_pseudonyms, disqualified_players=nobody, amended_players=nobody_amended, s3=_sink(),
            bucket="bucket", now_ms=now_ms,
        )  # fmt: skip
        start = time.perf_counter()
        if not builder.rebuild_window(board, WEEK):
            raise RuntimeError("the cache could not be built")
        built, of_stub = time.perf_counter(), stub.cpu_s
        final = finalizer.finalize(board, WEEK)
        if final is None or final.players != players:
            raise RuntimeError(f"{msgspec.json.encode(final)!r} is not the result of {players} players")
        return built - start - of_stub, time.perf_counter() - built - (stub.cpu_s - of_stub), peak_mb()


def _sink() -> Any:
    """Takes uploads and keeps nothing."""
    pages = SimpleNamespace(paginate=lambda **_: ())

    def upload(content: Any, *_: Any, **_options: Any) -> None:
        while content.read(PART_BYTES):
            pass

    return SimpleNamespace(get_paginator=lambda _: pages, upload_fileobj=upload, put_object=lambda **_: None)
