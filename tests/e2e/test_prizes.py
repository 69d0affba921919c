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

YESTERDAY: Final = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
DAILY: Final = {"window": "daily", "date": YESTERDAY.date().isoformat()}
GOLD: Final = {"name": "gold", "topN": 1}
DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "ties-first": {"tiers": [GOLD, {"name": "rest", "topPercent": 100}]},
    "ties-shared": {"tiers": [GOLD | {"ties": "shared"}, {"name": "rest", "topPercent": 100}]},
}
EVENTS: Final[dict[str, list[tuple[str, int]]]] = {
    name: [("ann", 100), ("bob", 100), ("cat", 100), ("dan", 99)] for name in ("ties-first", "ties-shared")
}


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    """Contests of yesterday, whose days close while the tests read them open."""
    running = System(quick_stack)
    for board, definition in DEFINITIONS.items():
        running.put(f"/leaderboards/{board}", {"name": board, "aggregation": "sum", "lateness": "P3D"} | definition)
        running.produce(records(board, EVENTS[board]))
    running.settle()
    yield running
    running.close()


@pytest.fixture(scope="module")
def closed(system: System) -> System:
    """The same, once yesterday is final for all of them."""
    for board, definition in DEFINITIONS.items():
        system.put(f"/leaderboards/{board}", {"name": board, "aggregation": "sum", "lateness": "PT0S"} | definition)

    def all_final() -> bool:
        path = "/leaderboards/{}/rankings?window=daily&date=" + DAILY["date"]
        return all(system.get(path.format(board))["window"]["status"] == "final" for board in DEFINITIONS)

    until(all_final, "yesterday is final", LAST_CALLS_MS / 1000 + TIMEOUT_S)
    return system


def records(board: str, events: list[tuple[str, int]]) -> Iterator[tuple[bytes, bytes]]:
    for number, (user_id, points) in enumerate(events):
        at = (YESTERDAY + timedelta(seconds=number)).isoformat()
        event = {"eventId": f"e{number}", "leaderboardId": board, "userId": user_id, "points": points, "occurredAt": at}
        yield f"{board}:{user_id}".encode(), json.dumps(event).encode()


def tiers(system: System, board: str, **query: str) -> list[tuple[str, int, str | None]]:
    """User, competition rank and tier of a ranking's first entries."""
    page = system.get(f"/leaderboards/{board}/rankings", limit="1000", **query)
    assert page["source"] in ("live", "final")
    return [(one["userId"], one["competitionRank"], one["tier"]) for one in page["entries"]]


def lines(system: System, url: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(system.request("GET", url).content.decode(), newline="")))


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
