"""By which pseudonyms the players of a leaderboard are known, held in the memory of a function."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cachetools import LRUCache

from shared.domain.pseudonyms import pseudonym_of
from shared.domain.rules import Leaderboard

LEADERBOARDS_KEPT_MAX: Final = 1_000
"""Leaderboards whose pseudonyms one function holds, some 100 bytes each."""


class Pseudonyms:
    """Finds the pseudonym of a player, by a definition: it says how many there were when it was read.

    A definition of before a pseudonym doesn't lead to it, so nobody follows it who doesn't know whether the player is
    being moved. Of a leaderboard without any, nothing is read or computed. Methods raise Unavailable if DynamoDB is out
    of reach.
    """

    def __init__(self, read: Callable[[str], Mapping[str, int]], key: Callable[[], bytes]) -> None:
        """`read` returns every pseudonym of a leaderboard and its number; `key` the key that they are made with."""
        self._read = read
        self._key = key
        self._kept: LRUCache[str, Mapping[str, int]] = LRUCache(LEADERBOARDS_KEPT_MAX)

    def of(self, leaderboard: Leaderboard, user_id: str) -> str | None:
        """The pseudonym that a player has; None if they have none."""
        return self.of_all(leaderboard, [user_id]).get(user_id)

    def of_all(self, leaderboard: Leaderboard, user_ids: Iterable[str]) -> dict[str, str]:
        """User id → pseudonym, of those who have one."""
        if not leaderboard.pseudonyms:
            return {}
        names = {user_id: self.would_be(leaderboard, user_id) for user_id in set(user_ids)}
        return {user_id: name for user_id, name in names.items() if self.is_one(leaderboard, name)}

    def is_one(self, leaderboard: Leaderboard, user_id: str) -> bool:
        """Whether an id is a pseudonym of this leaderboard."""
        return bool(leaderboard.pseudonyms) and 0 < self._known(leaderboard).get(user_id, 0) <= leaderboard.pseudonyms

    def would_be(self, leaderboard: Leaderboard, user_id: str) -> str:
        """The pseudonym that a player has, or would get."""
        return pseudonym_of(self._key(), leaderboard.id, user_id)

    def _known(self, leaderboard: Leaderboard) -> Mapping[str, int]:
        found = self._kept.get(leaderboard.id)
        if found is None or len(found) < leaderboard.pseudonyms:
            found = self._kept[leaderboard.id] = self._read(leaderboard.id)
        return found
