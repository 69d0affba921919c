"""What was looked up in the truth lately, kept in the memory of a function; older while the truth does not answer."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Generic, Protocol, TypeVar

from shared.truth.failures import Unavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

PATIENCE_MS: Final = 100
"""How long who has something older waits for what is current: ten times what DynamoDB takes. Past it they take what
they have, and what comes later is there for the next one."""
LOOKUPS_AT_ONCE: Final = 4
"""Lookups of one function side by side; more than that wait, and nobody waits for those."""


class Lookup(Protocol):
    """Looks something up for somebody who has something older."""

    def __call__(self, key: Hashable, read: Callable[[], V], /) -> V:
        """What `read` returns. `key` tells it from other lookups.

        Raises:
            Unavailable: if the truth is out of reach or does not answer in time.
        """


def at_once(_key: Hashable, read: Callable[[], V]) -> V:
    """Look it up and wait for it, where nobody waits for the caller."""
    return read()


class InBackground:
    """Looks things up beside the caller, who waits for PATIENCE_MS."""

    def __init__(self, patience_ms: int = PATIENCE_MS) -> None:
        self._patience_s = patience_ms / 1000
        self._pool = ThreadPoolExecutor(LOOKUPS_AT_ONCE, "lookup")
        self._running: dict[Hashable, Future[Any]] = {}

    def __call__(self, key: Hashable, read: Callable[[], V], /) -> V:
        """As `Lookup` has it. Nobody waits for a lookup that another caller has given up already."""
        if key in self._running:
            raise Unavailable("it is being looked up, and takes long")
        future: Future[V] = self._pool.submit(read)
        self._running[key] = future
        future.add_done_callback(lambda _: self._running.pop(key, None))
        try:
            return future.result(self._patience_s)
        except TimeoutError:
            raise Unavailable("no answer yet") from None


class Kept(Generic[K, V]):
    """Values by key, each looked up again when it is too old."""

    def __init__(self, keep_ms: int, most: int, now_ms: Callable[[], int], lookup: Lookup = at_once) -> None:
        """`most`: how many are kept; past that all are forgotten."""
        self._keep_ms = keep_ms
        self._most = most
        self._now_ms = now_ms
        self._lookup = lookup
        self._kept: dict[K, tuple[int, V]] = {}

    def get(self, key: K, read: Callable[[], V]) -> V:
        """The value of at most `keep_ms` ago; an older one while the truth does not answer.

        Raises:
            Unavailable: if there is none, and the truth is out of reach.
            Exception: whatever else `read` raises; then what is kept is forgotten.
        """
        kept = self._kept.get(key)
        if kept is None:
            return self._read(key, read)
        if self._now_ms() - kept[0] < self._keep_ms:
            return kept[1]
        try:
            return self._lookup((id(self), key), lambda: self._read(key, read))
        except Unavailable:
            return kept[1]

    def forget(self, key: K) -> None:
        """Look it up anew next time: it was changed here."""
        self._kept.pop(key, None)

    def _read(self, key: K, read: Callable[[], V]) -> V:
        asked_ms, before = self._now_ms(), self._kept.get(key)
        try:
            value = read()
        except Unavailable:
            raise
        except Exception:
            self._kept.pop(key, None)
            raise
        if self._kept.get(key) is before:  # or it was forgotten meanwhile, or read by somebody else
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = asked_ms, value
        return value
