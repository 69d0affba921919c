"""Prizes go to whom the rules name: events in by Kafka, rankings, files and explanations out."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from infra.local.stack import Stack
from shared.closing.sealing import LAST_CALLS_MS
from tests.support.stack import TIMEOUT_S, System, until

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
}
REFUNDED = [(f"u{number:02}", 100 - number) for number in range(100)]
REFUNDED += [(user_id, -points) for user_id, points in REFUNDED[20:]]
EVENTS: Final[dict[str, list[tuple[str, int]]]] = (
    {name: [("ann", 100), ("bob", 100), ("cat", 100), ("dan", 99)] for name in ("ties-first", "ties-shared")}
    | {"refunded": REFUNDED}
    | {name: [("ann", 5), ("bob", 4)] for name in ("weekly-prize", "two-day-cup")}
)
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
    running.put(CUP, CUP_DAYS)
    running.settle()
    yield running
    running.close()


@pytest.fixture(scope="module")
def closed(system: System) -> System:
    """The same, once that day and its week are final for all of them."""
    for board, definition in DEFINITIONS.items():
        system.put(f"/leaderboards/{board}", {"name": board, "aggregation": "sum", "lateness": "PT0S"} | definition)

    def all_final() -> bool:
        pages = [
            system.get(f"/leaderboards/{board}/rankings", **window)
            for board in DEFINITIONS
            for window in (DAILY, WEEKLY)
        ]
        return all(page["window"]["status"] == "final" for page in pages)

    until(all_final, "day and week are final", LAST_CALLS_MS / 1000 + TIMEOUT_S)
    return system


def records(board: str, events: list[tuple[str, int]]) -> Iterator[tuple[bytes, bytes]]:
    for number, (user_id, points) in enumerate(events):
        at = (LAST_WEEK + timedelta(seconds=number)).isoformat()
        event = {"eventId": f"e{number}", "leaderboardId": board, "userId": user_id, "points": points, "occurredAt": at}
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
        answer = system.request("GET", path, params=query | {"format": "csv"}, headers={"prefer": "wait=20"})
        return answer.headers["location"] if answer.status_code == 303 else None

    return until(made, f"the export of {query}")
