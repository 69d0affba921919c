"""Definitions of leaderboards, held for a few seconds in the memory of a function."""

from collections.abc import Callable
from functools import partial
from typing import Final

from shared.domain.rules import Leaderboard
from shared.lookups.remembered import Lookup, Remembered, at_once
from shared.truth.registry import Conflict, Registry

KEEP_MS: Final = 5_000
"""How long a change of the rules may take to reach a function that is warm. No event is refused, nor a leaderboard
called unknown, by a remembered definition: it is read again before that."""
KNOWN_MAX: Final = 20_000
"""Definitions that one function holds, some 1 KB each."""


class Leaderboards:
    """Reads definitions from the registry, the second time from memory."""

    def __init__(self, registry: Registry, now_ms: Callable[[], int], lookup: Lookup = at_once) -> None:
        self._registry = registry
        self._now_ms = now_ms
        self._known: Remembered[str, Leaderboard | None] = Remembered(KEEP_MS, KNOWN_MAX, now_ms, lookup)

    def find(self, leaderboard_id: str, *, or_older: bool = False) -> Leaderboard | None:
        """A definition of at most KEEP_MS ago, also of an archived leaderboard; None if there never was one.

        Args:
            leaderboard_id: which one.
            or_older: whether an older one will do while the registry is out of reach or does not answer at once.

        Raises:
            Unavailable: if it has to be read and the registry is out of reach.
        """
        read = partial(self._registry.leaderboard, leaderboard_id)
        found = self._unless_none(leaderboard_id, self._known.get(leaderboard_id, read, or_older=or_older))
        return found.at(self._now_ms()) if found is not None and found.starts_ms else found

    def read(self, leaderboard_id: str) -> Leaderboard | None:
        """The definition as it is now.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        read = partial(self._registry.leaderboard, leaderboard_id)
        return self._unless_none(leaderboard_id, self._known.refresh(leaderboard_id, read))

    def keep(self, leaderboard: Leaderboard) -> None:
        """Remember a definition that was just written."""
        self._known.hold(leaderboard.id, leaderboard, self._now_ms())

    def forget_all(self) -> None:
        """Read every definition again."""
        self._known.clear()

    def lock_rules(self, leaderboard: Leaderboard) -> Leaderboard | None:
        """Lock the rules before the first event is written; None if they have just changed.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        if leaderboard.has_events:
            return leaderboard
        known = self._known.entry(leaderboard.id)
        requested_ms = self._now_ms() if known is None else known[0]  # nothing else of it was read again
        try:
            locked = self._registry.lock_rules(leaderboard)
        except Conflict:
            self._known.forget(leaderboard.id)
            return None
        self._known.hold(leaderboard.id, locked, requested_ms)
        return locked

    def _unless_none(self, leaderboard_id: str, found: Leaderboard | None) -> Leaderboard | None:
        """A leaderboard that does not exist may be created at any moment: that is not remembered."""
        if found is None:
            self._known.forget(leaderboard_id)
        return found
