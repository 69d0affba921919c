"""The routes of profiles: shape, refused fields, and who may set one."""

from collections.abc import Iterable
from typing import Any

import pytest

from shared.admin.pseudonyms import HasPseudonym, IsPseudonym
from shared.domain.profiles import KeptProfile
from shared.domain.ranking import Entry
from shared.domain.rules import Aggregation, Leaderboard
from shared.reads.answers import Ranking
from shared.reads.profiles import Painted
from tests.unit.api.conftest import NOW_MS, Answer, Api
from tests.unit.api.test_security import GOOD

PATH = "/leaderboards/cup/players/u-1/profile"
CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
ADA: dict[str, Any] = {"name": "Ada <b>", "avatar": "fox-3", "metadata": {"level": 12}}


class Kept:
    """One profile, and what was asked."""

    def __init__(self) -> None:
        self.kept: KeptProfile | None = None
        self.failure: Exception | None = None
        self.asked: list[tuple[str, str]] = []

    def find(self, leaderboard: Leaderboard, user_id: str) -> KeptProfile | None:
        self.asked.append((leaderboard.id, user_id))
        return self.kept

    def put(self, leaderboard: Leaderboard, user_id: str, text: str) -> KeptProfile:
        self.asked.append((leaderboard.id, user_id))
        if self.failure is not None:
            raise self.failure
        self.kept = KeptProfile(NOW_MS, text)
        return self.kept


@pytest.fixture
def kept(api: Api) -> Kept:
    api.registry.boards["cup"] = CUP
    kept = api.parts.player_profiles = Kept()
    return kept


def test_what_is_set_is_answered_and_read_as_it_was_sent(api: Api, kept: Kept) -> None:
    answer = api.call("PUT", PATH, body=ADA)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json == {
        "leaderboardId": "cup",
        "userId": "u-1",
        "profile": ADA,
        "since": "2026-11-23T10:00:00.000Z",
    }
    assert api.get(PATH).json == answer.json
    assert kept.asked == [("cup", "u-1")] * 2


def test_who_has_none_is_no_error(api: Api, kept: Kept) -> None:
    assert api.get(PATH).json == {"leaderboardId": "cup", "userId": "u-1", "profile": None, "since": None}
    assert api.call("PUT", PATH, body={}).json["profile"] is None
    assert api.get(PATH).json["since"] == "2026-11-23T10:00:00.000Z"
    assert api.call("PUT", PATH, body={"name": "A"}).json["profile"] == {"name": "A", "avatar": None, "metadata": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x" * 65}, "name"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": 7}, "name"),
        ({"name": "a\u0007"}, "name"),
        ({"name": "a\u202e"}, "name"),
        ({"avatar": "https://x"}, "avatar"),
        ({"avatar": "<img>"}, "avatar"),
        ({"metadata": {"a": "x" * 505}}, "metadata"),
        ({"metadata": {"a": "\u0000"}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": "x"}, "metadata"),
        ({"nick": "x"}, "nick"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_set(api: Api, kept: Kept, body: Any, field: str) -> None:
    answer = api.call("PUT", PATH, body=body)
    assert (answer.status, list(answer.errors)) == (422, [field])
    assert not kept.asked


def test_an_unknown_leaderboard_and_a_pseudonym_are_refused(api: Api, kept: Kept) -> None:
    assert api.call("PUT", PATH.replace("cup", "other"), body=ADA).status == 404
    assert api.get(PATH.replace("cup", "other")).status == 404
    for failure in (HasPseudonym("x"), IsPseudonym("x")):
        kept.failure = failure
        assert api.call("PUT", PATH, body=ADA).status == 409


def test_setting_takes_its_own_scope_and_reading_that_of_reads() -> None:
    api = Api("production", "jwt")
    api.registry.boards["cup"] = CUP
    api.parts.player_profiles = Kept()
    for scope, statuses in (("profiles:write", (200, 403)), ("leaderboards:read", (403, 200))):
        api.claims = GOOD | {"scope": scope}
        assert (api.call("PUT", PATH, body=ADA).status, api.get(PATH).status) == statuses
    for scope in ("leaderboards:admin", "scores:write", "exports:read"):
        api.claims = GOOD | {"scope": scope}
        assert api.call("PUT", PATH, body=ADA).status == 403


class Pages:
    """Profiles of pages."""

    def __init__(self) -> None:
        self.painted = Painted({"u-0": b'{"name":"<b>","avatar":null,"metadata":{"a":[1]}}', "u-1": b""}, 1)
        self.asked: list[list[str]] = []

    def of(self, _: Leaderboard, __: Ranking, entries: Iterable[Entry]) -> Painted:
        self.asked.append([entry.user_id for entry in entries])
        return self.painted


@pytest.fixture
def pages(api: Api) -> Pages:
    api.registry.boards["cup"] = CUP
    pages = api.parts.page_profiles = Pages()
    return pages


def asked(api: Api, path: str) -> Answer:
    target, _, query = path.partition("?")
    return api.call("GET", target, query)


BOB = {"name": "<b>", "avatar": None, "metadata": {"a": [1]}}


def test_a_page_shows_profiles_where_they_are_asked_for(api: Api, pages: Pages) -> None:
    plain = asked(api, "/leaderboards/cup/rankings?limit=3")
    assert all("profile" not in entry for entry in plain.json["entries"])
    assert not pages.asked
    answer = asked(api, "/leaderboards/cup/rankings?limit=3&include=profile")
    assert pages.asked == [["u-0", "u-1", "u-2"]]
    assert api.rankings.asked[-1][1].profiles
    shown = [(entry["userId"], entry.get("profile", "unknown")) for entry in answer.json["entries"]]
    assert shown == [("u-0", BOB), ("u-1", None), ("u-2", "unknown")]
    bare = [{name: entry[name] for name in entry if name != "profile"} for entry in answer.json["entries"]]
    assert bare == plain.json["entries"]


def test_players_and_neighbours_show_them_too(api: Api, pages: Pages) -> None:
    some = asked(api, "/leaderboards/cup/rankings?userIds=u-0,u-4&include=profile").json
    assert [entry.get("profile", "unknown") for entry in some["entries"]] == [BOB, "unknown"]
    for path in ("players/u-1?", "players?userId=u-1&"):
        one = asked(api, f"/leaderboards/cup/{path}context=1&include=profile").json
        assert (one["above"][0]["profile"], one["player"]["profile"]) == (BOB, None)
        assert "profile" not in one["below"][0]
        assert pages.asked[-1] == ["u-0", "u-1", "u-2"]
        assert "profile" not in asked(api, f"/leaderboards/cup/{path}context=1").json["player"]


@pytest.mark.parametrize("path", ["rankings?", "rankings?userIds=u-0&", "players/u-0?"])
def test_a_changed_profile_is_another_answer(api: Api, pages: Pages, path: str) -> None:
    target, query = f"/leaderboards/cup/{path}".split("?")
    tag = api.call("GET", target, f"{query}include=profile").headers["etag"]
    headers = {"if-none-match": tag}
    assert api.call("GET", target, f"{query}include=profile", headers=headers).status == 304
    pages.painted = Painted(pages.painted.texts, 2)
    assert api.call("GET", target, f"{query}include=profile", headers=headers).status == 200


@pytest.mark.parametrize("path", ["rankings?", "players/u-0?", "players?userId=u-0&"])
def test_nothing_else_can_be_included(api: Api, pages: Pages, path: str) -> None:
    answer = asked(api, f"/leaderboards/cup/{path}include=events")
    assert (answer.status, list(answer.errors)) == (422, ["include"])
    assert not pages.asked
