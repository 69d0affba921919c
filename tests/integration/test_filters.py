"""Rankings filtered by attributes, against the oracle and on real servers."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace
from redis import Redis

from shared.cache import keys
from shared.cache.labels import TOKEN_BYTES, token
from shared.cache.leases import BuildLeases
from shared.cache.payloads import with_all_days
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.closing.runs import Cause
from shared.domain.audit import AuditAction, AuditEntry, Disqualified
from shared.domain.calendar import (
    ALL_TIME,
    ALL_TIME_DAY,
    DAY_MS,
    Day,
    Window,
    custom,
    daily,
    day_of,
    to_date,
    weekly,
)
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.labels import FILTERS_MAX
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.selections import RankingKey, Selection
from shared.domain.standings import Score, Standing, add
from shared.reads.answers import Ranking
from shared.reads.rankings import UnknownFilter
from shared.rebuild.builder import RebuildOutcome
from tests.integration.test_queries import NOW_MS, Board, check_page, definitions, key_of, to_oracle
from tests.support import oracle
from tests.support.closing import MONDAY, RANKING, Scene, cause_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FILTERS = ("country", "platform")
LONG = "x" * 256
VALUES = (
    "DE",
    "D",
    "",
    "DE:1",
    "}{",
    "\x00",
    "\x00DE",
    "é",
    "x" * (TOKEN_BYTES - 1),
    "x" * TOKEN_BYTES,
    LONG,
    token(LONG),
)
"""Beginnings of one another, with characters that part keys, at the length from which hashes stand for values."""
SIZES = (0, 1, 2, 100)


class Labelled(Board):
    """A leaderboard with filters, whose players' events the oracle has seen, too."""

    def __init__(self, redis: Redis, definition: Mapping[str, Any]) -> None:
        super().__init__(redis, definition)
        self.leaderboard = replace(self.leaderboard, filters=FILTERS)
        self.reference = oracle.Oracle({"cup": {**definition, "aggregation": "latest"}})
        self.standings: dict[str, Standing] = {}

    def play(self, events: Mapping[str, tuple[int, int, Mapping[str, str]]]) -> None:
        """Take one event of each player: points, when it occurred, attributes."""
        for user_id, (points, at_ms, attributes) in events.items():
            facts = self.reference.facts.setdefault(("cup", user_id), [])
            event_id = f"e-{len(facts)}"
            facts.append(oracle.Fact(event_id, points, at_ms, tuple(sorted(attributes.items()))))
            event = ScoreEvent(event_id, "cup", user_id, points, at_ms, dict(attributes))
            standing = add(Aggregation.LATEST, self.leaderboard.order, self.standings.get(user_id), event, FILTERS)
            self.standings[user_id] = replace(standing, version=standing.version + 1)
        changed = {user_id: {ALL_TIME_DAY: self.standings[user_id]} for user_id in events}
        self.cache.apply(self.leaderboard, changed, NOW_MS)

    def carriers(self, name: str, value: str) -> list[oracle.Entry]:
        return self.reference.carriers("cup", name).get(value, [])

    def carrying(self, value: str, name: str = "country", **asked: Any) -> Ranking:
        return self.select(**{"limit": 1_000, **asked}, label=(name, value))


def plain(order: str = "desc") -> dict[str, Any]:
    return {"order": order, "tiers": []}


def random_events(
    rng: random.Random, size: int, spread: int
) -> Iterator[dict[str, tuple[int, int, Mapping[str, str]]]]:
    """Two rounds, with ties everywhere: in the second some play again, and some of those elsewhere."""
    for users in (range(size), rng.sample(range(size), size // 2)):
        yield {
            f"u{number}": (
                rng.randint(-spread, spread),
                NOW_MS + rng.randrange(3),
                {name: rng.choice(["DE", "FR"]) for name in (*FILTERS, "guild") if rng.random() < 0.7},
            )
            for number in users
        }


@hypothesis_settings(max_examples=100)
@given(
    definition=definitions(),
    size=st.sampled_from(SIZES),
    spread=st.sampled_from([0, 2, 60]),
    bounds=st.lists(st.one_of(st.none(), st.integers(-4, 4)), min_size=2, max_size=2),
    limit=st.sampled_from([1, 7, 1_000]),
    rng=st.randoms(use_true_random=False),
)
def test_every_filtered_selection_is_the_oracles(
    redis: Redis,
    definition: dict[str, Any],
    size: int,
    spread: int,
    bounds: list[int | None],
    limit: int,
    rng: random.Random,
) -> None:
    redis.flushall()
    board = Labelled(redis, definition)
    for events in random_events(rng, size, spread):
        board.play(events)
    ranking = board.reference.ranking("cup")
    low, high = bounds
    key = (rng.randint(-spread, spread), NOW_MS + rng.randrange(3), f"u{rng.randrange(max(size, 1))}")

    for name, value in (("country", "DE"), ("platform", "FR"), ("platform", "nowhere")):
        for tier in (None, *(rule["name"] for rule in definition["tiers"])):
            asked: dict[str, Any] = {"limit": limit, "min_score": low, "max_score": high, "tier": tier, "name": name}
            run = oracle.selected(board.carriers(name, value), low, high, tier)
            ahead = [entry for entry in run if oracle.ahead_of(definition, entry, key)]
            behind = [e for e in run if e not in ahead and (e.score, e.reached_at_ms, e.user_id) != key]
            for offset in {0, 1, len(run) // 2, max(0, len(run) - 1), len(run), len(run) + 1}:
                page = board.carrying(value, offset=offset, **asked)
                check_page(board, page, run[offset : offset + limit], ranking)
                assert page.matched == len(run)
                assert page.has_next == (bool(page.entries) and offset + limit < len(run))
                assert page.has_previous == (bool(page.entries) and offset > 0)
            forward = board.carrying(value, key=key_of(key), **asked)
            check_page(board, forward, behind[:limit], ranking)
            backward = board.carrying(value, key=key_of(key), backward=True, **asked)
            check_page(board, backward, ahead[-limit:], ranking)
            assert (forward.has_next, backward.has_previous) == (len(behind) > limit, len(ahead) > limit)
            assert (forward.matched, backward.matched) == (len(run), len(run))


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_carriers_stand_in_order_to_the_ends_of_the_range_of_scores(redis: Redis, order: str) -> None:
    board = Labelled(redis, plain(order))
    ends = [POINTS_MAX, POINTS_MAX - 1, 256, 255, 1, 0, -1, -255, -256, 1 - POINTS_MAX, -POINTS_MAX]
    board.play({f"u{at}": (points, NOW_MS, {"country": "DE"}) for at, points in enumerate(ends)})
    expected = board.carriers("country", "DE")
    assert len(expected) == len(ends)

    assert to_oracle(board.carrying("DE").entries) == expected
    for at, entry in enumerate(expected):
        key = RankingKey(entry.user_id, Score(entry.score, entry.reached_at_ms))
        assert to_oracle(board.carrying("DE", key=key).entries) == expected[at + 1 :]
        assert to_oracle(board.carrying("DE", key=key, backward=True).entries) == expected[:at]
        assert to_oracle(board.carrying("DE", min_score=entry.score, max_score=entry.score).entries) == [entry]


def test_whatever_a_value_is_it_finds_its_own_players_and_makes_no_key(redis: Redis) -> None:
    board = Labelled(redis, plain())
    assert len({token(value) for value in VALUES}) == len(VALUES)
    for at, value in enumerate(VALUES):
        board.play({f"{value[:3]}-{at}": (at, NOW_MS, {"country": value, "platform": "DE"})})

    for at, value in enumerate(VALUES):
        assert [one.user_id for one in board.carrying(value).entries] == [f"{value[:3]}-{at}"]
    assert board.carrying("DE", "platform").matched == len(VALUES)
    windows = {key for key in redis.scan_iter() if b":2:" in key and not key.endswith((b"complete", b"rebuild"))}
    assert windows == {*(b"lb:{cup}:2:%c:all-time" % kind for kind in b"zhfs")}


def test_who_carries_another_value_now_has_left_the_first(redis: Redis) -> None:
    board = Labelled(redis, plain())
    board.play({"ann": (1, NOW_MS, {"country": "DE"}), "bob": (2, NOW_MS, {"country": "DE"})})
    board.play({"ann": (1, NOW_MS + 1, {"country": "FR"})})
    board.play({"bob": (5, NOW_MS + 1, {})})
    board.play({"ann": (9, NOW_MS - 1, {"country": "IT", "platform": "pc"})})

    found = {value: [one.user_id for one in board.carrying(value).entries] for value in ("DE", "FR", "IT")}
    assert found == {"DE": ["bob"], "FR": ["ann"], "IT": []}
    assert [one.user_id for one in board.carrying("pc", "platform").entries] == ["ann"]


def test_an_attribute_that_is_no_filter_is_refused_by_its_name(redis: Redis) -> None:
    board = Labelled(redis, plain())
    with pytest.raises(UnknownFilter, match="its filters are country, platform") as raised:
        board.carrying("x", "guild")
    assert raised.value.field == "attr.guild"


def test_a_filtered_page_is_one_command_and_counts_no_more_the_deeper_it_is(redis: Redis) -> None:
    board = Labelled(redis, plain())
    for start in range(0, 4_000, 500):
        users = range(start, start + 500)
        board.play({f"u{at}": (at % 50, NOW_MS, {"country": "DE" if at % 2 else "FR"}) for at in users})
    board.carrying("DE", limit=10)
    calls = []
    for offset in (1, 1_900):
        redis.config_resetstat()
        assert len(board.carrying("DE", limit=10, offset=offset).entries) == 10
        stats: Any = redis.info("commandstats")
        calls.append({name: one["calls"] for name, one in stats.items() if name != "cmdstat_config|resetstat"})

    assert calls[0]["cmdstat_evalsha"] == 1
    assert {name: count for name, count in calls[0].items() if name != "cmdstat_zcount"} == {
        name: count for name, count in calls[1].items() if name != "cmdstat_zcount"
    }
    assert sum(calls[1].values()) < 50


def test_a_leaderboard_without_filters_costs_what_it_did(redis: Redis) -> None:
    """Bytes of a field, keys, and commands of the script, as counted before there were filters."""
    live = WindowCache(redis)
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    live.apply(leaderboard, {"warm": {Day(20_000): Standing(1, 1, 1, version=1)}}, 1)
    redis.delete(*redis.keys("lb:{cup}:2:*"), "nothing")
    redis.config_resetstat()

    live.apply(leaderboard, {"ann": {MONDAY: Standing(5, NOW_MS, 1, version=1)}}, NOW_MS)

    stats: Any = redis.info("commandstats")
    counted = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items() if "config" not in name}
    once = dict.fromkeys(("evalsha", "type", "hlen", "hgetall", "time", "hmget", "get"), 1)
    of_keys = {"pexpiretime": 5, "pexpireat": 5}
    assert counted == {**once, "zadd": 2, "hincrby": 2, "hset": 3, **of_keys}
    assert redis.hstrlen(keys.parts("cup", daily(MONDAY)), "ann") == 12
    assert len(redis.keys("lb:{cup}:2:*")) == 5


@pytest.mark.parametrize("filters", [1, FILTERS_MAX])
def test_a_batch_of_any_size_is_one_command_for_each_250_players(redis: Redis, filters: int) -> None:
    names = tuple(f"f{number}" for number in range(filters))
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, filters=names)
    live, queries = WindowCache(redis), WindowSearches(WindowCache(redis))
    rounds = []
    for version, value in enumerate(("DE", LONG), start=1):
        event = ScoreEvent("e", "cup", "u", version, NOW_MS, dict.fromkeys(names, value))
        standing = replace(add(Aggregation.SUM, Order.DESC, None, event, names), version=version)
        rounds.append({f"u{number}": {ALL_TIME_DAY: standing} for number in range(1_300)})
    live.apply(leaderboard, rounds[0], NOW_MS)
    redis.config_resetstat()

    assert live.apply(leaderboard, rounds[1], NOW_MS) == 1_300

    stats: Any = redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 6
    for name in names:
        found = [
            queries.select(leaderboard, ALL_TIME, Selection(limit=1, label=(name, value)), NOW_MS)
            for value in ("DE", LONG)
        ]
        assert [run.stop for run in found] == [0, 1_300]


DAYS = [Day(MONDAY + offset) for offset in (-1, 0, 2, 6, 7)]
FAR_MS = (MONDAY + 300) * DAY_MS
RANGE = custom(DAYS[0], DAYS[2])
event = st.tuples(
    st.sampled_from(["ann", "bob", "ann2"]),
    st.sampled_from(DAYS),
    st.integers(0, 2),
    st.integers(-3, 3),
    st.dictionaries(st.sampled_from(FILTERS), st.sampled_from(["DE", "", LONG])),
)
act = st.tuples(
    st.sampled_from(["disqualify", "disqualify", "reinstate"]),
    st.sampled_from(["ann", "bob"]),
    st.none() | st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map(sorted),
)


@hypothesis_settings(max_examples=150)
@given(
    aggregation=st.sampled_from(Aggregation),
    order=st.sampled_from(Order),
    events=st.lists(event, min_size=1, max_size=25),
    log=st.lists(act, max_size=6),
    rng=st.randoms(use_true_random=False),
)
def test_any_order_repetition_and_batching_of_versions_ends_with_the_newest_labels(
    redis: Redis,
    aggregation: Aggregation,
    order: Order,
    events: list[tuple[str, Day, int, int, dict[str, str]]],
    log: list[tuple[str, str, list[Day] | None]],
    rng: random.Random,
) -> None:
    redis.flushall()
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=aggregation, order=order, filters=FILTERS)
    reference = oracle.Oracle({"cup": {"aggregation": str(aggregation), "order": str(order)}})
    reference.audit_log = {"cup": [(kind, user, *(run or ())) for kind, user, run in log]}
    live = WindowCache(redis)
    BuildLeases(live).begin_window("cup", RANGE, "token", NOW_MS, FAR_MS)
    newest: dict[tuple[str, Day], Standing] = {}
    history: list[tuple[str, Day, Standing]] = []
    for number, (user, day, ms, points, attributes) in enumerate(events):
        fact = ScoreEvent(f"e-{(number * 7) % 25:02}", "cup", user, points, day * DAY_MS + ms, attributes)
        reference.facts.setdefault(("cup", user), []).append(
            oracle.Fact(fact.event_id, points, fact.occurred_at_ms, tuple(attributes.items()))
        )
        for of in (day, ALL_TIME_DAY):
            standing = add(aggregation, order, newest.get((user, of)), fact, FILTERS)
            newest[user, of] = replace(standing, version=standing.version + 1)
            history.append((user, of, newest[user, of]))
    deliveries = [*range(len(history)), *rng.sample(range(len(history)), len(history) // 2)]
    rng.shuffle(deliveries)

    committed, done = 0, 0
    told = sorted(rng.randrange(len(deliveries) + 1) for _ in log)
    for step in range(len(deliveries) + 1):
        while done < len(log) and told[done] == step:  # as Disqualifications.apply does it
            done += 1
            out, player = disqualified(log[:done]), log[done - 1][1]
            live.show_disqualified("cup", out)
            committed = rng.randint(committed, len(history))
            known = {day: standing for user, day, standing in history[:committed] if user == player}
            live.apply(leaderboard, {player: with_all_days(known) if player in out.days else known}, NOW_MS)
        if step < len(deliveries):
            committed = max(committed, deliveries[step] + 1)
            user, day, standing = history[deliveries[step]]
            live.apply(leaderboard, {user: {day: standing}}, NOW_MS)

    for window in (daily(MONDAY), weekly(MONDAY), weekly(DAYS[0]), RANGE, ALL_TIME):
        days = (None, None) if window == ALL_TIME else (to_date(window.first), to_date(window.last))
        lines = live.page(leaderboard, window, 0, 9, NOW_MS).lines
        assert [(user, one.points, one.reached_at_ms) for user, one in lines] == [
            (one.user_id, one.score, one.reached_at_ms) for one in reference.ranking("cup", *days)
        ]
        assert shown(live, leaderboard, window) == expected(reference, *days)
        total = live.labels(leaderboard, window, 0, 1, NOW_MS).total
        assert total == sum(map(len, shown(live, leaderboard, window).values()))


@pytest.mark.parametrize("versions", [(1, 2), (2, 1), (2, 1, 2), (1, 2, 1)])
def test_a_day_of_who_was_out_for_some_days_keeps_the_labels_of_its_newest_version(
    redis: Redis, versions: tuple[int, ...]
) -> None:
    live = WindowCache(redis)
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, filters=FILTERS)
    live.show_disqualified("cup", disqualified([("disqualify", "ann", [DAYS[-1], DAYS[-1]])]))
    for version in versions:
        one = ScoreEvent("e", "cup", "ann", version, MONDAY * DAY_MS, {"country": ("DE", "FR")[version - 1]})
        standing = replace(add(Aggregation.SUM, Order.DESC, None, one, FILTERS), version=version)
        live.apply(leaderboard, {"ann": {MONDAY: standing}}, NOW_MS)

    for window in (daily(MONDAY), weekly(MONDAY)):
        assert shown(live, leaderboard, window) == {("country", "FR"): [(1, "ann", 2)]}
        assert live.labels(leaderboard, window, 0, 9, NOW_MS).total == 1


def disqualified(log: Sequence[tuple[str, str, list[Day] | None]]) -> Disqualified:
    """Who is disqualified after the entries of a log."""
    return Disqualified().after(
        AuditEntry(
            number=number,
            kind=AuditAction(kind),
            actor="admin",
            reason="why",
            at_ms=0,
            user_id=user,
            first_day=run[0] if run else None,
            last_day=run[1] if run else None,
        )
        for number, (kind, user, run) in enumerate(log, start=1)
    )


Carriers = dict[tuple[str, str], list[tuple[int, str, int]]]
"""(filter, value) → rank, user and score."""


def shown(cache: WindowCache, leaderboard: Leaderboard, window: Window) -> Carriers:
    queries = WindowSearches(cache)
    found = {}
    for label in ((name, value) for name in leaderboard.filters for value in ("DE", "FR", "", LONG)):
        run = queries.select(leaderboard, window, Selection(limit=1_000, label=label), NOW_MS)
        if run.found:
            found[label] = [(one.index + 1, one.user_id, one.score.points) for one in run.found]
    return found


def expected(reference: oracle.Oracle, first: date | None = None, last: date | None = None) -> Carriers:
    return {
        (name, value): [(one.rank, one.user_id, one.score) for one in entries]
        for name in FILTERS
        for value, entries in reference.carriers("cup", name, first, last).items()
    }


def test_labels_go_when_their_window_goes(redis: Redis) -> None:
    live = WindowCache(redis)
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, filters=FILTERS)
    one = ScoreEvent("e", "cup", "ann", 1, MONDAY * DAY_MS, {"country": "DE"})
    standing = replace(add(Aggregation.SUM, Order.DESC, None, one, FILTERS), version=1)
    builds = BuildLeases(live)
    _, build = builds.begin_window("cup", RANGE, "token", NOW_MS, FAR_MS)
    live.apply(leaderboard, {"ann": {MONDAY: standing, ALL_TIME_DAY: standing}}, MONDAY * DAY_MS)
    for window in (daily(MONDAY), weekly(MONDAY), RANGE, ALL_TIME):
        expiries = {redis.pexpiretime(key) for key in keys.own("cup", window)}
        assert len(expiries) == 1, window.id

    assert builds.finish_window(leaderboard, RANGE, build)
    builds.extend(leaderboard, RANGE, FAR_MS + 1)
    assert redis.pexpiretime(keys.labels("cup", RANGE.id)) == FAR_MS + 1
    live.withdraw(leaderboard, RANGE, MONDAY * DAY_MS)
    assert not redis.exists(keys.labels("cup", RANGE.id))


@pytest.fixture
def labelled(
    dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    """A leaderboard with filters; everybody of Monday but cat carries a country."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    scene = Scene(dynamodb, redis, s3, leaderboard_id, FILTERS)
    scene.play("ann", 0, country="DE", guild="any")
    scene.play("bob", 0, country="FR")
    return scene


def carriers_of(scene: Scene, window: Window, *values: str) -> list[list[str]]:
    found = shown(scene.cache, scene.leaderboard, window)
    return [[user for _, user, _ in found.get(("country", value), [])] for value in values]


def test_labels_survive_the_cache_and_a_range_that_nobody_registered_has_its_own(labelled: Scene) -> None:
    labelled.play("ann", 1, Day(MONDAY + 1), country="FR")
    before = custom(Day(MONDAY - 2), MONDAY)

    labelled.redis.flushall()
    assert labelled.builder.rebuild_leaderboard(labelled.leaderboard) is RebuildOutcome.DONE
    assert labelled.builder.rebuild_window(labelled.leaderboard, before)

    assert carriers_of(labelled, before, "DE", "FR") == [["ann"], ["bob"]]
    assert carriers_of(labelled, weekly(MONDAY), "DE", "FR") == [[], ["bob", "ann"]]
    assert carriers_of(labelled, ALL_TIME, "DE", "FR") == [[], ["bob", "ann"]]
    assert day_of(labelled.now_ms) > MONDAY


def test_a_disqualified_player_carries_no_label_until_reinstated_and_then_the_latest(
    labelled: Scene,
) -> None:
    board = labelled.leaderboard
    labelled.disqualifications.disqualify(board, "ann", "admin", "why")
    assert carriers_of(labelled, weekly(MONDAY), "DE", "FR") == [[], ["bob"]]
    labelled.play("ann", 1, country="FR")
    assert carriers_of(labelled, weekly(MONDAY), "DE", "FR") == [[], ["bob"]]

    labelled.disqualifications.reinstate(board, "ann", "admin", "why not")

    assert carriers_of(labelled, weekly(MONDAY), "DE", "FR") == [[], ["bob", "ann"]]


def test_a_day_becomes_final_with_its_labels_compared(labelled: Scene) -> None:
    assert not labelled.run().blocked
    assert [user for _, user, _ in labelled.stored(daily(MONDAY)) or ()] == ["bob", "cat", "ann"]


@pytest.mark.parametrize("harm", ["one", "all"])
def test_labels_that_were_lost_are_back_before_a_window_is_compared(labelled: Scene, harm: str) -> None:
    key = keys.labels(labelled.id, daily(MONDAY).id)
    if harm == "all":
        labelled.redis.delete(key)
    else:
        labelled.redis.zremrangebyrank(key, 0, 0)

    assert not labelled.run().blocked

    assert carriers_of(labelled, daily(MONDAY), "DE", "FR") == [["ann"], ["bob"]]


@pytest.mark.parametrize("harm", ["too many", "at another score"])
def test_labels_that_the_truth_does_not_know_block_until_the_window_is_rebuilt(labelled: Scene, harm: str) -> None:
    key = keys.labels(labelled.id, daily(MONDAY).id)
    members: Any = labelled.redis.zrange(key, 0, -1)
    first: bytes = members[0]
    if harm == "too many":
        labelled.redis.zadd(key, {first + b"ghost": 0})
    else:
        labelled.redis.zrem(key, first)
        labelled.redis.zadd(key, {first[:11] + b"\0" + first[12:]: 0})

    assert cause_of(labelled.run(), daily(MONDAY)) is Cause.DRIFT
    assert labelled.stored(daily(MONDAY)) is None

    labelled.builder.rebuild_leaderboard(labelled.leaderboard)
    assert not labelled.run().blocked
    assert len(labelled.stored(daily(MONDAY)) or ()) == len(RANKING)
    assert carriers_of(labelled, daily(MONDAY), "DE", "FR") == [["ann"], ["bob"]]


def test_a_definition_that_was_read_before_its_filters_changed_builds_nothing_by_it(labelled: Scene) -> None:
    """As a function may have it in memory for some seconds after the first event."""
    stale = replace(labelled.leaderboard, has_events=False, filters=(), order=Order.ASC, shards=16)
    labelled.redis.flushall()

    assert labelled.builder.rebuild_leaderboard(stale) is RebuildOutcome.DONE
    assert labelled.builder.rebuild_window(stale, custom(MONDAY, MONDAY))

    for window in (daily(MONDAY), ALL_TIME, custom(MONDAY, MONDAY)):
        assert carriers_of(labelled, window, "DE", "FR") == [["ann"], ["bob"]]
        page = labelled.cache.page(labelled.leaderboard, window, 0, 10, labelled.now_ms)
        assert [user for user, _ in page.lines] == ["bob", "cat", "ann"]
