"""By which version of its leaderboard's rules a window is ranked and paid."""

from typing import Final

from cachetools import LRUCache

from shared.domain.calendar import Day, Window
from shared.domain.rules import Leaderboard
from shared.truth.registry import Registry

KNOWN_MAX: Final = 1_000
"""Windows that one function remembers whose rules have changed since they ended, some 1 KB each."""


class WindowRules:
    """Finds the version: the registry has each one, and none that was in force for an earlier window ever changes.

    An open window is ranked by the rules of now; one that is over, by those that were in force when its last day ended.
    Nothing is looked up unless they have changed since.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: LRUCache[tuple[str, int, int, Day], Leaderboard] = LRUCache(KNOWN_MAX)
        """Leaderboard, its version now, when that was written, last day of a window → the version that ranks it."""

    def in_force(self, leaderboard: Leaderboard, window: Window) -> Leaderboard:
        """The leaderboard with the rules that rank a window, or will once it is final: with their version, and only
        with tiers that are for windows of its kind.

        Raises:
            Unavailable: if they have to be looked up, and the registry is out of reach.
        """
        if leaderboard.counts_for(window):
            return leaderboard.for_kind(window.kind)
        key = leaderboard.id, leaderboard.version, leaderboard.updated_at_ms, window.last
        version = self._known.get(key)
        if version is None:
            version = self._registry.rules_for(leaderboard, window)
            if version is None:
                raise RuntimeError(f"the rules of {leaderboard.id} for {window.id} are gone")
            self._known[key] = version
        return leaderboard.ranked_by(version).for_kind(window.kind)

    def of_result(self, leaderboard: Leaderboard, window: Window, rules_version: int) -> Leaderboard:
        """The same for a window whose result names the version that it was ranked by.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        version = self._registry.rules(leaderboard.id, rules_version)
        if version is None:
            raise RuntimeError(f"version {rules_version} of the rules of {leaderboard.id} is gone")
        return leaderboard.ranked_by(version).for_kind(window.kind)
