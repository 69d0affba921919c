"""Profiles in the cache, beside the windows whose pages show them: read in the same round trip as a page."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.cache import keys
from shared.cache.windows import WindowCache

LIVES_MS: Final = 600_000
"""How long profiles are kept from the first one on. After it, all of them are read from the truth again: so whatever
the cache missed, by an outage or a failover, is wrong for no longer."""
PLAYERS_MAX: Final = 100_000
"""Players of one leaderboard whose profiles are kept at once, some 300 bytes each."""
_CHUNK: Final = 500
"""Players of one call."""


class ProfileCache:
    """Keeps profiles. Methods raise CacheUnavailable if the cache fails."""

    def __init__(self, cache: WindowCache) -> None:
        self._cache = cache
        self._paint = cache.register("paint.lua")

    def keep(self, scores_id: str, values: Mapping[str, str]) -> None:
        """Keep the profiles of some players, by user id; of each the newest that was ever given stays.

        A player who has none is kept with the oldest value that there is.
        """
        lines = list(values.items())
        calls: list[Sequence[int | str]] = [
            [LIVES_MS, PLAYERS_MAX, *(part for line in lines[start : start + _CHUNK] for part in line)]
            for start in range(0, len(lines), _CHUNK)
        ]
        if calls:
            self._cache.call_all(self._paint, (keys.profiles(scores_id),), calls)
