"""Dead letters in the console, in a real browser with an API that is made up."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.made_up_api import NOW, Api, Made, expect_sentence, show
from tests.support.runnable import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def letter(text: str, board: str | None = None, key: str | None = None) -> dict[str, Any]:
    def excerpt(content: str) -> dict[str, Any]:
        return {"text": content, "encoding": "utf-8", "bytes": len(content), "truncated": False}

    return {"reason": "malformed", "detail": "no JSON", "topic": "t", "partition": 0, "offset": len(text),
            "appendedAt": None, "rejectedAt": NOW, "leaderboardId": board, "eventId": None,
            "key": None if key is None else excerpt(key), "value": excerpt(text)}  # fmt: skip


def letters(*found: dict[str, Any], cursor: str | None = None, more: int = 0) -> Made:
    return 200, {"deadLetters": list(found), "nextCursor": cursor, "onlyInQueue": more}, {}


def test_a_dead_letter_is_shown_as_text_and_what_a_redrive_takes_is_said(page: Page, api: Api) -> None:
    odd = ["<img src=x onerror=alert(1)>", "\u202eabc", "x" * 4_096]
    found = [letter(odd[0], key="cup:ann"), letter(odd[1], key="other:ann"), letter(odd[2], board="cup")]
    taken = {"auditEntry": {"number": 7}, "sent": 2, "failed": 1, "left": 3, "tooLate": 4, "complete": False}
    made = {"/dead-letters": letters(*found, more=5), "/leaderboards/cup/redrive": (200, taken, {})}
    api.instead = lambda path, _: made.get(path)
    show(page, "#/pipeline/dead-letters?leaderboardId=cup&reason=malformed")
    expect(page.locator(".letters pre:visible")).to_have_text(["cup:ann", odd[0], "other:ann", odd[1]])
    assert page.locator(".letters img").count() == 0
    expect(page.get_by_text("5 more were rejected")).to_be_visible()
    form = page.locator("form.redrive")
    expect(form).to_contain_text("Rejected so in the last 14 days: 2 records, all of them shown above.")
    expect(form).to_contain_text("Those that name no leaderboard go too, unless their key names another one.")
    form.get_by_role("textbox", name="Reason").fill("corrected")
    form.evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    for text in ("Audit entry 7: 2 records sent again.", "did not take 1:", "3 had been rejected once more", "4 can't",
                 "send again"):  # fmt: skip
        expect(form.locator(".good")).to_contain_text(text)
    assert api.bodies == [{"reason": "corrected", "rejectedAs": "malformed"}]


def test_a_redrive_says_before_how_much_it_takes_beyond_the_page(page: Page, api: Api) -> None:
    shown = [letter("a", board="cup"), letter("aa", board="other")]
    more = [letter("a" * size, board="cup") for size in range(3, 103)]
    pages = iter([letters(*shown, cursor="1"), letters(*more, cursor="2"), letters()] + 6 * [letters(cursor="more")])

    def instead(path: str, query: dict[str, str]) -> Made | None:
        if path != "/dead-letters":
            return None
        return next(pages) if query.get("limit") == "100" else letters(*shown, cursor="next")

    api.instead = instead
    show(page, "#/pipeline/dead-letters?eventId=e")
    form = page.locator("form.redrive")
    form.get_by_role("textbox", name="Leaderboard").fill("cup")
    expect(form).to_contain_text("Every dead letter of cup on the queue goes to Kafka again, also what is not shown")
    page.clock.run_for(600)
    expect(form).to_contain_text("101 records, of which 1 is shown above and 100 not.")
    expect(form).to_contain_text("The event id of the search does not narrow it: all others go, too.")
    form.get_by_label("Rejected as").select_option("too_late")
    expect(form).to_contain_text("more than 0 records, of which 0 are shown above and all others not.")


def test_dead_letters_are_paged_and_a_page_without_a_match_is_not_the_end(page: Page, api: Api) -> None:
    first, last = letters(cursor="next"), letters(letter("{"))
    api.instead = lambda path, query: (last if query.get("cursor") else first) if path == "/dead-letters" else None
    show(page, "#/pipeline/dead-letters?eventId=e")
    expect(page.get_by_text("None on this page matches; older ones may.")).to_be_visible()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".letters > li")).to_have_count(1)
    page.get_by_role("button", name="Back to the start").click()
    expect(page.get_by_text("None on this page matches")).to_be_visible()


def test_what_fails_among_dead_letters_is_one_sentence_and_the_search_stays(page: Page, api: Api) -> None:
    wrong: Made = (422, {"title": "Invalid", "errors": [{"field": "leaderboardId", "message": "must be an id"}]}, {})
    api.instead = lambda path, _: wrong if path == "/dead-letters" else None
    show(page, "#/pipeline/dead-letters")
    page.get_by_role("search").get_by_role("textbox", name="Leaderboard").fill("a b")
    page.get_by_role("button", name="Search").click()
    expect_sentence(page, "Invalid: leaderboardId must be an id")
    expect(page.get_by_role("search").get_by_role("textbox", name="Leaderboard")).to_have_value("a b")


def test_without_dead_letters_a_bad_event_can_be_copied(page: Page, api: Api) -> None:
    api.instead = lambda path, _: letters() if path == "/dead-letters" else None
    show(page, "#/pipeline/dead-letters")
    shown = page.locator(".bad-event").inner_text()
    assert shown in (ROOT / "README.md").read_text()
    page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text }")
    shown_again = letters(letter("{"))
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("copied") == shown
    api.instead = lambda path, _: shown_again if path == "/dead-letters" else None
    page.clock.run_for(5_500)
    expect(page.locator(".letters > li")).to_have_count(1)
    expect(page.locator(".bad-event")).to_be_hidden()
    page.get_by_text("Send a bad event, to see what becomes of it").click()
    expect(page.locator(".bad-event")).to_be_visible()


def test_the_command_of_a_bad_event_goes_to_the_broker_of_the_api(page: Page, api: Api) -> None:
    known: dict[str, Any] = {"issuer": None, "clientId": None, "scope": "", "broker": "127.0.0.1:19092"}
    made = {"/dead-letters": letters(), "/console/configuration.json": (200, known, {})}
    api.instead = lambda path, _: made.get(path)
    show(page, "#/pipeline/dead-letters")
    expect(page.locator(".bad-event")).to_contain_text('{"bootstrap.servers": "127.0.0.1:19092"}')
    known["broker"] = None
    page.reload()
    expect(page.get_by_text("No record was rejected in the last 14 days.")).to_be_visible()
    expect(page.locator(".bad-event")).to_have_count(0)
