"""Bounded retries with jitter, and running independent calls side by side."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Backoff(Struct, frozen=True):
    """Full jitter (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)."""

    base_ms: int = 20
    cap_ms: int = 2_000
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def wait(self, attempt: int) -> None:
        """Wait before try `attempt + 1`, counted from 0: up to base · 2^attempt, capped."""
        self.sleep(self.uniform(0, min(self.cap_ms, self.base_ms * 2**attempt)) / 1000)


class RunParallel(Protocol):
    """Runs calls that don't depend on each other; answers in their order."""

    def __call__(self, calls: Sequence[Callable[[], T]], /) -> list[T]: ...


class Threads:
    """Runs calls on a pool of threads that lives as long as the process."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="calls")

    def __call__(self, calls: Sequence[Callable[[], T]], /) -> list[T]:
        """Run them all; raises what the first failing one raised."""
        if len(calls) == 1:
            return [calls[0]()]
        return list(self._pool.map(lambda call: call(), calls))
