"""A window is ranked for its result in memory that does not grow with it, and as the plain fold in memory ranks it."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.admin.eligible import eligible
from shared.closing.ranking import FoldedWindow, PlayerStandings, WindowRanking
from shared.domain.audit import Disqualified
from shared.domain.calendar import Day
from shared.domain.events import POINTS_MAX
from shared.domain.labels import Label
from shared.domain.ranking import Entry, from_order_bytes, order_bytes, order_key, to_entries
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Score, Standing
from shared.domain.tiers import Tier, TierRule
from shared.files import sorting
from shared.files.sorting import Sorter
from shared.rebuild.small_window import Ranked, rank_players
from tests.support.folding import by_player

TIERS = (Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.TOP_PERCENT, 5_000))
USERS = ["ann", "Ann", "bob", "ünï", "\uffff", "\U0001f600", "", " "]
scores = st.builds(Score, st.integers(-POINTS_MAX, POINTS_MAX) | st.integers(-2, 2), st.integers(0, 3) | st.just(2**48))
disqualified = st.builds(
    Disqualified,
    st.just(1),
    st.frozensets(st.sampled_from(USERS)),
    st.dictionaries(st.sampled_from(USERS), st.sampled_from([(), ((7, 7),), ((8, 9),), ((7, 7), (9, 9)), ((7, 9),)])),
)
line = st.tuples(st.sampled_from([Day(7), Day(8), Day(9)]), st.sampled_from(USERS), st.integers(-2, 2))


@given(
    order=st.sampled_from(Order),
    lines=st.lists(
        st.tuples(st.sampled_from(USERS), scores.filter(lambda one: one.reached_at_ms < 2**48)), max_size=20
    ),
)
def test_sort_keys_as_bytes_are_in_the_order_of_sort_keys(order: Order, lines: list[tuple[str, Score]]) -> None:
    in_order = sorted(lines, key=lambda one: order_key(order, *one))

    assert [from_order_bytes(order, one) for one in sorted(order_bytes(order, *one) for one in lines)] == in_order


@given(lines=st.lists(st.binary(max_size=6), max_size=60))
def test_what_does_not_fit_into_memory_is_sorted_in_files(lines: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        patch.setattr(sorting, "RUN_BYTES", 8)
        patch.setattr(sorting, "RUNS_MAX", 3)
        sorter = Sorter(Path(name), "lines")
        for one in lines:
            sorter.add(one)

        assert list(sorter) == list(sorter) == sorted(lines)
        assert len(list(Path(name).iterdir())) <= 1


@given(
    aggregation=st.sampled_from(Aggregation),
    order=st.sampled_from(Order),
    lines=st.lists(line, unique_by=lambda one: one[:2], max_size=24),
    before=disqualified,
    now=disqualified,
    run_bytes=st.sampled_from([20, sorting.RUN_BYTES]),
)
def test_a_window_is_ranked_as_the_plain_fold_ranks_it(
    aggregation: Aggregation,
    order: Order,
    lines: list[tuple[Day, str, int]],
    before: Disqualified,
    now: Disqualified,
    run_bytes: int,
) -> None:
    board = Leaderboard(id="cup", name="Cup", aggregation=aggregation, order=order, tiers=TIERS)
    standings = [(day, user, Standing(points, day * 10, 1)) for day, user, points in lines]

    def plain(out: Disqualified) -> Ranked:
        return rank_players(board, (one for one in standings if out.counts(one[1], one[0])))

    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        patch.setattr(sorting, "RUN_BYTES", run_bytes)
        window = FoldedWindow(board, by_player(standings), Path(name), before.partly | now.partly)
        was, ranking = (WindowRanking(window, out) for out in (before, now))

        assert list(ranking.scores()) == plain(now)
        assert (ranking.players, ranking.sum_of_points) == (len(plain(now)), sum(one.points for _, one in plain(now)))
        entries, entries_before = entries_of(board, plain(now)), entries_of(board, plain(before))
        assert list(ranking.entries()) == entries
        changes = list(ranking.changes_since(was))
        assert [one for _, one in changes if one is not None] == entries
        assert [one for one, _ in changes if one is not None] == entries_before
        assert all(one is None or other is None or one.user_id == other.user_id for one, other in changes)


@given(
    lines=st.lists(line, unique_by=lambda one: one[:2], max_size=24),
    amended=st.lists(st.lists(line, unique_by=lambda one: one[:2], max_size=9), min_size=2, max_size=2),
    moved=st.sets(st.sampled_from(USERS)),
    out=st.sets(st.sampled_from(USERS)),
)
def test_amended_players_are_ranked_as_they_were_and_in_the_changes(
    lines: list[tuple[Day, str, int]], amended: list[list[tuple[Day, str, int]]], moved: set[str], out: set[str]
) -> None:
    board = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, order=Order.DESC, tiers=TIERS)
    folded = [(day, user, Standing(points, day * 10, 1)) for day, user, points in lines]
    others = [
        [(day, user, Standing(points, day * 10, 1)) for day, user, points in some if user in moved] for some in amended
    ]

    def plain(own: list[tuple[Day, str, Standing]], out: set[str]) -> Ranked:
        standings = [one for one in folded if one[1] not in moved] + own
        return rank_players(board, (one for one in standings if one[1] not in out))

    with TemporaryDirectory() as name:
        window = FoldedWindow(board, by_player(folded), Path(name))
        was, ranking = (
            WindowRanking(window, Disqualified(1, frozenset(left)), as_given(own, moved))
            for own, left in zip(others, (set(), out), strict=True)
        )

        before, now = entries_of(board, plain(others[0], set())), entries_of(board, plain(others[1], out))
        assert (list(was.entries()), list(ranking.entries())) == (before, now)
        changes = list(ranking.changes_since(was))
        assert sorted((one for _, one in changes if one), key=lambda one: one.rank) == now
        assert sorted((one for one, _ in changes if one), key=lambda one: one.rank) == before
        assert all(one is None or other is None or one.user_id == other.user_id for one, other in changes)
        assert len({(one or other).user_id for one, other in changes if one or other}) == len(changes)  # type: ignore[union-attr]


def as_given(lines: list[tuple[Day, str, Standing]], user_ids: set[str]) -> dict[str, dict[Day, Standing]]:
    found: dict[str, dict[Day, Standing]] = {user_id: {} for user_id in user_ids}
    for day, user, standing in sorted(lines, key=lambda one: one[0]):
        found[user][day] = standing
    return found


def test_an_empty_standing_ranks_nobody(tmp_path: Path) -> None:
    board = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.BEST, tiers=TIERS)
    empty = Standing(0, 0, 0, version=3)
    lines = [(Day(1), "ann", empty), (Day(2), "ann", Standing(-4, 5, 1)), (Day(1), "bob", empty)]

    ranking = WindowRanking(FoldedWindow(board, by_player(lines), tmp_path), Disqualified())

    assert list(ranking.scores()) == [("ann", Score(-4, 5))]
    assert rank_players(board, eligible(lines, Disqualified())) == [("ann", Score(-4, 5))]


def entries_of(board: Leaderboard, ranked: Ranked) -> list[Entry]:
    return list(to_entries(board.tiers, len(ranked), 0, 0, ranked))


def test_the_label_set_leaves_out_who_is_disqualified(tmp_path: Path) -> None:
    board = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, filters=("country",))

    def standing(points: int, country: str) -> Standing:
        return Standing(points, points, 1, labels=(Label("country", country, points, "e"),))

    lines = [(Day(1), "ann", standing(1, "NO")), (Day(1), "bob", standing(2, "SE")), (Day(2), "ann", standing(3, "FI"))]

    window = FoldedWindow(board, by_player(lines), tmp_path, frozenset({"ann"}))
    bob = frozenset({"bob"})

    assert list(WindowRanking(window, Disqualified(1, bob)).label_members()) == [
        b"\x01\x02FI" + order_bytes(Order.DESC, "ann", Score(4, 3))
    ]
    assert list(WindowRanking(window, Disqualified(2, bob, {"ann": ((Day(2), Day(2)),)})).label_members()) == [
        b"\x01\x02NO" + order_bytes(Order.DESC, "ann", Score(1, 1))
    ]


def test_a_window_is_ranked_in_memory_that_does_not_grow_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 50_000)
    board = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=TIERS)

    def players(count: int) -> Iterator[PlayerStandings]:
        return ((f"u{number}", [(Day(1), Standing(number * 7_919 % count, 1, 1))]) for number in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            ranking = WindowRanking(FoldedWindow(board, players(count), tmp_path), Disqualified())
            assert sum(1 for _ in ranking.entries()) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(5_000), peak(50_000)

    assert many < 2 * few + 1_000_000, "ten times the players"
