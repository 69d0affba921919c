"""Previews: the awards of a ranking as it is now, by the rules of a result."""

from collections.abc import Callable, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from shared.closing.preview import READS_MAX, Previews
from shared.closing.state import Item, Kind, Step
from shared.domain.awards import award_id
from shared.domain.calendar import DAY_MS, WindowKind, WindowStatus, daily, parse_day
from shared.domain.ranking import Entry, rank
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.selections import RankingKey, Selection
from shared.domain.standings import Score
from shared.domain.tiers import Tier, TierRule, Ties
from shared.reads.answers import Ranking, RankingSource

MONDAY = parse_day("2026-11-23")
WINDOW = daily(MONDAY)
NOW_MS = MONDAY * DAY_MS + 5
TIERS = (
    Tier("gold", TierRule.TOP_N, 1, ties=Ties.SHARED),
    Tier("silver", TierRule.MIN_SCORE, 6),
    Tier("week", TierRule.TOP_PERCENT, 10_000, windows=(WindowKind.WEEKLY,)),
)
BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=TIERS)
SCORES = {"ann": Score(9, 1), "bob": Score(9, 2), "cat": Score(7, 3), "dan": Score(6, 4), "eve": Score(5, 5)}


class Rankings:
    """The ranking of some scores, as `Rankings.select` would page and filter it."""

    def __init__(self) -> None:
        self.source = RankingSource.LIVE
        self.top = 1_000
        self.revisions: Callable[[], int] = lambda: 7
        self.reads = 0
        self.read_again: list[Any] = []
        """Windows whose result was looked up anew."""

    def select(self, rules: Leaderboard, window: Any, selection: Selection) -> Ranking:
        self.reads += 1
        entries = list(rank(rules.order, rules.tiers, SCORES.items()))
        matching = [one for one in entries if selection.tier in (None, one.tier)]
        page = self._page(matching, selection)
        truncated = bool(page) and page[-1].rank > self.top
        return Ranking(
            window,
            WindowStatus.OPEN,
            self.revisions(),
            len(entries),
            NOW_MS,
            [one for one in page if one.rank <= self.top],
            self.source,
            matched=len(matching),
            truncated=truncated,
        )

    def _page(self, entries: Sequence[Entry], selection: Selection) -> Sequence[Entry]:
        start = 0
        if selection.key is not None:
            start = 1 + [one.user_id for one in entries].index(selection.key.user_id)
        return entries[start : start + selection.limit]


@pytest.fixture
def rankings() -> Rankings:
    return Rankings()


def previews(rankings: Any, rules: Leaderboard | None = None, step: Step = Step.OPEN) -> Previews:
    state = Item(Kind.WINDOW, WINDOW.id, step, "key")
    results: Any = SimpleNamespace(
        rules=lambda board, window: rules or board.for_kind(window.kind),
        latest=lambda _, window: rankings.read_again.append(window),
    )
    states: Any = SimpleNamespace(of=lambda *_: (state, 2))
    return Previews(rankings, results, states)


def names(found: Any) -> list[tuple[str, str, int, int]]:
    return [(one.entry.user_id, one.entry.tier, one.entry.rank, one.entry.competition_rank) for one in found.awards]


def test_awards_are_those_of_the_tiers_that_the_window_would_have(rankings: Rankings) -> None:
    found = previews(rankings).find(BOARD, WINDOW, NOW_MS, 100)
    assert names(found) == [
        ("ann", "gold", 1, 1),
        ("bob", "gold", 2, 1),
        ("cat", "silver", 3, 3),
        ("dan", "silver", 4, 4),
    ]
    assert found.awards[0].award_id == award_id("cup", "2026-11-23", "ann", "gold"), "that of the result"
    assert (found.by_tier, found.award_count) == ([("gold", 2), ("silver", 2)], 4)
    assert (found.has_next, found.state.step, found.pending_audit_entries) == (False, Step.OPEN, 2)
    assert [(one.first, one.last, one.step) for one in found.days] == [(MONDAY, MONDAY, Step.OPEN)]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_pages_join_to_all_awards_and_none_is_empty(rankings: Rankings, limit: int) -> None:
    whole = names(previews(rankings).find(BOARD, WINDOW, NOW_MS, 100))
    after, pages = None, []
    while True:
        found = previews(rankings).find(BOARD, WINDOW, NOW_MS, limit, after)
        pages.append(names(found))
        assert found.award_count == 4
        if not found.has_next:
            break
        last = found.awards[-1].entry
        after = RankingKey(last.user_id, Score(last.score, last.reached_at_ms))
    assert list(chain.from_iterable(pages)) == whole
    assert all(pages)


def test_a_window_that_no_tier_is_for_owes_nothing(rankings: Rankings) -> None:
    found = previews(rankings).find(replace(BOARD, tiers=TIERS[2:]), WINDOW, NOW_MS, 100)
    assert (found.awards, found.by_tier, found.award_count, found.has_next) == ([], [], 0, False)


def test_a_final_window_is_previewed_by_the_rules_of_its_result(rankings: Rankings) -> None:
    of_the_result = replace(BOARD, tiers=(Tier("one", TierRule.TOP_N, 1),), version=3)
    found = previews(rankings, of_the_result).find(BOARD, WINDOW, NOW_MS, 100)
    assert names(found) == [("ann", "one", 1, 1)]
    assert found.rules.version == 3


@pytest.mark.parametrize("step", Step)
def test_a_result_is_not_taken_for_missing_that_was_just_written(rankings: Rankings, step: Step) -> None:
    previews(rankings, step=step).find(BOARD, WINDOW, NOW_MS, 100)
    assert bool(rankings.read_again) == (step in (Step.FINAL, Step.CORRECTING))


def test_totals_are_of_the_same_instant_as_the_page(rankings: Rankings) -> None:
    revisions = iter([1, 1, 2, 2, 2, 2])
    rankings.revisions = lambda: next(revisions)
    found = previews(rankings).find(BOARD, WINDOW, NOW_MS, 100)
    assert (found.award_count, found.ranking.revision, rankings.reads) == (4, 2, 6)


def test_totals_are_left_out_while_the_window_changes_faster_than_it_is_read(rankings: Rankings) -> None:
    revisions = iter(range(100))
    rankings.revisions = lambda: next(revisions)
    found = previews(rankings).find(BOARD, WINDOW, NOW_MS, 100)
    assert (found.by_tier, found.award_count) == ([("gold", None), ("silver", None)], None)
    assert rankings.reads == READS_MAX * 3
    assert len(found.awards) == 4


def test_a_snapshot_gives_no_totals_and_says_where_it_ends(rankings: Rankings) -> None:
    rankings.source, rankings.top = RankingSource.SNAPSHOT, 3
    found = previews(rankings).find(BOARD, WINDOW, NOW_MS, 100)
    assert [name for name, *_ in names(found)] == ["ann", "bob", "cat"]
    assert (found.award_count, found.has_next, found.ranking.truncated) == (None, True, True)
    rankings.top = 5
    assert not previews(rankings).find(BOARD, WINDOW, NOW_MS, 100).has_next
