"""Players are asked for by their exact ids, through gateway and function, whatever characters an id has."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest

from infra.local.stack import Stack
from tests.support.stack import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BOARD: Final = "exact-ids"
POINTS: Final = {"x, y": 50, "x": 40, " y": 30, "p1": 20, "p1,x": 10, ",": 5, "a&b=c": 4}


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", {"name": "Exact ids", "aggregation": "sum"})
    now = datetime.now(UTC).isoformat()
    for number, (user_id, points) in enumerate(POINTS.items()):
        event = {"eventId": f"e{number}", "leaderboardId": BOARD, "userId": user_id, "points": points}
        running.produce([(f"{BOARD}:{user_id}".encode(), json.dumps(event | {"occurredAt": now}).encode())])
    running.settle()
    yield running
    running.close()


@pytest.mark.parametrize(
    ("query", "found", "missing"),
    [
        ("userIds=x%2C%20y,p1", ["x, y", "p1"], []),
        ("userIds=x%2C%20y&userIds=p1", ["x, y", "p1"], []),
        ("userIds=x%2c+y&userIds=p1,nobody", ["x, y", "p1"], ["nobody"]),
        ("userIds=x,%20y,p1", ["x", " y", "p1"], []),
        ("userIds=p1%2Cx", ["p1,x"], []),
        ("userIds=p1&userIds=x", ["x", "p1"], []),
        ("userIds=%2C&userIds=a%26b%3Dc", [",", "a&b=c"], []),
        ("userIds=p1%252Cx", [], ["p1%2Cx"]),
    ],
)
def test_a_list_of_players_answers_for_these_and_no_others(
    system: System, query: str, found: list[str], missing: list[str]
) -> None:
    answer = system.get(f"/leaderboards/{BOARD}/rankings?window=all-time&{query}")
    assert [(one["userId"], one["score"]) for one in answer["entries"]] == [(one, POINTS[one]) for one in found]
    assert answer["missing"] == missing


@pytest.mark.parametrize("query", ["userIds=", "userIds=p1,,x", "userIds=p1&userIds=", "userIds=p1,"])
def test_an_empty_id_in_a_list_is_named(system: System, query: str) -> None:
    answer = system.request("GET", f"/leaderboards/{BOARD}/rankings?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "userIds")
