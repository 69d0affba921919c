"""Rebuild of the live windows: entries a second into a real Redis, from a truth that answers below botocore."""

import importlib
import random
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from redis import Redis

from infra.bench.dynamodb_stub import DynamoDBStub
from infra.bench.ingest import environment, put_leaderboard
from infra.bench.results import Figure
from shared.assembly import now_ms
from shared.cache import keys
from shared.domain.calendar import ALL_TIME_DAY, daily, day_of, format_day
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.rebuild.builder import RebuildOutcome
from shared.truth.items import standing_item
from shared.truth.keys import days_partition

WINDOWS_EACH: Final = 3
"""A player of today stands in the daily, the weekly and the all-time window."""


class Size(Struct, frozen=True):
    """How much is measured."""

    players: tuple[int, ...] = (100_000, 1_000_000)


TINY: Final = Size(players=(300,))


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Rebuild a leaderboard of each size."""
    figures = []
    for players in size.players:
        with environment() as url, Redis.from_url(url) as redis, DynamoDBStub().in_place_of_http() as stub:
            progress(f"{players:,} players: writing the truth")
            module = handler_of("repair")
            leaderboard = put_leaderboard(stub, module.assembly.tables.registry, "cup")
            at_ms = fill(stub, module.assembly.tables.standings, leaderboard, players)
            progress(f"{players:,} players: rebuilding")
            before, of_stub, memory_kb = time.perf_counter(), stub.cpu_s, _peak_kb()
            if module.assembly.window_builder.rebuild_leaderboard(leaderboard) is not RebuildOutcome.DONE:
                raise RuntimeError("the rebuild was overtaken")
            seconds = time.perf_counter() - before - (stub.cpu_s - of_stub)
            daily_entries: Any = redis.zcard(keys.ranking("cup", str(_daily(at_ms))))
            if daily_entries != players:
                raise RuntimeError(f"{daily_entries} of {players} players were rebuilt")
            entries = players * WINDOWS_EACH
            figures.append(
                Figure(
                    key=f"rebuild_entries_per_s_at_{players}", what=f"rebuild, {players:,} players in 3 windows",
                    value=entries / seconds, unit="entries/s",
                    beside=f"{players / seconds:,.0f} players/s; {(_peak_kb() - memory_kb) / 1024:.0f} MB more memory",
                )
            )  # fmt: skip
    slowest = min(figures, key=lambda figure: figure.value)
    what = "rebuild into Redis, entries of windows, slowest size"
    key = "rebuild_entries_per_s"
    return [
        Figure(key=key, what=what, value=slowest.value, unit="/s", beside=slowest.beside, at_least=20_000),
        *figures,
    ]


def handler_of(function: str) -> Any:
    """A function's handler module, imported in the environment as it is now."""
    name = f"functions.{function}.handler"
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def fill(stub: DynamoDBStub, table: str, leaderboard: Leaderboard, players: int) -> int:
    """Standings of as many players, of today and all time, into the stub; when they were reached, ms."""
    rng, at_ms = random.Random(1), now_ms()
    stub.put(table, {"pk": {"S": days_partition(leaderboard.id)}, "sk": {"S": format_day(day_of(at_ms))}})
    for day in (day_of(at_ms), ALL_TIME_DAY):
        for player in range(players):
            points = rng.randrange(1_000_000)
            standing = Standing(points, at_ms - rng.randrange(1_000), 1, "", points, 1)
            stub.put(table, standing_item(leaderboard, f"u-{player:07d}", day, standing))
    return at_ms


def _daily(at_ms: int) -> str:
    return daily(day_of(at_ms)).id


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
