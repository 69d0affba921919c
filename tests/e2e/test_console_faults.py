"""The console in a real browser, with an API that is made up here: slow, down, behind a proxy, or with odd ids."""

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.support.made_up_api import NOW, ODD, ORIGIN, Api, Made, board, entry, expect_sentence, show

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


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
    expect(story.get_by_text("The ledger is long:")).to_be_visible()


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


def test_a_file_that_can_not_be_read_is_not_called_false(page: Page, api: Api) -> None:
    file = {"url": f"{ORIGIN}/file.ndjson.gz", "sha256": "0" * 64, "rows": 1}
    version = {"version": 1, "finalisedAt": NOW, "players": 1, "awardCount": 1, "ranking": file, "awards": None,
               "difference": None, "awardChanges": None, "manifest": file["url"], "announcedAt": None,
               "announcementPending": False}  # fmt: skip

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


def test_how_far_a_rebuild_is_is_told_while_it_lasts(page: Page, api: Api) -> None:
    state = {"leaderboardId": "cup", "state": "waiting", "daysRead": 0, "days": 14, "standingsRead": 0}
    made: dict[str, Made] = {
        "/metrics": (200, 'leaderboards_cache_complete{leaderboard="cup"} 0\n', {}),
        "/leaderboards/cup/rebuild": (200, state, {}),
    }
    api.instead = lambda path, _: made.get(path)
    show(page, "#/pipeline")
    row = page.get_by_role("row", name="cup")
    expect(row).to_contain_text("about to be rebuilt from the database")
    state |= {"state": "running", "daysRead": 3, "standingsRead": 12_000}
    page.clock.run_for(2_500)
    expect(row).to_contain_text("rebuilt from the database: 3 of 14 days, 12,000 standings read")
    state["state"] = "complete"
    page.clock.run_for(2_500)
    expect(row).not_to_contain_text("rebuilt")


def test_a_leaderboard_of_other_days_shows_its_date_and_a_window_that_it_keeps(page: Page, api: Api) -> None:
    asked: set[str | None] = set()
    days = {"timeZone": "Pacific/Kiritimati", "dayStartsAt": "12:00", "windows": ["weekly", "all-time"]}

    def instead(path: str, query: dict[str, str]) -> Made | None:
        asked.add(query.get("window"))
        return (200, board() | days, {}) if path == "/leaderboards/cup" else None

    api.instead = instead
    show(page, "#/leaderboards/cup")
    expect(page.get_by_text("Pacific/Kiritimati, from 12:00")).to_be_visible()
    expect(page.get_by_role("link", name="Week")).to_have_attribute("aria-current", "page")
    now = datetime.fromtimestamp(page.evaluate("Date.now()") / 1000, ZoneInfo("Pacific/Kiritimati"))
    expect(page.get_by_label("Date")).to_have_value((now - timedelta(hours=12)).date().isoformat())
    assert asked == {None, "weekly"}
