"""Profiles on real DynamoDB and Redis: the newest stays, and none stays under an id that was replaced."""

from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from redis import Redis

from shared.cache import keys
from shared.cache import profiles as profiles_in_cache
from shared.cache.profiles import LIVES_MS, ProfileCache
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, Day, daily
from shared.domain.labels import Label
from shared.domain.profiles import FENCE, NO_PROFILE, KeptProfile
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.selections import Selection
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.parallel import ThreadPool
from shared.retries import Backoff
from shared.truth.profiles import Profiles
from shared.truth.tables import Tables, create_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "profiles-of-players"
OFFERED = (KeptProfile(5, '{"name":"é"}'), KeptProfile(5, '{"name":"z"}'), KeptProfile(7, ""), KeptProfile(6, "zz"))


@pytest.fixture(scope="module")
def profiles(dynamodb: "DynamoDBClient") -> Profiles:
    create_tables(dynamodb, Tables(registry=TABLE))
    return Profiles(dynamodb, TABLE, Backoff())


def test_the_newest_stays_in_every_order_and_of_many_writers(profiles: Profiles) -> None:
    for number, order in enumerate(permutations(OFFERED)):
        for one in (*order, *order):
            kept = profiles.write("cup", f"u{number}", one)
            assert kept.value >= one.value
        assert profiles.read("cup", [f"u{number}"]) == {f"u{number}": KeptProfile(7, "")}
    offered = [KeptProfile(number % 17, "x") for number in range(60)]
    ThreadPool(8)([partial(profiles.write, "cup", "many", one) for one in offered])
    assert profiles.read("cup", ["many"]) == {"many": KeptProfile(16, "x")}
    for order in permutations(OFFERED[:2]):
        for one in order:
            profiles.write("tie", str(order), one)
        assert profiles.read("tie", [str(order)])[str(order)] == OFFERED[0], "é follows z in UTF-8"


def test_players_and_scores_are_kept_apart_and_more_than_a_batch_is_read(profiles: Profiles) -> None:
    ids = [f"p-{number}" for number in range(120)]
    for number in range(0, 120, 2):
        profiles.write("big", ids[number], KeptProfile(number, "x"))
    assert profiles.read("big", ids) == {ids[number]: KeptProfile(number, "x") for number in range(0, 120, 2)}
    assert profiles.read("big.5", ids) == {}
    assert profiles.read("big", []) == {}


def test_a_fence_forgets_and_refuses_until_it_is_cleared(profiles: Profiles) -> None:
    profiles.write("cup", "bob", KeptProfile(5, "x"))
    for _ in range(2):
        profiles.write("cup", "bob", FENCE)
        assert profiles.write("cup", "bob", KeptProfile(2**53, "late")) == FENCE
    for _ in range(2):
        profiles.clear("cup", "bob")
        assert profiles.read("cup", ["bob"]) == {}


NOW_MS = 1_795_430_000_000
CUP = Leaderboard(
    id="cup", name="Cup", aggregation=Aggregation.SUM, filters=("country",), tiers=(Tier("gold", TierRule.TOP_N, 2),)
)
IDS = [f"u{number}" for number in range(9)]
VALUES = {user_id: KeptProfile(7, f'{{"name":"{user_id}"}}').value for user_id in IDS[::2]}


@pytest.fixture
def cache(redis: Redis) -> WindowCache:
    """With nine players, every other of whom has a profile there."""
    cache = WindowCache(redis)
    standings = {
        user_id: {ALL_TIME_DAY: Standing(9 - number, NOW_MS, 1, version=1, labels=(Label("country", "DE", 1, "e"),))}
        for number, user_id in enumerate(IDS)
    }
    cache.apply(CUP, standings, NOW_MS)
    ProfileCache(cache).keep("cup", VALUES)
    return cache


def known(user_ids: list[str]) -> dict[str, bytes]:
    return {user_id: VALUES[user_id].encode() for user_id in user_ids if user_id in VALUES}


@pytest.mark.parametrize("label", [None, ("country", "DE")])
@pytest.mark.parametrize("tier", [None, "gold"])
def test_a_page_comes_with_the_profiles_that_the_cache_has(
    cache: WindowCache, label: tuple[str, str] | None, tier: str | None
) -> None:
    searches, selection = WindowSearches(cache), Selection(limit=4, label=label, tier=tier)
    plain = searches.select(CUP, ALL_TIME, selection, NOW_MS)
    found = searches.select(CUP, ALL_TIME, replace(selection, profiles=True), NOW_MS)
    ids = IDS[: 2 if tier else 4]
    assert found.page.profiles == known(ids)
    assert replace(found, page=replace(found.page, profiles={})) == plain


def test_players_and_neighbours_come_with_their_profiles_whatever_their_order(cache: WindowCache) -> None:
    searches, asked = WindowSearches(cache), ["u4", "nobody", "u0", "u3"]
    found = searches.players(CUP, ALL_TIME, asked, NOW_MS, profiles=True)
    assert found.page.profiles == known(["u0", "u4"])
    assert replace(found, page=replace(found.page, profiles={})) == searches.players(CUP, ALL_TIME, asked, NOW_MS)
    assert searches.players(CUP, ALL_TIME, ["nobody"], NOW_MS, profiles=True).page.profiles == {}

    around = cache.player(CUP, ALL_TIME, "u3", 2, NOW_MS, profiles=True)
    assert around.page.profiles == known(["u1", "u2", "u3", "u4", "u5"])
    assert replace(around, page=replace(around.page, profiles={})) == cache.player(CUP, ALL_TIME, "u3", 2, NOW_MS)
    assert cache.player(CUP, ALL_TIME, "nobody", 2, NOW_MS, profiles=True).index is None


def test_no_page_of_a_window_without_players_asks_for_profiles(cache: WindowCache) -> None:
    selection = Selection(limit=5, profiles=True)
    assert WindowSearches(cache).select(CUP, daily(Day(20_000)), selection, NOW_MS).page.profiles == {}


def test_the_cache_keeps_the_newest_whatever_the_order(redis: Redis) -> None:
    cache = ProfileCache(WindowCache(redis))
    for number, order in enumerate(permutations([*OFFERED, NO_PROFILE])):
        for one in order:
            cache.keep("cup", {f"u{number}": one.value})
        assert redis.hget(keys.profiles("cup"), f"u{number}") == KeptProfile(7, "").value.encode()
    for order in permutations(OFFERED[:2]):
        for one in order:
            cache.keep("tie", {"u": one.value})
        assert redis.hget(keys.profiles("tie"), "u") == OFFERED[0].value.encode(), "by bytes, as in the truth"
        redis.delete(keys.profiles("tie"))
    cache.keep("cup", {"u0": FENCE.value})
    cache.keep("cup", {"u0": KeptProfile(2**53, "x").value})
    assert redis.hget(keys.profiles("cup"), "u0") == FENCE.value.encode()


def test_profiles_live_from_the_first_one_on_and_are_bounded(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, key = ProfileCache(WindowCache(redis)), keys.profiles("cup")
    monkeypatch.setattr(profiles_in_cache, "PLAYERS_MAX", 600)
    cache.keep("cup", {f"u{number}": NO_PROFILE.value for number in range(700)})
    assert redis.hlen(key) == 600
    assert 0 < redis.pttl(key) <= LIVES_MS
    redis.pexpire(key, 5_000)
    cache.keep("cup", {"u1": KeptProfile(3, "new").value, "other": KeptProfile(3, "new").value})
    assert redis.hget(key, "u1") == KeptProfile(3, "new").value.encode()
    assert not redis.hexists(key, "other"), "it is read from the truth where a page needs it"
    assert 0 < redis.pttl(key) <= 5_000, "nothing makes it live longer"
    cache.keep("cup", {})


def test_forgetting_a_player_or_a_leaderboard_forgets_profiles(cache: WindowCache, redis: Redis) -> None:
    cache.forget_player(CUP, "u0", NOW_MS)
    assert not redis.hexists(keys.profiles("cup"), "u0")
    cache.forget(CUP, NOW_MS)
    assert not redis.exists(keys.profiles("cup"))
