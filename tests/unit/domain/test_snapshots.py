"""What a snapshot tells of ranks: exact among the top, between two samples below it."""

import pytest
from msgspec.structs import replace

from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.snapshots import SAMPLES, TOP_ENTRIES, Snapshot, sample_positions, snapshot_of
from shared.domain.standings import Score

DESC = Order.DESC
BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, qualify=5)


def ranked(total: int) -> list[tuple[str, Score]]:
    """`u1` has the most points, `u2` one less, and so on."""
    return [(f"u{rank}", Score(total - rank, 0)) for rank in range(1, total + 1)]


def test_among_the_top_a_rank_is_exact() -> None:
    snapshot = snapshot_of(BOARD, 1, 0, ranked(10))

    for rank, (user_id, score) in enumerate(ranked(10), start=1):
        assert snapshot.estimate_rank(DESC, user_id, score) == rank
        assert snapshot.estimate_rank(DESC, "a-newcomer", score) == rank, "before the other by the user id"
        assert snapshot.estimate_rank(DESC, "zoe", score) == rank + 1, "after the other by the user id"


def test_where_a_player_stood_does_not_count_once_he_has_moved() -> None:
    snapshot = snapshot_of(BOARD, 1, 0, ranked(10))

    assert snapshot.estimate_rank(DESC, "u5", Score(100, 0)) == 1
    assert snapshot.estimate_rank(DESC, "u5", Score(-100, 0)) == 10
    assert snapshot.estimate_rank(DESC, "nobody-knew-him", Score(-100, 0)) == 11


def test_earlier_times_rank_first_and_lowest_scores_rank_first_on_ascending_boards() -> None:
    snapshot = Snapshot(1, 2, 0, [("a", Score(5, 10)), ("b", Score(7, 20))])

    assert snapshot.estimate_rank(Order.ASC, "c", Score(7, 19)) == 2
    assert snapshot.estimate_rank(Order.ASC, "c", Score(7, 21)) == 3
    assert snapshot.estimate_rank(Order.ASC, "c", Score(4, 99)) == 1


def test_the_first_player_of_an_empty_window_is_first() -> None:
    assert snapshot_of(BOARD, 0, 0, []).estimate_rank(DESC, "ann", Score(1, 1)) == 1


@pytest.mark.parametrize("total", [TOP_ENTRIES, TOP_ENTRIES + 1, 2_500, 54_321])
def test_below_the_top_a_rank_is_off_by_a_step_at_the_most(total: int) -> None:
    lines = ranked(total)
    snapshot = snapshot_of(BOARD, 1, 0, lines)
    step = -(-total // SAMPLES)

    for rank in range(TOP_ENTRIES + 1, total + 1, 7):
        assert abs(snapshot.estimate_rank(DESC, *lines[rank - 1]) - rank) <= step
    assert snapshot.estimate_rank(DESC, "zoe", Score(-5, 0)) == total + 1


@pytest.mark.parametrize("total", [0, 1, 999, 1_000, 1_001, 1_999, 2_000, 123_456])
def test_samples_are_of_different_entries_below_the_top_and_end_with_the_last(total: int) -> None:
    positions = sample_positions(total)

    assert positions == sorted(set(positions))
    assert len(positions) <= SAMPLES
    if total > TOP_ENTRIES:
        assert positions[0] >= TOP_ENTRIES
        assert positions[-1] == total - 1
    else:
        assert not positions


def test_a_snapshot_knows_how_many_qualified_and_estimates_it_for_another_score() -> None:
    snapshot = snapshot_of(BOARD, 1, 0, ranked(2_500))

    assert snapshot.qualified_for(BOARD) == 2_495
    assert snapshot.without({"u1", "u2500"}).qualified_for(BOARD) == 2_494
    assert snapshot.qualified_for(replace(BOARD, qualify=None)) == 2_500
    assert snapshot.qualified_for(replace(BOARD, qualify=2_000)) == 500
    assert abs(snapshot.qualified_for(replace(BOARD, qualify=7)) - 2_493) <= 3
