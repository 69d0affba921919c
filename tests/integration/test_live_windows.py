"""The apply script and the reads against a real Redis."""

import random
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace
from redis import Redis
from redis.exceptions import ResponseError

from shared.cache import keys
from shared.cache.leases import LEASE_MS, BuildLeases, Grant, LeaseLost, RebuildState
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.calendar import (
    ALL_TIME,
    ALL_TIME_DAY,
    DAY_MS,
    EXPIRY_MARGIN_MS,
    RETENTION_MS,
    Day,
    Window,
    custom,
    daily,
    expires_ms,
    is_kept,
    kept_until_ms,
    parse_day,
    weekly,
)
from shared.domain.events import POINTS_MAX
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.selections import Selection
from shared.domain.snapshots import snapshot_of
from shared.domain.standings import Score, Standing

MONDAY = parse_day("2099-01-05")
NOW_MS = MONDAY * DAY_MS + 3_600_000
HOUR_MS = 3_600_000
FAR_MS = parse_day("2099-12-31") * DAY_MS
"""An expiry that Redis, whose clock is the real one, does not reach."""


def board(aggregation: Aggregation = Aggregation.SUM, order: Order = Order.DESC) -> Leaderboard:
    return Leaderboard(id="cup", name="Cup", aggregation=aggregation, order=order)


def standing(points: int, reached_at_ms: int = NOW_MS, version: int = 1, cancelled: int = 0) -> Standing:
    return Standing(points, reached_at_ms, 1, absolute_sum=abs(points) + cancelled, version=version)


@pytest.fixture
def cache(redis: Redis) -> WindowCache:
    return WindowCache(redis)


def lines(cache: WindowCache, leaderboard: Leaderboard, window: Window) -> list[tuple[str, int, int]]:
    page = cache.page(leaderboard, window, 0, 100_000, NOW_MS)
    assert page.total == len(page.lines)
    return [(user_id, score.points, score.reached_at_ms) for user_id, score in page.lines]


def test_a_standing_shows_in_every_window_its_bucket_feeds(cache: WindowCache) -> None:
    cache.apply(board(), {"ann": {MONDAY: standing(5), ALL_TIME_DAY: standing(9)}}, NOW_MS)

    assert lines(cache, board(), daily(MONDAY)) == [("ann", 5, NOW_MS)]
    assert lines(cache, board(), weekly(MONDAY)) == [("ann", 5, NOW_MS)]
    assert lines(cache, board(), ALL_TIME) == [("ann", 9, NOW_MS)]
    assert lines(cache, board(), daily(Day(MONDAY + 1))) == []


def test_applying_twice_changes_nothing_not_even_the_revision(cache: WindowCache) -> None:
    standings = {"ann": {MONDAY: standing(5)}, "bob": {MONDAY: standing(7)}}
    first = cache.apply(board(), standings, NOW_MS)
    before = cache.page(board(), daily(MONDAY), 0, 10, NOW_MS)

    second = cache.apply(board(), standings, NOW_MS)

    assert (first, second) == (4, 0)
    assert cache.page(board(), daily(MONDAY), 0, 10, NOW_MS) == before


def test_an_older_version_never_replaces_a_newer_one(cache: WindowCache) -> None:
    cache.apply(board(), {"ann": {MONDAY: standing(5, version=2)}}, NOW_MS)

    cache.apply(board(), {"ann": {MONDAY: standing(99, version=1)}}, NOW_MS)

    assert lines(cache, board(), daily(MONDAY)) == [("ann", 5, NOW_MS)]


def test_the_revision_grows_with_every_change_and_across_a_flush(cache: WindowCache, redis: Redis) -> None:
    revisions = []
    for version in (1, 2):
        cache.apply(board(), {"ann": {MONDAY: standing(version, version=version)}}, NOW_MS)
        revisions.append(cache.page(board(), daily(MONDAY), 0, 1, NOW_MS).revision)
    redis.flushall()
    cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS)
    revisions.append(cache.page(board(), daily(MONDAY), 0, 1, NOW_MS).revision)

    assert revisions == sorted(set(revisions))
    assert revisions[0] > 0


@pytest.mark.parametrize("order", Order)
def test_scores_are_exact_at_the_ends_of_their_range(cache: WindowCache, order: Order) -> None:
    scores = {"a": POINTS_MAX, "b": POINTS_MAX - 1, "c": -POINTS_MAX, "d": 1 - POINTS_MAX, "e": 0, "f": 1, "g": -1}
    cache.apply(board(order=order), {user: {MONDAY: standing(points)} for user, points in scores.items()}, NOW_MS)

    for window in (daily(MONDAY), weekly(MONDAY)):
        shown = [(user, points) for user, points, _ in lines(cache, board(order=order), window)]
        assert shown == sorted(scores.items(), key=lambda one: one[1], reverse=order is Order.DESC)


def test_a_week_of_sums_is_exact_at_the_ends_of_the_range(cache: WindowCache) -> None:
    days = {Day(MONDAY + 1): standing(1, NOW_MS + 5), MONDAY: standing(POINTS_MAX - 1)}
    cache.apply(board(), {"ann": days}, NOW_MS)

    assert lines(cache, board(), weekly(MONDAY)) == [("ann", POINTS_MAX, NOW_MS + 5)]


@pytest.mark.parametrize("order", Order)
def test_equal_scores_rank_by_the_millisecond_then_by_the_bytes_of_the_user_id(
    cache: WindowCache, order: Order
) -> None:
    users = {"zoe": 0, "Zoe": 1, "ann": 1, "ånn": 1, "\U0001f600": 1, "\uffff": 1, "bob": 2}
    standings = {user: {MONDAY: standing(3, NOW_MS + later)} for user, later in users.items()}

    cache.apply(board(order=order), standings, NOW_MS)

    shown = [user for user, _, _ in lines(cache, board(order=order), daily(MONDAY))]
    assert shown == ["zoe", "Zoe", "ann", "ånn", "\uffff", "\U0001f600", "bob"]


def test_ten_thousand_players_on_one_score_have_one_order(cache: WindowCache) -> None:
    rng = random.Random(7)
    reached = {f"player-{number}": NOW_MS + rng.randrange(50) for number in range(10_000)}
    users = list(reached)
    rng.shuffle(users)
    for start in range(0, len(users), 1_234):
        chunk = users[start : start + 1_234]
        cache.apply(board(), {user: {MONDAY: standing(42, reached[user])} for user in chunk}, NOW_MS)

    expected = sorted(reached, key=lambda user: (reached[user], user.encode()))
    assert [user for user, _, _ in lines(cache, board(), daily(MONDAY))] == expected
    for position in (0, 4_999, 9_999):
        found = cache.player(board(), daily(MONDAY), expected[position], 1, NOW_MS)
        assert found.index == position
        around = expected[max(0, position - 1) : position + 2]
        assert [user for user, _ in found.page.lines] == around


def test_a_player_who_is_not_in_the_window_has_no_position(cache: WindowCache) -> None:
    cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS)

    assert cache.player(board(), daily(MONDAY), "bob", 5, NOW_MS).index is None


def test_a_read_takes_one_command(cache: WindowCache, redis: Redis) -> None:
    cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS)
    cache.page(board(), daily(MONDAY), 0, 10, NOW_MS)
    cache.player(board(), daily(MONDAY), "ann", 1, NOW_MS)
    redis.config_resetstat()

    cache.page(board(), daily(MONDAY), 0, 10, NOW_MS)
    cache.player(board(), daily(MONDAY), "ann", 1, NOW_MS)

    stats: Any = redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 2
    assert "cmdstat_eval" not in stats
    assert "cmdstat_script|load" not in stats


def test_a_batch_for_three_windows_takes_one_command_for_each_250_players(cache: WindowCache, redis: Redis) -> None:
    cache.apply(board(), {"warm": {MONDAY: standing(1)}}, NOW_MS)
    redis.config_resetstat()

    standings = {f"u{number}": {MONDAY: standing(1), ALL_TIME_DAY: standing(1)} for number in range(1_500)}
    assert cache.apply(board(), standings, NOW_MS) == 4_500

    stats: Any = redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 6


def test_a_window_past_its_use_is_not_revived_by_a_late_standing(cache: WindowCache, redis: Redis) -> None:
    gone_ms = expires_ms(daily(MONDAY), board().lateness_ms)
    assert gone_ms == (MONDAY + 1) * DAY_MS + board().lateness_ms + RETENTION_MS + EXPIRY_MARGIN_MS
    assert not is_kept(daily(MONDAY), board().lateness_ms, gone_ms - EXPIRY_MARGIN_MS), (
        "before Redis, whatever its clock says"
    )

    cache.apply(board(), {"ann": {MONDAY: standing(1)}}, gone_ms)

    assert lines(cache, board(), daily(MONDAY)) == []
    assert redis.exists(keys.ranking("cup", daily(MONDAY).id), keys.state("cup", daily(MONDAY).id)) == 0


def test_windows_expire_and_all_time_does_not(cache: WindowCache, redis: Redis) -> None:
    cache.apply(board(), {"ann": {MONDAY: standing(1), ALL_TIME_DAY: standing(1)}}, NOW_MS)

    for key in (keys.ranking, keys.state):
        day, week = (expires_ms(window, board().lateness_ms) for window in (daily(MONDAY), weekly(MONDAY)))
        assert redis.pexpiretime(key("cup", daily(MONDAY).id)) == day
        assert redis.pexpiretime(key("cup", weekly(MONDAY).id)) == week
        assert redis.pttl(key("cup", ALL_TIME.id)) == -1
    assert redis.pexpiretime(keys.parts("cup", daily(MONDAY))) == week, "its store lives as long as all that share it"


def test_a_range_is_fed_from_when_its_build_begins_until_it_expires(cache: WindowCache) -> None:
    window = custom(MONDAY, Day(MONDAY + 1))
    cache.apply(board(), {"early": {MONDAY: standing(1)}}, NOW_MS)
    BuildLeases(cache).begin_window("cup", window, "token", NOW_MS, FAR_MS)

    cache.apply(board(), {"ann": {MONDAY: standing(2)}, "out": {Day(MONDAY + 2): standing(3)}}, NOW_MS)
    assert lines(cache, board(), window) == [("ann", 2, NOW_MS)]

    cache.apply(board(), {"late": {MONDAY: standing(9)}}, FAR_MS)
    assert "late" not in [user for user, _, _ in lines(cache, board(), window)]


def test_a_window_is_complete_only_if_nothing_was_flushed_while_it_was_built(cache: WindowCache, redis: Redis) -> None:
    window, builds = custom(MONDAY, MONDAY), BuildLeases(cache)
    _, build = builds.begin_window("cup", window, "one", NOW_MS, FAR_MS)
    redis.flushall()
    assert not builds.finish_window(board(), window, build)
    assert not cache.page(board(), window, 0, 1, NOW_MS).complete

    _, following = builds.begin_window("cup", window, "two", NOW_MS, FAR_MS)
    assert not builds.finish_window(board(), window, build)
    assert builds.finish_window(board(), window, following)
    assert cache.page(board(), window, 0, 1, NOW_MS).complete
    assert builds.begin_window("cup", window, "three", NOW_MS, FAR_MS)[0] is Grant.BUILT


def test_kept_windows_are_complete_only_if_nothing_was_flushed_during_the_rebuild(
    cache: WindowCache, redis: Redis
) -> None:
    builds = BuildLeases(cache)
    _, build = builds.begin_rebuild(board(), "one", NOW_MS)
    redis.flushall()
    assert not builds.finish_rebuild(board(), build)
    assert not cache.page(board(), ALL_TIME, 0, 1, NOW_MS).complete

    _, following = builds.begin_rebuild(board(), "two", NOW_MS)
    assert builds.finish_rebuild(board(), following)
    assert cache.page(board(), ALL_TIME, 0, 1, NOW_MS).complete


def test_one_rebuild_of_a_leaderboard_is_under_way_at_a_time(cache: WindowCache) -> None:
    """However often it is asked for: one that takes longer than the schedule's period would never end."""
    builds = BuildLeases(cache)
    _, build = builds.begin_rebuild(board(), "one", NOW_MS)

    assert builds.begin_rebuild(board(), "two", NOW_MS + LEASE_MS - 1)[0] is Grant.HELD
    builds.renew(build, NOW_MS + LEASE_MS - 1)
    assert builds.begin_rebuild(board(), "two", NOW_MS + 2 * LEASE_MS - 2)[0] is Grant.HELD

    assert builds.begin_rebuild(board(), "two", NOW_MS + 2 * LEASE_MS)[0] is Grant.GRANTED
    with pytest.raises(LeaseLost):
        builds.renew(build, NOW_MS + 2 * LEASE_MS)


def test_a_fill_that_is_gone_shows_at_the_next_one(cache: WindowCache, redis: Redis) -> None:
    _, build = BuildLeases(cache).begin_rebuild(board(), "one", NOW_MS)
    cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS, build)
    redis.hset(build.key, "\0fills", "0")  # as a replica has it that the last write did not reach

    with pytest.raises(LeaseLost):
        cache.apply(board(), {"bob": {MONDAY: standing(1)}}, NOW_MS, build)


def test_a_marker_of_a_shorter_lateness_does_not_stand_for_what_has_gone_by_it(cache: WindowCache) -> None:
    shorter, longer = (replace(board(), lateness_ms=lateness_ms) for lateness_ms in (0, DAY_MS))
    builds = BuildLeases(cache)
    _, build = builds.begin_rebuild(longer, "one", NOW_MS)
    assert builds.finish_rebuild(longer, build)
    assert cache.is_complete(longer)

    cache.apply(shorter, {"ann": {MONDAY: standing(1)}}, NOW_MS)

    assert cache.is_complete(shorter)
    assert not cache.is_complete(longer)
    gone_ms = (MONDAY + 1) * DAY_MS + RETENTION_MS
    shown = {now_ms: cache.page(longer, daily(MONDAY), 0, 1, now_ms).complete for now_ms in (gone_ms - 1, gone_ms)}
    assert shown == {gone_ms - 1: True, gone_ms: False}
    assert cache.page(longer, ALL_TIME, 0, 1, gone_ms).complete


def test_a_longer_lateness_keeps_a_window_longer_without_another_write(cache: WindowCache, redis: Redis) -> None:
    shorter, longer = (replace(board(), lateness_ms=lateness_ms) for lateness_ms in (0, DAY_MS))
    for leaderboard in (shorter, longer, shorter):  # a function that is warm may go by the one before
        cache.apply(leaderboard, {"ann": {MONDAY: standing(1)}}, NOW_MS)

    for key in (keys.ranking, keys.state):
        expires = redis.pexpiretime(key("cup", daily(MONDAY).id))
        assert expires == expires_ms(daily(MONDAY), longer.lateness_ms)


def test_a_day_of_no_points_does_not_move_when_a_window_was_reached(cache: WindowCache) -> None:
    """In whatever order the days come, and while there are only such days, the earliest event counts."""
    days = {
        Day(MONDAY): standing(0, 10),
        Day(MONDAY + 1): standing(0, 30),
        Day(MONDAY + 2): standing(0, 20, cancelled=10),
        Day(MONDAY + 3): standing(7, 15),
        Day(MONDAY + 4): standing(0, 40),
    }

    for number, order in enumerate(permutations(days)):
        so_far: list[Standing] = []
        for day in order:
            cache.apply(board(), {f"u{number}": {day: days[day]}}, NOW_MS)
            so_far.append(days[day])
            others = [one.reached_at_ms for one in so_far if one.absolute_sum]
            expected = max(others) if others else min(one.reached_at_ms for one in so_far)
            shown = {user: reached_at_ms for user, _, reached_at_ms in lines(cache, board(), weekly(MONDAY))}
            assert shown[f"u{number}"] == expected


DAYS = [Day(MONDAY + offset) for offset in (-1, 0, 2, 6, 7)]
RANGE = custom(DAYS[0], DAYS[2])
update = st.tuples(
    st.sampled_from(["ann", "bob", "cat", "ann2"]),
    st.sampled_from(range(len(DAYS))),
    st.integers(-3, 3),
    st.integers(0, 2),
    st.sampled_from([0, 2]),
)
"""User, day, points, time, and points that cancelled out."""


@hypothesis_settings(max_examples=150)
@given(
    aggregation=st.sampled_from(Aggregation),
    order=st.sampled_from(Order),
    updates=st.lists(update, min_size=1, max_size=25),
    begins_ms=st.sampled_from([0, -14 * HOUR_MS, 36 * HOUR_MS]),
    random_module=st.randoms(use_true_random=False),
)
def test_any_order_repetition_and_batching_of_versions_ends_in_the_newest_of_each(
    redis: Redis,
    aggregation: Aggregation,
    order: Order,
    updates: list[tuple[str, int, int, int, int]],
    begins_ms: int,
    random_module: random.Random,
) -> None:
    redis.flushall()
    cache, leaderboard = WindowCache(redis), board(aggregation, order)
    BuildLeases(cache).begin_window("cup", RANGE, "token", NOW_MS, FAR_MS)
    newest: dict[tuple[str, Day], Standing] = {}
    history: list[tuple[str, Day, Standing]] = []
    for user, day_index, points, later, cancelled in updates:
        day = DAYS[day_index]
        version = newest[user, day].version + 1 if (user, day) in newest else 1
        newest[user, day] = standing(points, day * DAY_MS + begins_ms + later, version, cancelled)
        history.append((user, day, newest[user, day]))
    deliveries = history + random_module.sample(history, len(history) // 2)
    random_module.shuffle(deliveries)

    while deliveries:
        batch, deliveries = deliveries[:3], deliveries[3:]
        standings: dict[str, dict[Day, Standing]] = {}
        for user, day, one in batch:
            if day in standings.get(user, {}):
                deliveries.append((user, day, one))
            else:
                standings.setdefault(user, {})[day] = one
        cache.apply(leaderboard, standings, NOW_MS)

    for window in (daily(MONDAY), weekly(MONDAY), weekly(DAYS[0]), RANGE):
        assert lines(cache, leaderboard, window) == expected_lines(leaderboard, window, newest)


def expected_lines(
    leaderboard: Leaderboard, window: Window, newest: dict[tuple[str, Day], Standing]
) -> list[tuple[str, int, int]]:
    """The ranking by plain words, apart from the product's fold and order."""
    by_user: dict[str, list[tuple[Day, Standing]]] = {}
    for (user, day), one in newest.items():
        if window.first <= day <= window.last:
            by_user.setdefault(user, []).append((day, one))
    highest_first = leaderboard.order is Order.DESC
    ranked = []
    for user, parts in by_user.items():
        points, reached_at_ms = expected_score(leaderboard.aggregation, highest_first, parts)
        ranked.append((-points if highest_first else points, reached_at_ms, user.encode(), user, points))
    return [(user, points, reached_at_ms) for _, reached_at_ms, _, user, points in sorted(ranked)]


def expected_score(
    aggregation: Aggregation, highest_first: bool, parts: Sequence[tuple[Day, Standing]]
) -> tuple[int, int]:
    if aggregation is Aggregation.SUM:
        zeros = [one.reached_at_ms for _, one in parts if one.absolute_sum == 0]
        others = [one.reached_at_ms for _, one in parts if one.absolute_sum != 0]
        return sum(one.points for _, one in parts), max(others) if others else min(zeros)
    if aggregation is Aggregation.LATEST:
        _, last = max(parts, key=lambda part: part[0])
        return last.points, last.reached_at_ms
    assert aggregation is Aggregation.BEST
    best = (max if highest_first else min)(one.points for _, one in parts)
    return best, min(one.reached_at_ms for _, one in parts if one.points == best)


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("total", [0, 1, 1_000, 1_001, 2_345])
def test_a_snapshot_has_the_top_and_even_samples_of_the_rest(cache: WindowCache, order: Order, total: int) -> None:
    standings = {f"u{number}": {ALL_TIME_DAY: standing(number % 700, number)} for number in range(total)}
    for chunk in (dict(list(standings.items())[at : at + 500]) for at in range(0, total, 500)):
        cache.apply(board(order=order), chunk, NOW_MS)
    ranked = cache.page(board(order=order), ALL_TIME, 0, total or 1, NOW_MS)

    complete, snapshot = cache.snapshot(board(order=order), ALL_TIME, NOW_MS)

    assert not complete
    assert snapshot == snapshot_of(board(order=order), ranked.revision, NOW_MS, list(ranked.lines))


def test_no_revision_of_before_a_failover_is_ever_another_contents(cache: WindowCache, redis: Redis) -> None:
    """The replica lacks the last changes: what follows must not count on from there as they did."""
    cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS)
    key = keys.parts("cup", daily(MONDAY))
    kept = {name: redis.dump(name) for name in redis.scan_iter()}
    seen = {cache.revision(board(), daily(MONDAY))}
    for version in range(2, 50):
        cache.apply(board(), {"ann": {MONDAY: standing(version, version=version)}}, NOW_MS)
        seen.add(cache.revision(board(), daily(MONDAY)))
    redis.flushall()
    for name, dump in kept.items():
        assert dump is not None
        redis.restore(name, 0, dump)
    assert redis.exists(key)

    after = set()
    for version in range(2, 50):
        cache.apply(board(), {"bob": {MONDAY: standing(version, version=version)}}, NOW_MS)
        after.add(cache.revision(board(), daily(MONDAY)))

    assert len(after) == 48
    assert not after & seen


FORMER = "lb:{cup}:"
"""What keys began with before layout 2."""
RANGE = custom(MONDAY, Day(MONDAY + 1))


def former_layout(redis: Redis) -> None:
    """What functions before layout 2 hold of a leaderboard that they show."""
    redis.hset(f"{FORMER}disqualified", "\0audit", "1")
    redis.set(f"{FORMER}complete", "0")
    redis.hset(f"{FORMER}rebuild", "\0building", "one")
    redis.hset(f"{FORMER}ranges", RANGE.id, f"{MONDAY} {MONDAY + 1} {FAR_MS}")
    for window_id in (RANGE.id, "all-time"):
        redis.hset(f"{FORMER}h:{window_id}", "ann", "what it was")
        redis.zadd(f"{FORMER}z:{window_id}", {"ann": 1})


@pytest.mark.parametrize("by", ["an update", "a build", "a rebuild"])
def test_functions_of_the_layout_before_show_nothing_from_the_first_call_on(
    cache: WindowCache, redis: Redis, by: str
) -> None:
    former_layout(redis)

    match by:
        case "an update":
            cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS)
        case "a build":
            BuildLeases(cache).begin_window("cup", RANGE, "token", NOW_MS, FAR_MS)
        case _:
            BuildLeases(cache).begin_rebuild(board(), "token", NOW_MS)

    gone = ("complete", "rebuild", "ranges", f"h:{RANGE.id}", f"z:{RANGE.id}")
    assert not redis.exists(*(f"{FORMER}{name}" for name in gone))
    with pytest.raises(ResponseError, match="WRONGTYPE"):  # the first command of its apply script
        redis.hlen(f"{FORMER}disqualified")
    with pytest.raises(ResponseError, match="WRONGTYPE"):  # and of what its rebuild begins with
        redis.hget(f"{FORMER}disqualified", "\0audit")

    cache.forget_former_layout(board(), NOW_MS)
    assert redis.keys(f"{FORMER}[hzf]:*") == []


def test_what_the_layout_before_has_fed_meanwhile_is_complete_nowhere(cache: WindowCache, redis: Redis) -> None:
    """Who goes back to them has their `forget` remove what keeps them out (docs/deployment.md)."""
    leases = BuildLeases(cache)
    _, build = leases.begin_rebuild(board(), "one", NOW_MS)
    assert leases.finish_rebuild(board(), build)
    _, build = leases.begin_window("cup", RANGE, "token", NOW_MS, FAR_MS)
    assert leases.finish_window(board(), RANGE, build)
    searches = WindowSearches(cache)

    def shown() -> set[bool]:
        pages = [
            *(cache.page(board(), window, 0, 1, NOW_MS).complete for window in (ALL_TIME, RANGE)),
            *(cache.player(board(), window, "ann", 0, NOW_MS).page.complete for window in (ALL_TIME, RANGE)),
            *(cache.snapshot(board(), window, NOW_MS)[0] for window in (ALL_TIME, RANGE)),
            *(
                searches.select(board(), window, Selection(limit=1), NOW_MS).page.complete
                for window in (ALL_TIME, RANGE)
            ),
            *(searches.players(board(), window, ["ann"], NOW_MS).page.complete for window in (ALL_TIME, RANGE)),
            *(one.page.complete for one in searches.player_windows(board(), [ALL_TIME, RANGE], "ann", NOW_MS)),
            leases.rebuild_state(board(), NOW_MS)[0] is RebuildState.COMPLETE,
        ]
        return set(pages)

    assert shown() == {True}
    redis.unlink(f"{FORMER}disqualified")
    assert shown() == {False}
    former_layout(redis)
    assert shown() == {False}

    cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS)

    assert shown() == {False}
    assert not cache.is_complete(board())
    assert leases.begin_window("cup", RANGE, "token", NOW_MS, FAR_MS)[0] is Grant.GRANTED


@pytest.mark.parametrize("kept", [True, False])
def test_a_day_that_is_built_on_demand_brings_its_week_up_with_it(cache: WindowCache, kept: bool) -> None:
    """They share what they know of a player: the week must not stay with a member that nobody finds any more."""
    if kept:
        cache.apply(board(), {"ann": {MONDAY: standing(1)}}, NOW_MS)
    _, build = BuildLeases(cache).begin_window("cup", daily(MONDAY), "token", NOW_MS, FAR_MS)

    cache.fill(board(), daily(MONDAY), {"ann": {MONDAY: standing(2, NOW_MS + 1, 2)}}, NOW_MS, build=build)

    assert lines(cache, board(), daily(MONDAY)) == [("ann", 2, NOW_MS + 1)]
    assert lines(cache, board(), weekly(MONDAY)) == ([("ann", 2, NOW_MS + 1)] if kept else [])
    cache.apply(board(), {"ann": {MONDAY: standing(2, NOW_MS + 1, 2)}}, NOW_MS)
    assert lines(cache, board(), weekly(MONDAY)) == [("ann", 2, NOW_MS + 1)], "though its version was seen"


def test_a_window_that_lost_an_entry_has_it_back_with_a_version_that_was_seen(cache: WindowCache, redis: Redis) -> None:
    standings = {"ann": {MONDAY: standing(3)}, "bob": {MONDAY: standing(2), Day(MONDAY + 1): standing(4)}}
    cache.apply(board(), standings, NOW_MS)
    whole = {window: lines(cache, board(), window) for window in (daily(MONDAY), weekly(MONDAY))}
    redis.delete(keys.ranking("cup", daily(MONDAY).id))
    redis.zremrangebyrank(keys.ranking("cup", weekly(MONDAY).id), 0, 0)

    assert cache.apply(board(), standings, NOW_MS) == 3

    assert {window: lines(cache, board(), window) for window in whole} == whole
    assert cache.apply(board(), standings, NOW_MS) == 0


def test_a_store_lives_as_long_as_any_window_that_is_in_it(cache: WindowCache, redis: Redis) -> None:
    leases = BuildLeases(cache)
    for window in (daily(MONDAY), weekly(MONDAY)):
        _, build = leases.begin_window("cup", window, "token", NOW_MS, FAR_MS + window.first - window.last)
        cache.fill(board(), window, {"ann": {MONDAY: standing(2)}}, NOW_MS, build=build)
        assert leases.finish_window(board(), window, build)
    assert redis.pexpiretime(keys.parts("cup", daily(MONDAY))) == FAR_MS
    leases.extend(board(), weekly(MONDAY), FAR_MS + 9)
    assert redis.pexpiretime(keys.parts("cup", daily(MONDAY))) == FAR_MS + 9


def test_a_day_that_is_withdrawn_while_its_week_is_kept_leaves_it_what_it_knows(cache: WindowCache) -> None:
    of_week, of_day = kept_until_ms(weekly(MONDAY), 0), kept_until_ms(daily(MONDAY), 0)
    assert of_day is not None
    assert of_day < (of_week or 0)
    leaderboard = replace(board(), lateness_ms=0)
    cache.apply(leaderboard, {"ann": {MONDAY: standing(2)}}, NOW_MS)

    cache.withdraw(leaderboard, daily(MONDAY), of_day)
    assert lines(cache, leaderboard, daily(MONDAY)) == []
    assert lines(cache, leaderboard, weekly(MONDAY)) == [("ann", 2, NOW_MS)]
    assert cache.player(leaderboard, weekly(MONDAY), "ann", 1, NOW_MS).index == 0

    cache.withdraw(leaderboard, weekly(MONDAY), of_day)
    assert lines(cache, leaderboard, weekly(MONDAY)) == []
    assert cache.apply(leaderboard, {"ann": {MONDAY: standing(2)}}, NOW_MS) == 2, "nothing is known of her any more"


def test_a_player_is_found_in_every_window_of_a_week_of_many_days(cache: WindowCache, redis: Redis) -> None:
    """By what the store says: when a day was reached for the day, and when the sum was for the week."""
    days = [Day(MONDAY + number) for number in range(7)]
    reached = {day: day * DAY_MS + 1_000 * (7 - day + MONDAY) for day in days}
    cache.apply(board(), {"ann": {day: standing(1, at_ms) for day, at_ms in reached.items()}}, NOW_MS)
    cache.apply(board(), {"ann": {days[2]: standing(0, reached[days[2]], 2, cancelled=1)}}, NOW_MS)

    found = {window: cache.player(board(), window, "ann", 0, NOW_MS).page.lines for window in map(daily, days)}
    assert found == {daily(day): [("ann", Score(int(day != days[2]), at_ms))] for day, at_ms in reached.items()}
    assert cache.player(board(), weekly(MONDAY), "ann", 0, NOW_MS).page.lines == [("ann", Score(6, reached[days[6]]))]
    assert redis.hstrlen(keys.parts("cup", daily(MONDAY)), "ann") < 7 * 10 + 6
