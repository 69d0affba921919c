"""Conditional reads, waiting for a change, and how long an answer may be kept."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from functions.api.conditional import WAIT_MAX_S, WAIT_RESERVE_MS, ConditionalReads
from shared.cache.errors import CacheUnavailable
from shared.domain.calendar import parse_day
from shared.domain.periods import Period
from shared.domain.rules import Aggregation, Leaderboard
from shared.reads.answers import RankingSource
from tests.unit.api.conftest import NOW_MS, Answer, Api

RANKINGS = "/leaderboards/cup/rankings"
PLAYER = "/leaderboards/cup/players/u-2"


class Waiting:
    """A clock that stands still but for what is slept, and something that happens at a time."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.at_s: dict[float, Any] = {}
        original = ConditionalReads.__init__

        def patched(one: ConditionalReads, cache: Any, waits: Any, is_public: bool, **told: Any) -> None:
            original(one, cache, waits, is_public, self.sleep, lambda: self.now_s, **told)

        monkeypatch.setattr(ConditionalReads, "__init__", patched)
        api.start()

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for at_s in [at_s for at_s in self.at_s if at_s <= self.now_s]:
            self.at_s.pop(at_s)()


@pytest.fixture
def waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(api, monkeypatch)


def again(api: Api, first: Answer, path: str = RANKINGS, query: str = "", **headers: str) -> Answer:
    sent = {"if-none-match": first.headers["etag"], **headers}
    return api.call("GET", path, query, headers=sent)


@pytest.mark.parametrize("path", [RANKINGS, PLAYER])
def test_an_answer_that_the_client_has_is_304_without_body(api: Api, path: str) -> None:
    first = api.get(path)
    answer = again(api, first, path)
    assert (answer.status, answer.text) == (304, "")
    assert answer.headers["etag"] == first.headers["etag"]
    assert answer.headers["cache-control"] == first.headers["cache-control"]


@pytest.mark.parametrize("header", ['"x", {tag}', "{strong}", "*", "{tag}", ' W/"a,b" ,{tag} '])
def test_tags_are_compared_weakly_and_one_of_many_is_enough(api: Api, header: str) -> None:
    tag = api.get(RANKINGS).headers["etag"]
    sent = header.format(tag=tag, strong=tag.removeprefix("W/"))
    assert api.call("GET", RANKINGS, headers={"if-none-match": sent}).status == 304


@pytest.mark.parametrize("header", ["", '"x"', "W/", "nonsense", '"'])
def test_any_other_tag_is_answered_in_full(api: Api, header: str) -> None:
    assert api.call("GET", RANKINGS, headers={"if-none-match": header}).status == 200


def test_the_tag_is_another_for_whatever_changes_the_answer(api: Api) -> None:
    def tag(query: str = "", path: str = RANKINGS) -> str:
        return api.call("GET", path, query).headers["etag"]

    tags = [tag(), tag("limit=1"), tag("window=daily"), tag("window=weekly"), tag("userIds=u-1"), tag(path=PLAYER)]
    api.rankings.revision += 1
    tags.append(tag())
    api.registry.boards["cup"] = replace(api.registry.boards["cup"], name="Other", version=2)
    api.now_ms += 3_600_000
    tags.append(tag())
    api.rankings.final = True
    tags.append(tag())
    assert len(set(tags)) == len(tags)


def test_every_step_of_a_windows_status_has_a_tag_of_its_own(api: Api) -> None:
    tags = [api.get(RANKINGS, window="daily", date="2026-11-23").headers["etag"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.unit.api.conftest.NOW_MS", NOW_MS + 86_400_000)
        closing = api.get(RANKINGS, window="daily", date="2026-11-23")
        api.rankings.final = True
        final = api.get(RANKINGS, window="daily", date="2026-11-23")
    assert [one.json["window"]["status"] for one in (closing, final)] == ["closing", "final"]
    assert len({*tags, closing.headers["etag"], final.headers["etag"]}) == 3


def test_another_definition_has_another_tag_until_the_window_is_final(api: Api) -> None:
    def redefined(tiers: list[Any]) -> str:
        assert api.put("/leaderboards/cup", {"name": "Cup", "aggregation": "sum", "tiers": tiers}).status == 200
        return api.get(RANKINGS).headers["etag"]

    gold = [{"name": "gold", "topN": 1}]
    assert redefined(gold) != redefined([{"name": "gold", "topN": 2}])
    api.rankings.final = True  # ranked by the rules that it was closed with
    assert redefined(gold) == redefined([])


def test_a_snapshot_that_leaves_somebody_out_has_another_tag_at_the_same_revision(api: Api) -> None:
    api.rankings.source = RankingSource.SNAPSHOT
    first = api.get(RANKINGS)
    assert again(api, first).status == 304

    del api.rankings.scores["u-2"]  # disqualified since, which no revision counts

    answer = again(api, first)
    assert (answer.status, answer.json["revision"]) == (200, first.json["revision"])
    assert "u-2" not in answer.text


def test_the_order_of_parameters_does_not_change_the_tag(api: Api) -> None:
    one, other = (api.call("GET", RANKINGS, query) for query in ("limit=1&offset=2", "offset=2&limit=1"))
    assert one.headers["etag"] == other.headers["etag"]


AGES = {
    "open": ("window=daily", False, 1),
    "closing": ("window=daily&date=2026-11-20", False, 5),
    "final, which a next version may follow": ("window=daily&date=2026-11-20", True, 300),
    "final, by the name of a period": ("window=custom&period=launch", True, 60),
}


@pytest.mark.parametrize(("query", "final", "seconds"), AGES.values(), ids=list(AGES))
def test_how_long_an_answer_keeps_goes_by_the_windows_status(api: Api, query: str, final: bool, seconds: int) -> None:
    day = parse_day("2026-10-01")
    api.registry.known_periods["cup", "launch"] = Period(id="launch", name="x", first=day, last=day)
    api.rankings.final = final
    kept = api.call("GET", RANKINGS, query).headers["cache-control"]
    assert kept == f"public, max-age={seconds}, must-revalidate"


@pytest.mark.parametrize("query", ["window=daily", "window=daily&date=2026-11-20"])
def test_a_snapshot_is_kept_no_longer_than_what_is_live(api: Api, query: str) -> None:
    """A crowd that watches a board may not reach the functions all at once because the cache is away."""
    api.rankings.source = RankingSource.SNAPSHOT
    assert api.call("GET", RANKINGS, query).headers["cache-control"] == "public, max-age=1, must-revalidate"


@pytest.mark.parametrize("path", [RANKINGS, PLAYER, "/leaderboards/cup/players?userId=u-2"])
def test_what_a_token_was_needed_for_is_kept_from_shared_caches(path: str) -> None:
    api = Api(authorization="jwt")
    api.registry.boards["cup"] = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    api.claims = {"sub": "game", "exp": str(NOW_MS // 1000 + 60), "scope": "leaderboards:read"}
    target, _, query = path.partition("?")
    answer = api.call("GET", target, query)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, max-age=1, must-revalidate"
    assert "authorization" in answer.headers["vary"]


@pytest.mark.parametrize("path", [RANKINGS, PLAYER])
def test_what_is_answered_to_who_waits_is_theirs_alone(api: Api, waiting: Waiting, path: str) -> None:
    first = api.get(path)
    waiting.at_s[1.0] = lambda: setattr(api.rankings, "revision", 8)
    for answer in (api.call("GET", path, headers={"prefer": "wait=2"}), again(api, first, path, prefer="wait=2")):
        assert (answer.status, answer.headers["cache-control"]) == (200, "private, max-age=1, must-revalidate")
        assert "prefer" in answer.headers["vary"]
    unchanged = again(api, api.get(path), path, prefer="wait=1")
    assert (unchanged.status, unchanged.headers["cache-control"]) == (304, "private, max-age=1, must-revalidate")


PROBLEMS = {
    "no leaderboard": ("/leaderboards/none/rankings", "", 404),
    "nobody": ("/leaderboards/cup/players/nobody", "", 404),
    "an unknown parameter": (RANKINGS, "limits=2", 422),
    "no route": ("/nothing", "", 404),
    "another method": ("/health", "", 405),
}


@pytest.mark.parametrize(("path", "query", "status"), PROBLEMS.values(), ids=list(PROBLEMS))
def test_no_cache_keeps_an_error(api: Api, path: str, query: str, status: int) -> None:
    answer = api.call("DELETE" if status == 405 else "GET", path, query)
    assert (answer.status, answer.headers["cache-control"]) == (status, "no-store")
    assert "etag" not in answer.headers


@pytest.mark.parametrize("failure", [CacheUnavailable("away"), KeyError("ours")])
def test_no_cache_keeps_a_failure(api: Api, failure: Exception) -> None:
    api.rankings.failure = failure
    answer = api.get(RANKINGS)
    assert (answer.status >= 500, answer.headers["cache-control"]) == (True, "no-store")


def test_a_client_who_waits_is_answered_as_soon_as_something_changes(api: Api, waiting: Waiting) -> None:
    first = api.get(RANKINGS)
    waiting.at_s[3.0] = lambda: setattr(api.rankings, "revision", 8)

    answer = again(api, first, prefer="wait=20")

    assert (answer.status, answer.json["revision"]) == (200, 8)
    assert answer.headers["preference-applied"] == "wait=20"
    assert 3.0 <= waiting.now_s < 3.2


@pytest.mark.parametrize(
    ("prefer", "waited_s"),
    [
        ("wait=2", 2),
        ("respond-async, WAIT=2", 2),
        ('wait="2"; x=1', 2),
        (f"wait={WAIT_MAX_S + 1}", WAIT_MAX_S),
        ("wait=999999", WAIT_MAX_S),
        ("wait=0", 0),
        ("wait=-1", 0),
        ("wait=2s", 0),
        ("await=2", 0),
        ("wait", 0),
        ("", 0),
    ],
)
def test_the_wait_ends_when_the_client_or_the_limit_says(
    api: Api, waiting: Waiting, prefer: str, waited_s: int
) -> None:
    assert again(api, api.get(RANKINGS), prefer=prefer).status == 304
    assert waited_s - 0.2 <= waiting.now_s <= waited_s


def test_the_wait_leaves_time_for_the_answer_before_the_invocation_ends(api: Api, waiting: Waiting) -> None:
    api.context = SimpleNamespace(get_remaining_time_in_millis=lambda: WAIT_RESERVE_MS + 500)
    assert again(api, api.get(RANKINGS), prefer="wait=20").status == 304
    assert waiting.now_s <= 0.5


def test_nobody_waits_for_a_final_window_nor_without_a_tag(api: Api, waiting: Waiting) -> None:
    assert api.call("GET", RANKINGS, headers={"prefer": "wait=20"}).status == 200
    api.rankings.final = True
    assert again(api, api.get(RANKINGS), prefer="wait=20").status == 304
    assert waiting.now_s == 0


@pytest.mark.parametrize("path", [RANKINGS, PLAYER])
def test_a_wait_beyond_the_share_of_waits_is_answered_at_once(api: Api, waiting: Waiting, path: str) -> None:
    api.may_wait = False
    answer = again(api, api.get(path), path, prefer="wait=20")
    assert (answer.status, answer.headers["retry-after"]) == (304, "5")
    assert "preference-applied" not in answer.headers
    assert waiting.now_s == 0
    assert api.waits == [20_000]


@pytest.mark.parametrize("path", [RANKINGS, PLAYER])
def test_nobody_waits_for_a_snapshot(api: Api, waiting: Waiting, path: str) -> None:
    """Each look would be a read of the truth, ten times a second."""
    api.rankings.source = RankingSource.SNAPSHOT
    answer = again(api, api.get(path), path, prefer="wait=20")
    assert (answer.status, answer.headers["retry-after"]) == (304, "2")
    assert "preference-applied" not in answer.headers
    assert waiting.now_s == 0


def test_a_wait_ends_once_a_snapshot_answers_whatever_the_client_has(api: Api, waiting: Waiting) -> None:
    def flush() -> None:
        api.rankings.source = RankingSource.SNAPSHOT
        api.rankings.revision -= 1

    waiting.at_s[1.0] = flush
    assert api.call("GET", RANKINGS, headers={"if-none-match": "*", "prefer": "wait=20"}).status == 304
    assert waiting.now_s < 1.2


def test_a_wait_during_which_the_cache_fails_ends_with_what_can_be_said_then(api: Api, waiting: Waiting) -> None:
    first = api.get(RANKINGS)

    def fail() -> None:
        api.rankings.failure = CacheUnavailable("away")
        api.revision_failure = CacheUnavailable("away")

    waiting.at_s[1.0] = fail

    assert again(api, first, prefer="wait=20").status == 503
    assert waiting.now_s < 1.2
