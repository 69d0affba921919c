"""While the cache is flushed or away, every read that the snapshot can answer is what the cache said before."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.assembly import now_ms
from shared.domain.calendar import Day, day_of, format_day
from shared.domain.events import format_instant
from shared.truth.snapshots import Confirmation

BODY = {
    "name": "Cup",
    "aggregation": "sum",
    "filters": ["country"],
    "tiers": [
        {"name": "gold", "topN": 2},
        {"name": "silver", "minScore": 5},
        {"name": "bronze", "topPercent": 90},
    ],
}
ASCENDING = BODY | {
    "order": "asc",
    "tiers": [{"name": "gold", "topPercent": 20}, {"name": "silver", "maxScore": 4}, {"name": "bronze", "topN": 9}],
}
SCORES = [("ann", 9), ("bob", 7), ("cid", 7), ("dan", 7), ("eve", 5), ("fay", 4), ("gus", 4), ("hal", 0), ("ivy", -3)]
SELECTIONS = (
    "",
    "limit=2&offset=3",
    "offset=9",
    "offset=1000000",
    "minScore=5",
    "maxScore=4&limit=2",
    "minScore=4&maxScore=7&offset=2",
    "minScore=8&maxScore=8",
    "tier=gold",
    "tier=silver&limit=1",
    "tier=bronze&offset=1",
    "tier=silver&minScore=7",
    "userIds=gus,ann,nobody,cid",
)

Call = Callable[..., Any]
Score = Callable[..., None]
Away = Callable[[], None]


@pytest.fixture(params=["flushed", "down"])
def away(request: pytest.FixtureRequest, redis: Redis, module: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    """Takes the cache away."""

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RedisConnectionError("refused")

    def go() -> None:
        if request.param == "flushed":
            redis.flushall()
            return
        for command in ("evalsha", "hget", "hgetall", "pipeline", "set", "exists"):
            monkeypatch.setattr(module.assembly.redis, command, fail)

    yield go
    for breaker in module.assembly.cache._breakers.values():
        breaker.reset()


def told(answer: Any) -> dict[str, Any]:
    """What an answer says of the ranking, apart from whence and when."""
    assert answer.status == 200, answer.json
    names = ("total", "matched", "entries", "missing", "nextCursor", "prevCursor", "truncated")
    return {name: answer.json.get(name) for name in names}


@pytest.mark.parametrize(
    "body",
    [BODY, ASCENDING, BODY | {"qualify": {"minScore": 6}}, ASCENDING | {"qualify": {"maxScore": 4}}],
    ids=["desc", "asc", "desc-qualify", "asc-qualify"],
)
def test_every_selection_within_the_snapshot_is_answered_as_the_cache_would(
    call: Call, score: Score, away: Away, module: Any, body: Any
) -> None:
    call("put-leaderboard", body=body)
    score(*SCORES)
    module.assembly.repair.take_snapshots()
    live = [call("rankings", query=query) for query in SELECTIONS]
    assert {one.json["source"] for one in live} == {"live"}

    away()

    for query, before in zip(SELECTIONS, live, strict=True):
        answer = call("rankings", query=query)
        assert told(answer) == told(before), query
        assert answer.json["source"] == "snapshot"
        assert answer.json["rankApproximate"] is query.startswith("userIds")


def test_cursors_lead_through_a_snapshot_and_back(call: Call, score: Score, away: Away, module: Any) -> None:
    call("put-leaderboard", body=BODY)
    score(*SCORES)
    module.assembly.repair.take_snapshots()
    live = call("rankings", query="limit=4").json
    second = call("rankings", query=f"limit=4&cursor={live['nextCursor']}").json

    away()

    following = call("rankings", query=f"limit=4&cursor={live['nextCursor']}").json
    assert following["source"] == "snapshot"
    assert following["entries"] == second["entries"]
    last = call("rankings", query=f"limit=4&cursor={following['nextCursor']}").json
    assert [one["userId"] for one in last["entries"]] == ["ivy"]
    assert (last["nextCursor"], last["truncated"]) == (None, False)
    back = call("rankings", query=f"limit=4&cursor={following['prevCursor']}").json
    assert back["entries"] == live["entries"]


def test_a_cursor_that_leads_below_the_snapshot_waits_until_the_cache_is_back(
    call: Call, score: Score, redis: Redis, module: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.domain.snapshots.TOP_ENTRIES", 5)
    monkeypatch.setattr("shared.cache.windows.TOP_ENTRIES", 5)
    call("put-leaderboard", body=BODY)
    score(*SCORES)
    module.assembly.repair.take_snapshots()
    whole = call("rankings", query="").json["entries"]
    redis.flushall()

    first = call("rankings", query="limit=3").json
    second = call("rankings", query=f"limit=3&cursor={first['nextCursor']}").json
    third = call("rankings", query=f"limit=3&cursor={second['nextCursor']}")

    assert first["entries"] + second["entries"] == whole[:5]
    assert (first["truncated"], second["truncated"]) == (False, True)
    assert (third.status, third.headers["retry-after"]) == (503, "2")

    assert module.assembly.window_builder.rebuild_leaderboard(module.assembly.registry.leaderboard(leaderboard_id))
    rest = call("rankings", query=f"limit=9&cursor={second['nextCursor']}").json
    assert (rest["source"], rest["entries"], rest["truncated"]) == ("live", whole[5:], False)
    assert rest["nextCursor"] is None


PAGES_BELOW = ("offset=5&limit=2", "offset=3&tier=bronze", "maxScore=4", "maxScore=0", "tier=bronze&minScore=0")


@pytest.mark.parametrize("query", PAGES_BELOW)
def test_no_page_says_that_the_ranking_ends_where_the_snapshot_does(
    query: str, call: Call, score: Score, redis: Redis, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.domain.snapshots.TOP_ENTRIES", 4)
    monkeypatch.setattr("shared.cache.windows.TOP_ENTRIES", 4)
    call("put-leaderboard", body=BODY)
    score(*SCORES)
    module.assembly.repair.take_snapshots()
    assert call("rankings", query=query).json["entries"]
    redis.flushall()

    answer = call("rankings", query=query)

    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert answer.json["type"] == "urn:leaderboards:problem:rebuilding"


def test_a_page_before_a_place_below_the_snapshot_is_not_made_of_others(
    call: Call, score: Score, redis: Redis, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.domain.snapshots.TOP_ENTRIES", 3)
    monkeypatch.setattr("shared.cache.windows.TOP_ENTRIES", 3)
    monkeypatch.setattr("shared.cache.windows.SAMPLES", 2)
    call("put-leaderboard", body=BODY)
    score(*SCORES)
    module.assembly.repair.take_snapshots()
    cursor = call("rankings", query="offset=7&limit=2").json["prevCursor"]
    redis.flushall()

    assert call("rankings", query=f"limit=2&cursor={cursor}").status == 503


def test_a_player_has_all_their_windows_without_the_cache(call: Call, score: Score, away: Away, module: Any) -> None:
    call("put-leaderboard", body=BODY)
    today = format_day(day_of(now_ms()))
    call("put-period", body={"name": "Today", "from": today, "to": today})
    score(("ann", 9), ("u-42", 7), ("cid", 5))
    module.assembly.repair.take_snapshots()
    score(("u-42", 1))

    away()

    answer = call("player-windows")
    assert answer.status == 200
    windows = [one for one in answer.json["windows"] if one["source"] == "snapshot"]
    assert {"daily", "weekly", "all-time"} <= {one["window"]["kind"] for one in windows}
    for one in windows:
        assert (one["entry"]["score"], one["entry"]["rank"], one["rankApproximate"]) == (8, 2, True)


def test_a_snapshot_is_as_of_when_it_was_last_known_to_be_true(
    call: Call, score: Score, redis: Redis, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots, start_ms = module.assembly.snapshots, now_ms()
    call("put-leaderboard", body=BODY)
    score(("ann", 9))
    times = iter(range(start_ms + 60_000, start_ms + 400_000, 60_000))
    with monkeypatch.context() as patch:  # minute by minute, nothing has changed since the first
        for at_ms in times:
            patch.setattr(snapshots, "_now_ms", lambda at_ms=at_ms: at_ms)
            module.assembly.repair.take_snapshots()
    confirmed_ms = at_ms
    score(("bob", 3))  # nobody has looked since

    redis.flushall()

    page = call("rankings", query="window=all-time").json
    assert (page["source"], page["asOf"]) == ("snapshot", format_instant(confirmed_ms))
    assert [one["userId"] for one in page["entries"]] == ["ann"]


def test_a_snapshot_of_another_revision_is_not_taken_for_confirmed(
    call: Call, score: Score, redis: Redis, module: Any, leaderboard_id: str
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 9))
    module.assembly.repair.take_snapshots()
    store = module.assembly.snapshots._store
    taken = store.read(leaderboard_id, "all-time")

    store.confirm(leaderboard_id, Confirmation(taken.as_of_ms + 60_000, {"all-time": taken.revision + 1}))

    assert store.read(leaderboard_id, "all-time").as_of_ms == taken.as_of_ms


def test_what_no_snapshot_tells_is_503_and_says_when_to_ask_again(call: Call, score: Score, away: Away) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 9))

    away()

    answer = call("rankings", query="attr.country=DE")
    assert (answer.status, int(answer.headers["retry-after"]) >= 1) == (503, True)
    assert answer.headers["content-type"] == "application/problem+json"


def test_days_that_are_out_count_for_nothing_without_the_cache_either(
    call: Call, score: Score, module: Any, away: Away
) -> None:
    call("put-leaderboard", body=BODY | {"lateness": "P7D"})
    score(("u-42", 3), ("bob", 2), days_ago=1)
    score(("ann", 4), ("u-42", 9), ("bob", 9))
    module.assembly.repair.take_snapshots()
    today, yesterday = (format_day(Day(day_of(now_ms()) - ago)) for ago in (0, 1))
    away()
    out = {"reason": "a bot", "from": today, "to": today}
    assert call("disqualify", body=out).status == 200
    module.assembly.snapshots._known.clear()  # as two seconds do

    for query, expected in (
        ("window=all-time", [("bob", 11), ("ann", 4), ("u-42", 3)]),
        ("window=daily", [("bob", 9), ("ann", 4)]),
        (f"window=daily&date={yesterday}", [("u-42", 3), ("bob", 2)]),
    ):
        page = call("rankings", query=query).json
        assert page["source"] == "snapshot"
        assert [(one["userId"], one["score"]) for one in page["entries"]] == expected
        assert page["total"] == len(expected)
        named = call("rankings", query=f"{query}&userIds=u-42,bob").json
        assert [(one["userId"], one["score"]) for one in named["entries"]] == [
            one for one in expected if one[0] != "ann"
        ]
        shown = call("player", query=query)
        if ("u-42", 3) in expected:
            assert shown.json["player"]["score"] == 3, query
        else:
            assert shown.status == 404, query


def test_a_disqualification_without_the_cache_has_another_tag(
    call: Call, score: Score, redis: Redis, module: Any
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 9), ("u-42", 7))
    module.assembly.repair.take_snapshots()
    redis.flushall()
    first = call("rankings", query="")
    tag = {"if-none-match": first.headers["etag"]}
    assert call("rankings", query="", headers=tag).status == 304

    call("disqualify")
    module.assembly.snapshots._known.clear()  # as two seconds do

    answer = call("rankings", query="", headers=tag)
    assert answer.status == 200
    assert answer.json["revision"] == first.json["revision"]
    assert [one["userId"] for one in answer.json["entries"]] == ["ann"]
