"""Values that were read from the truth lately, held in the memory of a function."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Final, Generic, Protocol, TypeVar

from cachetools import FIFOCache

from shared.truth.failures import Unavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

PATIENCE_MS: Final = 100
"""How long who has something older waits for what is current: ten times what DynamoDB takes. Past it they take what
they have, and what comes later is there for the next one."""
LOOKUPS_AT_ONCE: Final = 4
"""Lookups of one function side by side; more than that are queued, and no caller waits for those."""


class Lookup(Protocol):
    """Looks a value up for a caller who has an older one."""

    def __call__(self, key: Hashable, read: Callable[[], V], /) -> V:
        """What `read` returns. `key` tells it from other lookups.

        Raises:
            Unavailable: if the truth is out of reach or does not answer in time.
        """


def at_once(_key: Hashable, read: Callable[[], V]) -> V:
    """Look it up and wait for it, where no client waits for the caller."""
    return read()


class InBackground:
    """Looks things up beside the caller, who waits for PATIENCE_MS."""

    def __init__(self, patience_ms: int = PATIENCE_MS) -> None:
        self._patience_s = patience_ms / 1000
        self._pool = ThreadPoolExecutor(LOOKUPS_AT_ONCE, "lookup")
        self._running: dict[Hashable, Future[Any]] = {}

    def __call__(self, key: Hashable, read: Callable[[], V], /) -> V:
        """As `Lookup` has it. No caller waits for a lookup that another one has given up already."""
        if key in self._running:
            raise Unavailable("it is being looked up, and takes long")
        future: Future[V] = self._pool.submit(read)
        self._running[key] = future
        future.add_done_callback(lambda _: self._running.pop(key, None))
        try:
            return future.result(self._patience_s)
        except TimeoutError:
            raise Unavailable("no answer yet") from None


class Remembered(Generic[K, V]):
    """Values by key, each read again once it is older than `ttl_ms`; older ones answer while the truth does not.

    `cachetools.TTLCache` drops a value when it expires, which is when an older one may be needed. So a `FIFOCache`
    holds each value with the time at which it was requested.
    """

    def __init__(self, ttl_ms: int, maxsize: int, now_ms: Callable[[], int], lookup: Lookup = at_once) -> None:
        """`maxsize`: how many values are held; the oldest goes first."""
        self._ttl_ms = ttl_ms
        self._now_ms = now_ms
        self._lookup = lookup
        self._entries: FIFOCache[K, tuple[int, V]] = FIFOCache(maxsize)
        self._writing = Lock()

    def get(self, key: K, read: Callable[[], V], *, or_older: bool = True) -> V:
        """The value requested at most `ttl_ms` ago; with `or_older` an older one while the truth does not answer.

        Raises:
            Unavailable: if no value will do and the truth is out of reach.
            Exception: whatever else `read` raises; the value is forgotten then.
        """
        entry = self._entries.get(key)
        if entry is not None and self._now_ms() - entry[0] < self._ttl_ms:
            return entry[1]
        if entry is None or not or_older:
            return self.refresh(key, read)
        try:
            return self._lookup((id(self), key), lambda: self.refresh(key, read))
        except Unavailable:
            return entry[1]

    def refresh(self, key: K, read: Callable[[], V]) -> V:
        """The value as it is now. It is held unless a newer one was held, or it was forgotten, while it was read.

        Raises:
            Exception: what `read` raises; unless that is Unavailable, the value is forgotten.
        """
        requested_ms, before = self._now_ms(), self._entries.get(key)
        try:
            value = read()
        except Unavailable:
            raise
        except Exception:
            self.forget(key)
            raise
        with self._writing:
            entry = self._entries.get(key)
            if entry is before or (entry is not None and entry[0] < requested_ms):
                self._entries[key] = requested_ms, value
        return value

    def hold(self, key: K, value: V, requested_ms: int) -> None:
        """Hold a value that was written or derived here; it is as old as `requested_ms` says."""
        with self._writing:
            self._entries[key] = requested_ms, value

    def entry(self, key: K) -> tuple[int, V] | None:
        """When a value was requested, and the value, however old."""
        return self._entries.get(key)

    def forget(self, key: K) -> None:
        """Read the value again next time, since it was changed here."""
        with self._writing:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all values."""
        with self._writing:
            self._entries.clear()
