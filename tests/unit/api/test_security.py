"""Who may do what, and what nobody may."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from functions.api.edge import BODY_BYTES_MAX
from functions.api.examples import PARAMETERS
from functions.api.security import Scope, required_scope
from infra.contract import contract
from shared.domain.rules import Aggregation, Leaderboard
from tests.unit.api.conftest import NOW_MS, Api

NOW_S = NOW_MS // 1000
GOOD: dict[str, str] = {"sub": "ida@example.com", "exp": str(NOW_S + 60), "scope": " ".join(Scope)}
CONTRACT = contract()


@pytest.fixture
def guarded() -> Api:
    """The function outside the local stage, with one leaderboard, `cup`."""
    api = Api("production", "jwt")
    api.registry.boards["cup"] = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    return api


def operations() -> Iterator[tuple[str, str, list[str]]]:
    for path, routes in CONTRACT["paths"].items():
        for method, operation in routes.items():
            for requirement in operation.get("security", ()):
                yield path, method.upper(), requirement["token"]


def to_path(template: str) -> str:
    return re.sub(r"\{\w+\}", "x", template.replace("{id}", "cup"))


def test_every_route_but_health_takes_a_scope() -> None:
    guarded = {path for path, _, _ in operations()}

    assert set(CONTRACT["paths"]) - guarded == {path for path in CONTRACT["paths"] if path.startswith("/health")}


@pytest.mark.parametrize(("path", "method", "scopes"), list(operations()))
def test_a_token_without_the_scope_is_403_and_one_with_it_alone_is_not(
    guarded: Api, path: str, method: str, scopes: list[str]
) -> None:
    (scope,) = scopes
    others = " ".join(one for one in Scope if one != scope)
    guarded.claims = GOOD | {"scope": others}
    answer = guarded.call(method, to_path(path))
    assert (answer.status, answer.json["type"]) == (403, "urn:leaderboards:problem:forbidden")
    assert answer.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'

    guarded.claims = None
    assert guarded.call(method, to_path(path)).status == 401
    assert not guarded.noted


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/leaderboards", Scope.READ),
        ("GET", "/leaderboards/cup/rankings", Scope.READ),
        ("HEAD", "/leaderboards/cup/rankings", Scope.READ),
        ("GET", "/leaderboards/cup/players/export/export", Scope.READ),
        ("GET", "/leaderboards/cup/export", Scope.EXPORTS),
        ("GET", "/leaderboards/cup/exports/x", Scope.EXPORTS),
        ("GET", "/leaderboards/cup/result", Scope.EXPORTS),
        ("GET", "/leaderboards/cup/acts", Scope.ADMIN),
        ("POST", "/leaderboards/cup/players/ann/disqualify", Scope.ADMIN),
        ("PATCH", "/leaderboards/cup", Scope.ADMIN),
        ("DELETE", "/whatever", Scope.ADMIN),
        ("GET", "/whatever", Scope.READ),
        ("GET", "//health", None),
        ("GET", "/health/live", None),
        ("GET", "/healthy", Scope.READ),
        ("GET", "/metrics", Scope.READ),
    ],
)
def test_what_a_request_takes_is_decided_by_method_and_path(method: str, path: str, scope: Scope | None) -> None:
    assert required_scope(method, path) == scope


def test_a_good_token_is_answered(guarded: Api) -> None:
    guarded.claims = GOOD
    assert guarded.get("/leaderboards/cup/rankings").status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": str(NOW_S)},
        {"exp": str(NOW_S - 3_600)},
        {"exp": "soon"},
        {"exp": ""},
        {"exp": "-1"},
        {"sub": ""},
        {"sub": "x" * 257},
    ],
)
def test_a_token_that_is_over_or_nobody_s_is_401(guarded: Api, claims: dict[str, str]) -> None:
    """API Gateway's authorizer turns it away before; a route that was deployed without one must not let it in."""
    guarded.claims = GOOD | claims
    answer = guarded.get("/leaderboards/cup/rankings")
    assert (answer.status, answer.json["type"]) == (401, "urn:leaderboards:problem:unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("missing", ["sub", "exp", "scope"])
def test_a_claim_that_is_missing_lets_nobody_in(guarded: Api, missing: str) -> None:
    guarded.claims = {name: value for name, value in GOOD.items() if name != missing}
    assert guarded.get("/leaderboards/cup/rankings").status in (401, 403)


def test_health_takes_no_token(guarded: Api) -> None:
    assert guarded.get("/health/live").status == 200


def test_who_acts_is_the_tokens_subject(guarded: Api) -> None:
    guarded.claims = GOOD
    assert guarded.put("/leaderboards/new", {"name": "New", "aggregation": "sum"}).status == 201
    assert guarded.noted[0][2] == "ida@example.com"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/leaderboards/a/../b", 404),
        ("/leaderboards/a/../b/rankings", 404),
        ("/leaderboards/../cup/rankings", 404),
        ("/leaderboards/cup#x/rankings", 404),
        ("/leaderboards/{cup}/rankings", 404),
        ("/leaderboards/CUP/rankings", 404),
        ("/leaderboards/cup%2f../rankings", 404),
        ("/leaderboards/cup/periods/a/../b", 404),
        ("/leaderboards/cup/exports/..", 404),
        ("/leaderboards/cup/exports/../../x", 404),
        ("/leaderboards/cup/players/a/../b", 404),
        ("/leaderboards/cup/players/x\x00y", 422),
    ],
)
def test_an_id_reaches_nothing_but_what_it_names(api: Api, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("cursor", ["x", "A" * 80, PARAMETERS["cursor"]])
def test_a_forged_cursor_is_422(api: Api, cursor: str) -> None:
    answer = api.get("/leaderboards/cup/rankings", cursor=cursor)
    assert (answer.status, list(answer.errors)) == (422, ["cursor"])


def test_a_cursor_with_any_character_changed_is_forged(api: Api) -> None:
    cursor: str = api.get("/leaderboards/cup/rankings", limit=2).json["nextCursor"]
    for at, character in enumerate(cursor):
        forged = f"{cursor[:at]}{'A' if character != 'A' else 'B'}{cursor[at + 1 :]}"
        answer = api.get("/leaderboards/cup/rankings", limit=2, cursor=forged)
        # the last character of base64 may hold bits that nobody reads
        assert answer.status == 422 or at == len(cursor) - 1


@pytest.mark.parametrize(("size", "status"), [(BODY_BYTES_MAX, 422), (BODY_BYTES_MAX + 1, 413)])
def test_a_body_is_bounded(api: Api, size: int, status: int) -> None:
    raw: Any = '{"name":"' + "x" * (size - 11) + '"}'
    assert len(raw) == size
    assert api.call("PUT", "/leaderboards/new", raw=raw).status == status


def test_an_error_of_ours_tells_nothing_of_itself(api: Api) -> None:
    api.rankings.failure = RuntimeError("secret of shared/truth at redis://user:password@cache")
    answer = api.get("/leaderboards/cup/rankings")
    assert answer.status == 500
    assert not re.search(r"secret|Traceback|shared|password", answer.text)
