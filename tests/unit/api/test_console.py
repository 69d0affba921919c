"""The console's files, as the API serves them."""

import hashlib
from pathlib import Path

import pytest

from functions.api.routes.console import FILES
from tests.unit.api.conftest import Api

SOURCES = Path(__file__).parents[3] / "infra" / "console"


def test_the_files_are_built_from_the_sources_as_they_are() -> None:
    names = sorted(one.name for one in (SOURCES / "src").iterdir() if one.name != "openapi.d.ts")
    digest = hashlib.sha256()
    for name in ("index.html", "package-lock.json", "vite.config.js", *(f"src/{name}" for name in names)):
        digest.update((SOURCES / name).read_bytes())
    assert (FILES / "sources.sha256").read_text().strip() == digest.hexdigest(), "run `make console`"


def test_the_page_may_run_nothing_but_its_own_files(api: Api) -> None:
    page = api.call("GET", "/console/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    for name in ("console.js", "console.css"):
        assert api.call("GET", f"/console/{name}").status == 200
    assert api.call("GET", "/console/settings.py").status == 404
    assert api.call("GET", "/console/sources.sha256").status == 404


def test_people_are_sent_from_the_root_to_the_console_and_programs_are_told(api: Api) -> None:
    page = api.call("GET", "/", headers={"accept": "text/html,*/*"})
    assert (page.status, page.headers["location"]) == (303, "console/")
    assert api.call("GET", "/console").headers["location"] == "console/"
    problem = api.call("GET", "/")
    assert problem.status == 404
    assert problem.headers["content-type"] == "application/problem+json"


def test_no_page_is_served_that_loads_scripts_from_elsewhere(api: Api) -> None:
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert api.call("GET", path, headers={"accept": "text/html"}).status == 404


def test_nobody_signs_in_where_no_token_is_checked(api: Api) -> None:
    found = api.get("/console/configuration.json").json
    assert (found["issuer"], found["clientId"], found["scope"]) == (None, None, "")


@pytest.mark.parametrize(
    ("stage", "broker", "shown"),
    [
        ("local", "127.0.0.1:19092", "127.0.0.1:19092"),
        ("local", "redpanda:29092", "127.0.0.1:9092"),
        ("prod", "127.0.0.1:9092", None),
    ],
)
def test_only_a_system_on_one_machine_says_where_its_broker_is(stage: str, broker: str, shown: str | None) -> None:
    api = Api(stage=stage, authorization="jwt", broker=broker)
    assert api.get("/console/configuration.json").json["broker"] == shown


def test_without_a_token_the_page_is_served_and_says_where_to_get_one() -> None:
    closed = Api(authorization="jwt", scope_prefix="cup/")
    page = closed.call("GET", "/console/")
    assert page.status == 200
    assert "connect-src 'self' https://login.example.com" in page.headers["content-security-policy"]
    assert closed.get("/leaderboards").status == 401
    assert closed.get("/console/configuration.json").json == {
        "issuer": "https://login.example.com/pool",
        "clientId": "console",
        "scope": "openid cup/leaderboards:read cup/leaderboards:admin cup/exports:read",
        "broker": "127.0.0.1:9092",
    }
