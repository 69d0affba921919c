"""Reads over HTTP through the local gateway while player updates are applied beside them, and raw Redis beside that."""

import gc
import importlib
import io
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest import mock

import msgspec
from msgspec import Struct
from redis import Redis

from infra.bench import at_rest
from infra.bench.load import closed_loop, percentile, steady, steady_with_pause
from infra.bench.results import Figure
from infra.local import resources
from infra.local.cache import cache_server
from infra.local.config import Config, Ports, free_port
from infra.local.dynamodb import dynamodb_server
from infra.local.function import Context
from infra.local.gateway import to_event
from infra.local.servers import Server
from shared.assembly import now_ms
from shared.cache import keys
from shared.cache.leases import BuildLeases
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, day_of
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.truth.tables import create_tables

BOARD: Final = Leaderboard(id="autumn-cup", name="Cup", aggregation=Aggregation.SUM)
PAGE: Final = 100
CONTEXT: Final = 10
FRIENDS: Final = 50
P99_MAX_MS: Final = 10
RATES: Final = (100, 200, 300, 400, 500, 600, 800, 1_000, 1_200)


class Size(Struct, frozen=True):
    """How much is measured."""

    players: int = 1_000_000
    updates_per_s: int = 2_000
    updates_per_call: int = 25
    """What 80 invocations a second bring: six partitions, each asked again as soon as it has been answered."""
    longer_calls: tuple[int, ...] = (100, 1_000)
    """As batches get longer: behind, or with a batch window."""
    rate: int = 200
    warm_up_seconds: float = 5
    seconds: float = 120
    search_seconds: float = 8
    rates: tuple[int, ...] = RATES
    in_process: int = 300
    first_answers: int = 9


_FIRST_ANSWER: Final = """
import sys, time, json
from infra.local.function import Context
start = time.process_time()
from functions.api.handler import handler
loaded = time.process_time()
assert handler(json.loads(sys.argv[1]), Context("api", 30_000))["statusCode"] == 200
print((loaded - start) * 1000, (time.process_time() - loaded) * 1000)
"""
TINY: Final = Size(
    players=300, updates_per_s=100, updates_per_call=10, longer_calls=(20,), rate=20, warm_up_seconds=0, seconds=1,
    search_seconds=0.5, rates=(10,), in_process=5, first_answers=1,
)  # fmt: skip


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Fill a board, then ask."""
    with stack() as (config, redis):
        progress(f"filling {size.players:,} players")
        fill(redis, size)
        paths = _paths(size.players)
        with updates(config.ports.cache, size):
            progress(f"{size.rate} requests a second")
            steady(config.ports.api, list(paths.values()), size.rate, size.warm_up_seconds)
            latencies, pause_ms = steady_with_pause(config.ports.api, list(paths.values()), size.rate, size.seconds)
            best = 0
            for rate in size.rates:
                progress(f"highest rate: {rate}/s")
                found = steady(config.ports.api, list(paths.values()), rate, size.search_seconds)
                if percentile([one for each in found.values() for one in each], 0.99) >= P99_MAX_MS:
                    break
                best = rate
            progress("closed loop")
            loop = closed_loop(config.ports.api, paths["top_page"], at_rest.CONNECTIONS, size.search_seconds)
            progress("in process")
            with _pauses() as pauses:
                in_process = _in_process(redis, paths, size)
            progress("first answers")
            started = _first_answers(config, paths["top_page"], size)
        longer = [_with_longer_calls(config, list(paths.values()), size, call, progress) for call in size.longer_calls]
        progress("at rest")
        rested = at_rest.figures(config.ports.api, redis, _asker(), paths, size.search_seconds)
    slowest = max(one for each in latencies.values() for one in each)
    whole = Figure(key="read_pause_max_ms", what=f"longest time without an answer, at {size.rate}/s", value=pause_ms,
                   unit="ms", beside=f"over {size.seconds:g} s; slowest answer {slowest:.0f} ms")  # fmt: skip
    looped = Figure(key="closed_loop_per_s", what="closed loop, 16 connections, top page", value=loop, unit="/s",
                    beside=f"{size.updates_per_s} updates/s beside it")  # fmt: skip
    pause = Figure(key="read_gc_pause_max_ms", what="longest garbage collection in the handler's process",
                   value=max(pauses, default=0.0), unit="ms", beside=f"{len(pauses)} of them")  # fmt: skip
    http = _over_http(paths, latencies, best, size)
    return [*http, whole, looped, *longer, *in_process, pause, *rested, *started]


@contextmanager
def _pauses() -> Iterator[list[float]]:
    """How long each garbage collection takes, in ms."""
    found: list[float] = []
    start = 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal start
        if phase == "start":
            start = time.perf_counter()
        else:
            found.append((time.perf_counter() - start) * 1000)

    gc.callbacks.append(note)
    try:
        yield found
    finally:
        gc.callbacks.remove(note)


def _first_answers(config: Config, path: str, size: Size) -> list[Figure]:
    """What processes take to load the handler and to answer their first read."""
    command = [sys.executable, "-c", _FIRST_ANSWER, msgspec.json.encode(_event(path)).decode()]
    runs = []
    for _ in range(size.first_answers + 1):  # the first may have to compile
        done = subprocess.run(
            command, env=os.environ | config.environment(), capture_output=True, text=True, check=True
        )
        runs.append([float(ms) for ms in done.stdout.splitlines()[-1].split()])
    load, answer = (median(run[column] for run in runs[1:]) for column in (0, 1))
    return [
        Figure(key="cold_start_ms", what="CPU of a new process until it has answered a read", value=load + answer,
               unit="ms", beside=f"loading {load:.0f} ms, the first answer {answer:.1f} ms")
    ]  # fmt: skip


def _with_longer_calls(
    config: Config, paths: Sequence[str], size: Size, players: int, progress: Callable[[str], None]
) -> Figure:
    """The same reads while as many updates come in fewer, longer calls, each of which all readers wait for."""
    progress(f"updates in calls of {players:,}")
    with updates(config.ports.cache, msgspec.structs.replace(size, updates_per_call=players)):
        found = steady(config.ports.api, paths, size.rate, size.search_seconds)
    all_ms = [one for each in found.values() for one in each]
    return Figure(
        key=f"read_p99_ms_calls_of_{players}", what=f"reads over HTTP, updates in calls of {players:,}: p99",
        value=percentile(all_ms, 0.99), unit="ms", beside=f"p50 {percentile(all_ms, 0.5):.1f} ms",
    )  # fmt: skip


def _over_http(paths: dict[str, str], latencies: dict[str, list[float]], best: int, size: Size) -> list[Figure]:
    beside = f"{size.players:,} players, {size.updates_per_s} updates/s in calls of {size.updates_per_call}"
    all_ms = [one for each in latencies.values() for one in each]
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    figures = [
        Figure(key=f"read_{name}_ms", what=f"reads over HTTP, {size.rate}/s: {name}", value=percentile(all_ms, share),
               unit="ms", beside=beside, at_most=P99_MAX_MS if name == "p99" else None)
        for name, share in shares.items()
    ]  # fmt: skip
    for name, path in paths.items():
        p50, *others = (percentile(latencies[path], share) for share in shares.values())
        rest = ", ".join(f"{one} {ms:.1f}" for one, ms in zip(list(shares)[1:], others, strict=True))
        what = f"{name.replace('_', ' ')} over HTTP: p50"
        figures.append(Figure(key=f"read_{name}_p50_ms", what=what, value=p50, unit="ms", beside=f"{rest} ms"))
        what = f"{name.replace('_', ' ')} over HTTP: p99"
        figures.append(Figure(key=f"read_{name}_p99_ms", what=what, value=others[0], unit="ms"))
    what = f"highest rate tried with p99 < {P99_MAX_MS} ms"
    return [*figures, Figure(key="read_rate_max", what=what, value=best, unit="/s", beside=beside)]


def _paths(players: int) -> dict[str, str]:
    middle = f"u-{players // 2:07d}"
    prefix, window = f"/leaderboards/{BOARD.id}", "window=all-time"
    return {
        "top_page": f"{prefix}/rankings?{window}&limit={PAGE}",
        "deep_page": f"{prefix}/rankings?{window}&limit={PAGE}&offset={players * 9 // 10}",
        "player": f"{prefix}/players/{middle}?{window}&context={CONTEXT}",
        "friends": f"{prefix}/rankings?{window}&userIds={','.join(_friends(players))}",
    }


def _friends(players: int) -> list[str]:
    """Some players from all over the ranking."""
    return [f"u-{player:07d}" for player in random.Random(3).sample(range(players), FRIENDS)]


@contextmanager
def stack() -> Iterator[tuple[Config, "Redis"]]:
    """Redis, DynamoDB for the definitions, and the gateway."""
    with TemporaryDirectory() as name, mock.patch.dict(os.environ):
        directory = Path(name)
        ports = Ports(cache=free_port(), dynamodb=free_port(), api=free_port())
        config = Config(directory, Path("packages"), ports)
        os.environ.update(config.environment())
        log = directory / "gateway.log"
        command = [sys.executable, "-m", "infra.local.gateway"]
        environment = {"API_PORT": str(ports.api)}
        with (
            cache_server(directory / "cache", ports.cache),
            dynamodb_server(directory / "dynamodb", ports.dynamodb),
            Redis.from_url(config.environment()["CACHE_URL"]) as redis,
        ):
            redis.config_set("appendonly", "no")  # ElastiCache has none, and rewriting it takes a core
            _define()
            gateway = Server(
                "gateway", command, log=log, port=ports.api, environment=environment, ready=lambda: _answers(ports.api)
            )
            with gateway:
                yield config, redis


def _answers(port: int) -> bool:
    try:
        steady(port, ["/health/live"], 1, 0)
    except (OSError, RuntimeError):
        return False
    return True


def _define() -> None:
    handler = _handler()
    create_tables(resources.client(os.environ, "dynamodb"), handler.assembly.tables)
    handler.assembly.registry.save(BOARD)
    handler.assembly.registry.lock_rules(BOARD)


def _handler() -> Any:
    sys.modules.pop("functions.api.handler", None)  # it reads the environment when it is imported
    return importlib.import_module("functions.api.handler")


def _asker() -> Callable[[str], Any]:
    """Has the handler answer a path in this process."""
    handler = _handler().handler

    def ask(path: str) -> Any:
        with redirect_stdout(io.StringIO()):
            answer = handler(_event(path), Context("api", 30_000))
        if answer["statusCode"] != 200:
            raise RuntimeError(f"{path}: {answer}")
        return answer

    return ask


def _standings(rng: random.Random, players: Sequence[int], version: int) -> dict[str, Any]:
    at_ms = now_ms()
    today = day_of(at_ms)
    standings = {}
    for player in players:
        standing = Standing(rng.randrange(1_000_000), at_ms, version, "", 0, version)
        standings[f"u-{player:07d}"] = {today: standing, ALL_TIME_DAY: standing}
    return standings


def fill(redis: "Redis", size: Size) -> None:
    live, rng = WindowCache(redis), random.Random(1)
    for start in range(0, size.players, 1_000):
        chosen = range(start, min(size.players, start + 1_000))
        live.apply(BOARD, _standings(rng, chosen, 1), now_ms())
    builds = BuildLeases(live)
    _, build = builds.begin_rebuild(BOARD, "fill", now_ms())
    if not builds.finish_rebuild(BOARD, build):
        raise RuntimeError("the windows are not complete")


@contextmanager
def updates(port: int, size: Size) -> Iterator[None]:
    """Applies player updates from another process."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_update, args=(port, size, stop), daemon=True)
    process.start()
    try:
        yield
        if not process.is_alive():
            raise RuntimeError("the updates ended")
    finally:
        stop.set()
        process.join(10)


def _update(port: int, size: Size, stop: Any) -> None:
    with Redis("127.0.0.1", port) as redis:
        live, rng, version = WindowCache(redis), random.Random(2), 1
        due = time.monotonic()
        while not stop.is_set():
            version += 1
            chosen = rng.sample(range(size.players), size.updates_per_call)
            live.apply(BOARD, _standings(rng, chosen, version), now_ms())
            due += size.updates_per_call / size.updates_per_s
            time.sleep(max(0.0, due - time.monotonic()))


def _in_process(redis: "Redis", paths: dict[str, str], size: Size) -> list[Figure]:
    """The handler called here, and the Redis command behind it by redis-py, by turns."""
    handler, raw = _handler().handler, _raw_reads(redis, size)
    figures, ratios, cpu = [], [], []
    for name, path in paths.items():
        event = _event(path)
        ours: list[float] = []
        theirs: list[float] = []
        for turn in range(size.in_process + 5):
            with redirect_stdout(io.StringIO()):
                start, start_cpu = time.perf_counter(), time.process_time()
                answer = handler(event, Context("api", 30_000))
                took, took_cpu = time.perf_counter() - start, time.process_time() - start_cpu
            if answer["statusCode"] != 200:
                raise RuntimeError(f"{path}: {answer}")
            if turn >= 5:
                ours.append(took * 1000)
                cpu.append(took_cpu * 1000)
            start = time.perf_counter()
            raw[name]()
            if turn >= 5:
                theirs.append((time.perf_counter() - start) * 1000)
        ratios.append(median(ours) / median(theirs))
        figures.append(
            Figure(key=f"handler_{name}_ms", what=f"handler in process, {name.replace('_', ' ')}: p50",
                   value=median(ours), unit="ms",
                   beside=f"raw redis-py {median(theirs):.2f}; p99 {percentile(ours, 0.99):.1f} and "
                          f"{percentile(theirs, 0.99):.1f} ms")
        )  # fmt: skip
    worst = ", ".join(f"{name.replace('_', ' ')} {ratio:.1f}×" for name, ratio in zip(paths, ratios, strict=True))
    return [
        Figure(key="read_vs_raw_redis_ratio", what="handler p50, times raw redis-py, worst kind of read",
               value=max(ratios), unit="×", beside=worst, at_most=2),
        Figure(key="api_cpu_ms_per_read", what="CPU of the handler a read", value=median(cpu), unit="ms", at_most=0.5,
               beside=f"mean {sum(cpu) / len(cpu):.2f} ms"),
        *figures,
    ]  # fmt: skip


def _raw_reads(redis: "Redis", size: Size) -> dict[str, Callable[[], Any]]:
    """What the handler asks of Redis, by redis-py alone."""
    first = size.players * 9 // 10
    ranking, parts = keys.ranking(BOARD.id, ALL_TIME.id), keys.parts(BOARD.id, ALL_TIME)
    user = f"u-{size.players // 2:07d}".encode()

    def member(value: Any, user: bytes) -> bytes:
        """As layout.lua has it of a player with one part: four numbers, of which the last is when it was reached."""
        return int(msgspec.msgpack.decode(b"\x94" + value)[3]).to_bytes(6, "big") + user

    def raw_player() -> None:
        position: Any = redis.zrank(ranking, member(redis.hget(parts, user), user))
        redis.zrange(ranking, max(0, position - CONTEXT), position + CONTEXT, withscores=True)

    friends = [friend.encode() for friend in _friends(size.players)]

    def raw_friends() -> None:
        values: Any = redis.hmget(parts, friends)
        with redis.pipeline(transaction=False) as pipe:
            for value, friend in zip(values, friends, strict=True):
                pipe.zrank(ranking, member(value, friend))
                pipe.zscore(ranking, member(value, friend))
            pipe.execute()

    return {
        "friends": raw_friends,
        "top_page": lambda: redis.zrange(ranking, 0, PAGE - 1, withscores=True),
        "deep_page": lambda: redis.zrange(ranking, first, first + PAGE - 1, withscores=True),
        "player": raw_player,
    }


def _event(path: str) -> dict[str, Any]:
    target, _, query = path.partition("?")
    scope = {
        "headers": [(b"host", b"localhost")],
        "query_string": query.encode(),
        "raw_path": target.encode(),
        "method": "GET",
        "http_version": "1.1",
    }
    return to_event(scope, b"")
