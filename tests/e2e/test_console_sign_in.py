"""Sign-in to the console in a real browser: at an OpenID Connect issuer that signs tokens, with the running API behind
an authorizer that checks them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from infra.contract import tools
from infra.local.config import HOST, free_port
from infra.local.servers import Server, http_probe
from infra.local.stack import Stack
from tests.support.browser import TIMEOUT_MS, Tab, browsing
from tests.support.stack import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SCRIPT: Final = Path(__file__).parents[1] / "support" / "issuer.mjs"
BOARD: Final = "signed"
PLAYER: Final = f"#/leaderboards/{BOARD}/players/u-1"
DISQUALIFY: Final = f"/leaderboards/{BOARD}/players/u-1/disqualify"
READ: Final = "leaderboards:read"
ADMIN: Final = "leaderboards:admin"
LIFE_S: Final = 600
MISSING: Final = "You see this once you have signed in."
IS_OVER: Final = "Your sign-in is over. Sign in again; nothing that you typed is lost."


class Issuer:
    """The running issuer."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = self._said()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def grant(self, scope: str) -> None:
        """Give out tokens with this scope from now on."""
        claims = {"sub": "ada", "aud": "leaderboards", "scope": scope, "exp": int(time.time()) + LIFE_S}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(claims) + "\n")
        self._process.stdin.flush()
        assert json.loads(self._said()) == claims


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    node = tools.installed()
    if node is None:
        pytest.skip("there is no Node.js, or its packages can't be had")
    command = ["node", str(SCRIPT), str(node.parents[1] / "package.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Issuer(process)
        process.terminate()


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", {"name": "Signed cup", "aggregation": "sum"})
    at = datetime.now(UTC).isoformat()
    event = {"eventId": "e-1", "leaderboardId": BOARD, "userId": "u-1", "points": 5, "occurredAt": at}
    running.produce([(f"{BOARD}:u-1".encode(), json.dumps(event).encode())])
    running.settle()
    yield running
    running.close()


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that makes every token's time be over while it is there."""
    return tmp_path_factory.mktemp("clock") / "late"


@pytest.fixture(scope="module")
def closed(quick_stack: Stack, system: System, issuer: Issuer, late: Path) -> Iterator[str]:
    """Where the API of the stack is open to who has a token alone."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    gateway = Server(
        "closed",
        [sys.executable, "-m", "tests.support.closed_gateway"],
        log=quick_stack.config.logs / "closed.log",
        ready=http_probe(port),
        port=port,
        environment=quick_stack.environment
        | {"AUTHORIZATION": "jwt", "CONSOLE_ISSUER": issuer.url, "CONSOLE_CLIENT_ID": "console", "API_PORT": str(port)}
        | {"LATE": str(late)},
    )
    gateway.start()
    yield url
    gateway.stop()


@pytest.fixture(scope="module")
def shared_tab() -> Iterator[Tab]:
    with browsing() as browser:
        yield Tab(browser)


@pytest.fixture
def page(shared_tab: Tab) -> Iterator[Page]:
    yield shared_tab.page
    shared_tab.renew()


def sign_in(page: Page, closed: str, view: str) -> None:
    """Open a view, which says that it takes a sign-in, go to the issuer by the button, and come back to it."""
    page.goto(f"{closed}/console/{view}")
    expect(page.locator(".problem:visible")).to_have_text(MISSING, timeout=TIMEOUT_MS)
    with page.expect_response("**/token") as exchange:
        page.get_by_role("button", name="Sign in", exact=True).click()
    assert exchange.value.ok
    expect(page).to_have_url(f"{closed}/console/{view}", timeout=TIMEOUT_MS)


def kept(page: Page) -> str:
    """All that the browser keeps of the page."""
    return str(
        page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    )


def test_sign_in_is_the_code_flow_with_pkce_and_keeps_the_token_in_memory(
    page: Page, closed: str, issuer: Issuer
) -> None:
    issuer.grant(READ)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.post_data or ''}"))
    sign_in(page, closed, f"#/leaderboards/{BOARD}")
    expect(page.locator(".rows .who")).to_have_text(["u-1"], timeout=TIMEOUT_MS)
    expect(page.locator(".problem:visible")).to_have_count(0, timeout=TIMEOUT_MS)
    (authorization,) = [parse_qs(urlsplit(one.split()[0]).query) for one in asked if "/authorize?" in one]
    (exchange,) = [parse_qs(one.split()[1]) for one in asked if one.startswith(f"{issuer.url}/token ")]
    assert (authorization["response_type"], authorization["code_challenge_method"]) == (["code"], ["S256"])
    assert exchange["grant_type"] == ["authorization_code"]
    assert len(exchange["code_verifier"][0]) == 43
    assert not [one for one in asked if "eyJ" in one.split()[0]]  # as every JWT begins
    assert "eyJ" not in kept(page)
    page.reload()
    expect(page.locator(".problem:visible")).to_have_text(MISSING, timeout=TIMEOUT_MS)
    expect(page.locator(".rows")).to_have_count(0, timeout=TIMEOUT_MS)


def test_a_token_without_the_scope_reads_and_the_api_refuses_it_more(
    page: Page, closed: str, issuer: Issuer, system: System
) -> None:
    issuer.grant(READ)
    sent: list[str | None] = []
    page.on("request", lambda request: sent.append(request.headers.get("authorization")))
    sign_in(page, closed, PLAYER)
    expect(page.get_by_text("needs a sign-in with the scope")).to_be_visible(timeout=TIMEOUT_MS)
    expect(page.locator("form.administration")).to_have_count(0, timeout=TIMEOUT_MS)
    token = next(one for one in reversed(sent) if one)
    status = page.evaluate(
        "async ([path, authorization]) => (await fetch(path, {method: 'POST', body: '{\"reason\": \"r\"}', headers:"
        " {authorization, 'content-type': 'application/json'}})).status",
        [DISQUALIFY, token],
    )
    assert status == 403
    assert system.get(f"/leaderboards/{BOARD}/disqualified")["userIds"] == []


def test_an_expired_token_gets_one_sentence_and_nothing_typed_is_lost(
    page: Page, closed: str, issuer: Issuer, system: System, late: Path
) -> None:
    issuer.grant(f"{READ} {ADMIN}")
    sign_in(page, closed, PLAYER)
    form = page.locator("form.administration")
    form.get_by_label("Reason").fill("two accounts")
    late.touch()
    form.get_by_role("button", name="Disqualify").click()
    expect(form.get_by_text(IS_OVER)).to_be_visible(timeout=TIMEOUT_MS)
    expect(page.locator(".problem:visible", has_text=IS_OVER)).to_have_count(2)  # by the button, and at the top
    expect(form.get_by_label("Reason")).to_have_value("two accounts", timeout=TIMEOUT_MS)

    late.unlink()
    page.locator(".notices").get_by_role("button", name="Go to the sign-in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=TIMEOUT_MS)
    expect(form.get_by_label("Reason")).to_have_value("two accounts", timeout=TIMEOUT_MS)
    assert system.get(f"/leaderboards/{BOARD}/disqualified")["userIds"] == []
    form.get_by_role("button", name="Disqualify").click()
    expect(form.get_by_text("Done: audit entry")).to_be_visible(timeout=TIMEOUT_MS)
    entry = system.get(f"/leaderboards/{BOARD}/audit-log")["entries"][-1]
    assert (entry["actor"], entry["userId"], entry["reason"]) == ("ada", "u-1", "two accounts")
