"""One Redis: its scripts, and what keeps callers from trusting or waiting for one that fails."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from circuitbreaker import CircuitBreaker
from redis import Redis

from shared.cache.errors import CacheFull, CacheUnavailable, raising

PROBE_KEY: Final = "writable"
"""What a probe writes, to be gone after PROBE_MS: a Redis that is full answers everything else."""
PROBE_MS: Final = 60_000
PROBE_EVERY_MS: Final = 1_000
"""How often one function finds out whether Redis takes writes at all, before it trusts what Redis marks as complete."""


@cache
def _script(name: str) -> bytes:
    return (Path(__file__).parent / "scripts" / name).read_bytes()


class CacheConnection:
    """Sends commands and scripts. Methods raise CacheUnavailable if Redis fails."""

    def __init__(
        self, redis: "Redis", breaker: CircuitBreaker | None = None, now_ms: Callable[[], int] | None = None
    ) -> None:
        """Of one Redis.

        Args:
            redis: the client.
            breaker: keeps callers from waiting for a Redis that hangs, each for itself.
            now_ms: the time, for who shows rankings to others: see `read`. Without it nothing is probed.
        """
        self._redis = redis
        self._breaker = breaker
        self._now_ms = now_ms
        self._probed_ms: int | None = None

    def register(self, name: str) -> Any:
        """A script of this package, for `call`."""
        return self._redis.register_script(_script(name))

    def ping(self) -> None:
        """Raises CacheUnavailable unless Redis takes a write; it is asked however often it failed before."""
        with raising():
            self._probe()

    def _check_writable(self) -> None:
        """Raise CacheUnavailable if Redis takes no write at all, so that no worker could take back that it is complete.

        So it is of one that can't save, lost its replicas, or is a replica itself. One that is only full takes deletes:
        there each leaderboard is withdrawn when a write for it is refused, and the others are still live.
        """
        if self._now_ms is None:
            return
        now_ms = self._now_ms()
        if self._probed_ms is not None and 0 <= now_ms - self._probed_ms < PROBE_EVERY_MS:
            return
        with suppress(CacheFull), self.reaching():
            self._probe()
        self._probed_ms = now_ms

    def _probe(self) -> None:
        self._redis.set(PROBE_KEY, b"", px=PROBE_MS)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Around commands: their failures count, and while there were too many none is sent."""
        if self._breaker is not None and self._breaker.opened:
            raise CacheUnavailable("Redis has failed repeatedly and is left alone for a moment")
        with raising(), self._breaker or nullcontext():
            yield

    def read(self, script: Any, script_keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a registered script that reads what Redis marks as complete, unless Redis takes no writes.

        Raises:
            CacheUnavailable: if so, or if Redis fails.
        """
        self._check_writable()
        return self.call(script, script_keys, args)

    def call(self, script: Any, script_keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a registered script."""
        with self.reaching():
            return script(keys=script_keys, args=args)
