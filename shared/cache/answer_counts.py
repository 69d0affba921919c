"""What the API answered, added up over all of its instances: each adds its own to the cache now and then.

Which instance a scrape meets is chance, so what one knows alone would jump from scrape to scrape. With its next answer
after FLUSH_S it adds what it has counted: one command that many requests share. What an instance counted last before it
ended may be missing, and may count twice after a timeout. An empty cache starts at 0 again, as any counter may.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from shared.cache.errors import CacheUnavailable
from shared.cache.windows import WindowCache

KEY: Final = "lb:answers"
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the buckets of durations; the last bucket has none."""
FLUSH_S: Final = 10
_BUCKETS: Final = len(BOUNDS_S) + 1
_WAITED, _MICROSECONDS = _BUCKETS, _BUCKETS + 1
"""Places behind the buckets."""
_SOURCE: Final = "source"


class Answered(Struct, frozen=True):
    """Answers of one route with one class of status."""

    buckets: tuple[int, ...]
    """How many took up to each of BOUNDS_S, but longer than the one before; in the end those that took longer."""
    waited: int
    """Those that were held back as the client asked, in no bucket."""
    seconds: float
    """What those in the buckets took together."""


class Answers(Struct, frozen=True):
    """All that was counted."""

    by_route: Mapping[tuple[str, str], Answered]
    """Route and class of status, e.g. `5xx`."""
    by_source: Mapping[str, int]
    """How many rankings and places of players were read from where."""


class AnswerCounts:
    """Counts in this process, and adds it to what all have counted."""

    def __init__(self, cache: Callable[[], WindowCache], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._monotonic_s = monotonic_s
        self._flushed_s = monotonic_s()
        self._routes: dict[tuple[str, int], list[int]] = {}
        self._sources: Counter[str] = Counter()

    def count(self, route: str, status: int, duration_s: float, *, waited: bool) -> None:
        """Count one answer; `route` is one of the API's, so that there are not too many."""
        found = self._routes.get((route, status // 100))
        if found is None:
            found = self._routes[route, status // 100] = [0] * (_BUCKETS + 2)
        if waited:
            found[_WAITED] += 1
        else:
            found[bisect_left(BOUNDS_S, duration_s)] += 1
            found[_MICROSECONDS] += int(duration_s * 1_000_000)
        if self._monotonic_s() - self._flushed_s >= FLUSH_S:
            self.flush()

    def count_source(self, source: str) -> None:
        """Count where a ranking or a player's place was read from."""
        self._sources[source] += 1

    def flush(self) -> None:
        """Add what is counted here; while the cache fails it is kept, and added another time."""
        self._flushed_s = self._monotonic_s()
        routes, sources = self._routes, self._sources
        added = [
            (f"{route}|{status}xx|{place}", count)
            for (route, status), counts in routes.items()
            for place, count in enumerate(counts)
            if count
        ]
        added += [(f"{_SOURCE}|{source}", count) for source, count in sources.items()]
        if not added:
            return
        try:
            cache = self._cache()
            cache.call(cache.register("add_counts.lua"), (KEY,), [part for one in added for part in one])
        except CacheUnavailable:
            return
        self._routes, self._sources = {}, Counter()

    def read(self) -> Answers:
        """What all instances have counted, this one up to now. Raises CacheUnavailable if the cache fails."""
        self.flush()
        by_route: dict[tuple[str, str], list[int]] = {}
        by_source: dict[str, int] = {}
        for name, value in self._cache().command("hgetall", KEY).items():
            first, *rest = name.decode().split("|")
            if first == _SOURCE:
                by_source[rest[0]] = int(value)
            elif int(rest[1]) <= _MICROSECONDS:
                by_route.setdefault((first, rest[0]), [0] * (_BUCKETS + 2))[int(rest[1])] = int(value)
        return Answers({where: _answered(counts) for where, counts in sorted(by_route.items())}, by_source)


def _answered(counts: list[int]) -> Answered:
    return Answered(tuple(counts[:_BUCKETS]), counts[_WAITED], counts[_MICROSECONDS] / 1_000_000)
