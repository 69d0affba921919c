"""How many clients wait for a change at a time, over all instances of the API.

An instance serves one request at a time, so each wait holds one that no other client can use. What is left must serve
everybody who does not wait.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from shared.cache.errors import CacheUnavailable
from shared.cache.windows import WindowCache

KEY: Final = "lb:waits"
RETRY_S: Final = 5
"""When to ask again who may not wait: polling as rarely costs an eightieth of waiting (docs/scale.md)."""


class Waits:
    """Grants waits."""

    def __init__(self, cache: WindowCache, most: int, new_token: Callable[[], str]) -> None:
        """`most`: waits at a time."""
        self._cache = cache
        self._most = most
        self._new_token = new_token
        self._grant, self._end = cache.register("grant_wait.lua"), cache.register("end_wait.lua")

    @contextmanager
    def granted(self, wait_ms: int) -> Iterator[bool]:
        """Whether a client may wait for so long; while Redis fails no client may. It is given back at the end."""
        token = self._new_token()
        try:
            is_granted = bool(self._cache.call(self._grant, (KEY,), (token, self._most, wait_ms)))
        except CacheUnavailable:
            is_granted = False
        try:
            yield is_granted
        finally:
            if is_granted:
                with suppress(CacheUnavailable):  # it ends by itself
                    self._cache.call(self._end, (KEY,), (token,))

    def count(self, now_ms: int) -> int:
        """How many clients wait now. Raises CacheUnavailable if the cache fails."""
        return int(self._cache.command("zcount", KEY, now_ms, "+inf"))

    @property
    def most(self) -> int:
        """How many may wait at a time."""
        return self._most
