"""`make simulate`: any number of seeds, on every core, with progress. Ends with 1 if one of them fails."""

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from infra.local import packages
from infra.local.cache import chosen, throwaway_cache
from infra.local.servers import PACKAGES
from tests.simulation.checks import failure
from tests.simulation.course import Course, Fault, draw

CHUNK: Final = 20
FAILURES_MAX: Final = 5
"""After so many there is enough to look at."""
SAID_EVERY: Final = 1_000
"""Seeds between two lines of a log; a terminal has a bar."""
COLUMNS: Final = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())

CHUNKS_EACH: Final = 20
"""Chunks that one process takes: a seed leaves about 1 MB, as nothing is collected."""

_sockets: list[Any] = []
"""The queue of those at which there is a Redis that nobody uses just now."""


def main() -> int:
    """Take the courses of SEEDS seeds from FIRST_SEED on, as changed by the rest of the environment."""
    first, count = int(os.environ.get("FIRST_SEED", "0")), int(os.environ.get("SEEDS", "10000"))
    workers = int(os.environ.get("PROCESSES", os.cpu_count() or 1))
    courses = [changed(draw(seed), os.environ) for seed in range(first, first + count)]
    chunks = [courses[start : start + CHUNK] for start in range(0, count, CHUNK)]
    console, start_s, taken, failures = Console(highlight=False, markup=False, soft_wrap=True), time.monotonic(), 0, 0
    packages.prepare_cache(PACKAGES, chosen())
    with ExitStack() as stack:
        sockets: Any = multiprocessing.SimpleQueue()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number in range(workers):
            sockets.put(socket := directory / f"redis-{number}.sock")
            stack.enter_context(throwaway_cache(socket))
        pool = stack.enter_context(multiprocessing.get_context("fork").Pool(workers, begin, (sockets,), CHUNKS_EACH))
        progress = stack.enter_context(Progress(*COLUMNS, console=console))
        task = progress.add_task("seeds", total=count)
        for size, found in pool.imap_unordered(take_chunk, chunks):
            taken += size
            failures += len(found)
            progress.update(task, completed=taken)
            if not console.is_terminal and taken % SAID_EVERY < size:
                console.print(f"{taken} of {count} seeds, {time.monotonic() - start_s:.0f} s")
            for text in found:
                console.print(text)
            if failures >= FAILURES_MAX:
                break
    took_s = time.monotonic() - start_s
    console.print(f"seeds {first} to {first + count - 1}: {taken} taken, {failures} failed, {took_s:.0f} s")
    return 1 if failures else 0


def changed(course: Course, environment: Mapping[str, str]) -> Course:
    """A course with what the environment says in place of what its seed draws: so a failure is taken again."""
    readers: dict[str, Any] = {
        "EVENTS": int,
        "PLAYERS": int,
        "BOARDS": lambda text: tuple(text.split(",")),
        "WITHOUT": lambda text: frozenset(map(Fault, text.split(","))),
    }
    given = {name.lower(): read(environment[name]) for name, read in readers.items() if environment.get(name)}
    return replace(course, **given)


def begin(sockets: Any) -> None:
    """Prepare a process."""
    logging.disable(logging.ERROR)  # what the product says of faults that were meant
    gc.disable()  # a tenth of the time
    _sockets.append(sockets)


def take_chunk(courses: Sequence[Course]) -> tuple[int, list[str]]:
    """How many courses were taken, and how each that failed did."""
    socket = _sockets[0].get()
    try:
        with Redis(unix_socket_path=str(socket), single_connection_client=True) as redis:
            failures = [failure(course, redis) for course in courses]
    finally:
        _sockets[0].put(socket)
    return len(courses), [text for text in failures if text is not None]


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # what to take is said by the environment alone
    sys.exit(main())
