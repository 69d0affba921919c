"""Reads while nothing is written: what a page by cursor takes, and how many answers a second there are at the most."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from infra.bench.load import closed_loop
from infra.bench.results import Figure

if TYPE_CHECKING:
    from redis import Redis

CONNECTIONS: Final = 16
PAGES: Final = 200


def figures(
    port: int,
    redis: "Redis",
    ask: Callable[[str], Any],
    paths: Mapping[str, str],
    seconds: float,
) -> list[Figure]:
    """The handler's and the cache's CPU for a page by cursor behind the deep page, and a closed loop over HTTP.

    `ask` has the handler answer a path in this process.
    """
    deep = paths["deep_page"]
    following = msgspec.json.decode(ask(deep)["body"]).get("nextCursor")
    page = f"{deep.partition('&offset=')[0]}&cursor={following}" if following else deep
    for _ in range(5):
        ask(page)
    start_s, cache_s = time.process_time(), _cpu_s(redis)
    for _ in range(PAGES):
        ask(page)
    own_ms = (time.process_time() - start_s) * 1000 / PAGES
    cache_ms = (_cpu_s(redis) - cache_s) * 1000 / PAGES
    rate = closed_loop(port, paths["top_page"], CONNECTIONS, seconds)
    return [
        Figure(key="cursor_page_cpu_ms", what="page by cursor at 90 %, CPU of function and cache", unit="ms",
               value=own_ms + cache_ms, beside=f"function {own_ms:.2f}, cache {cache_ms:.2f} ms"),
        Figure(key="closed_loop_at_rest_per_s", what="closed loop, 16 connections, top page, nothing written",
               value=rate, unit="/s"),
    ]  # fmt: skip


def _cpu_s(redis: "Redis") -> float:
    used: Any = redis.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])
