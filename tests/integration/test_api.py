"""The API's function on a real Redis and a real DynamoDB engine, called with API Gateway's events."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from circuitbreaker import CircuitBreaker
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.assembly import now_ms
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME_DAY, Day, daily, day_of, format_day, weekly
from shared.domain.events import POINTS_MAX
from shared.domain.standings import Standing
from shared.rebuild.requests import decode_request
from shared.truth.commits import Unavailable
from shared.truth.final_results import FinalResult
from tests.integration.conftest import EVENTS
from tests.support.closing import close

if TYPE_CHECKING:
    pass

BODY = {"name": "Cup", "aggregation": "sum", "tiers": [{"name": "gold", "topN": 1}, {"name": "bronze", "minScore": 5}]}

Call = Callable[..., Any]


def test_a_score_shows_in_every_window_of_its_leaderboard(call: Call, score: Callable[..., None]) -> None:
    assert call("put-leaderboard", body=BODY).status == 201
    score(("ann", 5), ("bob", 7), ("cid", 5), ("dan", 1))
    today = day_of(now_ms())

    for query, window in (
        ("window=daily", daily(today).id),
        ("window=weekly", weekly(today).id),
        ("window=all-time", "all-time"),
        (f"window=custom&from={format_day(today)}&to={format_day(today)}", f"{format_day(today)}..{format_day(today)}"),
    ):
        answer = call("rankings", query=query)
        assert (answer.status, answer.json["window"]["id"], answer.json["total"]) == (200, window, 4)
        lines = [(one["rank"], one["userId"], one["score"], one["tier"]) for one in answer.json["entries"]]
        assert lines == [(1, "bob", 7, "gold"), (2, "ann", 5, "bronze"), (3, "cid", 5, "bronze"), (4, "dan", 1, None)]


def test_a_page_begins_and_ends_where_it_was_asked_to(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5), ("bob", 7), ("cid", 3))

    def users(query: str) -> list[str]:
        return [one["userId"] for one in call("rankings", query=query).json["entries"]]

    assert users("limit=1") == ["bob"]
    assert users("limit=1&offset=1") == ["ann"]
    assert users("limit=1000&offset=2") == ["cid"]
    assert users("offset=1000000000") == []


def test_cursors_lead_through_a_ranking_and_back_while_players_move(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(*((f"u{number}", number // 2) for number in range(10)))

    def page(query: str) -> Any:
        answer = call("rankings", query=f"window=daily&limit=4&{query}")
        assert answer.status == 200
        return answer.json

    first = page("")
    score((first["entries"][-1]["userId"], 100))  # the entry that the cursor was made of is gone from there
    second = page(f"cursor={first['nextCursor']}")
    third = page(f"cursor={second['nextCursor']}")
    back = page(f"cursor={third['prevCursor']}")

    assert [one["userId"] for one in first["entries"]] == ["u8", "u9", "u6", "u7"]
    assert [(one["rank"], one["userId"]) for one in second["entries"]] == [(5, "u4"), (6, "u5"), (7, "u2"), (8, "u3")]
    assert [one["competitionRank"] for one in second["entries"]] == [5, 5, 7, 7]
    assert [one["userId"] for one in third["entries"]] == ["u0", "u1"]
    assert (first["prevCursor"], third["nextCursor"]) == (None, None)
    assert back["entries"] == second["entries"]


def test_friends_a_tier_and_a_range_of_scores_have_the_ranks_of_the_whole(
    call: Call, score: Callable[..., None]
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 9), ("bob", 7), ("cid", 7), ("dan", 5), ("eve", 1))

    def ranks(query: str) -> list[tuple[int, int, str]]:
        found = call("rankings", query=query).json
        assert found["total"] == 5
        return [(one["rank"], one["competitionRank"], one["userId"]) for one in found["entries"]]

    assert ranks("userIds=eve,cid,nobody") == [(3, 2, "cid"), (5, 5, "eve")]
    assert call("rankings", query="userIds=eve,nobody").json["missing"] == ["nobody"]
    assert ranks("tier=bronze") == [(2, 2, "bob"), (3, 2, "cid"), (4, 4, "dan")]
    assert ranks("minScore=5&maxScore=7&offset=1&limit=1") == [(3, 2, "cid")]
    unknown = call("rankings", query="tier=platinum")
    assert (unknown.status, unknown.json["errors"][0]["field"]) == (422, "tier")


def test_a_reader_who_waits_sees_the_next_score(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5))
    tag = call("rankings").headers["etag"]
    assert call("rankings", headers={"if-none-match": tag}).status == 304

    with ThreadPoolExecutor(1, initializer=lambda: asyncio.set_event_loop(asyncio.new_event_loop())) as pool:
        waiting = pool.submit(call, "rankings", headers={"if-none-match": tag, "prefer": "wait=20"})
        score(("bob", 7))
        answer = waiting.result()

    assert (answer.status, answer.json["total"]) == (200, 2)
    assert answer.headers["etag"] != tag


def test_a_player_is_read_with_neighbours_and_gaps(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 20), ("u-42", 7), ("cid", 3))

    answer = call("player")

    assert answer.status == 200
    assert [one["userId"] for one in answer.json["above"]] == ["ann"]
    assert [one["userId"] for one in answer.json["below"]] == ["cid"]
    player = answer.json["player"]
    assert (player["rank"], player["percentile"], player["tier"]) == (2, 33.33, "bronze")
    assert (player["pointsToNextRank"], player["pointsToNextTier"]) == (14, 14)


def test_a_user_id_of_any_unicode_with_a_slash_is_found(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("Zoë/50% 🎮", 7))
    assert call("player-unicode").json["player"]["rank"] == 1


def test_a_player_has_all_his_windows_in_one_round_trip(call: Call, score: Callable[..., None], redis: Redis) -> None:
    call("put-leaderboard", body=BODY)
    today = format_day(day_of(now_ms()))
    period = {"name": "Today", "from": today, "to": today}
    call("put-period", body=period)
    score(("ann", 20), ("u-42", 7), ("cid", 7))
    call("player-windows")
    redis.config_resetstat()

    answer = call("player-windows")

    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
    found = answer.json["windows"]
    assert [one["window"]["kind"] for one in found] == ["daily", "weekly", "all-time", "custom"]
    assert [len(one["periods"]) for one in found] == [0, 0, 0, 1]
    for one in found:
        assert (one["total"], one["source"], one["entry"]["rank"], one["entry"]["competitionRank"]) == (3, "live", 2, 2)
        page = call("rankings", query=f"window={one['window']['kind']}" if not one["periods"] else "")
        assert one["entry"] in page.json["entries"]
    nobody = call("player-windows", path=answer_path(call, "nobody/windows"))
    assert [one["entry"] for one in nobody.json["windows"]] == [None] * 4


def test_a_window_that_is_being_built_hides_none_of_the_others(
    call: Call, score: Callable[..., None], module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("put-leaderboard", body=BODY)
    first, last = (format_day(Day(day_of(now_ms()) + days)) for days in (-40, 40))
    today = format_day(day_of(now_ms()))
    call("put-period", body={"name": "Today", "from": today, "to": today})
    score(("ann", 20), ("u-42", 7))
    assert len(call("player-windows").json["windows"]) == 4
    ordered: list[bytes] = []
    queue = SimpleNamespace(send=ordered.extend)
    monkeypatch.setattr(module.assembly.on_demand_builds, "_queue", lambda: queue)
    for reader in ("reads.players", "rebuild.on_demand"):
        monkeypatch.setattr(f"shared.{reader}.BUILD_WAIT_MS", 0)
    path = call("put-period", body={"name": "Long", "from": first, "to": last}, path=period_path(call, "long"))
    assert path.status in (200, 201)

    answer = call("player-windows")

    assert (answer.status, answer.headers["retry-after"]) == (200, "1")
    assert [one["window"]["kind"] for one in answer.json["windows"]] == ["daily", "weekly", "all-time", "custom"]
    assert all(one["entry"]["score"] == 7 for one in answer.json["windows"])
    (pending,) = answer.json["pending"]
    assert (pending["window"]["id"], pending["periods"], pending["days"]) == (f"{first}..{last}", ["long"], 81)
    assert len(ordered) == 1

    module.assembly.repair.handle(decode_request(ordered[0]))

    whole = call("player-windows")
    assert (len(whole.json["windows"]), whole.json["pending"]) == (5, [])
    assert "retry-after" not in whole.headers


def period_path(call: Call, period_id: str) -> str:
    return f"/leaderboards/{call('get-leaderboard').json['id']}/periods/{period_id}"


def answer_path(call: Call, tail: str) -> str:
    return f"/leaderboards/{call('get-leaderboard').json['id']}/players/{tail}"


def test_a_players_events_are_paged_by_their_ids(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(*(("u-42", points) for points in (5, -2, 7, 1, 3)), ("ann", 1))

    pages = [call("player-events", query="limit=2").json]
    while pages[-1]["nextAfter"] is not None:
        pages.append(call("player-events", query=f"limit=2&after={pages[-1]['nextAfter']}").json)

    events = [one for page in pages for one in page["events"]]
    assert [one["eventId"] for one in events] == ["e-0", "e-1", "e-2", "e-3", "e-4"]
    assert [one["points"] for one in events] == [5, -2, 7, 1, 3]
    assert [one["offset"] for one in events] == [0, 1, 2, 3, 4]
    assert len(pages) == 3
    assert call("player-events", path=answer_path(call, "nobody/events")).status == 404
    assert call("player-events", query="after=zzz").json["events"] == []


def test_a_user_id_that_ends_as_a_route_does_is_reached_by_a_parameter(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("u-42/events", 7), ("u-42", 5))
    assert call("player-of").json["player"]["userId"] == "u-42/events"
    assert call("player-events", path=answer_path(call, "u-42/events/events")).json["userId"] == "u-42/events"
    assert call("player-events").json["userId"] == "u-42"


@pytest.mark.parametrize(
    ("aggregation", "points", "score_of", "counting"),
    [
        ("sum", (5, -2, 9), 12, {"e-0", "e-1", "e-2"}),
        ("best", (5, 9, 9), 9, {"e-1"}),
        ("latest", (5, 9, 2), 2, {"e-2"}),
    ],
)
@pytest.mark.parametrize("window", ["daily", "weekly", "all-time"])
def test_an_explanation_adds_up_from_the_events_to_the_score(
    call: Call,
    score: Callable[..., None],
    aggregation: str,
    points: tuple[int, ...],
    score_of: int,
    counting: set[str],
    window: str,
) -> None:
    call("put-leaderboard", body=BODY | {"aggregation": aggregation})
    score(*(("u-42", one) for one in points))

    found = call("player-explain", query=f"window={window}").json

    assert found["player"]["score"] == score_of
    assert {one["event"]["eventId"] for one in found["events"] if one["counts"]} == counting
    assert {one["event"]["eventId"] for one in found["events"]} == {"e-0", "e-1", "e-2"}
    assert (found["agrees"], found["eventsComplete"], found["aggregation"]) == (True, True, aggregation)
    assert [(one["points"], one["events"]) for one in found["days"]] == [(score_of, 3)]
    assert call("player-explain", path=answer_path(call, "nobody/explain")).status == 404


def test_an_explanation_says_who_counts_for_tiers(call: Call, score: Callable[..., None]) -> None:
    tiers = [{"name": "top", "topPercent": 50}, {"name": "rest", "minScore": 0}]
    call("put-leaderboard", body=BODY | {"tiers": tiers, "qualify": {"minScore": 6}})
    score(("ann", 9), ("bob", 8), ("cid", 7), ("u-42", 5), ("dan", 1))

    found = call("player-explain").json

    assert (found["qualifies"], found["qualified"], found["player"]["tier"]) == (False, 3, None)
    shown = [(one["met"], one["cutoffRank"], one["cutoffScore"], one["pointsToReach"]) for one in found["tiers"]]
    assert shown == [(False, 2, 8, 4), (False, None, 0, 1)]
    ahead = call("player-explain", path=answer_path(call, "cid/explain")).json
    assert (ahead["qualifies"], ahead["qualified"], ahead["player"]["tier"]) == (True, 3, "rest")


def test_an_explanation_names_what_decided_against_the_neighbours_and_the_tiers(
    call: Call, score: Callable[..., None]
) -> None:
    tiers = [{"name": "gold", "topN": 1}, {"name": "silver", "minScore": 8}, {"name": "bronze", "topPercent": 75}]
    call("put-leaderboard", body=BODY | {"tiers": tiers})
    score(("ann", 9), ("bob", 5), ("u-42", 5), ("dan", 1))

    found = call("player-explain").json

    assert (found["above"]["entry"]["userId"], found["above"]["decidedBy"]) == ("bob", "reachedAt")
    assert (found["below"]["entry"]["userId"], found["below"]["decidedBy"]) == ("dan", "score")
    assert (found["player"]["rank"], found["player"]["competitionRank"], found["player"]["tier"]) == (3, 2, "bronze")
    assert found["tiers"] == [
        {"rule": tiers[0], "met": False, "cutoffRank": 1, "cutoffScore": 9, "pointsToReach": 5},
        {"rule": tiers[1], "met": False, "cutoffRank": None, "cutoffScore": 8, "pointsToReach": 3},
        {"rule": tiers[2], "met": True, "cutoffRank": 3, "cutoffScore": 5, "pointsToReach": None},
    ]


def test_an_explanation_says_when_cache_and_truth_do_not_agree(
    call: Call, score: Callable[..., None], module: Any, leaderboard_id: str
) -> None:
    call("put-leaderboard", body=BODY)
    score(("u-42", 7))
    leaderboard = module.assembly.registry.leaderboard(leaderboard_id)
    wrong = {"u-42": {ALL_TIME_DAY: Standing(8, now_ms(), 1, version=99)}}
    module.assembly.cache.apply(leaderboard, wrong, now_ms())

    found = call("player-explain").json

    assert (found["player"]["score"], found["agrees"]) == (8, False)
    assert found["days"][0]["points"] == 7


@pytest.mark.parametrize("aggregation", ["sum", "best", "latest"])
@pytest.mark.parametrize("window", ["custom", "all-time"])
def test_an_explanation_shows_events_of_days_that_are_out_as_not_counting(
    call: Call, score: Callable[..., None], aggregation: str, window: str
) -> None:
    call("put-leaderboard", body=BODY | {"aggregation": aggregation, "lateness": "P7D"})
    score(("u-42", 4), days_ago=1)
    score(("u-42", 9))
    today, yesterday = (format_day(Day(day_of(now_ms()) - ago)) for ago in (0, 1))
    call("disqualify", body={"reason": "a bot", "from": today, "to": today})

    found = call(
        "player-explain", query=f"window={window}" + f"&from={yesterday}&to={today}" * (window == "custom")
    ).json

    assert (found["player"]["score"], found["agrees"], found["eventsComplete"]) == (4, True, True)
    assert [(one["day"], one["points"]) for one in found["days"]] == [(yesterday, 4)]
    assert [(one["event"]["points"], one["counts"]) for one in found["events"]] == [(4, True), (9, False)]
    assert found["disqualifiedDays"] == [{"from": today, "to": today}]


def test_an_explanation_of_many_events_shows_some_and_says_so(
    call: Call, score: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.reads.explain.EXPLAINED_EVENTS_MAX", 2)
    call("put-leaderboard", body=BODY)
    score(*(("u-42", one) for one in (1, 2, 3)))

    some = call("player-explain").json
    assert [one["event"]["eventId"] for one in some["events"]] == ["e-2", "e-1"]
    assert (some["eventsComplete"], some["agrees"]) == (False, True)

    monkeypatch.setattr("shared.reads.players.EXPLAINED_EVENTS_READ_MAX", 1)
    too_many = call("player-explain").json
    assert (too_many["eventsComplete"], too_many["agrees"]) == (False, None)


def test_an_explanation_adds_up_events_that_would_overflow_in_the_order_of_their_ids(
    call: Call, score: Callable[..., None]
) -> None:
    call("put-leaderboard", body=BODY)
    score(("u-42", POINTS_MAX, "a"), ("u-42", -1_000, "z"), ("u-42", 500, "b"))

    found = call("player-explain")

    assert found.status == 200
    assert (found.json["agrees"], found.json["player"]["score"]) == (True, POINTS_MAX - 500)
    assert {one["event"]["eventId"] for one in found.json["events"] if one["counts"]} == {"a", "b", "z"}


def test_of_too_many_events_none_is_said_to_count_that_does_not(
    call: Call, score: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("put-leaderboard", body=BODY | {"aggregation": "latest"})
    score(*(("u-42", points) for points in (1, 2, 3)))  # e-2 counts
    expected: list[tuple[int, set[str]]] = [(1, set()), (2, {"e-2"})]
    for read, counting in expected:
        monkeypatch.setattr("shared.reads.players.EXPLAINED_EVENTS_READ_MAX", read)

        found = call("player-explain").json

        assert {one["event"]["eventId"] for one in found["events"] if one["counts"]} == counting
        assert (found["player"]["score"], found["agrees"]) == (3, None)


def test_a_read_is_one_round_trip_to_redis(call: Call, score: Callable[..., None], redis: Redis) -> None:
    call("put-leaderboard", body=BODY)
    score(("u-42", 7))
    call("player")
    call("rankings", query="")

    reads: list[Callable[[], Any]] = [lambda: call("rankings", query=""), lambda: call("player")]
    for read in reads:
        redis.config_resetstat()
        assert read().status == 200
        stats = redis.info("commandstats")
        called = {name: one["calls"] for name, one in stats.items() if "config" not in name}
        assert called.pop("cmdstat_evalsha") == 1
        assert {name for name in called if "|" not in name} <= {
            "cmdstat_hmget",
            "cmdstat_get",
            "cmdstat_mget",
            "cmdstat_hget",
            "cmdstat_zcard",
            "cmdstat_zrange",
            "cmdstat_zrank",
            "cmdstat_zcount",
        }


def test_while_the_cache_is_flushed_the_snapshot_answers(
    call: Call, score: Callable[..., None], redis: Redis, module: Any
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5), ("bob", 7), ("cid", 3))
    module.assembly.repair.take_snapshots()
    score(("ann", 100), ("dan", 4))
    live = call("rankings")
    assert live.json["source"] == "live"

    redis.flushall()

    page = call("rankings")
    assert (page.status, page.json["source"], page.json["total"]) == (200, "snapshot", 3)
    assert [(one["rank"], one["userId"], one["score"]) for one in page.json["entries"]] == [
        (1, "bob", 7),
        (2, "ann", 5),
        (3, "cid", 3),
    ]
    assert page.json["asOf"] < live.json["asOf"]
    assert page.json["revision"] < live.json["revision"]


def test_without_a_cache_a_player_has_the_score_of_now_and_no_rank(
    call: Call, score: Callable[..., None], redis: Redis, module: Any, leaderboard_id: str
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5), ("bob", 7), ("cid", 3))
    module.assembly.repair.take_snapshots()
    score(("ann", 100), ("dan", 4))
    redis.flushall()

    def player(user_id: str) -> Any:
        return call("player", path=f"/leaderboards/{leaderboard_id}/players/{user_id}", query="context=1")

    ann, dan = player("ann"), player("dan")
    assert (ann.json["player"]["score"], ann.json["player"]["rank"]) == (105, 1)
    assert (ann.json["source"], ann.json["player"]["rankApproximate"]) == ("snapshot", True)
    assert [one["userId"] for one in ann.json["below"]] == ["bob"]
    assert (dan.json["player"]["score"], dan.json["player"]["rank"]) == (4, 3)
    assert [one["userId"] for one in dan.json["above"] + dan.json["below"]] == ["ann", "cid"]
    assert (dan.json["player"]["pointsToNextRank"], dan.json["player"]["pointsToNextTier"]) == (2, 1)
    assert player("nobody").status == 404


def test_a_window_without_snapshot_is_answered_from_its_standings(
    call: Call, score: Callable[..., None], redis: Redis
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5), ("bob", 7))
    redis.flushall()

    for query in ("window=daily", "window=weekly", "window=all-time"):
        page = call("rankings", query=query)
        assert (page.status, page.json["source"]) == (200, "snapshot")
        assert [one["userId"] for one in page.json["entries"]] == ["bob", "ann"]


def test_below_the_top_of_the_snapshot_no_rank_is_shown_nor_an_end(
    call: Call, score: Callable[..., None], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.domain.snapshots.TOP_ENTRIES", 2)
    call("put-leaderboard", body=BODY)
    score(("ann", 5), ("bob", 7), ("cid", 3))
    redis.flushall()

    assert [one["userId"] for one in call("rankings", query="offset=1&limit=5").json["entries"]] == ["ann"]
    deep, past = (call("rankings", query=f"offset={offset}") for offset in (2, 3))
    assert (deep.status, deep.headers["retry-after"]) == (503, "2")
    assert (past.json["entries"], past.json["truncated"]) == ([], False)


def test_while_redis_is_down_reads_answer_and_soon_without_waiting_for_it(
    call: Call, score: Callable[..., None], module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5), ("bob", 7))
    asked = 0

    def hang(*_args: Any, **_kwargs: Any) -> None:
        nonlocal asked
        asked += 1
        raise RedisTimeoutError("no answer")

    breaker = CircuitBreaker(2, 3_600, RedisTimeoutError)
    live = WindowCache(module.assembly.redis, breaker)
    monkeypatch.setattr(module.assembly.rankings, "_cache", live)
    monkeypatch.setattr(module.assembly.rankings, "_searches", WindowSearches(live))
    monkeypatch.setattr(module.assembly.redis, "evalsha", hang)

    for _ in range(10):
        page = call("rankings")
        assert (page.status, page.json["source"]) == (200, "snapshot")
        assert [one["userId"] for one in page.json["entries"]] == ["bob", "ann"]
    assert asked == 2


def test_a_final_window_keeps_the_rules_that_it_was_ranked_by(
    call: Call, score: Callable[..., None], module: Any, leaderboard_id: str
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5), ("bob", 7))
    assembly, today = module.assembly, day_of(now_ms())
    final = FinalResult(
        leaderboard_id=leaderboard_id,
        window_id=daily(today).id,
        rules_version=1,
        audit_sequence=assembly.disqualified_players.now(leaderboard_id).audit_sequence,
        players=2,
        sum_of_points="12",
        object_key="finals/x.csv",
        bytes=1,
        sha256="",
        awards_key="finals/x.awards.csv",
        awards_sha256="",
        code_version="1",
        finalised_at_ms=now_ms(),
    )
    close(assembly.final_results, assembly.registry.leaderboard(leaderboard_id), today, [daily(today)])
    assembly.leaderboards.read(leaderboard_id)
    before = call("rankings", query="window=daily")
    assert (before.json["window"]["status"], before.json["source"]) == ("open", "live")

    assembly.final_results.write(final)
    call("put-leaderboard", body=BODY | {"tiers": [{"name": "everybody", "topN": 100}]})
    assembly.results._known.clear()  # as time does

    after = call("rankings", query="window=daily")
    assert (after.json["window"]["status"], after.json["source"]) == ("final", "final")
    assert [one["tier"] for one in after.json["entries"]] == ["gold", "bronze"]
    assert [one["tier"] for one in call("rankings", query="window=all-time").json["entries"]] == ["everybody"] * 2
    found = call("player", path=f"/leaderboards/{leaderboard_id}/players/ann", query="window=daily")
    assert (found.json["player"]["tier"], found.json["window"]["status"]) == ("bronze", "final")


def test_a_definition_that_was_read_serves_readers_while_the_registry_is_away(
    call: Call, score: Callable[..., None], module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5))
    assert call("rankings").status == 200

    def away(*_args: Any) -> None:
        raise Unavailable("away")

    later = now_ms() + 60_000
    monkeypatch.setattr(module.assembly.registry, "leaderboard", away)
    monkeypatch.setattr(module.assembly.leaderboards, "_now_ms", lambda: later)
    assert call("rankings").status == 200


def test_aggregation_order_and_shards_stay_once_there_are_events(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    assert call("put-leaderboard", body=BODY | {"order": "asc", "tiers": []}).json["version"] == 2
    assert call("put-leaderboard", body=BODY).json["version"] == 3
    score(("ann", 5))

    answer = call("put-leaderboard", body=BODY | {"shards": 4})

    assert (answer.status, answer.json["errors"][0]["field"]) == (409, "shards")
    changed = call("put-leaderboard", body=BODY | {"name": "Other"})
    assert (changed.status, changed.json["version"], changed.json["hasEvents"]) == (200, 4, True)


def test_changes_at_the_same_time_each_make_a_version_or_are_refused(call: Call, module: Any) -> None:
    call("put-leaderboard", body=BODY)
    definitions = module.assembly.registry
    before = call("get-leaderboard").json["version"]

    def change(number: int) -> int:
        asyncio.set_event_loop(asyncio.new_event_loop())
        return int(call("put-leaderboard", body=BODY | {"name": f"n{number}"}).status)

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(change, range(8)))

    assert set(statuses) <= {200, 409}
    after = call("get-leaderboard").json["version"]
    assert after - before == statuses.count(200)
    leaderboard_id = call("get-leaderboard").json["id"]
    assert all(definitions.rules(leaderboard_id, version) is not None for version in range(1, after + 1))


def test_a_leaderboard_is_deleted_and_reopened_with_its_scores(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5))

    assert call("delete-leaderboard").status == 204
    assert [call("get-leaderboard").status, call("rankings", query="").status] == [404, 404]
    assert call("delete-leaderboard").status == 404

    assert call("put-leaderboard", body=BODY).status == 201
    assert call("rankings", query="").json["total"] == 1


def test_a_list_is_paged_until_the_end(call: Call, leaderboard_id: str) -> None:
    for number in range(3):
        call("put-leaderboard", path=f"/leaderboards/{leaderboard_id}-{number}", body=BODY)
    seen: list[str] = []
    after = ""
    while True:
        page = call("list-leaderboards", query=f"limit=2&after={after}" if after else "limit=2").json
        seen += [one["id"] for one in page["leaderboards"]]
        after = page["nextAfter"]
        if after is None:
            break
    assert [one for one in seen if one.startswith(leaderboard_id)] == [f"{leaderboard_id}-{n}" for n in range(3)]
    assert seen == sorted(set(seen))


def test_a_period_is_ranked_by_its_name(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5))
    today = format_day(day_of(now_ms()))

    assert call("put-period", body={"name": "Launch", "from": today, "to": today}).status == 201
    assert call("put-period", body={"name": "Launch", "from": today, "to": today}).status == 200
    assert call("get-period").json == call("list-periods").json["periods"][0]

    answer = call("rankings-period")
    assert (answer.status, answer.json["window"]["kind"], answer.json["total"]) == (200, "custom", 1)
    score(("bob", 7))
    assert call("rankings-period").json["total"] == 2

    assert [call("delete-period").status, call("delete-period").status] == [204, 404]
    assert call("rankings-period").status == 404


def test_a_range_is_ranked_by_its_dates(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY)
    score(("ann", 5))
    answer = call("rankings-range")
    assert (answer.status, answer.json["window"]["kind"], answer.json["total"]) == (200, "custom", 1)


def test_entries_of_an_attribute_are_ranked_by_it(call: Call, score: Callable[..., None]) -> None:
    call("put-leaderboard", body=BODY | {"filters": ["country"]})
    score(("ann", 5), ("bob", 7), country="FR")
    score(("cid", 6), country="DE")
    answer = call("rankings-attribute")
    assert [(one["rank"], one["userId"]) for one in answer.json["entries"]] == [(2, "cid")]


SAMPLES = sorted({path.stem.removeprefix("api-") for path in EVENTS.glob("api-*.json")} - {"metrics"})
"""All but the one that is not answered with JSON."""


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_is_a_request_that_is_taken(call: Call, score: Callable[..., None], name: str) -> None:
    call("put-leaderboard", body=BODY | {"filters": ["country"]})
    score(("u-42", 5), ("u-42/events", 5))
    call("put-period", body={"name": "Launch", "from": "2026-11-01", "to": "2026-11-15"})

    answer = call(name)

    assert answer.status not in (400, 405, 422, 500), answer.json
    assert answer.status != 404 or answer.json["type"].rpartition(":")[2] != "unknown-route"


def test_a_leaderboard_that_nobody_created_is_404_everywhere(call: Call) -> None:
    names = ("get-leaderboard", "delete-leaderboard", "rankings", "player", "export", "export-job", "list-periods")
    players = ("player-windows", "player-events", "player-explain", "player-of", "rankings-friends", "rankings-tier")
    more = ("rankings-attribute", "rankings-range", "result", "result-versions")
    for name in (*names, *players, *more, "get-period", "delete-period", "put-period"):
        answer = call(name)
        assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:unknown-leaderboard"), name


def test_without_queues_and_s3_rankings_are_ready_but_not_all_is_well(call: Call) -> None:
    health, ready, live = (call(name) for name in ("health", "health-ready", "health-live"))

    assert (health.status, ready.status, live.status) == (503, 200, 200)
    states = {name: one["status"] for name, one in health.json["dependencies"].items()}
    assert states == {"dynamodb": "up", "cache": "up", "queues": "down", "s3": "down", "topic": "up"}
    assert all(one["latencyMs"] >= 0 and one["since"] for one in health.json["dependencies"].values())
    cache, queues = health.json["dependencies"]["cache"], health.json["dependencies"]["queues"]["queues"]
    assert cache["memoryUsedBytes"] > 0
    assert 0 <= cache["completeLeaderboards"] <= cache["leaderboards"]
    assert {one["status"] for one in queues.values()} == {"down"}


def test_a_leaderboard_is_created_while_redis_is_down(call: Call, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as nobody:
        for name in ("cache", "searches", "window_builder", "rankings"):
            module.assembly.__dict__.pop(name, None)
        monkeypatch.setitem(module.assembly.__dict__, "redis", nobody)
        try:
            assert call("put-leaderboard", body=BODY).status == 201
            answer = call("rankings", query="")
            assert (answer.status, answer.json["source"], answer.json["total"]) == (200, "snapshot", 0)
            ready = call("health-ready")
            assert (ready.status, ready.json["dependencies"]["cache"]["status"]) == (200, "down")
            assert call("health").status == 503
        finally:
            for name in ("cache", "searches", "window_builder", "rankings"):
                module.assembly.__dict__.pop(name, None)
