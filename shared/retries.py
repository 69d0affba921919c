"""Bounded retries with jitter."""

import random
import time
from collections.abc import Callable

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Full jitter (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)."""

    base_ms: int = 20
    cap_ms: int = 2_000
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def wait(self, attempt: int) -> None:
        """Wait before try `attempt + 1`, counted from 0: up to base · 2^attempt, capped."""
        self.sleep(self.uniform(0, min(self.cap_ms, self.base_ms * 2**attempt)) / 1000)
