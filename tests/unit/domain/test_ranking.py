"""The ranking order: score, then who reached it first, then the user id by bytes."""

import pytest

from shared.domain.ranking import Entry, rank
from shared.domain.rules import Order
from shared.domain.standings import Score
from shared.domain.tiers import Tier, TierRule


def users(order: Order, scores: dict[str, Score]) -> list[str]:
    return [entry.user_id for entry in rank(order, (), scores.items())]


@pytest.mark.parametrize(("order", "expected"), [(Order.DESC, ["c", "a", "b"]), (Order.ASC, ["b", "a", "c"])])
def test_the_better_score_ranks_first(order: Order, expected: list[str]) -> None:
    scores = {"a": Score(0, 1), "b": Score(-5, 1), "c": Score(7, 9)}

    assert users(order, scores) == expected


@pytest.mark.parametrize("order", Order)
def test_of_equal_scores_the_first_to_reach_it_ranks_first(order: Order) -> None:
    assert users(order, {"a": Score(7, 3), "b": Score(7, 1), "c": Score(7, 2)}) == ["b", "c", "a"]


@pytest.mark.parametrize("order", Order)
def test_of_equal_scores_and_times_the_user_id_decides_by_its_bytes(order: Order) -> None:
    in_order = ["", "Zoe", "ann", "annа", "bob", "ånn", "\uffff", "\U0001f600"]
    assert in_order != sorted(in_order, key=lambda user: user.encode("utf-16-be")), "the order of UTF-16 differs"

    assert users(order, {user: Score(7, 1) for user in reversed(in_order)}) == in_order


def test_every_entry_has_its_own_rank_percentile_and_tier() -> None:
    tiers = [Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.MIN_SCORE, 7)]
    scores = {"a": Score(7, 2), "b": Score(7, 1), "c": Score(-1, 0)}

    assert list(rank(Order.DESC, tiers, scores.items())) == [
        Entry(1, "b", 7, 1, 6_666, "gold", 1),
        Entry(2, "a", 7, 2, 3_333, "silver", 1),
        Entry(3, "c", -1, 0, 0, None, 3),
    ]


def test_nobody_makes_an_empty_ranking() -> None:
    assert list(rank(Order.DESC, (), ())) == []


def test_the_largest_scores_stay_apart() -> None:
    largest = 2**53 - 1
    scores = {"a": Score(largest - 1, 0), "b": Score(largest, 9), "c": Score(-largest, 0), "d": Score(1 - largest, 9)}

    assert users(Order.DESC, scores) == ["b", "a", "d", "c"]
