"""Live windows in Redis: player updates a second and bytes, beside pipelined ZINCRBY and the package `leaderboard`."""

import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from leaderboard.leaderboard import Leaderboard as PyPILeaderboard
from msgspec import Struct
from redis import Redis
from redis.client import Pipeline

from infra.bench.ingest import environment
from infra.bench.results import Figure
from shared.assembly import now_ms
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, Day, daily, day_of, weekly
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing

WINDOWS: Final = 3
PAGE: Final = 100
INCREMENT: Final = 100
"""Points of an update are fewer: those of both sides move as far."""
DEEP: Final = 0.9
"""Where the deep page is, as a share of the players."""


class Size(Struct, frozen=True):
    """How much is measured."""

    players: tuple[int, ...] = tuple(int(float(size)) for size in os.environ.get("SIZE", "1e4,1e5,1e6").split(","))
    batch: int = 1_000
    batches: int = 20
    package_updates: int = 1_000
    reads: int = 300


TINY: Final = Size(players=(200,), batch=50, batches=2, package_updates=20, reads=5)


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Measure at each number of players."""
    figures: list[Figure] = []
    for players in size.players:
        with environment() as url, Redis.from_url(url) as redis:
            progress(f"{players:,} players")
            redis.config_set("appendonly", "no")  # of both sides; what is measured is the CPU of Redis
            figures += _at(redis, size, players)
    largest = max(size.players)
    by_key = {figure.key: figure for figure in figures}
    smallest = min(by_key[f"apply_vs_pipelined_at_{players}"].value for players in size.players)
    bytes_each = by_key[f"bytes_per_player_window_at_{largest}"]
    return [
        Figure(
            key="apply_vs_pipelined_ratio", what="apply script, times pipelined ZINCRBY ×3, worst of the sizes",
            value=smallest, unit="×", at_least=1.5,
            beside=", ".join(f"{players:,}: {by_key[f'apply_vs_pipelined_at_{players}'].value:.2f}×"
                             for players in size.players),
        ),
        Figure(
            key="bytes_per_player_window", what=f"bytes a player and window, {largest:,} players",
            value=bytes_each.value, unit="B", beside=bytes_each.beside, at_most=220,
        ),
        *figures,
    ]  # fmt: skip


def _at(redis: "Redis", size: Size, players: int) -> list[Figure]:
    rng = random.Random(players)
    board, today = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM), day_of(now_ms())
    before = _used(redis)
    windows = _Windows(redis, board, today, rng)
    for start in range(0, players, size.batch):
        windows.apply(range(start, min(players, start + size.batch)))
    after = _used(redis)
    for start in range(0, players, size.batch):
        _zincrby(redis, range(start, min(players, start + size.batch)), rng)
    of_sets = _used(redis) - after
    applied: list[float] = []
    piped: list[float] = []
    redis.config_resetstat()
    for _ in range(size.batches):  # by turns
        chosen = rng.sample(range(players), min(players, size.batch))
        applied.append(_per_s(len(chosen), lambda chosen=chosen: windows.apply(chosen)))  # type: ignore[misc]
        piped.append(_per_s(len(chosen), lambda chosen=chosen: _zincrby(redis, chosen, rng)))  # type: ignore[misc]
    apply_rate, pipe_rate = _middle(applied), _middle(piped)
    us = _server_us(redis, min(players, size.batch) * size.batches)
    return [
        Figure(key=f"apply_per_s_at_{players}", what=f"apply script, {players:,} players", value=apply_rate,
               unit="players/s", beside=f"pipelined ZINCRBY ×3: {pipe_rate:,.0f}/s"),
        Figure(key=f"zincrby_per_s_at_{players}", what=f"pipelined ZINCRBY ×3, {players:,} players", value=pipe_rate,
               unit="players/s"),
        Figure(key=f"apply_vs_pipelined_at_{players}", what=f"the one over the other, {players:,} players",
               value=apply_rate / pipe_rate, unit="×"),
        Figure(key=f"apply_sets_us_at_{players}", what=f"sorted sets alone, in the script, {players:,} players",
               value=us["zrem"] + us["zadd"], unit="µs/player",
               beside=f"all of the script {us['evalsha']:.1f}, its hashes {us['hmget'] + us['hset']:.1f}; "
                      f"ZINCRBY ×3 {us['zincrby']:.1f} µs"),
        Figure(key=f"bytes_per_player_window_at_{players}", what=f"bytes a player and window, {players:,} players",
               value=(after - before) / players / WINDOWS, unit="B",
               beside=f"plain sorted sets: {of_sets / players / WINDOWS:.0f} B"),
        *_package(redis, windows, size, players, rng),
    ]  # fmt: skip


def _server_us(redis: "Redis", players: int) -> dict[str, float]:
    """Command → µs that Redis itself took for it, for each player who was updated on either side."""
    stats: Any = redis.info("commandstats")
    names = ("evalsha", "zrem", "zadd", "hmget", "hset", "zincrby")
    return {name: stats.get(f"cmdstat_{name}", {}).get("usec", 0) / players for name in names}


class _Windows:
    """The three windows of today, and the versions that were applied."""

    def __init__(self, redis: "Redis", board: Leaderboard, today: Day, rng: random.Random) -> None:
        self.cache = WindowCache(redis)
        self.board = board
        self._today = today
        self._rng = rng
        self._versions: dict[int, int] = {}
        self._points: dict[int, int] = {}

    def apply(self, players: Sequence[int]) -> None:
        at_ms, standings = now_ms(), {}
        for player in players:
            version = self._versions[player] = self._versions.get(player, 0) + 1
            points = self._points[player] = self._points.get(player, 0) + self._rng.randrange(INCREMENT)
            standing = Standing(points, at_ms, version, "", 0, version)
            standings[f"u-{player:07d}"] = {self._today: standing, ALL_TIME_DAY: standing}
        changed = self.cache.apply(self.board, standings, at_ms)
        if changed != WINDOWS * len(standings):
            raise RuntimeError(f"{changed} parts of {WINDOWS * len(standings)} were new")

    @property
    def names(self) -> list[str]:
        return [daily(self._today).id, weekly(self._today).id, ALL_TIME.id]


def _zincrby(redis: "Redis", players: Sequence[int], rng: random.Random) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for player in players:
            points = rng.randrange(INCREMENT)
            for window in ("d", "w", "a"):
                pipe.zincrby(f"plain:{window}", points, f"u-{player:07d}")
        pipe.execute()


class _OldPipeline(Pipeline):
    def zincrby(self, name: str, value: str, amount: float) -> Any:  # type: ignore[override]
        """As redis-py 2 had it, member before amount: what the package `leaderboard` was written for."""
        return super().zincrby(name, amount, value)


class _OldRedis(Redis):
    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        return _OldPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def _package(redis: "Redis", windows: _Windows, size: Size, players: int, rng: random.Random) -> list[Figure]:
    """The package `leaderboard` on a set of the same players: updates, a rank and a page."""
    old = _OldRedis(connection_pool=redis.connection_pool)
    board = PyPILeaderboard("plain:a", page_size=PAGE, redis_connection=old)
    others = [PyPILeaderboard(f"plain:{window}", redis_connection=old) for window in ("d", "w")]
    chosen = [f"u-{rng.randrange(players):07d}" for _ in range(size.package_updates)]

    def update() -> None:
        for user in chosen:
            for one in (board, *others):
                one.change_score_for(user, 5)

    page = max(1, int(players * DEEP) // PAGE)
    ours_ms = _median_ms(size.reads, lambda: windows.cache.page(windows.board, ALL_TIME, page * PAGE, PAGE, now_ms()))
    theirs_ms = _median_ms(size.reads, lambda: board.leaders(page + 1))
    rank_ms = _median_ms(size.reads, lambda: windows.cache.player(windows.board, ALL_TIME, chosen[0], 1, now_ms()))
    their_rank_ms = _median_ms(size.reads, lambda: board.score_and_rank_for(chosen[0]))
    rate = _per_s(len(chosen), update)
    return [
        Figure(key=f"package_per_s_at_{players}", what=f"package leaderboard, 3 updates, {players:,} players",
               value=rate, unit="players/s"),
        Figure(key=f"deep_page_ms_at_{players}", what=f"page of {PAGE} at {DEEP:.0%}, {players:,} players",
               value=ours_ms, unit="ms", beside=f"package leaderboard: {theirs_ms:.2f} ms"),
        Figure(key=f"rank_ms_at_{players}", what=f"a player's rank and neighbours, {players:,} players",
               value=rank_ms, unit="ms", beside=f"package leaderboard, rank only: {their_rank_ms:.2f} ms"),
    ]  # fmt: skip


def _per_s(count: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def _median_ms(times: int, work: Callable[[], object]) -> float:
    return 1000 / _middle([_per_s(1, work) for _ in range(times)])


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _used(redis: "Redis") -> int:
    return int(redis.info("memory")["used_memory"])
