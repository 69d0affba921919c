"""Definitions of leaderboards, kept for a few seconds in the memory of a function."""

from collections.abc import Callable
from typing import Final

from shared.domain.rules import Leaderboard
from shared.lookups.remembered import Lookup, at_once
from shared.truth.commits import Unavailable
from shared.truth.registry import Conflict, Registry

KEEP_MS: Final = 5_000
"""How long a change of the rules may take to reach a function that is warm. No event is refused, nor a leaderboard
called unknown, on the word of a kept definition: before that it is read anew."""


class Leaderboards:
    """Looks definitions up in the registry, the second time from memory."""

    def __init__(self, registry: Registry, now_ms: Callable[[], int], lookup: Lookup = at_once) -> None:
        self._registry = registry
        self._now_ms = now_ms
        self._lookup = lookup
        self._kept: dict[str, tuple[int, Leaderboard]] = {}

    def find(self, leaderboard_id: str, *, or_older: bool = False) -> Leaderboard | None:
        """A definition of at most KEEP_MS ago, also of a closed leaderboard; None if there never was one.

        Args:
            leaderboard_id: which one.
            or_older: whether an older one will do while the registry is out of reach or does not answer at once.

        Raises:
            Unavailable: if it has to be read and the registry is out of reach.
        """
        kept = self._kept.get(leaderboard_id)
        if kept is not None and self._now_ms() - kept[0] < KEEP_MS:
            return kept[1]
        if kept is None or not or_older:
            return self.read(leaderboard_id)
        try:
            return self._lookup(leaderboard_id, lambda: self.read(leaderboard_id))
        except Unavailable:
            return kept[1]

    def read(self, leaderboard_id: str) -> Leaderboard | None:
        """The definition as it is now.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        asked_ms = self._now_ms()
        leaderboard = self._registry.leaderboard(leaderboard_id)
        kept = self._kept.get(leaderboard_id)
        if kept is not None and kept[0] > asked_ms:  # a slow answer: what was read or written since is newer
            return leaderboard
        if leaderboard is None:
            self._kept.pop(leaderboard_id, None)
        else:
            self._kept[leaderboard_id] = (asked_ms, leaderboard)
        return leaderboard

    def keep(self, leaderboard: Leaderboard) -> None:
        """Remember a definition that was just written."""
        self._kept[leaderboard.id] = (self._now_ms(), leaderboard)

    def lock_rules(self, leaderboard: Leaderboard) -> Leaderboard | None:
        """Seal a leaderboard before its first event is written; None if its rules have just changed.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        if leaderboard.has_events:
            return leaderboard
        # as old as what it was made from: nothing else of it was read anew
        asked_ms, _ = self._kept.get(leaderboard.id, (self._now_ms(), leaderboard))
        try:
            sealed = self._registry.lock_rules(leaderboard)
        except Conflict:
            self._kept.pop(leaderboard.id, None)
            return None
        self._kept[leaderboard.id] = (asked_ms, sealed)
        return sealed
