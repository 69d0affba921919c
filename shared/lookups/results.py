"""Which windows are final, and the rules that they were ranked by, held in the memory of a function."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.lookups.remembered import Lookup, Remembered, at_once
from shared.lookups.window_rules import WindowRules
from shared.truth.final_results import FinalResult, FinalResults
from shared.truth.registry import Registry

READ_AGAIN_MS: Final = 5_000
"""How long a window that is due counts as not final, and a result as the latest version, before it is read again."""
KNOWN_MAX: Final = 10_000
"""Windows that one function remembers, some 100 bytes each."""


class Result(Struct, frozen=True):
    """What a window ended with."""

    final: FinalResult
    rules: Leaderboard
    """The leaderboard as it was when the window was ranked."""


class Results:
    """Reads results from the registry, the second time from memory."""

    def __init__(
        self, final_results: FinalResults, registry: Registry, now_ms: Callable[[], int], lookup: Lookup = at_once
    ) -> None:
        self._final_results = final_results
        self._window_rules = WindowRules(registry)
        self._known: Remembered[tuple[str, str], Result | None] = Remembered(READ_AGAIN_MS, KNOWN_MAX, now_ms, lookup)

    def rules(self, leaderboard: Leaderboard, window: Window) -> Leaderboard:
        """The leaderboard with the rules that a window is ranked by: those of its result, if it is final.

        Raises:
            Unavailable: if nothing is known and the registry is out of reach.
        """
        result = self.find(leaderboard, window)
        return self.rules_in_force(leaderboard, window) if result is None else result.rules

    def rules_in_force(self, leaderboard: Leaderboard, window: Window) -> Leaderboard:
        """The leaderboard with the rules that a window without a result is ranked by, see `WindowRules.in_force`."""
        return self._window_rules.in_force(leaderboard, window)

    def find(self, leaderboard: Leaderboard, window: Window) -> Result | None:
        """The latest result of a window, of at most READ_AGAIN_MS ago; None for a window that is not final.

        While the registry does not answer, this is what was known last, be it that the window is not final.

        Raises:
            Unavailable: if nothing is known and the registry is out of reach.
        """
        if not leaderboard.is_sealed(window):
            return None
        return self._known.get((leaderboard.id, window.id), lambda: self._read(leaderboard, window))

    def latest(self, leaderboard: Leaderboard, window: Window) -> Result | None:
        """The latest result of a window as it is now; None for a window that is not final.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        if not leaderboard.is_sealed(window):
            return None
        return self._known.refresh((leaderboard.id, window.id), lambda: self._read(leaderboard, window))

    def _read(self, leaderboard: Leaderboard, window: Window) -> Result | None:
        entry = self._known.entry((leaderboard.id, window.id))
        known = None if entry is None else entry[1]
        final = self._final_results.final(leaderboard.id, window.id)
        if final is None or (known is not None and known.final.version == final.version):
            return known
        return Result(final, self._window_rules.of_result(leaderboard, window, final.rules_version))
