"""The fold: what one more event changes, at the limits of exact integers."""

from itertools import permutations

import pytest

from shared.domain.calendar import Day
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Aggregation, Order
from shared.domain.standings import DaySums, Score, Standing, add, combine


def event(points: int, at_ms: int = 0, event_id: str = "e-1") -> ScoreEvent:
    return ScoreEvent(event_id, "cup", "ann", points, at_ms)


def fold(aggregation: Aggregation, order: Order, *events: ScoreEvent) -> Standing:
    standing: Standing | None = None
    for one in events:
        standing = add(aggregation, order, standing, one)
    assert standing is not None
    return standing


@pytest.mark.parametrize("order", Order)
def test_a_sum_is_reached_at_its_latest_event_also_if_that_one_took_points(order: Order) -> None:
    standing = fold(Aggregation.SUM, order, event(5, 20), event(-3, 30), event(1, 10))

    assert standing == Standing(3, 30, 3, "", 9, 0)


@pytest.mark.parametrize("zero_at", [5, 25, 40])
def test_an_event_of_no_points_does_not_move_when_a_sum_was_reached(zero_at: int) -> None:
    events = [event(5, 20), event(-3, 30), event(0, zero_at)]

    for some in permutations(events):
        assert fold(Aggregation.SUM, Order.DESC, *some) == Standing(2, 30, 3, "", 8, 0)


def test_points_that_cancel_out_move_when_a_sum_was_reached_all_the_same() -> None:
    for some in permutations([event(5, 20), event(-5, 30), event(0, 10), event(0, 40)]):
        assert fold(Aggregation.SUM, Order.DESC, *some) == Standing(0, 30, 4, "", 10, 0)


def test_a_sum_of_events_of_no_points_alone_was_reached_at_the_earliest() -> None:
    for some in permutations([event(0, 30), event(0, 10), event(0, 20)]):
        assert fold(Aggregation.SUM, Order.DESC, *some) == Standing(0, 10, 3, "", 0, 0)


@pytest.mark.parametrize("aggregation", [Aggregation.BEST, Aggregation.LATEST])
def test_an_event_of_no_points_counts_as_any_other_where_nothing_is_added_up(aggregation: Aggregation) -> None:
    standing = fold(aggregation, Order.DESC, event(-5, 20, "a"), event(0, 30, "b"))

    assert (standing.points, standing.reached_at_ms) == (0, 30)


def test_the_best_is_the_highest_and_was_reached_when_it_was_reached_first() -> None:
    standing = fold(Aggregation.BEST, Order.DESC, event(5, 20), event(7, 40), event(7, 30), event(7, 50), event(1, 1))

    assert (standing.points, standing.reached_at_ms, standing.events) == (7, 30, 5)


def test_where_the_lowest_ranks_first_the_best_is_the_lowest() -> None:
    standing = fold(Aggregation.BEST, Order.ASC, event(5, 20), event(-7, 40), event(-7, 30), event(9, 1))

    assert (standing.points, standing.reached_at_ms, standing.events) == (-7, 30, 4)


@pytest.mark.parametrize("order", Order)
def test_the_latest_is_by_time_and_then_by_the_greater_event_id(order: Order) -> None:
    standing = fold(
        Aggregation.LATEST, order, event(1, 20, "a"), event(9, 30, "b"), event(5, 30, "c"), event(7, 30, "B"), event(3)
    )

    assert (standing.points, standing.reached_at_ms, standing.events, standing.last_event_id) == (5, 30, 5, "c")


@pytest.mark.parametrize("aggregation", Aggregation)
def test_an_event_keeps_the_version_and_is_counted(aggregation: Aggregation) -> None:
    before = Standing(1, 1, 4, "a", 1, version=9)

    after = add(aggregation, Order.DESC, before, event(1, 2))

    assert (after.version, after.events) == (9, 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_takes_the_largest_exact_integer_and_not_one_more(sign: int) -> None:
    standing = fold(Aggregation.SUM, Order.DESC, event(sign * (POINTS_MAX - 1)), event(sign))

    assert standing.points == sign * POINTS_MAX
    with pytest.raises(Rejection) as caught:
        add(Aggregation.SUM, Order.DESC, standing, event(sign))
    assert caught.value.reason is Reason.SCORE_OVERFLOW
    assert add(Aggregation.SUM, Order.DESC, standing, event(-sign)).points == sign * (POINTS_MAX - 1)


@pytest.mark.parametrize("aggregation", [Aggregation.BEST, Aggregation.LATEST])
def test_what_is_not_added_up_never_overflows(aggregation: Aggregation) -> None:
    standing = fold(aggregation, Order.DESC, event(POINTS_MAX, 1, "a"), event(POINTS_MAX, 2, "b"), event(-POINTS_MAX))

    assert (standing.points, standing.absolute_sum) == (POINTS_MAX, 0)


def test_days_combine_into_a_window_as_their_events_would() -> None:
    parts = [Standing(5, 10, 1), Standing(-7, 25, 1), Standing(5, 30, 1), Standing(2, 45, 1)]

    assert combine(Aggregation.SUM, Order.DESC, parts) == Score(5, 45)
    assert combine(Aggregation.BEST, Order.DESC, parts) == Score(5, 10)
    assert combine(Aggregation.BEST, Order.ASC, parts) == Score(-7, 25)
    assert combine(Aggregation.LATEST, Order.DESC, parts) == Score(2, 45)


def test_days_of_no_points_do_not_move_when_a_window_was_reached() -> None:
    zeros, cancelled, points = Standing(0, 10, 2), Standing(0, 25, 2, absolute_sum=10), Standing(3, 15, 1)

    for aggregated, expected in [
        ([Standing(0, 30, 1), zeros], Score(0, 10)),
        ([zeros, cancelled, Standing(0, 30, 1)], Score(0, 25)),
        ([zeros, points, Standing(0, 30, 1)], Score(3, 15)),
        ([points, cancelled], Score(3, 25)),
    ]:
        for order in permutations(aggregated):
            assert combine(Aggregation.SUM, Order.DESC, order) == expected


@pytest.mark.parametrize(
    "days",
    [
        [],
        [(1, POINTS_MAX)],
        [(1, -POINTS_MAX)],
        [(1, POINTS_MAX), (2, -POINTS_MAX), (3, 0)],
        [(3, 1), (1, POINTS_MAX - 1), (2, -1)],
    ],
)
def test_days_of_which_any_sum_up_exactly_are_accepted(days: list[tuple[int, int]]) -> None:
    sums_of(days).check()


@pytest.mark.parametrize(
    "days",
    [
        [(1, POINTS_MAX), (2, 1)],
        [(1, -POINTS_MAX), (2, -1)],
        [(1, -1), (2, POINTS_MAX), (3, 1), (4, -POINTS_MAX)],
        [(4, -POINTS_MAX), (3, 1), (2, POINTS_MAX), (1, -1)],
        [(1, POINTS_MAX), (700, 1)],
        [(1, POINTS_MAX), (2, -POINTS_MAX), (3, POINTS_MAX)],
        [(1, POINTS_MAX), (2, -1), (3, 1)],
    ],
    ids=["two days", "below", "two of four", "in any order", "far apart", "without one", "without one of few"],
)
def test_days_of_which_some_sum_past_the_exact_integers_are_refused(days: list[tuple[int, int]]) -> None:
    with pytest.raises(Rejection) as caught:
        sums_of(days).check()
    assert caught.value.reason is Reason.SCORE_OVERFLOW


def sums_of(points_by_day: list[tuple[int, int]]) -> DaySums:
    sums = DaySums()
    for day, points in points_by_day:
        sums = sums.plus(Day(day), points)
    return sums


def test_days_that_never_change_again_are_two_numbers_however_many_they_are() -> None:
    sums = sums_of([(day, 5 if day % 2 else -7) for day in range(1_000)]).sealed_through(Day(997))

    assert sums == DaySums(499 * 5, 499 * -7, ((Day(998), -7), (Day(999), 5)))
    assert sums.sealed_through(None) is sums
    assert sums.sealed_through(Day(997)) is sums
