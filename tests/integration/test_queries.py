"""Every kind of read against the oracle, on a real Redis."""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event, Lock
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis

from shared.cache.leases import BuildLeases
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY
from shared.domain.events import POINTS_MAX
from shared.domain.ranking import Entry
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.selections import RankingKey, Selection
from shared.domain.standings import Score, Standing
from shared.domain.tiers import Tier, TierRule, Ties
from shared.reads.answers import Ranking
from shared.reads.rankings import Rankings
from tests.support import oracle

NOW_MS = 1_795_430_000_000
SIZES = (0, 1, 2, 99, 100, 101)
USER_IDS = ("a", "b", "ab", "Z", "é", "\uffff", "\U0001f600")
WALK_PLAYERS = int(os.environ.get("WALK_PLAYERS", "20000"))
UPDATES_PER_SECOND = 2_000

Line = tuple[int, int, str]
"""Points, when they were reached, user id."""


class Board:
    """A leaderboard by its plain definition, and its all-time window."""

    def __init__(self, redis: Redis, definition: Mapping[str, Any]) -> None:
        self.definition = definition
        self.leaderboard = Leaderboard(
            id="cup",
            name="Cup",
            aggregation=Aggregation.LATEST,
            order=Order(definition["order"]),
            tiers=tuple(to_tier(rule) for rule in definition["tiers"]),
            qualify=next(iter(definition.get("qualify", {}).values()), None),
        )
        self.cache = WindowCache(redis)
        parts: Any = SimpleNamespace(find=lambda *_: None, rules_in_force=lambda board, _: board)
        self.rankings = Rankings(
            cache=self.cache,
            searches=WindowSearches(self.cache),
            on_demand=parts,
            repairs=parts,
            results=parts,
            corrections=parts,
            fallback=parts,
            now_ms=lambda: NOW_MS,
        )
        self.versions: dict[str, int] = {}
        self.lines: dict[str, Line] = {}
        builds = BuildLeases(self.cache)
        _, build = builds.begin_rebuild(self.leaderboard, "token", NOW_MS)
        assert builds.finish_rebuild(self.leaderboard, build)

    def apply(self, lines: Sequence[Line]) -> None:
        standings = {}
        for points, at_ms, user_id in lines:
            self.versions[user_id] = self.versions.get(user_id, 0) + 1
            self.lines[user_id] = (points, at_ms, user_id)
            standings[user_id] = {ALL_TIME_DAY: Standing(points, at_ms, 1, version=self.versions[user_id])}
        self.cache.apply(self.leaderboard, standings, NOW_MS)

    def ranking(self) -> list[oracle.Entry]:
        return oracle.ranked(self.definition, self.lines.values())

    def select(self, **asked: Any) -> Ranking:
        return self.rankings.select(self.leaderboard, ALL_TIME, Selection(**asked))


def to_tier(rule: Mapping[str, Any]) -> Tier:
    (kind, value) = next((kind, value) for kind, value in rule.items() if kind not in ("name", "ties"))
    ties = Ties(rule.get("ties", "first"))
    return Tier(rule["name"], TierRule(kind), round(value * 100) if kind == "topPercent" else value, ties)


def to_oracle(entries: Sequence[Entry]) -> list[oracle.Entry]:
    return [
        oracle.Entry(
            one.rank,
            one.user_id,
            one.score,
            one.reached_at_ms,
            Decimal(one.percentile_hundredths) / 100,
            one.tier,
            one.competition_rank,
        )
        for one in entries
    ]


def key_of(line: Line) -> RankingKey:
    points, at_ms, user_id = line
    return RankingKey(user_id, Score(points, at_ms))


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    order = draw(st.sampled_from(["desc", "asc"]))
    by_score = "minScore" if order == "desc" else "maxScore"
    rules = st.one_of(
        st.tuples(st.just("topN"), st.sampled_from([1, 2, 50, 99, 100, 101, 2**53 - 1])),
        st.tuples(st.just("topPercent"), st.sampled_from([0.01, 0.29, 1, 10, 33.33, 50, 99.99, 100])),
        st.tuples(st.just(by_score), st.integers(-3, 4)),
    )
    ties = st.sampled_from(["first", "shared"])
    tiers = [
        {"name": f"t{at}", kind: value} | ({} if kind == by_score else {"ties": draw(ties)})
        for at, (kind, value) in enumerate(draw(st.lists(rules, max_size=4)))
    ]
    qualify = draw(st.none() | st.integers(-3, 3))
    return {"order": order, "tiers": tiers} | ({} if qualify is None else {"qualify": {by_score: qualify}})


def scores(rng: random.Random, size: int, spread: int) -> list[Line]:
    """Few scores and few instants, so that most players tie with somebody by one or both."""
    users = [f"{rng.choice(USER_IDS)}{number}" for number in range(size)]
    return [(rng.randint(-spread, spread), NOW_MS + rng.randrange(3), user) for user in users]


def check_page(board: Board, page: Ranking, expected: Sequence[oracle.Entry], ranking: Sequence[oracle.Entry]) -> None:
    """A page holds these entries of the ranking, each with both its ranks."""
    assert to_oracle(page.entries) == list(expected)
    assert page.total == len(ranking)
    ranks = [oracle.competition_rank(board.definition, ranking, entry) for entry in expected]
    assert [one.competition_rank for one in page.entries] == ranks


@hypothesis_settings(max_examples=120)
@given(
    definition=definitions(),
    size=st.sampled_from(SIZES),
    spread=st.sampled_from([0, 2, 60]),
    bounds=st.lists(st.one_of(st.none(), st.integers(-4, 4)), min_size=2, max_size=2),
    limit=st.sampled_from([1, 7, 50, 1_000]),
    rng=st.randoms(use_true_random=False),
)
def test_every_selection_is_the_oracles(
    redis: Redis,
    definition: dict[str, Any],
    size: int,
    spread: int,
    bounds: list[int | None],
    limit: int,
    rng: random.Random,
) -> None:
    redis.flushall()
    board = Board(redis, definition)
    board.apply(scores(rng, size, spread))
    ranking = board.ranking()
    low, high = bounds
    key: Line = (rng.randint(-spread, spread), NOW_MS + rng.randrange(3), f"{rng.choice(USER_IDS)}{rng.randrange(9)}")

    for tier in (None, *(rule["name"] for rule in definition["tiers"])):
        asked = {"limit": limit, "min_score": low, "max_score": high, "tier": tier}
        run = oracle.selected(ranking, low, high, tier)
        ahead = [entry for entry in run if oracle.ahead_of(definition, entry, key)]
        behind = [e for e in run if e not in ahead and (e.score, e.reached_at_ms, e.user_id) != key]
        for offset in {0, 1, len(run) // 2, max(0, len(run) - 1), len(run), len(run) + 1}:
            page = board.select(offset=offset, **asked)
            check_page(board, page, run[offset : offset + limit], ranking)
            assert page.matched == len(run)
            assert page.has_next == (bool(page.entries) and offset + limit < len(run))
            assert page.has_previous == (bool(page.entries) and offset > 0)
        forward = board.select(key=key_of(key), **asked)
        check_page(board, forward, behind[:limit], ranking)
        backward = board.select(key=key_of(key), backward=True, **asked)
        check_page(board, backward, ahead[-limit:], ranking)
        assert forward.has_next == (len(behind) > limit)
        assert backward.has_previous == (len(ahead) > limit)
        assert (forward.matched, backward.matched) == (len(run), len(run))


@hypothesis_settings(max_examples=60)
@given(
    definition=definitions(),
    size=st.sampled_from(SIZES),
    spread=st.sampled_from([0, 2, 60]),
    rng=st.randoms(use_true_random=False),
)
def test_some_players_have_their_ranks_among_all_and_stand_in_order(
    redis: Redis, definition: dict[str, Any], size: int, spread: int, rng: random.Random
) -> None:
    redis.flushall()
    board = Board(redis, definition)
    board.apply(scores(rng, size, spread))
    ranking = board.ranking()
    friends = {*rng.sample(sorted(board.lines), min(size, 20)), "nobody"}

    page = board.rankings.players(board.leaderboard, ALL_TIME, sorted(friends, key=lambda _: rng.random()))

    check_page(board, page, [entry for entry in ranking if entry.user_id in friends], ranking)
    assert page.matched == len(friends) - 1
    for user_id in friends - {"nobody"}:
        found = board.rankings.player(board.leaderboard, ALL_TIME, user_id, 2)
        assert found is not None
        at = next(at for at, entry in enumerate(ranking) if entry.user_id == user_id)
        shown = [*found.above, found.player, *found.below]
        assert to_oracle(shown) == ranking[max(0, at - 2) : at + 3]
        expected = [oracle.competition_rank(definition, ranking, entry) for entry in ranking[max(0, at - 2) : at + 3]]
        assert [one.competition_rank for one in shown] == expected
        (window,) = WindowSearches(board.cache).player_windows(board.leaderboard, [ALL_TIME], user_id, NOW_MS)
        alone = board.rankings.ranking_of(board.leaderboard, ALL_TIME, NOW_MS, window, final=False)
        assert to_oracle(alone.entries) == [ranking[at]]


@hypothesis_settings(max_examples=80)
@given(
    definition=definitions(),
    size=st.sampled_from([1, 2, 3, 8, 20]),
    spread=st.sampled_from([0, 2, 6]),
    rng=st.randoms(use_true_random=False),
)
def test_no_fewer_points_than_are_told_bring_a_player_into_a_better_tier(
    redis: Redis, definition: dict[str, Any], size: int, spread: int, rng: random.Random
) -> None:
    redis.flushall()
    board = Board(redis, definition)
    board.apply(scores(rng, size, spread))
    user_id = rng.choice(sorted(board.lines))

    found = board.rankings.player(board.leaderboard, ALL_TIME, user_id, 0)

    assert found is not None
    assert (found.qualifying is None) == oracle.qualifies(definition, found.player.score)
    told = found.points_to_next_tier
    names = [rule["name"] for rule in definition["tiers"]]
    better = set(names[: names.index(found.player.tier)] if found.player.tier else names)
    gaps = [gap for gap in range(2 * spread + 9) if tier_with(board, user_id, gap) in better]
    assert told == min(gaps, default=None), (found.player, better)


def test_who_comes_to_qualify_makes_room_in_a_percentage(redis: Redis) -> None:
    tiers = [{"name": "half", "topPercent": 50}]
    board = Board(redis, {"order": "desc", "tiers": tiers, "qualify": {"minScore": 6}})
    board.apply([(points, NOW_MS, user_id) for user_id, points in (("ann", 9), ("bob", 8), ("cid", 5))])

    found = board.rankings.player(board.leaderboard, ALL_TIME, "cid", 0)

    assert found is not None
    assert found.points_to_next_tier == 4, "past the second of three, no more past the first of two"
    assert [tier_with(board, "cid", gap) for gap in (3, 4)] == [None, "half"]


def tier_with(board: Board, user_id: str, gap: int) -> str | None:
    """The player's tier by the oracle, once they have so many points more, later than everybody else."""
    points, _, _ = board.lines[user_id]
    moved = points + (gap if board.definition["order"] == "desc" else -gap)
    lines = [line for line in board.lines.values() if line[2] != user_id] + [(moved, NOW_MS + 9, user_id)]
    return next(one.tier for one in oracle.ranked(board.definition, lines) if one.user_id == user_id)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_places_are_exact_at_the_ends_of_the_range_of_scores(redis: Redis, order: str) -> None:
    board = Board(redis, {"order": order, "tiers": []})
    ends = [POINTS_MAX, POINTS_MAX - 1, 0, 1 - POINTS_MAX, -POINTS_MAX]
    board.apply([(points, NOW_MS, f"u{at}") for at, points in enumerate(ends)])
    ranking = board.ranking()

    for at, entry in enumerate(ranking):
        key = RankingKey(entry.user_id, Score(entry.score, entry.reached_at_ms))
        behind = board.select(limit=9, key=key).entries
        ahead = board.select(limit=9, key=key, backward=True).entries
        only = board.select(limit=9, min_score=entry.score, max_score=entry.score).entries
        assert to_oracle(behind) == ranking[at + 1 :]
        assert to_oracle(ahead) == ranking[:at]
        assert to_oracle(only) == [entry]


def test_a_place_among_ten_thousand_equal_scores_is_found_whatever_the_bytes(redis: Redis) -> None:
    board = Board(redis, {"order": "desc", "tiers": []})
    rng = random.Random(5)
    users = [f"{rng.choice(USER_IDS)}-{number}" for number in range(10_000)]
    for start in range(0, len(users), 1_000):
        board.apply([(7, NOW_MS + rng.randrange(4), user) for user in users[start : start + 1_000]])
    ranking = board.ranking()

    for at in (0, 1, 4_999, 9_998, 9_999):
        entry = ranking[at]
        key = RankingKey(entry.user_id, Score(7, entry.reached_at_ms))
        assert to_oracle(board.select(limit=2, key=key).entries) == ranking[at + 1 : at + 3]
        assert to_oracle(board.select(limit=2, key=key, backward=True).entries) == ranking[max(0, at - 2) : at]
    assert {entry.competition_rank for entry in board.select(limit=1_000, offset=9_000).entries} == {1}


def test_every_query_is_one_command(redis: Redis) -> None:
    tiers = [{"name": "gold", "topN": 1}, {"name": "rest", "minScore": 0}]
    board = Board(redis, {"order": "desc", "tiers": tiers})
    board.apply([(at % 5, NOW_MS, f"u{at}") for at in range(500)])
    key = RankingKey("u7", Score(3, NOW_MS))
    reads: list[Callable[[], object]] = [
        lambda: board.select(limit=10, offset=400),
        lambda: board.select(limit=10, key=key, backward=True, min_score=1, max_score=4),
        lambda: board.select(limit=10, tier="rest", key=key),
        lambda: board.rankings.players(board.leaderboard, ALL_TIME, [f"u{at}" for at in range(100)]),
    ]
    for read in reads:
        read()
    redis.config_resetstat()

    for read in reads:
        read()

    stats: Any = redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == len(reads)
    assert not {"cmdstat_eval", "cmdstat_script|load", "cmdstat_exists"} & set(stats)


@pytest.mark.parametrize("backward", [False, True])
def test_a_walk_by_place_meets_everybody_who_does_not_move_exactly_once(redis: Redis, backward: bool) -> None:
    """Half of the players keep moving: by a stream of updates, between the pages, and whenever one ends a page."""
    board = Board(redis, {"order": "desc", "tiers": []})
    rng = random.Random(11)
    users = [f"u{number}" for number in range(WALK_PLAYERS)]
    for start in range(0, len(users), 2_000):
        board.apply([(rng.randrange(2_000), NOW_MS + rng.randrange(5), user) for user in users[start : start + 2_000]])
    still = {user for user in users if int(user[1:]) % 2}
    expected = [entry.user_id for entry in board.ranking() if entry.user_id in still]
    movers = Movers(board, sorted(set(users) - still))

    met: list[str] = []
    with movers:
        key = RankingKey("", Score(-1 if backward else 2_000, 0))
        while entries := board.select(limit=100, key=key, backward=backward).entries:
            shown = [entry.user_id for entry in entries if entry.user_id in still]
            met = [*shown, *met] if backward else [*met, *shown]
            last = entries[0 if backward else -1]
            key = RankingKey(last.user_id, Score(last.score, last.reached_at_ms))
            movers.move(20, last.user_id if last.user_id not in still else None)

    assert met == expected
    assert movers.moved >= WALK_PLAYERS / 100 / 2 * 20


class Movers:
    """Gives players new scores, some of them ahead of any reader and some behind, while it is entered."""

    def __init__(self, board: Board, users: Sequence[str]) -> None:
        self._board = board
        self._users = users
        self._rng = random.Random(12)
        self._lock = Lock()
        self._stop = Event()
        self._pool = ThreadPoolExecutor(1)
        self._version = 1
        self.moved = 0

    def move(self, count: int, user_id: str | None = None) -> None:
        """Move as many of them, and this one."""
        with self._lock:
            chosen = {*self._rng.sample(self._users, count), *([user_id] if user_id else [])}
            self._version += 1
            standings = {user: {ALL_TIME_DAY: self._anywhere()} for user in chosen}
        moved = self._board.cache.apply(self._board.leaderboard, standings, NOW_MS)
        with self._lock:
            self.moved += moved

    def _anywhere(self) -> Standing:
        return Standing(self._rng.randrange(2_000), NOW_MS + self._rng.randrange(5), 1, version=self._version)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self.move(UPDATES_PER_SECOND // 20)

    def __enter__(self) -> None:
        self._running = self._pool.submit(self._run)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._running.result()
        self._pool.shutdown()
