"""The profiles of the players on a page: from the cache, read with the page, and from the truth what it lacks."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Final

from cachetools import TTLCache
from msgspec import Struct

from shared.cache.errors import CacheUnavailable
from shared.cache.profiles import ProfileCache
from shared.domain.profiles import NO_PROFILE, TIME_DIGITS
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.reads.answers import Ranking, RankingSource
from shared.truth.failures import Unavailable
from shared.truth.profiles import Profiles

REMEMBERED_MS: Final = 10_000
"""How long a function goes by what it read where the cache could not answer: the truth is needed for scores then."""
REMEMBERED_MAX: Final = 20_000


class Painted(Struct, frozen=True):
    """Profiles of the players on a page."""

    texts: Mapping[str, bytes]
    """User id → profile as JSON, empty for who has none. Who is missing is not known: the truth is out of reach."""
    state: int
    """Another number for other profiles."""


class PageProfiles:
    """Finds the profiles for pages."""

    def __init__(self, profiles: Profiles, cache: Callable[[], ProfileCache], now_ms: Callable[[], int]) -> None:
        self._profiles = profiles
        self._cache = cache
        self._remembered: TTLCache[tuple[str, str], bytes] = TTLCache(REMEMBERED_MAX, REMEMBERED_MS, now_ms)

    def of(self, leaderboard: Leaderboard, ranking: Ranking, entries: Iterable[Entry]) -> Painted:
        """The profiles of some entries of a ranking, which was read with the profiles that the cache has."""
        values, user_ids = dict(ranking.profiles), [entry.user_id for entry in entries]
        missing = [user_id for user_id in user_ids if user_id not in values]
        if missing:
            with suppress(Unavailable):
                values |= self._read(leaderboard.scores_id, missing, ranking.source)
        known = [(user_id, values[user_id]) for user_id in user_ids if user_id in values]
        digest = blake2b(b"\0".join(value for _, value in known), digest_size=8)
        digest.update(len(user_ids).to_bytes(4) + len(known).to_bytes(4))
        texts = {user_id: value[TIME_DIGITS:] for user_id, value in known}
        return Painted(texts, int.from_bytes(digest.digest()))

    def _read(self, scores_id: str, user_ids: list[str], source: RankingSource) -> dict[str, bytes]:
        """What is stored of some players, also that it is nothing; the next page finds it in the cache."""
        is_live = source is not RankingSource.SNAPSHOT
        remembered = {} if is_live else {one: self._remembered.get((scores_id, one)) for one in user_ids}
        found = {user_id: value for user_id, value in remembered.items() if value is not None}
        left = [user_id for user_id in user_ids if user_id not in found]
        kept = self._profiles.read(scores_id, left) if left else {}
        values = {user_id: kept.get(user_id, NO_PROFILE).value for user_id in left}
        read = {user_id: value.encode() for user_id, value in values.items()}
        if is_live:
            with suppress(CacheUnavailable):  # then the next page reads them again
                self._cache().keep(scores_id, values)
        else:
            for user_id, value in read.items():
                self._remembered[scores_id, user_id] = value
        return found | read
