"""The console in a real browser, with an API that is made up here: slow, down, behind a proxy, or with odd ids."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from functions.api.routes.console import FILES
from tests.support.browser import Tab, browsing
from tests.support.runnable import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ORIGIN: Final = "http://localhost:9"  # nothing listens there: every answer is made up
WAIT_MS: Final = 15_000
NOW: Final = "2026-01-02T03:04:05.678Z"
ODD: Final = ("a/b", "100%", "a b#c?d", "%2e%2e", "<img src=x onerror=alert(1)>", "\u05d0\u05d1\u05d2 12", "\u202eabc",
              "\U0001f600", "x" * 128)  # fmt: skip
Made = tuple[int, Any, dict[str, str]]


def entry(rank: int, user: str, score: int = 10) -> dict[str, Any]:
    return {"rank": rank, "competitionRank": rank, "userId": user, "score": score, "reachedAt": NOW,
            "percentile": 0, "topPercent": 100, "tier": None}  # fmt: skip


class Api:
    """Answers by path; a test puts others in their place."""

    def __init__(self) -> None:
        self.users: list[str] = ["ann", "ben"]
        self.total = 0
        self.revision = 1
        self.seen: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.instead: Callable[[str, dict[str, str]], Made | str | None] = lambda _path, _query: None

    def serve(self, route: Route) -> None:
        asked = urlsplit(route.request.url)
        path, query = asked.path, {name: values[0] for name, values in parse_qs(asked.query).items()}
        if path.startswith("/console/") and path != "/console/configuration.json":
            route.fulfill(path=FILES / (path.removeprefix("/console/") or "index.html"))
            return
        self.seen.append((route.request.method, path))
        if route.request.method == "POST":
            self.bodies.append(route.request.post_data_json)
        made = self.instead(path, query)
        if made == "abort":
            route.abort()
        elif made != "hold":
            status, body, headers = made if isinstance(made, tuple) else self._usual(path, query)
            text = body if isinstance(body, str) else json.dumps(body)
            route.fulfill(status=status, body=text, headers={"content-type": "application/json", **headers})

    def _usual(self, path: str, query: dict[str, str]) -> Made:
        if path == "/console/configuration.json":
            return 200, {"issuer": None, "clientId": None, "scope": "", "broker": "127.0.0.1:9092"}, {}
        if path == "/leaderboards":
            return 200, {"leaderboards": [board()], "nextAfter": None}, {}
        if path.endswith("/periods"):
            return 200, {"periods": []}, {}
        if path.endswith("/rankings"):
            return 200, self.ranking(query), {"etag": f'"{self.revision}"'}
        if path.endswith("/closing"):
            return 200, {"items": [], "sealedThrough": None, "nextAfter": None}, {}
        if path.count("/") == 2:
            return 200, board(), {}
        return 404, {"title": "Not found", "detail": "nothing of the kind", "status": 404}, {}

    def ranking(self, query: dict[str, str]) -> dict[str, Any]:
        first, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
        total = self.total or len(self.users)
        users = self.users if not self.total else [f"p{at}" for at in range(first, min(total, first + limit))]
        return {"leaderboardId": "cup", "window": {"id": "daily"}, "revision": self.revision, "total": total,
                "matched": total, "asOf": NOW, "source": "live", "rankApproximate": False, "missing": [],
                "nextCursor": None, "prevCursor": None, "truncated": False, "rulesVersion": 1,
                "entries": [entry(first + at + 1, user) for at, user in enumerate(users)]}  # fmt: skip

    def fail(self, made: Made | str) -> None:
        """Answer every question for a ranking so."""
        self.instead = lambda path, _: made if path.endswith("/rankings") else None

    def count(self, end: str) -> int:
        return sum(path.endswith(end) for _, path in self.seen)


def board() -> dict[str, Any]:
    return {"id": "cup", "name": "Cup", "aggregation": "sum", "order": "desc", "tiers": [], "filters": ["country"],
            "version": 1}  # fmt: skip


@pytest.fixture(scope="module")
def shared_tab() -> Iterator[Tab]:
    """Its clock can be put forward, so that no test waits for the page to wait."""
    with browsing() as browser:
        tab = Tab(browser)
        tab.page.set_default_timeout(WAIT_MS)
        tab.page.clock.install()
        yield tab


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def page(shared_tab: Tab, api: Api) -> Iterator[Page]:
    shared_tab.page.route(f"{ORIGIN}/**", api.serve)
    yield shared_tab.page
    shared_tab.renew()
    shared_tab.page.unroute(f"{ORIGIN}/**")


def show(page: Page, view: str) -> Page:
    page.goto(f"{ORIGIN}/console/{view}")
    return page


def expect_sentence(page: Page, text: str) -> None:
    expect(page.locator(".problem:visible", has_text=text).first).to_be_visible(timeout=WAIT_MS)


def hide(page: Page, hidden: bool) -> None:
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def wait(page: Page, ms: int) -> None:
    """Let time go by for the page, and every question that it asks meanwhile arrive."""
    page.clock.run_for(ms)
    page.evaluate("fetch('/console/configuration.json').then(answer => answer.text())")


def test_an_address_with_a_stray_percent_gets_a_sentence_and_the_leaderboards(page: Page) -> None:
    show(page, "#/leaderboards/%")
    expect_sentence(page, "This address is not one of this page's")
    page.get_by_role("link", name="Cup").click()
    expect(page.locator(".rows .who")).to_have_text(["ann", "ben"])
    page.evaluate("location.hash = '#/leaderboards/100%'")
    expect_sentence(page, "This address is not one of this page's")


FAILURES: Final[tuple[tuple[Made | str, str], ...]] = (
    ((502, "<html>Bad gateway", {}), "The API failed (HTTP 502)."),
    ((500, {"message": "Internal server error"}, {}), "The API failed (HTTP 500)."),
    ((200, "<html>Hotel Wi-Fi", {}), "an answer that this page can't read (HTTP 200)."),
    ((202, "<html>", {"retry-after": "soon"}), "an answer that this page can't read (HTTP 202)."),
    ((429, {"title": "Too many requests", "status": 429}, {"retry-after": "1"}), "Too many requests"),
    ("abort", "The API can't be reached."),
)


def test_what_fails_is_one_sentence_never_live_and_heals(page: Page, api: Api) -> None:
    show(page, "#/leaderboards/cup")
    badge = page.locator(".freshness .badge")
    for made, sentence in FAILURES:
        expect(badge).to_have_text("live")
        api.fail(made)
        page.clock.run_for(3_500)
        expect_sentence(page, sentence)
        expect(badge).to_have_text("not up to date")
        expect(page.locator(".rows .who")).to_have_text(["ann", "ben"])
        api.instead = lambda _path, _query: None
        page.clock.run_for(3_500)


def test_an_api_that_asks_to_be_left_alone_is(page: Page, api: Api) -> None:
    refused = (503, {"title": "Busy", "status": 503}, {"retry-after": "30"})
    api.instead = lambda path, _: refused if path.endswith("/rankings") else None
    show(page, "#/leaderboards/cup")
    expect_sentence(page, "Busy")
    wait(page, 0)
    asked = api.count("/rankings")
    wait(page, 20_000)
    assert api.count("/rankings") == asked
    wait(page, 11_000)
    expect_sentence(page, "Busy")
    assert api.count("/rankings") == 2 * asked


def test_an_unknown_leaderboard_is_said_once(page: Page, api: Api) -> None:
    api.instead = lambda path, _: (404, {"title": "No such leaderboard"}, {}) if "nope" in path else None
    for view in ("", "/results", "/players/ann"):
        show(page, f"#/leaderboards/nope{view}")
        expect_sentence(page, "No such leaderboard")
        expect(page.locator(".problem:visible")).to_have_count(1)


def test_an_old_answer_never_stands_where_a_newer_one_was_asked_for(page: Page, api: Api) -> None:
    api.instead = lambda path, query: "hold" if path.endswith("/rankings") and query["window"] == "daily" else None
    show(page, "#/leaderboards/cup")
    page.get_by_role("link", name="All time").click()
    expect(page.locator(".rows .who")).to_have_text(["ann", "ben"])


def test_ids_of_any_signs_are_shown_and_asked_for_as_they_are(page: Page, api: Api) -> None:
    api.users = list(ODD)
    show(page, "#/leaderboards/cup")
    expect(page.locator(".rows .who")).to_have_text(list(ODD))
    assert page.locator(".rows img").count() == 0
    links = page.locator(".rows .who a").evaluate_all("links => links.map(one => one.hash)")
    for user, link in zip(ODD, links, strict=True):
        page.evaluate("link => { location.hash = link }", link)
        expect(page.locator("h1")).to_have_text(user)
    wait(page, 0)
    asked = page.evaluate("users => users.map(one => `/leaderboards/cup/players/${encodeURIComponent(one)}`)", ODD)
    assert set(asked) <= {path for _, path in api.seen}


def explanation() -> dict[str, Any]:
    """Of a player with two days that count, of which the second decides, and one that is out."""

    def event(name: str, day: int, voided: int | None = None) -> dict[str, Any]:
        return {"eventId": name, "points": 7, "occurredAt": f"2026-01-{day:02}T01:00:00.000Z", "attributes": {},
                "topic": "t", "partition": 0, "offset": day, "appendedAt": NOW, "addedByEntry": None,
                "voidedByEntry": voided}  # fmt: skip

    days = [{"day": "2026-01-01", "points": 8, "reachedAt": NOW, "events": 1},
            {"day": "2026-01-02", "points": 10, "reachedAt": NOW, "events": 1}]  # fmt: skip
    events = [("in", 2, None, True), ("beaten", 1, None, False), ("taken-back", 1, 4, False), ("out", 3, None, False)]
    player = {**entry(2, "ben"), "pointsToNextRank": 3, "pointsToNextTier": None, "rankApproximate": False}
    return {"aggregation": "best", "order": "desc", "player": player, "days": days, "agrees": True,
            "disqualifiedDays": [{"from": "2026-01-03", "to": "2026-01-04"}], "eventsComplete": False,
            "events": [{"event": event(name, day, gone), "counts": counts} for name, day, gone, counts in events],
            "above": {"entry": entry(1, "ann", 12), "decidedBy": "score"},
            "below": {"entry": entry(3, "cem", 10), "decidedBy": "reachedAt"},
            "qualifies": True, "qualified": 3, "tiers": []}  # fmt: skip


def test_why_tells_days_and_events_apart_and_what_would_move_the_rank(page: Page, api: Api) -> None:
    api.instead = lambda path, _: (200, explanation(), {}) if path.endswith("/explain") else None
    show(page, "#/leaderboards/cup/players/ben")
    story = page.locator(".story")
    expect(story.locator(".days > div")).to_contain_text(["01-01", "10", "out"])
    expect(story.locator(".days > .idle")).to_have_count(1)
    expect(story.get_by_text("Disqualified from 2026-01-03 to 2026-01-04")).to_be_visible()
    for name, note in (("in", "counts"), ("beaten", "does not decide"), ("taken-back", "void by audit entry 4"),
                       ("out", "its day is out")):  # fmt: skip
        expect(story.locator("tr", has=page.get_by_text(name, exact=True))).to_contain_text(note)
    expect(story.get_by_text("A score of 13: rank 1 or better.")).to_be_visible()
    expect(story.get_by_text("cem is ahead with a score of 11.")).to_be_visible()
    expect(story.get_by_text("A long ledger:")).to_be_visible()


def test_who_is_taken_out_is_said_to_be_and_their_form_stays_while_the_board_can_not_be_read(
    page: Page, api: Api
) -> None:
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


def test_a_result_of_which_another_version_is_coming_says_so(page: Page, api: Api) -> None:
    final = {**api.ranking({}), "source": "final", "resultVersion": 1, "pendingVersion": 2}
    api.instead = lambda path, _: (200, final, {"etag": '"1"'}) if path.endswith("/rankings") else None
    show(page, "#/leaderboards/cup")
    for text in ("final result", "result version 1", "version 2 is being made"):
        expect(page.locator(".freshness").get_by_text(text, exact=True)).to_be_visible()


def test_a_player_who_left_the_ranking_has_no_old_ranks_on_screen(page: Page, api: Api) -> None:
    gone: Made = (404, {"title": "The player is not in this ranking", "status": 404}, {})
    api.instead = lambda path, _: (200, explanation(), {}) if path.endswith("/explain") else None
    show(page, "#/leaderboards/cup/players/ben")
    expect(page.locator(".story")).to_be_visible()
    api.instead = lambda path, _: gone if path.endswith("/explain") else None
    page.clock.run_for(5_500)
    expect_sentence(page, "The player is not in this ranking")
    expect(page.locator(".story")).to_have_count(0)


def test_an_id_that_a_browser_takes_for_a_step_gets_a_sentence(page: Page, api: Api) -> None:
    api.users = ["..", "ann"]
    show(page, "#/leaderboards/cup")
    page.locator(".rows .who a").first.click()
    expect_sentence(page, 'No browser can ask for ".."')
    page.get_by_role("link", name="cup").click()
    expect(page.locator(".rows .who")).to_have_text(["..", "ann"])
    assert not [path for _, path in api.seen if "players" in path]


def test_what_is_typed_stays_while_the_ranking_moves(page: Page, api: Api) -> None:
    show(page, "#/leaderboards/cup")
    page.get_by_label("Only country").press_sequentially("DE")
    api.revision, api.users = 2, ["ben", "ann"]
    expect(page.locator(".rows .who")).to_have_text(["ben", "ann"])
    expect(page.get_by_label("Only country")).to_have_value("DE")


def test_a_hidden_tab_asks_nothing_and_goes_on_when_it_is_shown(page: Page, api: Api) -> None:
    show(page, "#/leaderboards/cup")
    expect(page.locator(".freshness .badge")).to_have_text("live")
    hide(page, hidden=True)
    wait(page, 400)
    before = api.count("/rankings")
    wait(page, 20_000)
    assert api.count("/rankings") == before
    api.users = ["cem"]
    hide(page, hidden=False)
    expect(page.locator(".rows .who")).to_have_text(["cem"])


def test_a_view_that_is_left_asks_no_more(page: Page, api: Api) -> None:
    show(page, "#/leaderboards/cup")
    expect(page.locator(".freshness .badge")).to_have_text("live")
    page.get_by_role("link", name="Leaderboards").click()
    expect(page.get_by_role("link", name="Cup")).to_be_visible()
    wait(page, 400)
    before = api.count("/rankings")
    wait(page, 20_000)
    assert api.count("/rankings") == before


def test_the_last_of_a_million_is_reached_again_and_again(page: Page, api: Api) -> None:
    api.total = 1_000_000
    show(page, "#/leaderboards/cup")
    for _ in range(2):
        page.get_by_label("Go to rank or player").fill("1,000,000")
        page.get_by_role("button", name="Go", exact=True).click()
        expect(page.locator(".rows .who", has_text="p999999")).to_be_visible()
        page.locator(".rows").evaluate("rows => { rows.scrollTop = 0 }")
        expect(page.get_by_role("link", name="p0", exact=True)).to_be_visible()
    page.get_by_label("Go to rank or player").fill("2000000")
    page.get_by_role("button", name="Go", exact=True).click()
    expect_sentence(page, "There is no rank 2,000,000")
    page.get_by_role("button", name="Open player").click()
    expect(page.locator("h1")).to_have_text("2000000")


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


def test_a_file_that_can_not_be_read_is_not_called_false(page: Page, api: Api) -> None:
    file = {"url": f"{ORIGIN}/file.ndjson.gz", "sha256": "0" * 64, "rows": 1}
    version = {"version": 1, "finalisedAt": NOW, "players": 1, "awardCount": 1, "ranking": file, "awards": None,
               "difference": None, "awardChanges": None, "manifest": file["url"]}  # fmt: skip

    def instead(path: str, _: dict[str, str]) -> Made | None:
        if path.endswith("/versions"):
            return 200, {"versions": [version]}, {}
        return (403, "<Error>Request has expired</Error>", {}) if path.startswith("/file") else None

    api.instead = instead
    show(page, "#/leaderboards/cup/results")
    page.get_by_role("button", name="Check the file").click()
    expect_sentence(page, "could not be read (HTTP 403), so nothing is known of it")
    page.get_by_role("link", name="Week").click()
    expect(page.get_by_role("button", name="Check the file")).to_be_visible()
    expect(page.get_by_text("nothing is known of it")).to_have_count(0)


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


NAMES: Final = ("<b>x</b>", "\u202eyda", "<img src=x onerror=alert(1)>", "x" * 64)


def test_names_of_profiles_are_text_beside_the_id(page: Page, api: Api) -> None:
    def named(rank: int, name: str | None) -> dict[str, Any]:
        profile = None if name is None else {"name": name, "avatar": "<b>", "metadata": {}}
        return {**entry(rank, f"u-{rank}"), "profile": profile}

    entries = [named(at + 1, name) for at, name in enumerate(NAMES)] + [named(5, None)]
    around = {**api.ranking({}), "player": {**entries[0], "pointsToNextRank": None, "pointsToNextTier": None,
              "rankApproximate": False}, "above": [], "below": entries[1:]}  # fmt: skip

    def instead(path: str, query: dict[str, str]) -> Made | None:
        if path.endswith("/rankings") and query.get("include") == "profile":
            return 200, {**api.ranking(query), "total": 5, "matched": 5, "entries": entries}, {"etag": '"1"'}
        if path.endswith("/players/u-1") and query.get("include") == "profile":
            return 200, around, {"etag": '"1"'}
        return (200, {"profile": entries[0]["profile"]}, {}) if path.endswith("/profile") else None

    api.instead = instead
    shown = [*(f"u-{at + 1} {name}" for at, name in enumerate(NAMES)), "u-5"]
    show(page, "#/leaderboards/cup")
    expect(page.locator(".rows .who")).to_have_text(shown)
    page.get_by_role("link", name="u-1").click()
    expect(page.locator("h1")).to_have_text(f"u-1 {NAMES[0]}")
    expect(page.locator("section[aria-label=Neighbours] .who")).to_have_text(shown)
    assert page.locator("main b, main img").count() == 0


def test_what_several_parts_have_to_say_is_said_once_at_the_top(page: Page, api: Api) -> None:
    with page.expect_response("**/periods"):
        show(page, "#/leaderboards/cup/players/ann")
    wait(page, 100)
    api.instead = lambda path, _: "abort" if path.startswith("/leaderboards") else None
    page.clock.run_for(6_000)
    expect(page.locator(".notices .problem")).to_have_text("The API can't be reached. The page tries again by itself; "
                                                           "nothing that you typed is lost.")  # fmt: skip
    expect(page.locator(".problem:visible")).to_have_count(1)
    api.instead = lambda _path, _query: None
    page.clock.run_for(6_000)
    expect(page.get_by_text("The API can't be reached.")).to_have_count(0)
    api.instead = lambda path, _: (401, {}, {}) if path.startswith("/leaderboards") else None
    page.clock.run_for(61_000)
    expect(page.locator(".problem:visible")).to_have_count(1)
    expect_sentence(page, "You see this once you have signed in.")


def test_the_scores_by_rank_are_drawn_anew_when_the_page_turns_dark(page: Page, api: Api) -> None:
    api.total = 500
    api.instead = lambda path, _: (200, explanation(), {}) if path.endswith("/explain") else None
    show(page, "#/leaderboards/cup")
    canvas = page.locator("figure canvas")
    expect(canvas).to_be_visible()
    light = canvas.evaluate("canvas => canvas.toDataURL()")
    page.get_by_role("button", name="Dark or light").click()
    page.wait_for_function("light => document.querySelector('figure canvas').toDataURL() !== light", arg=light)


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


def test_another_view_gets_the_focus_at_its_heading(page: Page) -> None:
    show(page, "#/leaderboards/cup")
    page.get_by_role("link", name="ann").click()
    expect(page.get_by_role("heading", name="ann")).to_be_focused()
    page.get_by_role("link", name="Leaderboards").press("Enter")
    expect(page.get_by_role("heading", name="Leaderboards")).to_be_focused()


def test_a_list_of_leaderboards_that_is_cut_says_so(page: Page, api: Api) -> None:
    many = [{**board(), "id": f"cup-{at}"} for at in range(100)]
    api.instead = lambda path, _: (
        (200, {"leaderboards": many, "nextAfter": "x"}, {}) if path == "/leaderboards" else None
    )
    show(page, "")
    expect(page.get_by_text("Only the first 1,000 are listed.")).to_be_visible()
