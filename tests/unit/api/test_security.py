"""Who may do what, and what nobody may."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from functions.api.app import create_app
from functions.api.edge import BODY_BYTES_MAX
from functions.api.security import Guard, Scope, required_scope
from infra.contract import contract
from infra.contract.parameters import CURSOR
from shared.domain.rules import Aggregation, Leaderboard
from tests.unit.api.conftest import NOW_MS, Api

NOW_S = NOW_MS // 1000
GOOD: dict[str, str] = {"sub": "admin@example.com", "exp": str(NOW_S + 60), "scope": " ".join(Scope)}
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
        ("GET", "/leaderboards/{id}/players/{userId:path}", Scope.READ),
        ("GET", "/leaderboards/cup/export", Scope.EXPORTS),
        ("GET", "/leaderboards/cup/exports/x", Scope.EXPORTS),
        ("GET", "/leaderboards/cup/result", Scope.EXPORTS),
        ("GET", "/leaderboards/cup/closing", Scope.EXPORTS),
        ("GET", "/leaderboards/cup/audit-log", Scope.ADMIN),
        ("POST", "/leaderboards/cup/players/ann/disqualify", Scope.ADMIN),
        ("POST", "/leaderboards/{id}/players/{userId:path}/scores", Scope.SCORES),
        ("POST", "/leaderboards/{id}/scores", Scope.SCORES),
        ("POST", "/leaderboards/scores", Scope.ADMIN),
        ("GET", "/leaderboards/{id}/players/{userId:path}/profile", Scope.READ),
        ("PUT", "/leaderboards/{id}/players/{userId:path}/profile", Scope.PROFILES),
        ("PUT", "/leaderboards/{id}/periods/profile", Scope.ADMIN),
        ("POST", "/leaderboards/{id}/players/{userId:path}/profile", Scope.ADMIN),
        ("PATCH", "/leaderboards/cup", Scope.ADMIN),
        ("DELETE", "/whatever", Scope.ADMIN),
        ("GET", "/health/live", None),
        ("GET", "/healthy", Scope.READ),
        ("GET", "/metrics", Scope.READ),
    ],
)
def test_what_a_route_takes_is_decided_by_its_method_and_its_template(
    method: str, path: str, scope: Scope | None
) -> None:
    assert required_scope(method, path) == scope


def served() -> list[tuple[str, str]]:
    return [(method.upper(), to_path(path)) for path, routes in CONTRACT["paths"].items() for method in routes]


@pytest.mark.parametrize("character", ["\n", "\r", "\x00", "\t", "\x1f", "\x7f", "\x85"])
@pytest.mark.parametrize(("method", "path"), served())
def test_no_path_with_a_control_character_reaches_a_route(guarded: Api, method: str, path: str, character: str) -> None:
    """`/audit-log` and `/audit-log` with a line feed behind it are the same to a route's pattern."""
    for scope in Scope:
        guarded.claims = GOOD | {"scope": scope}
        for place in (len(path), path.rindex("/"), path.rindex("/") + 1):
            answer = guarded.call(method, path[:place] + character + path[place:])
            assert (answer.status, answer.json["type"]) == (400, "urn:leaderboards:problem:malformed-request")
    assert not guarded.noted


def test_a_path_that_a_route_takes_needs_that_routes_scope_however_it_is_written(api: Api) -> None:
    guard = Guard(create_app(api.parts).routes)
    assert guard.required("GET", "/leaderboards/cup/disqualified\n") is Scope.ADMIN
    assert guard.required("GET", "/leaderboards/cup/export\n") is Scope.EXPORTS
    assert guard.required("GET", "/leaderboards/cup/players/export/export") is Scope.READ
    assert guard.required("GET", "/leaderboards/cup/export/x") is Scope.ADMIN, "no route: the most"
    assert guard.required("GET", "//health") is Scope.ADMIN
    assert guard.required("GET", "/health/live") is None


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "openid leaderboards:read"},
        {"scp": "leaderboards:read"},
        {"scp": ["openid", "leaderboards:read"]},
        {"scp": "[openid leaderboards:read]"},
        {"scope": "openid", "scp": "leaderboards:read,openid"},
    ],
)
def test_scopes_are_read_from_either_claim_as_a_string_or_a_list(guarded: Api, claims: dict[str, Any]) -> None:
    guarded.claims = {name: value for name, value in GOOD.items() if name != "scope"} | claims
    assert guarded.get("/leaderboards/cup/rankings").status == 200
    assert guarded.get("/leaderboards/cup/audit-log").status == 403


PUBLIC_READS = ["rankings", "rankings?userIds=u-1", "players?userId=u-1", "players/u-1", "players/a/b"]
NOT_PUBLIC = [
    "players/u-1/windows",
    "players/u-1/events",
    "players/u-1/explain",
    "players/u-1/profile",
    "",
    "result",
    "closing",
    "audit-log",
]


@pytest.fixture
def public() -> Api:
    api = Api("production", "jwt", public_reads="on")
    api.registry.boards["cup"] = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
    return api


@pytest.mark.parametrize("path", PUBLIC_READS)
def test_public_reads_take_no_token_and_may_be_kept_by_anybody(public: Api, path: str) -> None:
    target, _, query = path.partition("?")
    answer = public.call("GET", f"/leaderboards/cup/{target}", query)
    assert answer.status == (404 if "a/b" in path else 200)
    assert answer.headers["cache-control"].startswith("no-store" if "a/b" in path else "public, ")


@pytest.mark.parametrize("path", NOT_PUBLIC)
def test_nothing_else_of_a_leaderboard_is_public(public: Api, path: str) -> None:
    assert public.get(f"/leaderboards/cup/{path}".rstrip("/")).status == 401
    public.claims = GOOD | {"scope": "scores:write"}
    assert public.get(f"/leaderboards/cup/{path}".rstrip("/")).status == 403


def test_a_public_read_is_refused_no_caller_and_writes_take_a_token(public: Api) -> None:
    public.claims = GOOD | {"scope": "scores:write"}
    assert public.get("/leaderboards/cup/rankings").status == 200
    public.claims = None
    assert public.call("HEAD", "/leaderboards/cup/rankings").status == 200
    assert public.put("/leaderboards/cup", {"name": "Cup", "aggregation": "sum"}).status == 401
    assert public.call("POST", "/leaderboards/cup/players/u-1/scores", body={}).status == 401


def test_reads_take_a_token_unless_they_were_opened(guarded: Api) -> None:
    guarded.claims = None
    for path in PUBLIC_READS:
        target, _, query = path.partition("?")
        assert guarded.call("GET", f"/leaderboards/cup/{target}", query).status == 401


def test_scopes_are_those_with_the_prefix_of_the_resource_server() -> None:
    api = Api("production", "jwt", "https://cup.example.com/")
    api.registry.boards["cup"] = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)

    api.claims = GOOD | {"scope": "https://cup.example.com/leaderboards:read"}
    assert api.get("/leaderboards/cup/rankings").status == 200

    for scope in ("leaderboards:read", "https://other.example.com/leaderboards:read"):
        api.claims = GOOD | {"scope": scope}
        answer = api.get("/leaderboards/cup/rankings")
        assert answer.status == 403
        assert 'scope="https://cup.example.com/leaderboards:read"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("method", "path"), [one for one in served() if one[0] == "GET"])
def test_head_is_answered_as_get_without_its_body(guarded: Api, method: str, path: str) -> None:
    guarded.claims = GOOD
    got, head = guarded.call(method, path), guarded.call("HEAD", path)
    assert (head.status, head.text) == (got.status, "")
    same = ("content-type", "content-length", "etag", "cache-control")
    assert [head.headers.get(name) for name in same if not path.startswith("/health")] == [
        got.headers.get(name) for name in same if not path.startswith("/health")
    ]

    guarded.claims = None
    assert guarded.call("HEAD", path).status == guarded.call(method, path).status


def test_head_where_nothing_is_to_be_got_is_405(api: Api) -> None:
    answer = api.call("HEAD", "/leaderboards/cup/redrive")
    assert (answer.status, answer.headers["allow"], answer.text) == (405, "POST", "")


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


def test_the_caller_is_the_tokens_subject(guarded: Api) -> None:
    guarded.claims = GOOD
    assert guarded.put("/leaderboards/new", {"name": "New", "aggregation": "sum"}).status == 201
    assert guarded.noted[0][2] == "admin@example.com"


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
        ("/leaderboards/cup/players/x\x00y", 400),
    ],
)
def test_an_id_reaches_nothing_but_what_it_names(api: Api, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("cursor", ["x", "A" * 80, CURSOR])
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


def test_requests_are_counted_by_a_route_of_the_api_and_by_other_where_there_is_none(api: Any) -> None:
    guard = Guard(create_app(api.parts).routes)

    assert guard.route("GET", "/leaderboards/cup/rankings") == "GET /leaderboards/{id}/rankings"
    assert guard.route("GET", "/leaderboards/cup/players/a/b") == "GET /leaderboards/{id}/players/{userId}"
    assert guard.route("HEAD", "/metrics") == "GET /metrics"
    assert guard.route("PATCH", "/metrics") == guard.route("GET", "/wp-login.php") == "other"
