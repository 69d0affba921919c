"""Which windows are final, and the rules that they were ranked by, kept in the memory of a function."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.lookups.remembered import Lookup, at_once
from shared.truth.commits import Unavailable
from shared.truth.finals import FinalResult, FinalResults
from shared.truth.registry import Registry

LOOK_AGAIN_MS: Final = 5_000
"""How long a window that is due counts as not final, and a result as the latest version, before that is looked up
again; what is final stays so."""
KEPT_MAX: Final = 10_000
"""Windows that one function remembers, some 100 bytes each; past it, it forgets them all."""


class Result(Struct, frozen=True):
    """What a window ended with."""

    final: FinalResult
    rules: Leaderboard
    """The leaderboard as it was when the window was ranked."""


class Results:
    """Looks results up in the registry, the second time from memory."""

    def __init__(
        self, finals: FinalResults, registry: Registry, now_ms: Callable[[], int], lookup: Lookup = at_once
    ) -> None:
        self._finals = finals
        self._lookup = lookup
        self._registry = registry
        self._now_ms = now_ms
        self._kept: dict[tuple[str, str], tuple[int, Result | None]] = {}

    def rules(self, leaderboard: Leaderboard, window: Window) -> Leaderboard | None:
        """The leaderboard by whose rules a final window was ranked; None for a window that is not final.

        Raises:
            Unavailable: as below.
        """
        result = self.find(leaderboard, window)
        return None if result is None else result.rules

    def find(self, leaderboard: Leaderboard, window: Window) -> Result | None:
        """The latest result of a window, of at most LOOK_AGAIN_MS ago; None for a window that is not final.

        While the registry does not answer, what was known last is said again, be it that the window is not final.

        Raises:
            Unavailable: if nothing is known and the registry is out of reach.
        """
        if not leaderboard.is_sealed(window):
            return None
        place = (leaderboard.id, window.id)
        kept = self._kept.get(place)
        if kept is None:
            return self.latest(leaderboard, window)
        if self._now_ms() - kept[0] < LOOK_AGAIN_MS:
            return kept[1]
        try:
            return self._lookup(place, lambda: self.latest(leaderboard, window))
        except Unavailable:
            return kept[1]

    def latest(self, leaderboard: Leaderboard, window: Window) -> Result | None:
        """The latest result of a window as it is now; None for a window that is not final.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        if not leaderboard.is_sealed(window):
            return None
        asked_ms, kept = self._now_ms(), self._kept.get((leaderboard.id, window.id))
        found = self._read(leaderboard, window, None if kept is None else kept[1])
        return self._keep(leaderboard, window, asked_ms, found)

    def _keep(self, leaderboard: Leaderboard, window: Window, asked_ms: int, known: Result | None) -> Result | None:
        kept = self._kept.get((leaderboard.id, window.id))
        if kept is None or kept[0] <= asked_ms:  # or this was a slow answer, and another has come since
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[leaderboard.id, window.id] = asked_ms, known
        return known

    def _read(self, leaderboard: Leaderboard, window: Window, known: Result | None) -> Result | None:
        final = self._finals.final(leaderboard.id, window.id)
        if final is None or (known is not None and known.final.version == final.version):
            return known
        rules = self._registry.rules(leaderboard.id, final.rules_version)
        if rules is None:
            raise RuntimeError(f"version {final.rules_version} of the rules of {leaderboard.id} is gone")
        now = {"sealed_through": leaderboard.sealed_through, "lateness_ms": leaderboard.lateness_ms}
        return Result(final, replace(rules, has_events=True, **now))
