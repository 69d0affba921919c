"""A cache that answers writes with errors: for one leaderboard, for want of memory, for what a reader had stored."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from infra.local.cache import cache_server
from infra.local.servers import free_port
from shared.assembly import now_ms
from shared.cache import keys
from shared.cache.connection import PROBE_EVERY_MS
from shared.cache.errors import CacheFull, CacheRefused
from shared.cache.leases import BuildLeases, LeaseLost
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, custom, daily, day_of, format_day, parse_day, weekly
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.selections import Selection
from shared.domain.standings import Standing
from shared.rebuild.anti_entropy import Repair
from shared.rebuild.requests import decode_request

Call = Callable[..., Any]
Score = Callable[..., None]
CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, has_events=True)


@pytest.fixture
def cup(call: Call, score: Score, leaderboard_id: str) -> str:
    """A leaderboard with a player."""
    assert call("put-leaderboard", body={"name": "Cup", "aggregation": "sum"}).status == 201
    score(("ann", 1))
    return leaderboard_id


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    """While Redis takes no write that needs memory."""
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


def shown(call: Call, query: str = "window=all-time") -> tuple[str, dict[str, int]]:
    """Source, and user → score."""
    answer = call("rankings", query=query)
    assert answer.status == 200, answer.json
    return answer.json["source"], {one["userId"]: one["score"] for one in answer.json["entries"]}


EDGES = [
    "window=daily&date=1970-01-01",
    "window=daily&date=2100-12-31",
    "window=weekly&date=1970-01-01",
    "window=weekly&date=1970-W01",
    "window=weekly&date=2100-12-31",
    "window=weekly&date=2100-W52",
    "window=custom&from=1970-01-01&to=1970-01-01",
    "window=custom&from=1970-01-01&to=1970-01-31",
    "window=custom&from=2100-12-01&to=2100-12-31",
    "window=custom&from=2100-12-31&to=2100-12-31",
    "window=custom&period=first-month",
    "window=custom&period=last-month",
]
OUTSIDE = {
    "window=daily&date=1969-12-31": "date",
    "window=daily&date=2101-01-01": "date",
    "window=weekly&date=1969-12-31": "date",
    "window=weekly&date=1969-W52": "date",
    "window=weekly&date=2101-01-01": "date",
    "window=weekly&date=2101-W01": "date",
    "window=custom&from=1969-12-31&to=1970-01-01": "from",
    "window=custom&from=2100-12-31&to=2101-01-01": "to",
}


@pytest.mark.parametrize("query", EDGES)
def test_a_read_at_an_edge_of_the_calendar_leaves_every_leaderboard_moving(
    call: Call, score: Score, cup: str, module: Any, query: str
) -> None:
    for name, first, last in (("first-month", "1970-01-01", "1970-01-31"), ("last-month", "2100-12-01", "2100-12-31")):
        path = f"/leaderboards/{cup}/periods/{name}"
        assert call("put-period", path=path, body={"name": name, "from": first, "to": last}).status == 201
    assert shown(call, query) == ("live", {})

    score(("ann", 2), ("bob", 9))

    assert shown(call) == ("live", {"bob": 9, "ann": 3})
    leaderboard = module.assembly.registry.leaderboard(cup)
    assert module.assembly.window_builder.reapply(leaderboard) == 0
    assert shown(call, query) == ("live", {})


@pytest.mark.parametrize(("query", "field"), OUTSIDE.items(), ids=list(OUTSIDE))
def test_a_window_outside_the_calendar_is_refused_by_the_name_of_its_field(
    call: Call, cup: str, query: str, field: str
) -> None:
    answer = call("rankings", query=query)

    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("stored", ["-3 x 99", "", "1 2", "nil"])
def test_a_range_that_cannot_be_read_goes_and_the_other_windows_go_on(
    call: Call, score: Score, cup: str, redis: Redis, stored: str
) -> None:
    today = format_day(day_of(now_ms()))
    query = f"window=custom&from={today}&to={today}"
    assert shown(call, query) == ("live", {"ann": 1})
    redis.hset(keys.ranges(cup), f"{today}..{today}", stored)

    score(("ann", 2))

    assert shown(call) == ("live", {"ann": 3})
    assert shown(call, query) == ("live", {"ann": 3}), "built anew, as nothing fed it"


def test_a_leaderboard_that_redis_answers_with_errors_says_so_and_ingest_goes_on(
    call: Call, score: Score, cup: str, redis: Redis, module: Any
) -> None:
    redis.delete(keys.parts(cup, ALL_TIME))
    redis.set(keys.parts(cup, ALL_TIME), "no hash")
    module.assembly.projector.take_refusals()

    score(("ann", 2), ("bob", 5))

    assert module.assembly.projector.take_refusals() == 1
    assert shown(call, "window=daily") == ("snapshot", {"bob": 5, "ann": 3})
    score(("bob", 5))
    with pytest.raises(CacheRefused):
        module.assembly.window_builder.rebuild_leaderboard(module.assembly.registry.leaderboard(cup))
    assert not redis.exists(keys.complete(cup)), "an apply that fails for good never leaves `live`"


def test_a_rebuild_that_is_ordered_heals_a_leaderboard_whatever_its_keys_hold(
    call: Call, score: Score, cup: str, redis: Redis, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[bytes] = []
    monkeypatch.setattr(module.assembly.repairs, "send", requests.extend)
    for key in (keys.parts(cup, ALL_TIME), keys.ranges(cup), keys.disqualified(cup), keys.rebuild(cup)):
        redis.delete(key)
        redis.set(key, "garbage")
    score(("ann", 2))
    requests.clear()

    assert call("rebuild", body={"reason": "frozen"}).status == 202
    repair(module).handle(decode_request(requests[0]))

    assert shown(call) == ("live", {"ann": 3})


def test_a_leaderboard_is_restored_only_once_redis_has_nothing_complete_of_before(
    call: Call, cup: str, redis: Redis, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash left ann out, and her record came again while the leaderboard was deleted, which shows it to nobody."""
    assert call("delete-leaderboard").status == 204
    today = day_of(now_ms())
    for window in (ALL_TIME, daily(today), weekly(today)):
        redis.delete(keys.ranking(cup, window.id), keys.parts(cup, window))

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("out of reach")

    body = {"name": "Cup", "aggregation": "sum"}
    with monkeypatch.context() as failing:
        failing.setattr(module.assembly.redis, "evalsha", fail)
        answer = call("put-leaderboard", body=body)
    assert (answer.status, answer.json.get("type")) == (503, "urn:leaderboards:problem:cache-unavailable")
    assert call("get-leaderboard").status == 404

    assert call("put-leaderboard", body=body).status == 201
    assert shown(call) == ("snapshot", {"ann": 1})


def test_what_one_leaderboards_cache_answers_keeps_no_other_waiting(
    call: Call, score: Score, cup: str, redis: Redis, module: Any
) -> None:
    """Anti-entropy tells of the one, and goes on with the others."""
    other = f"z-{cup}"
    path = f"/leaderboards/{other}"
    assert call("put-leaderboard", path=path, body={"name": "Other", "aggregation": "sum"}).status == 201
    redis.set(keys.disqualified(cup), "no hash")
    redis.delete(keys.complete(other))
    registry = module.assembly.registry
    mine = [registry.leaderboard(name) for name in (cup, other)]
    told: list[tuple[str, type[Exception]]] = []
    looking = repair(module, registry=type("Mine", (), {"leaderboards": lambda _self, *_, **__: mine})())

    looking.anti_entropy(lambda name, error: told.append((name, type(error))))

    assert told == [(cup, CacheRefused)]
    assert module.assembly.cache.is_complete(mine[1])
    assert not module.assembly.cache.is_complete(mine[0])


def repair(module: Any, **others: Any) -> Repair:
    """The API's parts as functions/repair has them."""
    assembly = module.assembly
    parts: dict[str, Any] = {
        "registry": assembly.registry,
        "leaderboards": assembly.leaderboards,
        "reads": assembly.reads,
        "cache": assembly.cache,
        "builder": assembly.window_builder,
        "on_demand": assembly.on_demand_builds,
        "snapshots": assembly.snapshots,
        "rounds": assembly.rounds,
        "now_ms": now_ms,
    }
    return Repair(**parts | others)


def test_a_full_redis_is_a_snapshot_and_down_until_there_is_memory_again(
    call: Call, score: Score, cup: str, redis: Redis, module: Any
) -> None:
    today = format_day(day_of(now_ms()))
    ranged = f"window=custom&from={today}&to={today}"
    assert shown(call, ranged) == ("live", {"ann": 1})
    with full(redis):
        score(("bob", 5))  # of ann Redis would take it: a script that has deleted something may write, too

        assert shown(call) == ("snapshot", {"bob": 5, "ann": 1})
        assert shown(call, ranged) == ("snapshot", {"bob": 5, "ann": 1})
        health = call("health", path="/health", query="")
        assert health.status == 503
        assert health.json["dependencies"]["cache"]["detail"] == "CacheFull"
        ready = call("health", path="/health/ready", query="")
        assert (ready.status, ready.json["dependencies"]["cache"]["status"]) == (200, "down")
        told: list[Exception] = []
        mine = [module.assembly.registry.leaderboard(cup)]
        looking = repair(module, registry=type("Mine", (), {"leaderboards": lambda _self, *_, **__: mine})())
        assert looking.anti_entropy(lambda _, error: told.append(error)) == ({}, 0)
        assert [type(error) for error in told] == [CacheFull]

    looking.anti_entropy()

    assert shown(call) == ("live", {"bob": 5, "ann": 1})
    assert shown(call, ranged) == ("live", {"bob": 5, "ann": 1})
    assert call("health", path="/health/ready", query="").json["dependencies"]["cache"]["status"] == "up"


def test_a_redis_that_takes_no_write_at_all_is_complete_for_nothing(small: Redis) -> None:
    """Not even deletes, so that nobody can take back that it is complete."""
    clock = [0]
    ingest, api = WindowCache(small), WindowCache(small, None, lambda: clock[0])
    _, build = BuildLeases(ingest).begin_rebuild(CUP, "token", 0)
    ingest.apply(CUP, standings(0, 1), 0, build)
    assert BuildLeases(ingest).finish_rebuild(CUP, build)
    reads: list[Callable[[], Any]] = [
        lambda: api.page(CUP, ALL_TIME, 0, 1, 0),
        lambda: api.player(CUP, ALL_TIME, "u0", 0, 0),
        lambda: api.snapshot(CUP, ALL_TIME, 0),
        lambda: api.revision(CUP, ALL_TIME),
        lambda: WindowSearches(api).players(CUP, ALL_TIME, ("u0",), 0),
        lambda: WindowSearches(api).player_windows(CUP, [ALL_TIME], "u0", 0),
        lambda: WindowSearches(api).select(CUP, ALL_TIME, Selection(limit=1), 0),
    ]
    for read in reads:
        read()
    small.config_set("min-replicas-to-write", 1)
    with pytest.raises(CacheRefused) as refused:
        ingest.apply(CUP, standings(0, 2), 0)
    assert not refused.value.withdrawn

    clock[0] += PROBE_EVERY_MS

    for read in reads:
        with pytest.raises(CacheRefused):
            read()
    small.config_set("min-replicas-to-write", 0)
    for read in reads:
        read()


def test_the_api_shows_a_snapshot_while_redis_takes_no_write(
    call: Call, cup: str, redis: Redis, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(call) == ("live", {"ann": 1})
    monkeypatch.setattr(module.assembly.cache, "_probed_ms", {})  # as after a second
    redis.config_set("min-replicas-to-write", 1)
    try:
        assert shown(call) == ("snapshot", {"ann": 1})
    finally:
        redis.config_set("min-replicas-to-write", 0)
    assert shown(call) == ("live", {"ann": 1})


def test_a_read_while_redis_is_full_says_what_it_is(call: Call, score: Score, cup: str, redis: Redis) -> None:
    """Reads alone change nothing: what is complete stays so while nothing is refused."""
    with full(redis):
        assert shown(call) == ("live", {"ann": 1})


@pytest.fixture
def small(tmp_path: Any) -> Iterator[Redis]:
    """A cache of three megabytes."""
    server = cache_server(tmp_path, port := free_port(), appendonly="no", maxmemory="3mb")
    with server, Redis("127.0.0.1", port) as client:
        yield client


def standings(first: int, points: int) -> dict[str, Any]:
    return {
        f"u{number}": {ALL_TIME_DAY: Standing(points, 1, 1, version=points)} for number in range(first, first + 200)
    }


def test_a_redis_that_fills_up_is_incomplete_from_the_first_refused_write(small: Redis) -> None:
    live = WindowCache(small)
    builds = BuildLeases(live)
    _, build = builds.begin_rebuild(CUP, "token", 0)
    assert builds.finish_rebuild(CUP, build)
    applied = 0

    def fill_up() -> None:
        nonlocal applied
        while applied < 1_000_000:
            live.apply(CUP, standings(applied, 1), 0)
            applied += 200

    with pytest.raises(CacheFull) as refused:
        fill_up()

    assert refused.value.withdrawn
    assert applied > 0
    assert not live.is_complete(CUP)
    assert not live.page(CUP, ALL_TIME, 0, 1, 0).complete
    with pytest.raises(CacheFull):
        live.ping()
    small.config_set("maxmemory", "30mb")
    live.ping()
    _, build = builds.begin_rebuild(CUP, "token", 0)
    live.apply(CUP, standings(applied, 1), 0, build)
    assert builds.finish_rebuild(CUP, build)
    assert live.page(CUP, ALL_TIME, 0, 1, 0).total == applied + 200


def test_a_build_that_is_under_way_when_a_write_is_refused_completes_nothing(redis: Redis) -> None:
    """It may have read the player before."""
    live = WindowCache(redis)
    builds = BuildLeases(live)
    _, build = builds.begin_rebuild(CUP, "token", 0)
    live.apply(CUP, standings(0, 1), 0, build)
    window = custom(parse_day("2026-11-01"), parse_day("2026-11-02"))
    _, ranged = builds.begin_window("cup", window, "token", 0, 0)
    with full(redis), pytest.raises(CacheFull):
        live.apply(CUP, standings(0, 2), 0)

    assert not builds.finish_rebuild(CUP, build)
    assert not builds.finish_window(CUP, window, ranged)
    with pytest.raises(LeaseLost):
        builds.renew(ranged, 0)
