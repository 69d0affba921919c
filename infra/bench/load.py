"""A steady stream of GET requests over kept connections. Latency counts from when a request was due, not from when it
could be sent, so that a server that stalls is not asked less (coordinated omission).
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from math import ceil

HOST = "127.0.0.1"
CONNECTIONS = 32


def steady(port: int, paths: Sequence[str], rate: int, seconds: float) -> dict[str, list[float]]:
    """Latencies in ms of each path, the paths asked by turns, `rate` requests a second in all.

    Raises:
        RuntimeError: on any answer but 200.
    """
    latencies, _ = asyncio.run(_steady(port, paths, rate, seconds))
    return latencies


def steady_with_pause(
    port: int, paths: Sequence[str], rate: int, seconds: float
) -> tuple[dict[str, list[float]], float]:
    """The same, and the longest time in ms in which no answer came at all; one is due every 1000/`rate` ms."""
    latencies, answered_s = asyncio.run(_steady(port, paths, rate, seconds))
    return latencies, longest_gap(answered_s) * 1000


def longest_gap(instants: Sequence[float]) -> float:
    """The longest time between two of them, one after the other; 0 for less than two."""
    return max((late - early for early, late in itertools.pairwise(sorted(instants))), default=0.0)


def closed_loop(port: int, path: str, connections: int, seconds: float) -> float:
    """Answers a second to clients that each ask again once they have been answered, whatever that takes.

    Raises:
        RuntimeError: on any answer but 200.
    """
    return asyncio.run(_closed_loop(port, path, connections, seconds))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    return sorted(values)[ceil(len(values) * share) - 1]


async def _closed_loop(port: int, path: str, connections: int, seconds: float) -> float:
    end_s = time.monotonic() + seconds

    async def ask() -> int:
        reader, writer = await asyncio.open_connection(HOST, port)
        count = 0
        while time.monotonic() < end_s:
            await _get(reader, writer, path)
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(ask() for _ in range(connections)))) / seconds


async def _steady(
    port: int, paths: Sequence[str], rate: int, seconds: float
) -> tuple[dict[str, list[float]], list[float]]:
    """Latencies, and when answers came, in seconds of the loop's clock."""
    loop = asyncio.get_running_loop()
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(HOST, port))
    latencies: dict[str, list[float]] = {path: [] for path in paths}
    answered_s: list[float] = []

    async def ask(path: str, due: float) -> None:
        connection = await free.get()
        await _get(*connection, path)
        answered_s.append(loop.time())
        latencies[path].append((answered_s[-1] - due) * 1000)
        free.put_nowait(connection)

    start, tasks = loop.time() + 0.1, []
    for number, path in zip(range(max(len(paths), int(rate * seconds))), itertools.cycle(paths), strict=False):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(loop.create_task(ask(path, due)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()
    return latencies, answered_s


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith("http/1.1 200"):
        raise RuntimeError(f"{path}: {head.splitlines()[0]}: {body[:200]!r}")
