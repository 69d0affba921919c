"""Standings that are folded again equal those that were folded event by event, in whichever order these came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.calendar import ALL_TIME_DAY, DAY_MS, Day, day_of
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.refolding import refold
from shared.domain.rejections import Rejection
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import DaySums, Standing, add

FILTERS = ("country", "device")
attributes = st.dictionaries(st.sampled_from([*FILTERS, "guild"]), st.sampled_from(["a", "b"]))
events = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3), st.integers(0, 2), attributes), max_size=9).map(
    lambda drawn: [
        ScoreEvent(f"e{number}", "cup", "ann", points, day * DAY_MS + at_ms, carried)
        for number, (points, day, at_ms, carried) in enumerate(drawn)
    ]
)


def board(aggregation: Aggregation = Aggregation.SUM, order: Order = Order.DESC) -> Leaderboard:
    return Leaderboard(id="cup", name="Cup", aggregation=aggregation, order=order, filters=FILTERS)


def one_by_one(leaderboard: Leaderboard, some: list[ScoreEvent]) -> dict[Day, Standing]:
    folded: dict[Day, Standing] = {}
    for event in some:
        for day in (day_of(event.occurred_at_ms), ALL_TIME_DAY):
            rules = leaderboard.aggregation, leaderboard.order
            folded[day] = add(*rules, folded.get(day), event, leaderboard.filters)
    return folded


@given(
    aggregation=st.sampled_from(Aggregation),
    order=st.sampled_from(Order),
    arrived=events.flatmap(st.permutations),
)
def test_refolding_equals_folding_event_by_event(
    aggregation: Aggregation, order: Order, arrived: list[ScoreEvent]
) -> None:
    leaderboard = board(aggregation, order)

    assert refold(leaderboard, arrived) == one_by_one(leaderboard, arrived)


def test_without_events_there_are_no_standings() -> None:
    assert refold(board(), []) == {}


def enormous(*points: tuple[int, int]) -> list[ScoreEvent]:
    """Events of (day, points)."""
    return [ScoreEvent(f"e{number}", "cup", "ann", *of) for number, of in enumerate((p, d * DAY_MS) for d, p in points)]


def test_a_sum_on_the_way_may_leave_the_range_of_scores() -> None:
    folded = refold(board(), enormous((0, POINTS_MAX), (0, POINTS_MAX), (0, -POINTS_MAX), (0, -1)))

    assert folded[Day(0)].points == folded[ALL_TIME_DAY].points == POINTS_MAX - 1
    assert folded[ALL_TIME_DAY].sums == DaySums(days=((Day(0), POINTS_MAX - 1),))


@pytest.mark.parametrize(
    "points",
    [
        [(0, POINTS_MAX), (0, 1)],
        [(0, POINTS_MAX), (1, 1)],
        [(0, POINTS_MAX), (1, 1), (2, -POINTS_MAX)],
        [(0, POINTS_MAX), (1, -POINTS_MAX), (2, 1)],
    ],
    ids=["a day", "all time", "a run of days", "days with one left out between"],
)
def test_what_is_folded_again_says_whether_some_days_leave_the_range(points: list[tuple[int, int]]) -> None:
    sums = refold(board(), enormous(*points))[ALL_TIME_DAY].sums

    assert sums is not None
    with pytest.raises(Rejection, match="score_overflow"):
        sums.check()


def test_days_that_are_sealed_are_two_numbers() -> None:
    leaderboard = replace(board(), sealed_through=Day(0))

    folded = refold(leaderboard, enormous((0, POINTS_MAX), (1, -POINTS_MAX)))

    assert folded[ALL_TIME_DAY].sums == DaySums(POINTS_MAX, 0, ((Day(1), -POINTS_MAX),))


@pytest.mark.parametrize("aggregation", Aggregation)
def test_an_empty_standing_is_as_good_as_none_but_for_its_version(aggregation: Aggregation) -> None:
    (event,) = enormous((0, 5))
    first = add(aggregation, Order.DESC, None, event)

    assert add(aggregation, Order.DESC, Standing(0, 0, 0, version=4), event) == replace(first, version=4)
