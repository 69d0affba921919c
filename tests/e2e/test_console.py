"""The console in a real browser, on the running stack: what happens on the topic shows on the page."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from infra.local.resources import client
from infra.local.stack import Stack
from shared.truth import keys
from tests.support.browser import TIMEOUT_MS, Tab, browsing
from tests.support.stack import System, command, pass_the_last_calls, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BOARD: Final = "console"
VIEWS: Final = (
    "",
    "#/pipeline",
    "#/pipeline/dead-letters",
    *(f"#/leaderboards/{BOARD}{view}" for view in ("", "/results", "/audit-log", "/players/ann")),
)
NARROW_RULES: Final = ("color-contrast", "scrollable-region-focusable", "target-size")
"""What a narrow window may break that a wide one does not."""


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    tiers = [{"name": "gold", "topN": 1}, {"name": "bronze", "minScore": 20}]
    running.put(f"/leaderboards/{BOARD}", {"name": "Console cup", "aggregation": "sum", "tiers": tiers})
    score(running, ("ann", 30), ("ben", 20), ("cem", 10))
    yield running
    running.close()


@pytest.fixture(scope="module")
def shared_tab() -> Iterator[Tab]:
    with browsing() as browser:
        yield Tab(browser)


@pytest.fixture
def tab(shared_tab: Tab) -> Iterator[Tab]:
    yield shared_tab
    shared_tab.renew()


def score(system: System, *scores: tuple[str, int], board: str = BOARD, at: datetime | None = None) -> None:
    when = (at or datetime.now(UTC)).isoformat()
    events = [
        {"eventId": f"{user}-{points}", "leaderboardId": board, "userId": user, "points": points, "occurredAt": when}
        for user, points in scores
    ]
    system.produce((f"{board}:{one['userId']}".encode(), json.dumps(one).encode()) for one in events)
    system.settle()


def show(tab: Tab, system: System, view: str) -> Page:
    tab.page.goto(f"{system.url}/console/{view}")
    return tab.page


def expect_ranking(page: Page, *users: str) -> None:
    expect(page.locator(".rows tbody .who")).to_have_text(users, timeout=TIMEOUT_MS)


def test_people_who_open_the_api_s_address_find_their_way_to_a_ranking(system: System, tab: Tab) -> None:
    tab.page.goto(system.url)
    tab.page.get_by_role("link", name="Console cup").click()

    expect_ranking(tab.page, "ann", "ben", "cem")
    expect(tab.page.get_by_text("live", exact=True)).to_be_visible(timeout=TIMEOUT_MS)


def test_a_player_overtakes_another_on_screen(system: System, tab: Tab) -> None:
    page = show(tab, system, f"#/leaderboards/{BOARD}")
    expect_ranking(page, "ann", "ben", "cem")

    score(system, ("cem", 15))

    expect_ranking(page, "ann", "cem", "ben")
    expect(page.locator(".rows tbody tr").nth(1).locator(".up")).to_have_text("▲1")


def has_snapshot(stack: Stack) -> bool:
    key = {"pk": {"S": keys.leaderboard_partition(BOARD)}, "sk": {"S": keys.snapshot_sort("all-time")}}
    found = client(stack.environment, "dynamodb").get_item(TableName=stack.environment["REGISTRY_TABLE"], Key=key)
    return "Item" in found


@contextmanager
def left_undone(stack: Stack) -> Iterator[None]:
    """Nothing is rebuilt or closed in here, so that a page can be seen while that is to come."""
    stack.kill("queues")
    try:
        yield
    finally:
        stack.restart("queues")


def test_a_flushed_cache_shows_as_a_snapshot_and_heals(system: System, quick_stack: Stack, tab: Tab) -> None:
    until(lambda: has_snapshot(quick_stack), "a snapshot")
    page = show(tab, system, f"#/leaderboards/{BOARD}?window=all-time")
    badge = page.locator(".freshness .badge")
    expect(badge).to_have_text("live", timeout=TIMEOUT_MS)

    with left_undone(quick_stack):
        command(quick_stack, "flush")
        expect(badge).to_have_text("snapshot", timeout=TIMEOUT_MS)
    expect(badge).to_have_text("live", timeout=2 * TIMEOUT_MS)
    expect_ranking(page, "ann", "cem", "ben")


def test_a_disqualification_shows_the_version_that_is_coming_and_then_that_version(
    system: System, quick_stack: Stack, tab: Tab
) -> None:
    definition = {"name": "Closed cup", "aggregation": "sum", "tiers": [{"name": "gold", "topN": 1}]}
    system.put("/leaderboards/closed-cup", definition | {"lateness": "P30D"})
    at = datetime.now(UTC) - timedelta(days=3)
    score(system, ("ann", 30), ("ben", 20), board="closed-cup", at=at)
    system.put("/leaderboards/closed-cup", definition | {"lateness": "PT0S"})

    def is_final() -> bool:
        pass_the_last_calls(quick_stack, "closed-cup")
        found = system.get("/leaderboards/closed-cup/rankings", window="daily", date=at.date().isoformat())
        return bool(found["window"]["status"] == "final")

    until(is_final, "the day is final")
    query = f"?window=daily&date={at.date()}"
    page = show(tab, system, f"#/leaderboards/closed-cup{query}")
    expect_ranking(page, "ann", "ben")
    state = page.locator(".freshness").first
    expect(state).to_contain_text("result version 1", timeout=TIMEOUT_MS)

    with left_undone(quick_stack):
        body = {"reason": "two accounts"}
        done = system.request("POST", "/leaderboards/closed-cup/players/ann/disqualify", json=body)
        assert done.ok, done.text
        expect(state).to_contain_text("version 2 is being made", timeout=TIMEOUT_MS)
        expect_ranking(page, "ben")
    expect(state).to_contain_text("result version 2", timeout=2 * TIMEOUT_MS)
    expect(state).not_to_contain_text("is being made", timeout=TIMEOUT_MS)
    expect_ranking(page, "ben")

    show(tab, system, f"#/leaderboards/closed-cup/results{query}")
    versions = page.locator("section[aria-label=Results] article")
    expect(versions).to_have_count(2, timeout=TIMEOUT_MS)
    for version in versions.all():
        expect(version).to_contain_text("announced 2", timeout=TIMEOUT_MS)


def test_why_a_player_stands_where_they_do_is_told_to_the_single_event(system: System, tab: Tab) -> None:
    page = show(tab, system, f"#/leaderboards/{BOARD}/players/cem?window=daily")
    story = page.locator(".story")

    expect(story.get_by_text("The events add up to this score.")).to_be_visible(timeout=TIMEOUT_MS)
    expect(story.get_by_text("Behind ann (30): the score decides.")).to_be_visible()
    expect(story.get_by_role("row", name="cem-15")).to_contain_text("counts")
    expect(story.get_by_text("score-events", exact=False).first).to_be_visible()
    expect(story.get_by_text("6 points more: rank 1 or better.")).to_be_visible()
    expect(story.get_by_text("ben is ahead with 6 points more.")).to_be_visible()


def test_an_event_that_was_taken_back_is_shown_apart_from_those_in_the_score(system: System, tab: Tab) -> None:
    score(system, ("cem", 1))
    body = {"reason": "counted by mistake"}
    voided = system.request("POST", f"/leaderboards/{BOARD}/players/cem/events/cem-1/void", json=body)
    assert voided.ok, voided.text
    page = show(tab, system, f"#/leaderboards/{BOARD}/players/cem?window=daily")
    story = page.locator(".story")

    expect(story.get_by_role("heading", name="Events that are not in the score")).to_be_visible(timeout=TIMEOUT_MS)
    expect(story.locator("tr.void")).to_contain_text("void by audit entry")
    expect(story.get_by_text("The events add up to this score.")).to_be_visible(timeout=TIMEOUT_MS)
    expect(story.locator(".big").first).to_have_text("25")


def test_a_bad_event_is_found_among_the_dead_letters_and_sent_again(system: System, tab: Tab) -> None:
    before = set(system.letters())
    page = show(tab, system, "#/pipeline")
    expect(page.get_by_role("heading", name="Partitions")).to_be_visible(timeout=TIMEOUT_MS)

    bad = {"eventId": "bad-1", "leaderboardId": BOARD, "userId": "ann", "points": "many"}
    system.produce([(b"console:ann", json.dumps(bad).encode())])
    system.settle()
    page.get_by_role("row", name="invalid").get_by_role("link").click(timeout=TIMEOUT_MS)
    letter = page.locator(".letters > li", has_text="bad-1")
    expect(letter).to_contain_text("points", timeout=TIMEOUT_MS)
    expect(letter).to_contain_text(json.dumps(bad))
    expect(letter).to_contain_text("score-events")

    look = page.get_by_role("search")
    look.get_by_role("textbox", name="Event id").fill("bad-0")
    look.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No dead letter matches.")).to_be_visible(timeout=TIMEOUT_MS)
    look.get_by_role("textbox", name="Event id").fill("bad-1")
    look.get_by_role("textbox", name="Leaderboard").fill(BOARD)
    look.get_by_role("button", name="Search").click()
    expect(letter).to_have_count(1, timeout=TIMEOUT_MS)

    form = page.locator("form.redrive")
    expect(form).to_contain_text("1 record, all of them shown above.", timeout=TIMEOUT_MS)
    form.get_by_role("textbox", name="Reason").fill("to see it come back")
    form.get_by_role("button", name="Send to Kafka again").click()
    expect(form.get_by_text("1 record sent again.")).to_be_visible(timeout=TIMEOUT_MS)
    system.settle()
    until(lambda: set(system.letters()) - before, "the dead letter, which no other test is to find")


def test_a_player_is_taken_out_with_a_reason_and_what_was_typed_stays_until_then(system: System, tab: Tab) -> None:
    page = show(tab, system, f"#/leaderboards/{BOARD}/players/ben")
    form = page.locator("form.administration")
    expect(form.get_by_text("ben leaves every ranking")).to_be_visible(timeout=TIMEOUT_MS)
    reason = form.get_by_label("Reason")
    page.route("**/disqualify", lambda route: route.abort())
    reason.fill("two accounts")
    form.get_by_role("button", name="Disqualify").click()
    expect(form.get_by_text("The API can't be reached.")).to_be_visible()
    expect(reason).to_have_value("two accounts")

    page.unroute("**/disqualify")
    form.get_by_role("button", name="Disqualify").click()
    expect(form.get_by_text("Done: audit entry")).to_be_visible(timeout=TIMEOUT_MS)
    expect(page.get_by_text("Disqualified: the player is in no ranking of this leaderboard")).to_be_visible()

    show(tab, system, f"#/leaderboards/{BOARD}/audit-log")
    expect(page.get_by_role("row", name="two accounts")).to_contain_text("ben", timeout=TIMEOUT_MS)
    show(tab, system, f"#/leaderboards/{BOARD}")
    expect_ranking(page, "ann", "cem")


def test_a_name_stands_beside_the_id_as_text(system: System, tab: Tab) -> None:
    name = "<b>x</b>"
    named = system.request("PUT", f"/leaderboards/{BOARD}/players/ann/profile", json={"name": name})
    assert named.ok, named.text
    page = show(tab, system, f"#/leaderboards/{BOARD}")
    expect_ranking(page, f"ann {name}", "cem")

    page.get_by_role("link", name="ann").click()
    expect(page.locator("h1")).to_have_text(f"ann {name}", timeout=TIMEOUT_MS)
    expect(page.locator("main b")).to_have_count(0)


def test_nothing_keeps_people_from_using_a_view(system: System, tab: Tab) -> None:
    for view in VIEWS:
        page = show(tab, system, view)
        expect(page.locator("h1")).to_be_visible(timeout=TIMEOUT_MS)
        expect(page.get_by_text("Loading …")).to_have_count(0, timeout=TIMEOUT_MS)
        assert tab.barriers() == [], view
        with tab.dressed(scheme="dark"):
            assert tab.barriers("color-contrast") == [], f"{view} in the dark"
        with tab.dressed(width=360):
            assert tab.barriers(*NARROW_RULES) == [], f"{view} on a phone"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
