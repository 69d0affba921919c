"""Definitions: what may be sent, what may change."""

from typing import Any

import pytest
from msgspec.structs import replace

from functions.api.definitions import TRIES_MAX
from shared.cache.errors import CacheUnavailable
from shared.domain.calendar import DAY_MS
from shared.domain.events import POINTS_MAX
from tests.unit.api.conftest import NOW_MS, Api

NEW = "/leaderboards/new"
BODY: dict[str, Any] = {"name": "Autumn Cup", "aggregation": "sum"}


def tier(**rule: Any) -> dict[str, Any]:
    return BODY | {"tiers": [{"name": "gold"} | rule]}


def test_a_new_leaderboard_is_201_with_its_place_and_its_defaults(api: Api) -> None:
    answer = api.put(NEW, BODY)

    assert (answer.status, answer.headers["location"]) == (201, NEW)
    assert answer.json == {
        "id": "new",
        "name": "Autumn Cup",
        "aggregation": "sum",
        "order": "desc",
        "lateness": "PT1H",
        "shards": 16,
        "timeZone": "UTC",
        "dayStartsAt": "00:00",
        "tzdata": None,
        "tzdataDiffersFrom": None,
        "windows": ["daily", "weekly", "all-time"],
        "tiers": [],
        "qualify": None,
        "filters": [],
        "version": 1,
        "effectiveFrom": None,
        "hasEvents": False,
        "countsFrom": None,
        "createdAt": "2026-11-23T10:00:00.000Z",
        "updatedAt": "2026-11-23T10:00:00.000Z",
    }
    assert api.rebuilt == ["new"]
    assert api.get(NEW).json == answer.json


def test_what_was_answered_can_be_sent_back(api: Api) -> None:
    rules = [{"name": "a", "topN": 100}, {"name": "b", "topPercent": 0.29}, {"name": "c", "topPercent": 10}]
    rules[0] |= {"ties": "shared", "windows": ["weekly", "custom"]}
    rules[1] |= {"windows": ["all-time"]}
    body = BODY | {"lateness": "P1DT12H", "tiers": [*rules, {"name": "d", "minScore": -5}], "filters": ["b", "a"]}
    body |= {"qualify": {"minScore": 1}}
    answer = api.put(NEW, body)
    assert {name: answer.json[name] for name in body} == body


def test_a_change_is_200_and_a_version(api: Api) -> None:
    api.put(NEW, BODY)
    api.now_ms += 1
    answer = api.put(NEW, BODY | {"name": "Winter Cup"})
    assert (answer.status, answer.json["version"], answer.json["name"]) == (200, 2, "Winter Cup")
    assert answer.json["createdAt"] < answer.json["updatedAt"]


def test_a_change_says_from_which_day_on_its_windows_follow(api: Api) -> None:
    api.put(NEW, BODY)
    assert api.put(NEW, tier(topN=2)).json["effectiveFrom"] == "2026-11-23"

    api.now_ms += DAY_MS
    again = api.put(NEW, tier(topN=2))
    assert again.json["effectiveFrom"] == "2026-11-23", "nothing changed: it has been in force since then"
    assert api.put(NEW, tier(topN=1)).json["effectiveFrom"] == "2026-11-24"
    assert api.get(NEW).json["effectiveFrom"] == "2026-11-24"
    assert api.put(NEW, tier(topN=1) | {"order": "asc"}).json["effectiveFrom"] is None, "nothing was ranked before"


def test_a_change_that_is_decided_again_after_midnight_is_one_of_the_new_day(api: Api) -> None:
    api.put(NEW, BODY)
    api.now_ms = (NOW_MS // DAY_MS + 1) * DAY_MS - 1

    def interfere() -> None:
        if api.registry.boards["new"].version == 1:
            api.registry.boards["new"] = replace(api.registry.boards["new"], name="Other", version=2)
            api.now_ms += 1

    api.registry.before_save = interfere
    assert api.put(NEW, tier(topN=1)).json["effectiveFrom"] == "2026-11-24"


def test_every_version_of_a_definition_can_be_read(api: Api) -> None:
    shown = [api.put(NEW, BODY).json]
    shown += [api.put(NEW, tier(topN=number)).json for number in (2, 1)]
    assert [one["version"] for one in shown] == [1, 2, 3]

    assert [api.get(NEW, version=number).json for number in (1, 2, 3)] == shown
    api.registry.lock_rules("new")
    assert [api.get(NEW, version=number).json["hasEvents"] for number in (1, 3)] == [True, True]
    for number, status in ((4, 422), (0, 422), ("x", 422)):
        answer = api.get(NEW, version=number)
        assert (answer.status, list(answer.errors)) == (status, ["version"])
    assert api.get(NEW, version=4).errors == {"version": "must be 1 to 3"}
    assert api.get("/leaderboards/none", version=1).status == 404


def test_a_put_that_changes_nothing_makes_no_version(api: Api) -> None:
    api.put(NEW, BODY)
    api.now_ms += 1
    answer = api.put(NEW, BODY | {"order": "desc", "lateness": "PT60M"})
    assert (answer.status, answer.json["version"], api.registry.saves) == (200, 1, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"aggregation": "best"},
        {"order": "asc"},
        {"shards": 4},
        {"filters": ["country"]},
        {"timeZone": "Asia/Kathmandu"},
        {"dayStartsAt": "12:00"},
        {"windows": ["all-time"]},
    ],
)
def test_before_its_first_event_every_rule_may_change_afterwards_not_these(api: Api, change: dict[str, Any]) -> None:
    api.put(NEW, BODY)
    assert api.put(NEW, BODY | change).json["version"] == 2
    api.registry.lock_rules("new")

    answer = api.put(NEW, BODY)

    assert (answer.status, answer.json["type"]) == (409, "urn:leaderboards:problem:locked-rule")
    assert list(answer.errors) == list(change)
    assert api.put(NEW, BODY | change | {"name": "Other"}).status == 200


def test_an_event_that_comes_in_between_keeps_the_rules_it_was_counted_by(api: Api) -> None:
    api.put(NEW, BODY)
    api.registry.before_save = lambda: api.registry.lock_rules("new")
    answer = api.put(NEW, BODY | {"aggregation": "best"})
    assert (answer.status, list(answer.errors)) == (409, ["aggregation"])
    assert api.registry.boards["new"].aggregation == "sum"


def test_a_change_is_decided_again_when_another_came_first(api: Api) -> None:
    api.put(NEW, BODY)

    def interfere() -> None:
        if api.registry.boards["new"].version == 1:
            board = replace(api.registry.boards["new"], name="Other", version=2)
            api.registry.boards["new"] = board

    api.registry.before_save = interfere
    answer = api.put(NEW, BODY | {"name": "Mine"})
    assert (answer.status, answer.json["version"], answer.json["name"]) == (200, 3, "Mine")


def test_a_change_that_always_comes_second_is_a_conflict(api: Api) -> None:
    api.put(NEW, BODY)
    tries = []

    def interfere() -> None:
        tries.append(1)
        board = api.registry.boards["new"]
        api.registry.boards["new"] = replace(board, name=f"n{len(tries)}", version=board.version + 1)

    api.registry.before_save = interfere
    answer = api.put(NEW, BODY | {"name": "Mine"})
    assert (answer.status, answer.json["type"], len(tries)) == (409, "urn:leaderboards:problem:conflict", TRIES_MAX)


def test_a_deleted_leaderboard_is_gone_until_it_is_put_again(api: Api) -> None:
    api.put(NEW, BODY)
    assert api.call("DELETE", NEW).status == 204
    assert [api.get(NEW).status, api.get(f"{NEW}/rankings").status, api.call("DELETE", NEW).status] == [404] * 3
    assert [one["id"] for one in api.get("/leaderboards").json["leaderboards"]] == ["cup"]

    answer = api.put(NEW, BODY)

    assert (answer.status, answer.json["version"]) == (201, 3)
    assert api.rebuilt == ["new", "new"]
    assert api.get(f"{NEW}/rankings").status == 200


def test_a_deleted_leaderboard_with_events_keeps_its_rules(api: Api) -> None:
    api.put(NEW, BODY)
    api.registry.lock_rules("new")
    api.call("DELETE", NEW)
    assert api.put(NEW, BODY | {"shards": 4}).status == 409
    assert api.put(NEW, BODY).status == 201
    assert (api.rebuilt, api.ordered) == (["new"], ["new"]), "what may take long is not done while somebody waits"


def test_without_the_cache_a_leaderboard_is_created_all_the_same(api: Api) -> None:
    api.cache_failure = CacheUnavailable("down")
    assert api.put(NEW, BODY).status == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"aggregation": "sum"}, "name"),
        ({"name": "x"}, "aggregation"),
        (BODY | {"name": ""}, "name"),
        (BODY | {"name": "x" * 65}, "name"),
        (BODY | {"name": 5}, "name"),
        (BODY | {"aggregation": "avg"}, "aggregation"),
        (BODY | {"order": "up"}, "order"),
        (BODY | {"timeZone": "Europe/Bonn"}, "timeZone"),
        (BODY | {"timeZone": "../UTC"}, "timeZone"),
        (BODY | {"dayStartsAt": "24:00"}, "dayStartsAt"),
        (BODY | {"dayStartsAt": "7:00"}, "dayStartsAt"),
        (BODY | {"windows": []}, "windows"),
        (BODY | {"windows": ["all-time", "custom"]}, "windows[1]"),
        (BODY | {"windows": ["all-time", "all-time"]}, "windows"),
        (BODY | {"tiers": [{"name": "gold", "topN": 1, "windows": ["monthly"]}]}, "tiers"),
        (BODY | {"shards": 0}, "shards"),
        (BODY | {"shards": 257}, "shards"),
        (BODY | {"shards": "16"}, "shards"),
        (BODY | {"shards": 16.5}, "shards"),
        (BODY | {"shards": True}, "shards"),
        (BODY | {"lateness": "P366DT0.001S"}, "lateness"),
        (BODY | {"lateness": "-PT1H"}, "lateness"),
        (BODY | {"lateness": "1h"}, "lateness"),
        (BODY | {"lateness": "P1M"}, "lateness"),
        (BODY | {"lateness": 3600}, "lateness"),
        (BODY | {"latenes": "PT1H"}, "latenes"),
        (BODY | {"id": "new"}, "id"),
        (BODY | {"tiers": [{"name": f"t{number}", "topN": 1} for number in range(21)]}, "tiers"),
        (BODY | {"tiers": [{"name": "a", "topN": 1}, {"name": "a", "topN": 2}]}, "tiers"),
        (tier(), "tiers[0]"),
        (tier(topN=1, minScore=1), "tiers[0]"),
        (tier(topN=None), "tiers[0]"),
        (tier(topN=0), "tiers[0].topN"),
        (tier(topN=POINTS_MAX + 1), "tiers[0].topN"),
        (tier(topPercent=0), "tiers[0].topPercent"),
        (tier(topPercent=100.01), "tiers[0].topPercent"),
        (tier(topPercent=0.001), "tiers[0].topPercent"),
        (tier(topPercent=33.333), "tiers[0].topPercent"),
        (tier(topPercent="10"), "tiers[0].topPercent"),
        (tier(topPercent=True), "tiers[0].topPercent"),
        (tier(minScore=POINTS_MAX + 1), "tiers[0].minScore"),
        (tier(maxScore=5), "tiers"),
        (tier(minScore=5) | {"order": "asc"}, "tiers"),
        (tier(topn=5), "tiers[0].topn"),
        (BODY | {"qualify": {}}, "qualify"),
        (BODY | {"qualify": 5}, "qualify"),
        (BODY | {"qualify": {"maxScore": 5}}, "qualify"),
        (BODY | {"qualify": {"minScore": 5}, "order": "asc"}, "qualify"),
        (BODY | {"qualify": {"minScore": 5, "maxScore": 9}}, "qualify"),
        (BODY | {"qualify": {"minScore": POINTS_MAX + 1}}, "qualify.minScore"),
        (tier(topN=5, ties="all"), "tiers[0].ties"),
        (tier(topN=5, windows=[]), "tiers[0].windows"),
        (tier(topN=5, windows=["daily", "hourly"]), "tiers[0].windows[1]"),
        (tier(topN=5, windows=["daily", "daily"]), "tiers[0]"),
        (tier(windows=["daily"]), "tiers[0]"),
        (tier(ties="shared"), "tiers[0]"),
        (tier(minScore=5, ties="shared"), "tiers[0]"),
        (tier(minScore=5, ties="first"), "tiers[0]"),
        (tier(top_n=5), "tiers[0].top_n"),
        (BODY | {"filters": [f"f{number}" for number in range(5)]}, "filters"),
        (BODY | {"filters": ["country", "country"]}, "filters"),
        (BODY | {"filters": [""]}, "filters[0]"),
        (BODY | {"filters": ["a" * 33]}, "filters[0]"),
        (BODY | {"filters": ["a.b"]}, "filters[0]"),
        (BODY | {"filters": ["1a"]}, "filters[0]"),
        (BODY | {"filters": ["ok", "a\n"]}, "filters[1]"),
        (BODY | {"filters": [5]}, "filters[0]"),
        (BODY | {"filters": "country"}, "filters"),
    ],
)
def test_what_a_definition_may_not_hold_is_named_as_it_was_written(api: Api, body: Any, field: str) -> None:
    answer = api.put(NEW, body)
    assert (answer.status, list(answer.errors)) == (422, [field])


@pytest.mark.parametrize(
    "body",
    [
        BODY | {"name": "x" * 64, "shards": 1, "lateness": "PT0S"},
        BODY | {"name": "é", "shards": 256, "lateness": "P366D"},
        BODY | {"tiers": [{"name": f"t{number}", "topN": 1} for number in range(20)]},
        tier(topPercent=100),
        tier(topPercent=0.01),
        tier(topPercent=99.99),
        tier(topN=POINTS_MAX),
        tier(minScore=POINTS_MAX),
        tier(maxScore=-POINTS_MAX) | {"order": "asc"},
        BODY | {"filters": ["a" * 32, "A", "a_1", "z9"]},
    ],
)
def test_a_definition_may_go_to_its_bounds(api: Api, body: Any) -> None:
    assert api.put(NEW, body).status == 201


@pytest.mark.parametrize(
    ("percent", "hundredths"), [(0.29, 29), (0.57, 57), (1.1, 110), (4.35, 435), (33.33, 3333), (99.99, 9999), (7, 700)]
)
def test_percents_are_exact_hundredths(api: Api, percent: float, hundredths: int) -> None:
    api.put(NEW, tier(topPercent=percent))
    assert api.registry.boards["new"].tiers[0].value == hundredths


@pytest.mark.parametrize("leaderboard_id", ["UPPER", "-a", "a" * 65, "a b", "a%62", "é"])
def test_an_id_that_cannot_be_is_named(api: Api, leaderboard_id: str) -> None:
    answer = api.put(f"/leaderboards/{leaderboard_id}", BODY)
    assert (answer.status, list(answer.errors)) == (422, ["id"])


def test_a_list_is_paged_by_id(api: Api) -> None:
    for number in range(3):
        api.put(f"/leaderboards/b{number}", BODY)

    first = api.get("/leaderboards", limit=2).json
    second = api.get("/leaderboards", limit=2, after=first["nextAfter"]).json

    assert [one["id"] for one in first["leaderboards"]] == ["b0", "b1"]
    assert [one["id"] for one in second["leaderboards"]] == ["b2", "cup"]
    assert (first["nextAfter"], second["nextAfter"]) == ("b1", None)


def test_a_list_goes_on_only_after_an_id(api: Api) -> None:
    assert list(api.get("/leaderboards", after="A B").errors) == ["after"]
