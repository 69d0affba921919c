"""Reads that are answered without the framework: each is what the application answers, byte for byte."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mangum import Mangum
from starlette.routing import Route

from functions.api.app import create_app
from functions.api.contract import is_direct
from functions.api.direct import DirectReads, Reads
from functions.api.gateway import HttpApi
from shared.cache.errors import CacheUnavailable
from shared.cache.leases import BuildProgress
from shared.domain.calendar import custom, parse_day
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.reads.answers import RankingSource
from shared.reads.rankings import Rebuilding
from shared.rebuild.on_demand import Building
from tests.unit.api.conftest import NOW_MS, Api

BOARD = Leaderboard(
    id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=(Tier(name="gold", rule=TierRule.TOP_N, value=2),)
)
READS = {
    "a page": "/leaderboards/cup/rankings",
    "its parameters": "/leaderboards/cup/rankings?window=weekly&date=2026-W48&limit=2&offset=1",
    "some players": "/leaderboards/cup/rankings?userIds=u-1,u-4,nobody",
    "a player": "/leaderboards/cup/players/u-2?context=1",
    "a player by parameter": "/leaderboards/cup/players?userId=u-2",
    "a player with a slash": "/leaderboards/cup/players/a/b",
    "a player called as another route": "/leaderboards/cup/players/u-1/rankings",
    "nobody": "/leaderboards/cup/players/nobody",
    "no leaderboard": "/leaderboards/none/rankings",
    "no id": "/leaderboards/CUP/rankings",
    "a period": "/leaderboards/cup/rankings?window=custom&period=none",
    "an unknown parameter": "/leaderboards/cup/rankings?limits=2",
    "a parameter twice": "/leaderboards/cup/rankings?limit=2&limit=3",
    "a limit out of range": "/leaderboards/cup/rankings?limit=1001&offset=x",
    "a cursor that is none": "/leaderboards/cup/rankings?cursor=x",
    "no such window": "/leaderboards/cup/rankings?window=yearly",
    "no such day": "/leaderboards/cup/rankings?window=daily&date=2026-02-30",
    "what contradicts": "/leaderboards/cup/rankings?userIds=u-1&limit=2",
    "a query that is no text": "/leaderboards/cup/rankings?limit=%zz",
    "an empty player": "/leaderboards/cup/players/",
}
ELSEWHERE = {
    "a list": "/leaderboards",
    "windows of a player": "/leaderboards/cup/players/u-1/windows",
    "health": "/health/live",
    "no route": "/nothing",
    "the document": "/openapi.json",
}


def event(target: str, method: str = "GET", claims: Any = None, **headers: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    context: dict[str, Any] = {
        "http": {"method": method, "path": path, "sourceIp": "192.0.2.10"},
        "requestId": "request-1",
    }
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    sent = {"host": "api.example.com"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return {"version": "2.0", "rawPath": path, "rawQueryString": query, "headers": sent, "requestContext": context}


class Both:
    """The direct way and the framework's, over the same parts."""

    def __init__(self, **settings: str) -> None:
        self.api = Api(**settings)
        self.api.registry.boards["cup"] = BOARD
        reads = Reads(self.api.parts, lambda: NOW_MS)
        app = create_app(self.api.parts, lambda: NOW_MS, reads)
        self.routes = [route for route in app.routes if isinstance(route, Route)]
        self.direct = DirectReads(reads, self.api.parts, lambda: NOW_MS)
        self.framework = Mangum(app, lifespan="off", custom_handlers=[HttpApi])

    def answers(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What both answer, which has to be the same."""
        ours = self.direct.serve(asked, None)
        assert ours is not None
        assert ours == self.framework(asked, None)  # type: ignore[arg-type]
        return ours


@pytest.fixture
def both() -> Both:
    return Both()


@pytest.mark.parametrize("target", READS.values(), ids=list(READS))
def test_a_read_is_answered_as_the_framework_answers_it(both: Both, target: str) -> None:
    answer = both.answers(event(target))

    assert both.answers(event(target, if_none_match=answer["headers"].get("etag", '"x"'))) is not None


def test_what_a_client_has_is_not_sent_again(both: Both) -> None:
    tag = both.answers(event(READS["a page"]))["headers"]["etag"]

    assert both.answers(event(READS["a page"], if_none_match=tag))["statusCode"] == 304


@pytest.mark.parametrize("source", RankingSource)
def test_every_source_is_answered_alike(both: Both, source: RankingSource) -> None:
    both.api.rankings.source, both.api.rankings.final = source, source is RankingSource.FINAL

    for target in (READS["a page"], READS["some players"], READS["a player"]):
        assert both.answers(event(target))["statusCode"] == 200


WINDOW = custom(parse_day("2026-11-01"), parse_day("2026-11-05"))
FAILURES = {
    "cache": (CacheUnavailable("Redis fails"), 503),
    "rebuilding": (Rebuilding("cup is being rebuilt"), 503),
    "building": (Building("cup", WINDOW, BuildProgress(2, 40)), 202),
    "unexpected": (KeyError("ours"), 500),
}


@pytest.mark.parametrize(("failure", "status"), FAILURES.values(), ids=list(FAILURES))
def test_every_failure_is_answered_alike(both: Both, failure: Exception, status: int) -> None:
    both.api.rankings.failure = failure

    assert both.answers(event(READS["a page"]))["statusCode"] == status


GOOD = {"sub": "game", "exp": str(NOW_MS // 1000 + 60), "scope": "leaderboards:read"}
TOKENS = {
    "good": (GOOD, 200),
    "none": (None, 401),
    "late": (GOOD | {"exp": str(NOW_MS // 1000)}, 401),
    "another scope": (GOOD | {"scope": "exports:read"}, 403),
}


@pytest.mark.parametrize(("claims", "status"), TOKENS.values(), ids=list(TOKENS))
def test_every_caller_is_admitted_alike(claims: Any, status: int) -> None:
    both = Both(authorization="jwt")

    assert both.answers(event(READS["a page"], claims=claims))["statusCode"] == status


@pytest.mark.parametrize("target", ELSEWHERE.values(), ids=list(ELSEWHERE))
def test_other_routes_are_left_to_the_framework(both: Both, target: str) -> None:
    assert both.direct.serve(event(target), None) is None


def test_who_may_wait_or_sends_more_than_a_question_is_left_to_the_framework(both: Both) -> None:
    asked = event(READS["a page"])

    assert both.direct.serve(event(READS["a page"], prefer="wait=5"), None) is None
    assert both.direct.serve(event(READS["a page"], method="HEAD"), None) is None
    assert both.direct.serve(event(READS["a page"], method="PUT"), None) is None
    assert both.direct.serve(asked | {"body": "{}"}, None) is None
    assert both.direct.serve({"version": "1.0"}, None) is None
    assert both.api.rankings.asked == [], "nothing was read before"


def test_the_reads_asked_most_are_direct(both: Both) -> None:
    direct = {route.path for route in both.routes if is_direct(route)}

    assert direct == {
        "/leaderboards/{id}/rankings",
        "/leaderboards/{id}/players",
        "/leaderboards/{id}/players/{userId:path}",
    }


def drawn() -> Iterator[tuple[str, st.SearchStrategy[str]]]:
    integers = st.integers(-3, 1_100).map(str)
    texts = st.text(max_size=8)
    yield "limit", integers | texts
    yield "offset", integers | texts
    yield "window", st.sampled_from(["daily", "weekly", "all-time", "custom", "x"])
    yield "date", st.sampled_from(["2026-11-23", "2026-W48", "2026-02-30", ""])
    yield "tier", st.sampled_from(["gold", "none"]) | texts
    yield "minScore", integers
    yield "maxScore", integers
    yield "userIds", st.sampled_from(["u-1", "u-1,u-2", "", "%2C"]) | texts
    yield "context", integers
    yield "attr.country", st.sampled_from(["DE", ""])


BOTH = Both()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["rankings", "players"]) | st.text(min_size=1, max_size=6).map(lambda user: f"players/{user}"),
    st.fixed_dictionaries({}, optional=dict(drawn())),
)
def test_whatever_is_asked_is_answered_alike(below: str, query: dict[str, str]) -> None:
    asked = event(f"/leaderboards/cup/{below.replace('?', quote('?'))}?{urlencode(query)}")

    direct = BOTH.direct.serve(asked, None)

    assert direct is None or direct == BOTH.framework(asked, None)  # type: ignore[arg-type]
