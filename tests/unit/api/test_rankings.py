"""Reads of rankings: parameters, windows, shapes."""

import pytest
from msgspec.structs import replace

from functions.api.models import CONTEXT_MAX, LIMIT_MAX, OFFSET_MAX
from shared.cache.leases import BuildProgress
from shared.domain.calendar import custom, parse_day
from shared.domain.events import USER_ID_BYTES_MAX
from shared.domain.periods import Period
from shared.domain.standings import Score
from shared.rebuild.on_demand import Building
from tests.unit.api.conftest import NOW_MS, Api

RANKINGS = "/leaderboards/cup/rankings"
PLAYERS = "/leaderboards/cup/players/"


def test_a_page_has_the_shape_of_the_contract(api: Api) -> None:
    api.rankings.scores = {"ann": Score(9, NOW_MS), "bob": Score(5, NOW_MS), "cid": Score(5, NOW_MS + 1)}

    answer = api.get(RANKINGS, window="weekly", date="2026-W48", limit=1, offset=1)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    found = answer.json
    assert found == {
        "leaderboardId": "cup",
        "window": {
            "kind": "weekly",
            "id": "2026-W48",
            "from": "2026-11-23",
            "to": "2026-11-29",
            "startsAt": "2026-11-23T00:00:00.000Z",
            "endsAt": "2026-11-30T00:00:00.000Z",
            "status": "open",
            "expectedFinalAt": "2026-11-30T01:05:15.001Z",
        },
        "revision": 7,
        "total": 3,
        "asOf": "2026-11-23T10:00:00.000Z",
        "source": "live",
        "matched": 3,
        "entries": [
            {
                "rank": 2,
                "competitionRank": 2,
                "userId": "bob",
                "score": 5,
                "reachedAt": "2026-11-23T10:00:00.000Z",
                "percentile": 33.33,
                "topPercent": 66.67,
                "tier": None,
            }
        ],
        "nextCursor": found["nextCursor"],
        "prevCursor": found["prevCursor"],
        "truncated": False,
        "rankApproximate": False,
        "rulesVersion": 1,
    }
    assert len(found["nextCursor"]) < 200


def test_all_time_has_no_dates(api: Api) -> None:
    assert api.get(RANKINGS).json["window"] == {
        "kind": "all-time",
        "id": "all-time",
        "from": None,
        "to": None,
        "startsAt": None,
        "endsAt": None,
        "status": "open",
    }


@pytest.mark.parametrize(
    ("query", "window_id"),
    [
        ({}, "all-time"),
        ({"window": "all-time"}, "all-time"),
        ({"window": "daily"}, "2026-11-23"),
        ({"window": "daily", "date": "2026-11-01"}, "2026-11-01"),
        ({"window": "weekly"}, "2026-W48"),
        ({"window": "weekly", "date": "2026-11-29"}, "2026-W48"),
        ({"window": "weekly", "date": "2020-W53"}, "2020-W53"),
        ({"window": "custom", "from": "2026-11-01", "to": "2026-11-15"}, "2026-11-01..2026-11-15"),
        ({"window": "custom", "period": "launch"}, "2026-10-01..2026-10-02"),
        ({"window": "custom", "from": "2025-01-01", "to": "2026-01-01"}, "2025-01-01..2026-01-01"),
    ],
)
def test_parameters_name_a_window(api: Api, query: dict[str, str], window_id: str) -> None:
    dates = parse_day("2026-10-01"), parse_day("2026-10-02")
    api.registry.known_periods["cup", "launch"] = Period(id="launch", name="x", first=dates[0], last=dates[1])
    assert api.get(RANKINGS, **query).json["window"]["id"] == window_id


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"date": "2026-11-23"}, "date"),
        ({"period": "launch"}, "period"),
        ({"window": "daily", "from": "2026-11-23"}, "from"),
        ({"window": "daily", "period": "launch"}, "period"),
        ({"window": "weekly", "to": "2026-11-23"}, "to"),
        ({"window": "custom", "date": "2026-11-23"}, "date"),
        ({"window": "custom", "period": "launch", "to": "2026-11-23"}, "to"),
        ({"window": "custom", "from": "2026-11-23"}, "to"),
        ({"window": "custom", "to": "2026-11-23"}, "from"),
        ({"window": "custom"}, "from"),
        ({"windw": "daily"}, "windw"),
        ({"first": "2026-11-23"}, "first"),
        ({"window": "daily", "date": "2026-W48"}, "date"),
        ({"window": "weekly", "date": "soon"}, "date"),
    ],
)
def test_a_parameter_that_does_not_go_with_the_window_is_named_never_ignored(
    api: Api, query: dict[str, str], field: str
) -> None:
    answer = api.get(RANKINGS, **query)
    assert (answer.status, list(answer.errors)) == (422, [field])
    assert not api.rankings.asked


@pytest.mark.parametrize(
    ("path", "name", "least", "most"),
    [
        (RANKINGS, "limit", 1, LIMIT_MAX),
        (RANKINGS, "offset", 0, OFFSET_MAX),
        (PLAYERS + "u-1", "context", 0, CONTEXT_MAX),
        ("/leaderboards", "limit", 1, 100),
    ],
)
def test_numbers_hold_to_their_bounds_and_not_one_past(api: Api, path: str, name: str, least: int, most: int) -> None:
    assert [api.get(path, **{name: value}).status for value in (least, most)] == [200, 200]
    for value in (least - 1, most + 1):
        answer = api.get(path, **{name: value})
        assert (answer.status, list(answer.errors)) == (422, [name])


def test_an_unknown_period_is_404(api: Api) -> None:
    answer = api.get(RANKINGS, window="custom", period="nope")
    assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:unknown-period")


def test_a_deleted_leaderboard_is_not_read(api: Api) -> None:
    api.registry.boards["cup"] = replace(api.registry.boards["cup"], archived=True)
    assert api.get(RANKINGS).status == 404


def test_a_player_has_his_neighbours_and_what_he_lacks(api: Api) -> None:
    answer = api.get(PLAYERS + "u-2", context=1)

    assert answer.status == 200
    found = answer.json
    assert [one["userId"] for one in (*found["above"], found["player"], *found["below"])] == ["u-1", "u-2", "u-3"]
    assert found["player"] == {
        "rank": 3,
        "competitionRank": 3,
        "userId": "u-2",
        "score": 98,
        "reachedAt": "2026-11-23T10:00:00.000Z",
        "percentile": 40.0,
        "topPercent": 60.0,
        "tier": None,
        "pointsToNextRank": 2,
        "pointsToNextTier": 7,
        "rankApproximate": False,
    }


def test_a_player_without_points_is_404(api: Api) -> None:
    answer = api.get(PLAYERS + "nobody")
    assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:unknown-player")


@pytest.mark.parametrize(
    "user_id", ["a/b", "/", "50%", "100%25", "%41", "%2F", "Zoë 🎮", "..", "a+b", "a?b#c", "a\u2028b"]
)
def test_a_user_id_is_taken_as_the_gateway_decoded_it_never_split_nor_decoded_again(api: Api, user_id: str) -> None:
    api.rankings.scores = {user_id: Score(1, NOW_MS)}
    assert api.get(PLAYERS + user_id).json["player"]["userId"] == user_id


@pytest.mark.parametrize("segment", ["a" * (USER_ID_BYTES_MAX + 1), "é" * 65, "a" * 1_000_000, ""])
def test_a_user_id_that_cannot_be_is_named(api: Api, segment: str) -> None:
    answer = api.get(PLAYERS + segment)
    assert (answer.status, list(answer.errors)) == (422, ["userId"])
    assert len(answer.text) < 1_000


def test_the_longest_user_id_is_read(api: Api) -> None:
    assert api.get(PLAYERS + "a" * USER_ID_BYTES_MAX).json["type"].endswith("unknown-player")


@pytest.mark.parametrize("path", [RANKINGS, f"{PLAYERS}u-1"])
def test_a_range_that_is_being_built_says_how_far_it_is_and_when_to_ask_again(api: Api, path: str) -> None:
    window = custom(parse_day("2026-09-01"), parse_day("2026-11-25"))
    api.rankings.failure = Building("cup", window, BuildProgress(31, 410_332))

    answer = api.get(path, window="custom", **{"from": "2026-09-01", "to": "2026-11-25"})

    assert answer.status == 202
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("1", "no-store")
    assert "etag" not in answer.headers
    assert answer.json == {
        "leaderboardId": "cup",
        "window": {
            "kind": "custom",
            "id": "2026-09-01..2026-11-25",
            "from": "2026-09-01",
            "to": "2026-11-25",
            "startsAt": "2026-09-01T00:00:00.000Z",
            "endsAt": "2026-11-26T00:00:00.000Z",
            "status": "open",
        },
        "state": "building",
        "daysRead": 31,
        "days": 86,
        "standingsRead": 410_332,
    }


def test_each_answer_tells_where_it_was_read_from(api: Api) -> None:
    for path in ("/leaderboards/cup/rankings", "/leaderboards/cup/players/u-2"):
        assert api.get(path).status == 200
    assert api.sources == ["live", "live"]
