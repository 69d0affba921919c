"""The console's form for administrators, and who is shown it, in a real browser with an API that is made up."""

import base64
import json
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Tab
from tests.support.made_up_api import NOW, ORIGIN, WAIT_MS, Api, Made, entry, expect_sentence, show

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def sign_in(page: Page, api: Api, token: str) -> None:
    """Open a player as a browser does that comes back from an issuer, which gives out this token."""
    known = {"issuer": f"{ORIGIN}/issuer", "clientId": "console", "scope": "openid", "broker": None}
    answers: dict[str, Any] = {
        "/console/configuration.json": known,
        "/issuer/.well-known/openid-configuration": {"authorization_endpoint": "", "token_endpoint": f"{ORIGIN}/token"},
        "/token": {"access_token": token},
    }
    api.instead = lambda path, _: (200, answers[path], {}) if path in answers else None
    kept = json.dumps({"verifier": "v", "state": "s", "hash": "#/leaderboards/cup/players/ann"})
    if not page.url.startswith(ORIGIN):
        show(page, "")
    expect(page.get_by_role("button", name=re.compile("Sign (in|out)"))).to_be_visible()  # it has looked for a code
    page.evaluate("kept => sessionStorage.setItem('sign-in', kept)", kept)
    show(page, "?code=c&state=s")
    expect(page.locator("h1")).to_have_text("ann")


def token(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2lnbmF0dXJl"


def test_the_form_is_for_who_may_administer(page: Page, api: Api) -> None:
    form, sentence = page.locator("form.administration"), page.get_by_text("needs a sign-in with the scope")
    sign_in(page, api, token(scope="openid leaderboards:read"))
    expect(sentence).to_be_visible()
    expect(form).to_have_count(0)
    page.evaluate("location.hash = '#/pipeline/dead-letters'")
    expect(page.get_by_text("Seeing dead letters and sending them again needs a sign-in")).to_be_visible()
    assert not api.count("/dead-letters")
    for known in (token(scope="openid api/leaderboards:admin"), token(scp=["leaderboards:admin"]), "opaque"):
        sign_in(page, api, known)
        expect(form).to_be_visible()
        expect(sentence).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(form).to_have_count(0)


def test_a_form_is_sent_once_and_keeps_what_was_typed(page: Page, api: Api) -> None:
    api.instead = lambda path, _: "hold" if path.endswith("/disqualify") else None
    show(page, "#/leaderboards/cup/players/ann")
    form = page.locator("form.administration")
    form.get_by_label("To", exact=True).fill("2026-01-02")
    form.get_by_label("Reason").fill("two accounts")
    form.get_by_role("button", name="Disqualify").click()
    expect_sentence(page, "From must be given")
    assert api.bodies == []
    form.get_by_label("From").fill("2026-01-01")
    form.evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    expect(form.get_by_label("Reason")).to_be_disabled()
    assert api.bodies == [{"reason": "two accounts", "from": "2026-01-01", "to": "2026-01-02"}]
    page.reload()
    expect(form.get_by_label("Reason")).to_have_value("two accounts")
    form.get_by_label("Add a correction").check()
    form.get_by_label("Event id").fill("e")
    form.get_by_label("Occurred at").fill(NOW)
    form.get_by_label("Points").fill("9007199254740993")
    form.get_by_role("button", name="Add a correction").click()
    expect(form.locator(".problem")).to_be_visible()
    assert len(api.bodies) == 1


def test_what_an_act_does_is_asked_for_at_once(page: Page, api: Api) -> None:
    """The clock stands still: nothing is asked because its time has come."""
    done: Made = 200, {"number": 2, "known": True}, {}
    api.instead = lambda path, _: done if path.endswith("/disqualify") else None
    show(page, "#/leaderboards/cup/players/ann")
    form = page.locator("form.administration")
    form.get_by_label("Reason").fill("two accounts")
    page.clock.pause_at(time.time() + 3_600)
    try:
        page.wait_for_timeout(300)  # what was due by then is asked
        before = api.count("/windows")
        form.get_by_role("button", name="Disqualify").click()
        expect(form.get_by_text("Done: audit entry 2")).to_be_visible()
        page.clock.run_for(500)  # a frame, in which effects begin; nothing is polled so often
        for _ in range(WAIT_MS // 100):
            if api.count("/windows") > before:
                break
            page.wait_for_timeout(100)
        assert api.count("/windows") > before
    finally:
        page.clock.resume()


def test_who_is_out_is_said_to_be_and_their_form_stays_while_the_board_is_unread(page: Page, api: Api) -> None:
    def instead(path: str, _: dict[str, str]) -> Made | str | None:
        if path.endswith("/disqualified"):
            days = [{"userId": "ben", "from": "2026-01-01", "to": "2026-01-02"}]
            return 200, {"userIds": ["ann"], "days": days}, {}
        return "abort" if path == "/leaderboards/cup" else None

    api.instead = instead
    show(page, "#/leaderboards/cup/players/ann")
    expect(page.get_by_text("Disqualified: the player is in no ranking of this leaderboard")).to_be_visible()
    expect(page.get_by_role("heading", name="Why this rank")).to_have_count(0)
    expect_sentence(page, "The API can't be reached.")
    expect(page.locator("form.administration")).to_be_visible()
    page.evaluate("location.hash = '#/leaderboards/cup/players/ben'")
    expect(page.get_by_text("Disqualified for the days from 2026-01-01 to 2026-01-02.")).to_be_visible()
    expect(page.get_by_role("heading", name="Why this rank")).to_be_visible()


def test_a_form_and_a_ranking_with_long_names_fit_a_phone(page: Page, shared_tab: Tab, api: Api) -> None:
    api.users = ["x" * 128, "ann"]
    api.instead = lambda path, query: (
        (200, {**api.ranking(query), "entries": [{**entry(1, "x" * 128), "tier": "bronze"}, entry(2, "ann")]}, {})
        if path.endswith("/rankings") else None
    )  # fmt: skip
    show(page, "#/leaderboards/cup/players/ann")
    with shared_tab.dressed(width=360):
        form = page.locator("form.administration")
        expect(form).to_be_visible()
        assert form.evaluate("form => form.parentElement.scrollWidth <= form.parentElement.clientWidth")
        page.get_by_role("link", name="cup", exact=True).click()
        expect(page.locator(".rows .tag")).to_be_in_viewport(ratio=1)
        assert page.locator(".rows").evaluate("rows => rows.scrollWidth <= rows.clientWidth")


def test_a_configuration_that_does_not_come_is_not_taken_for_no_sign_in(page: Page, api: Api) -> None:
    api.instead = lambda path, _: (503, "", {}) if path.endswith("configuration.json") else None
    show(page, "")
    expect_sentence(page, "The API does not say yet how to sign in.")
    known = {"issuer": f"{ORIGIN}/issuer", "clientId": "console", "scope": "openid", "broker": None}
    api.instead = lambda path, _: (200, known, {}) if path.endswith("configuration.json") else (401, {}, {})
    page.clock.run_for(3_000)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect_sentence(page, "The sign-in did not work.")
    expect_sentence(page, "You see this once you have signed in.")
