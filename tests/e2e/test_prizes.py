"""Prizes go to whom the rules name: events in by Kafka, rankings, files and explanations out."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import openpyxl
import pytest

from infra.local.stack import Stack
from shared.domain.events import POINTS_MAX
from tests.support.stack import System, pass_the_last_calls, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LAST_WEEK: Final = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=7)
DAILY: Final = {"window": "daily", "date": LAST_WEEK.date().isoformat()}
WEEKLY: Final = DAILY | {"window": "weekly"}
GOLD: Final = {"name": "gold", "topN": 1}
DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "ties-first": {"tiers": [GOLD, {"name": "rest", "topPercent": 100}]},
    "ties-shared": {"tiers": [GOLD | {"ties": "shared"}, {"name": "rest", "topPercent": 100}]},
    "refunded": {
        "tiers": [{"name": "top", "topPercent": 10}, {"name": "all", "minScore": -9}],
        "qualify": {"minScore": 1},
    },
    "weekly-prize": {"tiers": [GOLD | {"windows": ["weekly"]}]},
    "two-day-cup": {"tiers": [GOLD]},
    "paid-once": {"tiers": [GOLD, {"name": "rest", "topPercent": 100}]},
    "codes": {"tiers": [GOLD]},
    "bot-day": {"tiers": [GOLD]},
    "changed-prize": {"tiers": [GOLD | {"topN": 2}]},
}
LAST_MONTH: Final = LAST_WEEK.replace(day=1) - timedelta(days=1)
MONTHLY: Final = {"window": "monthly", "date": f"{LAST_MONTH:%Y-%m}"}
MONTHLY_PRIZE: Final = {
    "name": "Month",
    "aggregation": "sum",
    "windows": ["monthly", "all-time"],
    "tiers": [GOLD | {"windows": ["monthly"]}],
}
CHANGED: Final = {"changed-prize": {"tiers": [GOLD]}}
REFUNDED = [(f"u{number:02}", 100 - number) for number in range(100)]
REFUNDED += [(user_id, -points) for user_id, points in REFUNDED[20:]]
CODES = [("00123", POINTS_MAX), ("1E5", 7), ("=1+1", 6), ("3-4", 5), (" x", 4)]
EVENTS: Final[dict[str, list[tuple[str, int]]]] = (
    {name: [("ann", 100), ("bob", 100), ("cat", 100), ("dan", 99)] for name in ("ties-first", "ties-shared")}
    | {"refunded": REFUNDED, "codes": CODES, "paid-once": [("ann", 5), ("bob", 4), ("cat", 3)]}
    | {name: [("ann", 5), ("bob", 4)] for name in ("weekly-prize", "two-day-cup", "changed-prize")}
    | {"bot-day": [("ann", 8), ("bob", 90)]}
)
HONEST: Final = LAST_WEEK - timedelta(days=1)
CUP: Final = "/leaderboards/two-day-cup/periods/cup"
CUP_DAYS: Final = {
    "name": "Cup",
    "from": (LAST_WEEK - timedelta(days=1)).date().isoformat(),
    "to": LAST_WEEK.date().isoformat(),
}
LATER: Final = {"to": (LAST_WEEK + timedelta(days=1)).date().isoformat()}


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    """Contests of a week ago, whose days are open since they wait for late events."""
    running = System(quick_stack)
    for board, definition in DEFINITIONS.items():
        running.put(f"/leaderboards/{board}", {"name": board, "aggregation": "sum", "lateness": "P30D"} | definition)
        running.produce(records(board, EVENTS[board]))
    running.produce(records("bot-day", [("ann", 8), ("bob", 9)], HONEST))
    running.put("/leaderboards/monthly-prize", MONTHLY_PRIZE | {"lateness": "P99D"})
    running.produce(records("monthly-prize", [("ann", 5), ("bob", 9)], LAST_MONTH))
    running.produce(records("monthly-prize", [("ann", 5)], LAST_MONTH - timedelta(days=1)))
    running.produce(records("monthly-prize", [("bob", 99)], LAST_MONTH + timedelta(days=1)))
    running.put(CUP, CUP_DAYS)
    running.settle()
    yield running
    running.close()


@pytest.fixture(scope="module")
def changed(system: System) -> dict[str, Any]:
    """The answer to a change of prizes, days after a day that is still closing."""
    body = {"name": "changed-prize", "aggregation": "sum", "lateness": "P30D"} | CHANGED["changed-prize"]
    answer: dict[str, Any] = system.request("PUT", "/leaderboards/changed-prize", json=body).json()
    return answer


@pytest.fixture(scope="module")
def closed(quick_stack: Stack, system: System, changed: dict[str, Any]) -> System:
    """The same, once that day and its week are final for all of them."""
    for board, definition in (DEFINITIONS | CHANGED).items():
        system.put(f"/leaderboards/{board}", {"name": board, "aggregation": "sum", "lateness": "PT0S"} | definition)

    system.put("/leaderboards/monthly-prize", MONTHLY_PRIZE | {"lateness": "PT0S"})

    def all_final() -> bool:
        for board in (*DEFINITIONS, "monthly-prize"):
            pass_the_last_calls(quick_stack, board)
        pages = [
            system.get(f"/leaderboards/{board}/rankings", **window)
            for board in DEFINITIONS
            for window in (DAILY, WEEKLY)
        ]
        pages.append(system.get("/leaderboards/monthly-prize/rankings", **MONTHLY))
        return all(page["window"]["status"] == "final" for page in pages)

    until(all_final, "day and week are final")
    return system


def records(board: str, events: list[tuple[str, int]], start: datetime = LAST_WEEK) -> Iterator[tuple[bytes, bytes]]:
    for number, (user_id, points) in enumerate(events):
        at = (start + timedelta(seconds=number)).isoformat()
        event = {
            "eventId": f"{start.date()}-{number}",
            "leaderboardId": board,
            "userId": user_id,
            "points": points,
            "occurredAt": at,
        }
        yield f"{board}:{user_id}".encode(), json.dumps(event).encode()


def tiers(system: System, board: str, **query: str) -> list[tuple[str, int, str | None]]:
    """User, competition rank and tier of a ranking's first entries."""
    page = system.get(f"/leaderboards/{board}/rankings", limit="1000", **query)
    assert page["source"] in ("live", "final")
    return [(one["userId"], one["competitionRank"], one["tier"]) for one in page["entries"]]


def lines(system: System, url: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(system.request("GET", url).content.decode(), newline="")))


def test_a_period_that_is_over_is_moved_for_a_reason_alone(system: System) -> None:
    refused = system.request("PUT", CUP, json=CUP_DAYS | LATER)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "reason")
    system.put(CUP, CUP_DAYS | LATER | {"reason": "a day was lost"})
    system.put(CUP, CUP_DAYS | {"reason": "it was not"})


def test_prizes_that_change_are_those_of_days_that_end_from_then_on(system: System, changed: dict[str, Any]) -> None:
    board = "/leaderboards/changed-prize"
    today = datetime.now(UTC).date()
    assert changed["effectiveFrom"] in {(today - timedelta(days=ago)).isoformat() for ago in (0, 1)}, "or just before"
    shown = [system.get(board), system.get(board, version=1)]
    assert [(one["version"], one["tiers"]) for one in shown] == [(2, [GOLD]), (1, [GOLD | {"topN": 2}])]
    log = system.get(f"{board}/audit-log")["entries"]
    assert [(one["kind"], one["subject"]) for one in log] == [("define", "version 1"), ("define", "version 2")]
    assert all(one["actor"] for one in log)

    closing, going_on = (system.get(f"{board}/rankings", **query) for query in (DAILY, {"window": "all-time"}))
    assert (closing["window"]["status"], closing["rulesVersion"]) == ("closing", 1)
    assert (going_on["window"]["status"], going_on["rulesVersion"]) == ("open", 2)
    assert tiers(system, "changed-prize", **DAILY) == [("ann", 1, "gold"), ("bob", 2, "gold")]
    assert tiers(system, "changed-prize") == [("ann", 1, "gold"), ("bob", 2, None)]
    assert system.get(f"{board}/players/bob/explain", **DAILY)["rulesVersion"] == 1


def test_a_period_keeps_its_days_once_its_prizes_are_paid(closed: System) -> None:
    board, cup = "/leaderboards/two-day-cup", {"window": "custom", "period": "cup"}

    def result() -> Any:
        answer = closed.request("GET", f"{board}/result", params=cup)
        return answer.json() if answer.status_code == 200 else None

    before = until(result, "the cup is final")

    for method, more in (
        ("PUT", {"json": CUP_DAYS | LATER | {"reason": "why"}}),
        ("DELETE", {"params": {"reason": "why"}}),
    ):
        refused = closed.request(method, CUP, **more)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:leaderboards:problem:final-result-exists")
    closed.put(CUP, CUP_DAYS | {"name": "The cup of last week"})

    assert closed.get(CUP) == CUP_DAYS | {"id": "cup", "name": "The cup of last week"}
    versions = closed.get(f"{board}/result/versions", **cup)["versions"]
    assert [one["version"] for one in versions] == [1]
    after = closed.get(f"{board}/result", **cup)
    assert (after["window"]["id"], after["version"], after["awards"]["sha256"]) == (
        f"{CUP_DAYS['from']}..{CUP_DAYS['to']}",
        1,
        before["awards"]["sha256"],
    )
    paid = lines(closed, after["awards"]["url"])
    assert [(one["user_id"], one["tier"]) for one in paid] == [("ann", "gold")]
    moved = {"window": "custom", "from": CUP_DAYS["from"], **LATER}
    assert closed.request("GET", f"{board}/result", params=moved).json()["type"].endswith(":never-final")
    log = closed.get(f"{board}/audit-log")["entries"]
    changes = [(one["reason"], one.get("periodBefore"), one["periodAfter"]) for one in log if one["subject"] == "cup"]
    days = CUP_DAYS | {"id": "cup"}
    assert changes == [
        ("", None, days),
        ("a day was lost", days, days | LATER),
        ("it was not", days | LATER, days),
        ("", days, days | {"name": "The cup of last week"}),
    ]


SHARED: Final = [("ann", 1, "gold"), ("bob", 1, "gold"), ("cat", 1, "gold"), ("dan", 4, "rest")]
FIRST: Final = [("ann", 1, "gold"), ("bob", 1, "rest"), ("cat", 1, "rest"), ("dan", 4, "rest")]


@pytest.mark.parametrize(("board", "expected", "gap"), [("ties-first", FIRST, 2), ("ties-shared", SHARED, 1)])
def test_who_shares_the_paid_place_is_paid_if_the_tier_says_so(
    system: System, board: str, expected: list[tuple[str, int, str]], gap: int
) -> None:
    assert tiers(system, board, **DAILY) == expected
    gold = [one for one in expected if one[2] == "gold"]
    assert tiers(system, board, tier="gold", **DAILY) == gold
    last = system.get(f"/leaderboards/{board}/players/dan", **DAILY)["player"]
    assert last["pointsToNextTier"] == gap


@pytest.mark.parametrize(("board", "expected"), [("ties-first", FIRST), ("ties-shared", SHARED)])
def test_results_pay_whom_the_ranking_shows(closed: System, board: str, expected: list[tuple[str, int, str]]) -> None:
    assert tiers(closed, board, **DAILY) == expected
    result = closed.get(f"/leaderboards/{board}/result", **DAILY)
    for file in ("ranking", "awards"):
        found = lines(closed, result[file]["url"])
        assert [(one["user_id"], int(one["competition_rank"]), one["tier"]) for one in found] == expected, file


def test_a_day_pays_the_prizes_of_its_end_whatever_changed_since(closed: System) -> None:
    assert tiers(closed, "changed-prize", **DAILY) == [("ann", 1, "gold"), ("bob", 2, "gold")]
    result = closed.get("/leaderboards/changed-prize/result", **DAILY)
    assert (result["rulesVersion"], result["awardCount"]) == (1, 2)
    assert [one["user_id"] for one in lines(closed, result["awards"]["url"])] == ["ann", "bob"]


def test_a_prize_of_the_week_is_no_prize_of_each_day(closed: System) -> None:
    assert tiers(closed, "weekly-prize", **WEEKLY) == [("ann", 1, "gold"), ("bob", 2, None)]
    assert tiers(closed, "weekly-prize", **DAILY) == [("ann", 1, None), ("bob", 2, None)]
    assert tiers(closed, "weekly-prize") == [("ann", 1, None), ("bob", 2, None)], "all time"
    for query in (DAILY, {"window": "all-time"}):
        refused = closed.request("GET", "/leaderboards/weekly-prize/rankings", params=query | {"tier": "gold"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "tier")
    assert closed.get("/leaderboards/weekly-prize/players/bob", **DAILY)["player"]["pointsToNextTier"] is None

    daily, weekly = (closed.get("/leaderboards/weekly-prize/result", **query) for query in (DAILY, WEEKLY))
    assert (daily["awardCount"], daily["tiers"], lines(closed, daily["awards"]["url"])) == (0, [], [])
    assert (weekly["awardCount"], weekly["tiers"]) == (1, ["gold"])
    assert [one["user_id"] for one in lines(closed, weekly["awards"]["url"])] == ["ann"]


def test_a_prize_of_the_month_is_paid_where_the_leaderboard_names_months(closed: System) -> None:
    assert tiers(closed, "monthly-prize", **MONTHLY) == [("ann", 1, "gold"), ("bob", 2, None)]
    result = closed.get("/leaderboards/monthly-prize/result", **MONTHLY)
    assert (result["window"]["id"], result["window"]["status"], result["awardCount"]) == (MONTHLY["date"], "final", 1)
    assert [one["user_id"] for one in lines(closed, result["awards"]["url"])] == ["ann"]
    ranked = lines(closed, exported(closed, "monthly-prize", **MONTHLY))
    assert [(one["user_id"], one["score"], one["tier"]) for one in ranked] == [("ann", "10", "gold"), ("bob", "9", "")]
    refused = closed.request("GET", "/leaderboards/weekly-prize/result", params=MONTHLY)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:leaderboards:problem:never-final")


def test_who_was_refunded_counts_for_no_percentage_and_is_in_no_tier(closed: System) -> None:
    expected = ["top"] * 2 + ["all"] * 18 + [None] * 80
    assert [one[2] for one in tiers(closed, "refunded")] == expected, "live"
    assert [one[2] for one in tiers(closed, "refunded", **DAILY)] == expected, "final"
    assert [one[0] for one in tiers(closed, "refunded", tier="top")] == ["u00", "u01"]
    assert len(tiers(closed, "refunded", tier="all")) == 18
    assert closed.get("/leaderboards/refunded/players/u55")["player"]["pointsToNextTier"] == 1
    explained = closed.get("/leaderboards/refunded/players/u55/explain")
    assert (explained["qualifies"], explained["qualified"]) == (False, 20)

    result = closed.get("/leaderboards/refunded/result", **DAILY)
    assert (result["players"], result["awardCount"]) == (100, 20)
    assert [one["tier"] for one in lines(closed, result["awards"]["url"])] == expected[:20]
    for part in ({"topPercent": "10"}, {"tier": "top"}):
        found = lines(closed, exported(closed, "refunded", **DAILY, **part))
        assert [one["user_id"] for one in found] == ["u00", "u01"], part


def exported(system: System, board: str, **query: str) -> str:
    """Where the file of an export is."""

    def made() -> str | None:
        path = f"/leaderboards/{board}/export"
        answer = system.request("GET", path, params={"format": "csv"} | query, headers={"prefer": "wait=20"})
        return answer.headers["location"] if answer.status_code == 303 else None

    return until(made, f"the export of {query}")


def test_ids_and_long_scores_are_in_a_sheet_as_they_were_sent(system: System) -> None:
    content = system.request("GET", exported(system, "codes", format="xlsx", **DAILY)).content
    header, *rows = openpyxl.load_workbook(io.BytesIO(content))["ranking"].iter_rows()

    names = [one.value for one in header]
    user_ids, points = ([row[names.index(name)] for row in rows] for name in ("user_id", "score"))
    assert [(one.value, int(score.value)) for one, score in zip(user_ids, points, strict=True)] == CODES
    assert {one.data_type for one in (*user_ids, points[0])} <= {"s", "inlineStr"}, "text: no number, date or formula"
    assert {one.data_type for one in points[1:]} == {"n"}
    said = lines(system, exported(system, "codes", **DAILY))
    assert [(one["user_id"], int(one["score"])) for one in said] == CODES


def test_who_has_paid_an_id_never_pays_it_again_whatever_is_corrected(closed: System) -> None:
    first = closed.get("/leaderboards/paid-once/result", **DAILY)
    paid = awards(closed, first)
    assert (first["version"], list(paid)) == (1, [("ann", "gold"), ("bob", "rest"), ("cat", "rest")])
    bobs = paid["bob", "rest"]

    seen = corrected(closed, "disqualify", 2, ["ann", "cat"])
    second = closed.get("/leaderboards/paid-once/result", **DAILY)
    assert awards(closed, second) == {who: paid[who] for who in paid if who[0] != "bob"}
    assert changes(closed, second) == [("revoke", "bob", "rest", bobs)]

    seen += corrected(closed, "reinstate", 3, ["ann", "bob", "cat"])
    third = closed.get("/leaderboards/paid-once/result", **DAILY)
    assert awards(closed, third) == paid
    assert changes(closed, third) == [("grant", "bob", "rest", bobs)]
    assert {("live", 1, 2), ("live", 2, 3)} & set(seen), "a correction that is under way is told"


def corrected(system: System, change: str, version: int, users: list[str]) -> list[tuple[str, int, int | None]]:
    """Change what is said of a player; source, version and pending version of each answer until that is the result."""
    path = f"/leaderboards/paid-once/players/bob/{change}"
    assert system.request("POST", path, json={"reason": "case 1234"}).status_code == 200
    seen: list[tuple[str, int, int | None]] = []

    def is_final() -> bool:
        page = system.get("/leaderboards/paid-once/rankings", **DAILY)
        seen.append((page["source"], page["resultVersion"], page.get("pendingVersion")))
        if page["source"] != "final":
            return False
        assert [one["userId"] for one in page["entries"]] == users, "final is what the result says"
        return True

    until(is_final, f"version {version} of the result")
    assert seen[-1] == ("final", version, None)
    assert set(seen[:-1]) <= {("live", version - 1, version)}
    return seen


def awards(system: System, result: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Player and tier → id of each award of a result."""
    return {(one["user_id"], one["tier"]): one["award_id"] for one in lines(system, result["awards"]["url"])}


def changes(system: System, result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Which awards a version of a result revokes and grants."""
    return [tuple(one.values()) for one in lines(system, result["awardChanges"]["url"])]


def test_honest_days_keep_their_prizes_though_another_day_is_disqualified(closed: System) -> None:
    board, day = "/leaderboards/bot-day", LAST_WEEK.date().isoformat()
    honest = {"window": "daily", "date": HONEST.date().isoformat()}

    def result(query: dict[str, str], version: int) -> Any:
        answer = closed.request("GET", f"{board}/result", params=query)
        return answer.json() if answer.status_code == 200 and answer.json()["version"] == version else None

    def gold(found: Any) -> list[str]:
        return [one["user_id"] for one in lines(closed, found["awards"]["url"])]

    before = until(lambda: result(honest, 1), "the honest day is final")
    assert gold(before) == gold(until(lambda: result(DAILY, 1), "the other day is, too")) == ["bob"]

    body = {"reason": "a bot, case 12", "from": day, "to": day}
    assert closed.request("POST", f"{board}/players/bob/disqualify", json=body).status_code == 200
    second = until(lambda: result(DAILY, 2), "the result is corrected")

    assert gold(second) == ["ann"]
    changed = lines(closed, second["awardChanges"]["url"])
    assert [(one["action"], one["user_id"]) for one in changed] == [("grant", "ann"), ("revoke", "bob")]
    kept = result(honest, 1)
    assert (kept["awards"]["sha256"], gold(kept)) == (before["awards"]["sha256"], ["bob"])
    both = {"window": "custom", "from": honest["date"], "to": day}
    assert tiers(closed, "bot-day", **both) == [("ann", 1, "gold"), ("bob", 2, None)]
