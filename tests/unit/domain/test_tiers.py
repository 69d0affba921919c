"""Tiers and percentiles: in integers, so that nobody is paid by a rounding."""

from fractions import Fraction
from math import ceil

import pytest

from shared.domain.ranking import percentile_hundredths
from shared.domain.tiers import Qualifying, Tier, TierRule, Ties, points_to_next_tier, tier_of

TOTALS = [1, 2, 99, 100, 101]
HUNDREDTHS = [0, 1, 10, 99, 100, 250, 999, 1_000, 1_001, 3_333, 5_000, 9_999, 10_000]


def top_n(value: int, name: str = "top") -> Tier:
    return Tier(name, TierRule.TOP_N, value)


def top_percent(hundredths: int, name: str = "top") -> Tier:
    return Tier(name, TierRule.TOP_PERCENT, hundredths)


def min_score(value: int, name: str = "min") -> Tier:
    return Tier(name, TierRule.MIN_SCORE, value)


def max_score(value: int, name: str = "max") -> Tier:
    return Tier(name, TierRule.MAX_SCORE, value)


@pytest.mark.parametrize("total", [*TOTALS, 20_001, 10_000_000])
@pytest.mark.parametrize("hundredths", HUNDREDTHS)
def test_top_percent_is_rounded_up_exactly(total: int, hundredths: int) -> None:
    last = ceil(Fraction(total * hundredths, 10_000))

    assert top_percent(hundredths).cutoff_rank(total) == last
    if last:
        assert top_percent(hundredths).takes(last, last, 0, total)
    assert not top_percent(hundredths).takes(last + 1, last + 1, 0, total)


@pytest.mark.parametrize(
    ("percent", "total", "last"),
    [(10, 0, 0), (10, 1, 1), (10, 2, 1), (10, 99, 10), (10, 100, 10), (10, 101, 11), (100, 101, 101), (0, 101, 0)],
)
def test_top_percent_of_small_rankings(percent: int, total: int, last: int) -> None:
    assert top_percent(percent * 100).cutoff_rank(total) == last


@pytest.mark.parametrize("total", [0, *TOTALS])
def test_top_n_takes_n_ranks_and_no_more_than_there_are(total: int) -> None:
    assert top_n(100).cutoff_rank(total) == min(100, total)
    assert top_n(100).takes(100, 100, 0, 101)
    assert not top_n(100).takes(101, 101, 0, 101)


def test_a_minimum_and_a_maximum_include_their_value_whatever_the_rank() -> None:
    assert min_score(500).takes(10**9, 10**9, 500, 10**9)
    assert not min_score(500).takes(1, 1, 499, 1)
    assert max_score(-5).takes(10**9, 10**9, -5, 10**9)
    assert not max_score(-5).takes(1, 1, -4, 1)
    assert min_score(500).cutoff_rank(100) is None
    assert max_score(500).cutoff_rank(100) is None


def test_the_first_rule_that_takes_an_entry_names_its_tier() -> None:
    tiers = [top_n(1, "gold"), top_percent(1_000, "silver"), min_score(500, "bronze"), top_n(1_000, "iron")]

    assert tier_of(tiers, 1, 1, 10_000, 100) == "gold"
    assert tier_of(tiers, 2, 2, 10_000, 100) == "silver"
    assert tier_of(tiers, 10, 10, 0, 100) == "silver"
    assert tier_of(tiers, 11, 11, 500, 100) == "bronze"
    assert tier_of(tiers, 11, 11, 499, 100) == "iron"
    assert tier_of(tiers[:3], 11, 11, 499, 100) is None
    assert tier_of([], 1, 1, 10_000, 1) is None


def test_a_later_rule_does_not_take_back_what_an_earlier_one_gave() -> None:
    assert tier_of([min_score(0, "all"), top_n(1, "gold")], 1, 1, 5, 10) == "all"


@pytest.mark.parametrize("total", TOTALS)
def test_the_percentile_is_the_share_strictly_below_cut_off_at_two_decimals(total: int) -> None:
    for rank in range(1, total + 1):
        exact = Fraction((total - rank) * 100, total)
        hundredths = percentile_hundredths(rank, total)
        assert 0 <= exact - Fraction(hundredths, 100) < Fraction(1, 100)


def test_the_last_is_above_nobody_and_the_first_never_above_all() -> None:
    assert [percentile_hundredths(rank, 3) for rank in (1, 2, 3)] == [6_666, 3_333, 0]
    assert percentile_hundredths(1, 1) == 0
    assert percentile_hundredths(1, 2) == 5_000
    assert percentile_hundredths(1, 10_000_000) == 9_999


@pytest.mark.parametrize(
    ("current", "score", "cutoffs", "descending", "gap"),
    [
        (None, 40, {"gold": 90, "silver": 60}, True, 10),
        (None, 5, {"gold": 90, "silver": 20}, True, 16),
        ("bronze", 55, {"gold": 90, "silver": 60}, True, 6),
        ("silver", 60, {"gold": 90, "silver": 60}, True, 31),
        ("gold", 90, {"gold": 90, "silver": 60}, True, None),
        ("bronze", 90, {"gold": 10, "silver": 60}, False, 31),
        ("bronze", 55, {}, True, None),
    ],
)
def test_the_next_tier_is_the_nearest_of_those_listed_before(
    current: str | None, score: int, cutoffs: dict[str, int], descending: bool, gap: int | None
) -> None:
    tiers = [top_n(1, "gold"), top_n(3, "silver"), min_score(50, "bronze")]

    assert points_to_next_tier(tiers, current, score, cutoffs, descending=descending) == gap


@pytest.mark.parametrize("rule", [(TierRule.TOP_N, 2), (TierRule.TOP_PERCENT, 2_000)])
def test_who_shares_the_score_of_the_last_place_is_in_where_ties_are_shared(rule: tuple[TierRule, int]) -> None:
    ranks = [(1, 1), (2, 2), (3, 2), (4, 2), (5, 5)]
    first, shared = Tier("t", *rule), Tier("t", *rule, Ties.SHARED)

    assert [first.takes(*place, 0, 10) for place in ranks] == [True, True, False, False, False]
    assert [shared.takes(*place, 0, 10) for place in ranks] == [True, True, True, True, False]


@pytest.mark.parametrize(("descending", "score", "gap"), [(True, 55, 35), (False, 95, 5)])
def test_a_tie_is_enough_for_a_tier_whose_ties_are_shared(descending: bool, score: int, gap: int) -> None:
    tiers = [Tier("gold", TierRule.TOP_N, 1, Ties.SHARED)]
    assert points_to_next_tier(tiers, None, score, {"gold": 90}, descending=descending) == gap


def test_who_does_not_qualify_is_in_no_tier_whatever_its_rule() -> None:
    for tier in (top_n(10), top_percent(10_000), min_score(-5), max_score(5)):
        assert tier.takes(2, 2, 0, 2)
        assert not tier.takes(3, 3, 0, 2)


@pytest.mark.parametrize(
    ("tier", "qualified", "cutoffs", "gap"),
    [
        (top_n(3), 2, {"top": 8}, 5),
        (top_n(2), 2, {"top": 8}, 9),
        (top_percent(1_000), 0, {}, 5),
        (top_percent(1_000), 10, {"top": 20}, 21),
        (min_score(3), 2, {}, 5),
        (min_score(7), 2, {}, 7),
    ],
)
def test_a_tier_is_as_far_as_qualifying_for_it(tier: Tier, qualified: int, cutoffs: dict[str, int], gap: int) -> None:
    needed = Qualifying(5, qualified, cutoffs)
    assert points_to_next_tier([tier], None, 0, {"top": 99}, descending=True, qualifying=needed) == gap
