"""Answers from a snapshot: a part of what the whole ranking would say, and never more than the snapshot knows."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.audit import Disqualified
from shared.domain.calendar import ALL_TIME, Window, WindowKind, custom, parse_day
from shared.domain.ranking import Entry, order_key, rank
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.selections import RankingKey, Selection
from shared.domain.snapshots import Sample, Snapshot, snapshot_of
from shared.domain.standings import Score, Standing
from shared.domain.tiers import Tier, TierRule, Ties
from shared.reads.fallback import STANDINGS_MAX, Fallback

TOP, STEP = 8, 5
TIERS = {
    Order.DESC: (
        Tier("gold", TierRule.TOP_N, 3),
        Tier("silver", TierRule.MIN_SCORE, 12),
        Tier("bronze", TierRule.TOP_PERCENT, 6_000, Ties.SHARED),
    ),
    Order.ASC: (
        Tier("gold", TierRule.TOP_PERCENT, 1_000, Ties.SHARED),
        Tier("silver", TierRule.MAX_SCORE, 5),
        Tier("bronze", TierRule.TOP_N, 9),
    ),
}


def board(order: Order, qualify: int | None = None) -> Leaderboard:
    tiers = TIERS[order]
    return Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, order=order, tiers=tiers, qualify=qualify)


def whole(leaderboard: Leaderboard, points: Sequence[int]) -> list[Entry]:
    """The ranking that the snapshot was taken of."""
    scores = [(f"u{number}", Score(one, number)) for number, one in enumerate(points)]
    qualified = sum(map(leaderboard.qualifies, points))
    return list(rank(leaderboard.order, leaderboard.tiers, scores, qualified=qualified))


def fallback(
    entries: Sequence[Entry],
    standings: Any = None,
    out: frozenset[str] = frozenset(),
    taken_for: Leaderboard | None = None,
) -> Fallback:
    lines = [(one.user_id, Score(one.score, one.reached_at_ms)) for one in entries]
    below = [position for position in range(len(lines)) if position >= TOP and position % STEP == 0]
    below += [len(lines) - 1] if len(lines) > TOP and len(lines) - 1 not in below else []
    samples = [Sample(position + 1, *lines[position]) for position in below]
    snapshot = Snapshot(7, len(lines), 1_000, lines[:TOP], samples)
    if taken_for is not None:
        qualified = sum(taken_for.qualifies(one.score) for one in entries)
        snapshot = replace(snapshot, qualify=taken_for.qualify, qualified=qualified)
    snapshots: Any = SimpleNamespace(find=lambda *_: snapshot)
    reads: Any = SimpleNamespace(standings=standings)
    disqualified_players: Any = SimpleNamespace(hidden=lambda _: Disqualified(0, out))
    return Fallback(snapshots, reads, disqualified_players, lambda: 2_000)


def run(leaderboard: Leaderboard, entries: Sequence[Entry], selection: Selection) -> list[Entry]:
    """The entries that a selection takes, of the whole ranking."""
    return [
        one
        for one in entries
        if (selection.min_score is None or one.score >= selection.min_score)
        and (selection.max_score is None or one.score <= selection.max_score)
        and (selection.tier is None or one.tier == selection.tier)
    ]


def page(leaderboard: Leaderboard, entries: Sequence[Entry], selection: Selection) -> list[Entry]:
    """Those of them that stand on the page."""
    taken = run(leaderboard, entries, selection)
    if selection.key is None:
        return taken[selection.offset : selection.offset + selection.limit]
    at = next(one.rank for one in entries if one.user_id == selection.key.user_id)
    if selection.backward:
        return [one for one in taken if one.rank < at][-selection.limit :]
    return [one for one in taken if one.rank > at][: selection.limit]


POINTS = st.lists(st.integers(0, 20), max_size=30)
SELECTIONS = st.fixed_dictionaries(
    {
        "limit": st.integers(1, 12),
        "offset": st.integers(0, 35),
        "at": st.none() | st.integers(0, 29),
        "backward": st.booleans(),
        "min_score": st.none() | st.integers(-1, 21),
        "max_score": st.none() | st.integers(-1, 21),
        "tier": st.none() | st.sampled_from(["gold", "silver", "bronze"]),
    }
)


def to_selection(entries: Sequence[Entry], chosen: dict[str, Any]) -> Selection:
    at = chosen.pop("at")
    if at is None or not entries:
        return Selection(**chosen | {"backward": False})
    entry = entries[at % len(entries)]
    key = RankingKey(entry.user_id, Score(entry.score, entry.reached_at_ms))
    return Selection(**chosen | {"key": key, "offset": 0})


@given(st.sampled_from(Order), POINTS, SELECTIONS, st.none() | st.integers(-1, 21))
def test_a_page_is_that_of_the_whole_ranking_as_far_as_the_top_reaches(
    order: Order, points: list[int], chosen: dict[str, Any], qualify: int | None
) -> None:
    leaderboard = board(order, qualify)
    entries = whole(leaderboard, points)
    selection = to_selection(entries, dict(chosen))
    expected, taken = page(leaderboard, entries, selection), run(leaderboard, entries, selection)

    found = fallback(entries, taken_for=leaderboard).select(leaderboard, ALL_TIME, selection, final=False)

    reached = [one for one in expected if one.rank <= TOP]
    if selection.backward and len(reached) < len(expected):
        reached = []  # the page ends below the top, so what stands at its beginning is not next to the key
    if expected and not reached:
        assert found is None, "an empty page would say that the ranking ends there"
    if found is None:
        assert len(entries) > TOP
        assert not reached
        return
    assert list(found.entries) == reached
    if len(reached) < len(expected):
        assert found.truncated, "what is missing is said to be"
    assert abs(found.matched - len(taken)) <= (0 if len(entries) <= TOP else 2 * STEP)
    assert found.has_previous is (bool(reached) and reached[0] is not taken[0])
    if len(entries) <= TOP:
        assert not found.truncated
        assert found.has_next is (bool(expected) and expected[-1] is not taken[-1])
    if reached and reached[-1] is not taken[-1]:
        assert found.has_next, "a page that is not the last says so"


@given(st.sampled_from(Order), POINTS.filter(lambda points: len(points) > TOP), st.integers(1, 5))
def test_the_way_by_cursor_never_ends_at_the_end_of_the_top(order: Order, points: list[int], limit: int) -> None:
    leaderboard = board(order)
    entries = whole(leaderboard, points)
    answers = fallback(entries)
    seen: list[Entry] = []
    key: RankingKey | None = None
    while True:
        found = answers.select(leaderboard, ALL_TIME, Selection(limit=limit, key=key), final=False)
        if found is None:
            break
        seen += found.entries
        assert found.has_next
        key = RankingKey(seen[-1].user_id, Score(seen[-1].score, seen[-1].reached_at_ms))

    assert seen == entries[:TOP]


def test_how_many_match_is_told_to_a_sample_below_the_top() -> None:
    leaderboard = board(Order.DESC)
    entries = whole(leaderboard, range(30))

    found = fallback(entries).select(leaderboard, ALL_TIME, Selection(limit=1, min_score=9), final=False)

    assert found is not None
    assert abs(found.matched - 21) <= STEP


@given(st.sampled_from(Order), POINTS, st.integers(-1, 21), st.none() | st.integers(-1, 21))
def test_a_snapshot_of_other_rules_knows_the_tiers_of_now_if_it_is_whole(
    order: Order, points: list[int], before: int, now: int | None
) -> None:
    leaderboard, points = board(order, now), points[:TOP]
    entries = whole(leaderboard, points)

    for taken_for in (board(order, before), None):
        found = fallback(entries, taken_for=taken_for).select(leaderboard, ALL_TIME, Selection(limit=TOP), final=False)
        assert found is not None
        assert list(found.entries) == entries


@given(st.sampled_from(Order), POINTS.filter(bool), st.none() | st.integers(-1, 21), st.integers(0, 20))
def test_a_player_counts_for_tiers_by_the_score_of_now(
    order: Order, points: list[int], qualify: int | None, score: int
) -> None:
    leaderboard, points = board(order, qualify), points[: TOP - 1]
    now = whole(leaderboard, [*points, score])
    user_id = f"u{len(points)}"

    def standings(wanted: Any) -> Any:
        return {("cup", user_id, day): Standing(score, len(points), 1) for _, _, day in wanted}

    answers = fallback(whole(leaderboard, points), standings, taken_for=leaderboard)
    _, found = answers.player(leaderboard, ALL_TIME, user_id, 2, final=False)
    others = answers.players(leaderboard, ALL_TIME, (user_id,), final=False)

    assert found is not None
    assert others is not None
    assert [found.player.tier is None, others.entries[0].tier is None].count(True) in (0, 2)
    if not leaderboard.qualifies(score):
        assert found.player.tier is None
        assert found.qualifying is not None
        assert found.points_to_next_tier == fewest(leaderboard, [*points, score])
    else:
        assert found.qualifying is None
    entry = next(one for one in now if one.user_id == user_id)
    assert (found.player.rank, found.player.score) == (entry.rank, entry.score)


def fewest(leaderboard: Leaderboard, points: Sequence[int]) -> int:
    """The points that bring the last player into any tier, found by trying."""
    sign = 1 if leaderboard.order is Order.DESC else -1
    for gap in range(1, 99):
        moved = whole(leaderboard, [*points[:-1], points[-1] + sign * gap])
        if next(one for one in moved if one.user_id == f"u{len(points) - 1}").tier is not None:
            return gap
    raise AssertionError("there is no way into any tier")


def test_a_snapshot_has_no_labels() -> None:
    selection = Selection(limit=1, label=("country", "DE"))
    assert fallback([]).select(board(Order.DESC), ALL_TIME, selection, final=False) is None


def test_players_have_their_scores_of_now_and_ranks_of_their_own() -> None:
    leaderboard = board(Order.DESC)
    entries = whole(leaderboard, range(30))
    now = {"u29": 40, "u20": 28, "u3": 28, "new": 1, "out": 50}

    def standings(wanted: Any) -> Any:
        return {("cup", user_id, day): Standing(now[user_id], 99, 1) for _, user_id, day in wanted if user_id in now}

    asked = ("new", "u3", "nobody", "u29", "out", "u20")
    found = fallback(entries, standings, frozenset({"out"})).players(leaderboard, ALL_TIME, asked, final=False)

    assert found is not None
    assert found.rank_is_approximate
    assert [(one.user_id, one.score, one.rank) for one in found.entries] == [
        ("u29", 40, 1),
        ("u20", 28, 3),
        ("u3", 28, 4),
        ("new", 1, found.entries[-1].rank),
    ]
    assert abs(found.entries[-1].rank - 29) <= STEP
    assert [one.competition_rank for one in found.entries[:3]] == [1, 2, 2]
    assert found.matched == 4


@pytest.mark.parametrize(("users", "answered"), [(STANDINGS_MAX // 31, True), (STANDINGS_MAX // 31 + 1, False)])
def test_no_more_standings_are_read_than_one_answer_may(users: int, answered: bool) -> None:
    month = custom(parse_day("2026-10-01"), parse_day("2026-10-31"))
    assert month.kind is WindowKind.CUSTOM
    answers = fallback([], lambda wanted: {})
    found = answers.players(board(Order.DESC), month, [f"u{number}" for number in range(users)], final=False)
    assert (found is not None) is answered


def test_an_answer_has_the_window_and_the_time_of_its_snapshot() -> None:
    window = Window(WindowKind.DAILY, parse_day("2026-10-01"), parse_day("2026-10-01"))
    found = fallback([]).select(board(Order.DESC), window, Selection(limit=1), final=True)
    assert found is not None
    assert (found.window, found.as_of_ms, found.revision, found.status) == (window, 1_000, 7, "final")


def test_who_is_at_another_score_since_stands_there_in_the_snapshot() -> None:
    """As after a disqualification for some days."""
    lines = [(f"u{number}", Score(100 - number, number)) for number in range(6)]
    samples = [Sample(8, "u7", Score(50, 7))]
    moved = frozenset({"u1", "u2", "u3"})
    found = Snapshot(7, 8, 1_000, lines, samples).placed_again(
        Order.DESC, moved, {"u1": Score(96, 9), "u2": Score(60, 9)}
    )
    assert [user_id for user_id, _ in found.top] == ["u0", "u4", "u1", "u5"]
    assert (found.total, found.samples) == (7, [Sample(7, "u7", Score(50, 7))])
    whole = Snapshot(7, 6, 1_000, lines).placed_again(Order.DESC, frozenset({"u1"}), {"u1": Score(1, 1)})
    assert [user_id for user_id, _ in whole.top] == ["u0", "u2", "u3", "u4", "u5", "u1"]


@given(
    st.sampled_from(Order),
    st.lists(st.integers(-3, 9), min_size=1, max_size=TOP),
    st.dictionaries(st.integers(0, TOP - 1), st.none() | st.integers(-3, 9)),
    st.none() | st.integers(-3, 9),
)
def test_a_snapshot_of_all_with_some_at_other_scores_is_the_one_of_these_scores(
    order: Order, points: list[int], moved: dict[int, int | None], qualify: int | None
) -> None:
    leaderboard = replace(board(order), qualify=qualify)
    scores = {f"u{number}": Score(one, number) for number, one in enumerate(points)}
    now = {f"u{number}": one for number, one in moved.items() if number < len(points)}
    others = {user_id: Score(one, 50) for user_id, one in now.items() if one is not None}

    def taken(of: dict[str, Score]) -> Snapshot:
        return snapshot_of(leaderboard, 7, 1_000, sorted(of.items(), key=lambda line: order_key(order, *line)))

    left = {user_id: score for user_id, score in scores.items() if user_id not in now} | others
    assert taken(scores).placed_again(order, frozenset(now), others) == taken(left)
