"""Purges on the real stack: a rehearsal is emptied, and nothing of it comes back."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.local.stack import Stack
from tests.support.stack import System, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    yield running
    running.close()


def record(board: str, event_id: str, user_id: str, points: int, at: datetime) -> tuple[bytes, bytes]:
    event = {
        "eventId": event_id,
        "leaderboardId": board,
        "userId": user_id,
        "points": points,
        "occurredAt": at.isoformat(),
    }
    return f"{board}:{user_id}".encode(), json.dumps(event).encode()


def ranked(system: System, board: str) -> list[tuple[str, int]]:
    answer = system.get(f"/leaderboards/{board}/rankings")
    return [(one["userId"], one["score"]) for one in answer["entries"]]


def test_a_rehearsal_is_emptied_and_nothing_of_it_comes_back(system: System) -> None:
    board = "rehearsal-cup"
    path = f"/leaderboards/{board}"
    system.put(path, {"name": "Rehearsal", "aggregation": "sum"})
    rehearsed = [record(board, f"r-{number}", f"bot-{number}", number + 1, datetime.now(UTC)) for number in range(3)]
    system.produce(rehearsed)
    system.settle()
    assert ranked(system, board) == [("bot-2", 3), ("bot-1", 2), ("bot-0", 1)]

    answer = system.request("POST", f"{path}/purge", json={"reason": "the rehearsal is over"})
    assert answer.status_code == 202, answer.text
    purged: dict[str, Any] = answer.json()
    assert system.request("POST", f"{path}/purge", json={"reason": "again"}).json() == purged
    entry = system.get(f"{path}/audit-log")["entries"][-1]
    assert entry == purged["auditEntry"]
    assert (entry["kind"], entry["reason"]) == ("purge", "the rehearsal is over")
    assert system.get(path)["countsFrom"] == purged["countsFrom"]
    start = datetime.fromisoformat(purged["countsFrom"])
    assert ranked(system, board) == [("bot-2", 3), ("bot-1", 2), ("bot-0", 1)], "until then"

    time.sleep(max(0.0, (start - datetime.now(UTC)).total_seconds()))
    until(lambda: ranked(system, board) == [], "it is empty")
    system.produce([*rehearsed, record(board, "r-0", "ann", 7, datetime.now(UTC))])
    system.settle()
    until(lambda: ranked(system, board) == [("ann", 7)], "only what came since counts")
    until(lambda: system.get(f"{path}/rankings")["source"] == "live", "the live windows are built")
    assert ranked(system, board) == [("ann", 7)]
    assert system.request("GET", f"{path}/players/bot-2/events").status_code == 404
    kept = [item["pk"]["S"] for item in system.items("LEDGER_TABLE") if item["pk"]["S"].startswith(board)]
    since_ms = int(start.timestamp() * 1000)
    assert sorted(kept) == [f"{board}#bot-0", f"{board}#bot-1", f"{board}#bot-2", f"{board}.{since_ms}#ann"]
