"""What a page is asked for by: cursors, players, scores, tiers; and what of it makes no sense together."""

from typing import Any

import pytest
from msgspec.structs import replace

from functions.api.models import CURSOR_CHARACTERS_MAX, PLAYERS_MAX
from shared.domain.calendar import daily, day_of
from shared.domain.events import ATTRIBUTE_CHARACTERS_MAX, POINTS_MAX
from shared.domain.selections import Selection
from shared.reads.cursors import Cursor, Cursors
from shared.reads.rankings import UnknownFilter, UnknownTier
from tests.unit.api.conftest import NOW_MS, Api

RANKINGS = "/leaderboards/cup/rankings"


def asked(api: Api) -> Selection:
    return api.rankings.asked[-1][1]


def test_cursors_lead_on_and_back_from_the_entries_at_the_ends_of_a_page(api: Api) -> None:
    page = api.get(RANKINGS, window="daily", limit=2, offset=2).json

    assert api.get(RANKINGS, window="daily", limit=2, cursor=page["nextCursor"]).status == 200
    following = asked(api)
    assert api.get(RANKINGS, window="daily", limit=2, cursor=page["prevCursor"]).status == 200
    before = asked(api)

    assert (following.key and following.key.user_id, following.backward) == ("u-3", False)
    assert (before.key and before.key.user_id, before.backward) == ("u-2", True)


def test_a_whole_ranking_on_one_page_has_no_cursors(api: Api) -> None:
    page = api.get(RANKINGS).json
    assert (page["nextCursor"], page["prevCursor"]) == (None, None)


def test_a_cursor_keeps_to_the_day_on_which_paging_began(api: Api) -> None:
    cursor = api.get(RANKINGS, window="daily", limit=2).json["nextCursor"]
    api.now_ms += 86_400_000

    assert api.get(RANKINGS, window="daily", limit=2, cursor=cursor).status == 200
    assert api.rankings.asked[-1][0] == daily(day_of(NOW_MS))
    assert list(api.get(RANKINGS, window="daily", date="2026-11-24", cursor=cursor).errors) == ["cursor"]


@pytest.mark.parametrize(
    "query",
    [
        {"window": "weekly"},
        {"window": "all-time"},
        {"window": "daily", "date": "2026-11-22"},
        {"window": "custom", "from": "2026-11-23", "to": "2026-11-23"},
    ],
)
def test_a_cursor_of_another_window_is_named(api: Api, query: dict[str, str]) -> None:
    cursor = api.get(RANKINGS, window="daily", limit=2).json["nextCursor"]
    asked_before = len(api.rankings.asked)

    answer = api.get(RANKINGS, **query, cursor=cursor)

    assert (answer.status, answer.errors) == (422, {"cursor": "belongs to another window"})
    assert len(api.rankings.asked) == asked_before


FILTERS: list[dict[str, Any]] = [
    {},
    {"minScore": 1},
    {"maxScore": 200},
    {"minScore": 1, "maxScore": 200},
    {"tier": "gold"},
    {"attr.country": "DE"},
    {"attr.country": "FR"},
    {"attr.country": "DE", "minScore": 1},
]


@pytest.mark.parametrize("other", FILTERS)
@pytest.mark.parametrize("filters", FILTERS)
def test_a_cursor_goes_on_with_the_filters_of_its_page_alone(
    api: Api, filters: dict[str, Any], other: dict[str, Any]
) -> None:
    page = api.get(RANKINGS, **filters, limit=2, offset=1).json
    for cursor in (page["nextCursor"], page["prevCursor"]):
        answer = api.get(RANKINGS, **other, limit=3, cursor=cursor)
        if filters == other:
            assert answer.status == 200
        else:
            assert (answer.status, answer.errors) == (422, {"cursor": "belongs to a page with other filters"})


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "AAAA",
        "é",
        "A" * CURSOR_CHARACTERS_MAX,
        "A" * (CURSOR_CHARACTERS_MAX + 1),
        Cursors(b"other").write(Cursor("cup", "all-time", False, "u-1", 1, NOW_MS)),
        Cursors(b"key").write(Cursor("other-cup", "all-time", False, "u-1", 1, NOW_MS)),
    ],
)
def test_a_forged_or_foreign_cursor_is_named(api: Api, cursor: str) -> None:
    answer = api.get(RANKINGS, cursor=cursor)
    assert (answer.status, list(answer.errors)) == (422, ["cursor"])
    assert not api.rankings.asked


def test_scores_and_a_tier_are_asked_for_as_given(api: Api) -> None:
    api.get(RANKINGS, minScore=-5, maxScore=POINTS_MAX, tier="gold", limit=3)
    assert asked(api) == Selection(limit=3, min_score=-5, max_score=POINTS_MAX, tier="gold")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"userIds": "a", "limit": 1}, "limit"),
        ({"userIds": "a", "offset": 0}, "offset"),
        ({"userIds": "a", "cursor": "x"}, "cursor"),
        ({"userIds": "a", "minScore": 1}, "minScore"),
        ({"userIds": "a", "maxScore": 1}, "maxScore"),
        ({"userIds": "a", "tier": "gold"}, "tier"),
        ({"userIds": "a", "attr.country": "DE"}, "attr.country"),
        ({"attr.country": "DE", "attr.platform": "pc"}, "attr.platform"),
        ({"attr.country": "x" * (ATTRIBUTE_CHARACTERS_MAX + 1)}, "attr.country"),
        ({"attr": "DE"}, "attr"),
        ({"cursor": "x", "offset": 1}, "offset"),
        ({"minScore": 2, "maxScore": 1}, "minScore"),
        ({"minScore": POINTS_MAX + 1}, "minScore"),
        ({"maxScore": -POINTS_MAX - 1}, "maxScore"),
        ({"minScore": "1.5"}, "minScore"),
        ({"tier": ""}, "tier"),
        ({"tier": "x" * 65}, "tier"),
        ({"userIds": ""}, "userIds"),
        ({"userIds": "a,,b"}, "userIds"),
        ({"userIds": "a,\x00"}, "userIds"),
        ({"userIds": "a" * 129}, "userIds"),
        ({"userIds": ",".join(f"u{at}" for at in range(PLAYERS_MAX + 1))}, "userIds"),
    ],
)
def test_what_makes_no_sense_is_named(api: Api, query: dict[str, Any], field: str) -> None:
    answer = api.get(RANKINGS, **query)
    assert (answer.status, list(answer.errors)) == (422, [field])
    assert not api.rankings.asked


def test_as_many_players_as_are_allowed_are_read_and_those_without_points_are_named(api: Api) -> None:
    users = [f"u-{at}" for at in range(PLAYERS_MAX)]
    found = api.get(RANKINGS, userIds=",".join([*users, "u-0"])).json
    assert [one["userId"] for one in found["entries"]] == users[:5]
    assert found["missing"] == users[5:]
    assert (found["matched"], found["nextCursor"]) == (5, None)


@pytest.mark.parametrize("value", ["DE", "", "a=b&c", "é \U0001f600", "x" * ATTRIBUTE_CHARACTERS_MAX])
def test_the_value_of_an_attribute_is_asked_for_as_given(api: Api, value: str) -> None:
    assert api.get(RANKINGS, **{"attr.country": value, "tier": "gold"}).status == 200
    assert asked(api) == Selection(limit=100, tier="gold", label=("country", value))


@pytest.mark.parametrize(
    ("query", "user_ids"),
    [
        ("userIds=a&userIds=b", ["a", "b"]),
        ("userIds=a,b&userIds=c&userIds=a", ["a", "b", "c"]),
        ("userIds=a%2Cb,c%2C", ["a,b", "c,"]),
        ("userIds=a%2Cb&userIds=%2C", ["a,b", ","]),
        ("userIds=a%26b%3Dc,d+e", ["a&b=c", "d e"]),
    ],
)
def test_players_are_asked_for_one_by_one_whatever_their_ids(api: Api, query: str, user_ids: list[str]) -> None:
    answer = api.call("GET", RANKINGS, query)
    assert (answer.status, answer.json["missing"]) == (200, user_ids)


def test_an_attribute_given_twice_is_named(api: Api) -> None:
    answer = api.call("GET", RANKINGS, "attr.country=DE&attr.country=FR")
    assert (answer.status, answer.errors) == (422, {"attr.country": "may be given once"})


def test_an_attribute_that_is_no_filter_is_named_beside_those_that_are(api: Api) -> None:
    api.rankings.failure = UnknownFilter("guild", ("country", "platform"))
    answer = api.get(RANKINGS, **{"attr.guild": "x"})
    said = "is not a filter of this leaderboard: its filters are country, platform"
    assert (answer.status, answer.errors) == (422, {"attr.guild": said})


def test_a_tier_that_is_not_there_is_named(api: Api) -> None:
    api.rankings.failure = UnknownTier("cup has no such tier")
    answer = api.get(RANKINGS, tier="platinum")
    assert (answer.status, answer.errors) == (422, {"tier": "cup has no such tier"})


def test_a_player_can_be_named_by_a_parameter_whatever_his_id_ends_in(api: Api) -> None:
    api.rankings.scores["x/events"] = replace(api.rankings.scores["u-0"], points=7)
    found = api.get("/leaderboards/cup/players", userId="x/events", context=0)
    assert (found.status, found.json["player"]["userId"]) == (200, "x/events")
    assert list(api.get("/leaderboards/cup/players").errors) == ["userId"]
    assert list(api.get("/leaderboards/cup/players", userId="a\x00").errors) == ["userId"]
