"""Awards of a window as if it closed now: those of the ranking that reads show, by the rules of a result.

A result is ranked from the truth and compared with the cache, entry for entry; a preview is read from the cache alone.
So it costs what a page of the ranking costs, however large the window is, and is as exact as `source` says.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from shared.closing.state import ClosingStates, DayRun, Item, Step, day_runs
from shared.domain.awards import award_id
from shared.domain.calendar import Window
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.domain.selections import RankingKey, Selection
from shared.lookups.results import Results
from shared.reads.answers import Ranking, RankingSource
from shared.reads.rankings import Rankings

READS_MAX: Final = 3
"""How often page and totals are read again because the window has changed between them."""


class Award(Struct, frozen=True):
    """What a player would get."""

    award_id: str
    """The id that the result will name it by, if it comes to that."""
    entry: Entry


class Preview(Struct, frozen=True):
    """A page of awards, and how far the window is."""

    ranking: Ranking
    """What it was read from."""
    rules: Leaderboard
    awards: Sequence[Award]
    """In ranking order."""
    has_next: bool
    by_tier: Sequence[tuple[str, int | None]]
    """Tier and how many players it takes in all, in the order of the rules; None where that is not known exactly: from
    a snapshot, or while the window changes faster than it is read."""
    state: Item
    days: Sequence[DayRun]
    pending_audit_entries: int
    """Audit entries that the ranking may not show yet."""

    @property
    def award_count(self) -> int | None:
        """How many awards there are in all; None where that is not known exactly."""
        counts = [count for _, count in self.by_tier]
        return None if None in counts else sum(count for count in counts if count is not None)


class Previews:
    """Reads them."""

    def __init__(self, rankings: Rankings, results: Results, states: ClosingStates) -> None:
        self._rankings = rankings
        self._results = results
        self._states = states

    def rules(self, leaderboard: Leaderboard, window: Window) -> Leaderboard:
        """The rules that the window would be paid by if it closed now: of a final one those of its result, of one that
        is over those that were in force at its end.

        The only place that chooses the rules of a preview.
        """
        return self._results.rules(leaderboard, window)

    def find(
        self, leaderboard: Leaderboard, window: Window, now_ms: int, limit: int, after: RankingKey | None = None
    ) -> Preview:
        """A page of the awards of a window that is final or becomes so.

        Args:
            leaderboard: as it is now, archived or not.
            window: a day, a week, or a registered period.
            now_ms: the clock.
            limit: awards of the page.
            after: where the page before ended.

        Raises:
            Whatever `Rankings.select` raises.
        """
        # before the ranking: a day that is said to be sealed has all its events in what is read after that
        state, pending_audit_entries = self._states.of(leaderboard, window)
        if state.step in (Step.FINAL, Step.CORRECTING):
            self._results.latest(leaderboard, window)  # it may be remembered as not final for some seconds
        days = day_runs(leaderboard, window, now_ms)
        rules = self.rules(leaderboard, window)
        selection = Selection(limit=limit + 1, key=after)
        for _ in range(READS_MAX):
            ranking = self._rankings.select(rules, window, selection)
            by_tier = self._by_tier(rules, window, ranking)
            if all(count is not None for _, count in by_tier) or ranking.source is RankingSource.SNAPSHOT:
                break
        # every tier takes a ranking's beginning, so the awards are one, too
        shown = [entry for entry in ranking.entries[:limit] if entry.tier is not None]
        awards = [Award(award_id(leaderboard.id, window.id, one.user_id, one.tier), one) for one in shown if one.tier]
        return Preview(ranking, rules, awards, _has_next(ranking, limit), by_tier, state, days, pending_audit_entries)

    def _by_tier(self, rules: Leaderboard, window: Window, ranking: Ranking) -> list[tuple[str, int | None]]:
        """How many players each tier takes, as of the ranking."""
        if ranking.source is RankingSource.SNAPSHOT:
            return [(tier.name, None) for tier in rules.tiers]
        counts: list[tuple[str, int | None]] = []
        for tier in rules.tiers:
            found = self._rankings.select(rules, window, Selection(limit=1, tier=tier.name))
            counts.append((tier.name, found.matched if _seen(found) == _seen(ranking) else None))
        return counts


def _seen(ranking: Ranking) -> tuple[object, ...]:
    """What two reads of one window have alike if nothing has changed between them."""
    return ranking.source, ranking.revision, ranking.total, ranking.result_version, ranking.pending_version


def _has_next(ranking: Ranking, limit: int) -> bool:
    """Whether the entry behind the page has an award; of a snapshot that ends before, whether one may have."""
    if len(ranking.entries) > limit:
        return ranking.entries[limit].tier is not None
    return ranking.truncated and bool(ranking.entries) and ranking.entries[-1].tier is not None
