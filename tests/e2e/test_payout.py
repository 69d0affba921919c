"""Payout people see what will come: previews, what closing waits for, and a payer that can be tried first."""

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from infra.local.config import RESULTS
from infra.local.stack import Stack
from shared.cache import keys
from tests.support.stack import System, pass_the_last_calls, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parents[2]
BOARD: Final = "seen-before"
PATH: Final = f"/leaderboards/{BOARD}"
LAST_WEEK: Final = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=7)
DAY: Final = LAST_WEEK.date().isoformat()
DAILY: Final = {"window": "daily", "date": DAY}
TIERS: Final[list[dict[str, Any]]] = [
    {"name": "gold", "topN": 1, "ties": "shared"},
    {"name": "silver", "topPercent": 50},
    {"name": "weekly", "topN": 100, "windows": ["weekly"]},
]
DEFINITION: Final = {"name": "Seen before", "aggregation": "sum", "tiers": TIERS}
POINTS: Final = {"ann": 100, "bob": 100, "cat": 90, "dan": 80, "eve": 70, "fay": 60}
AWARDS: Final = [("ann", "gold", 1, 1), ("bob", "gold", 2, 1), ("cat", "silver", 3, 3)]


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    """A contest of a week ago, whose days are open since they wait for late events."""
    running = System(quick_stack)
    running.put(PATH, DEFINITION | {"lateness": "P30D"})
    running.produce(records())
    running.settle()
    yield running
    running.close()


def records() -> Iterator[tuple[bytes, bytes]]:
    for number, (user_id, points) in enumerate(POINTS.items()):
        at = (LAST_WEEK + timedelta(seconds=number)).isoformat()
        event = {"eventId": f"e{number}", "leaderboardId": BOARD, "userId": user_id, "points": points, "occurredAt": at}
        yield f"{BOARD}:{user_id}".encode(), json.dumps(event).encode()


def preview(system: System, **query: Any) -> Any:
    return system.get(f"{PATH}/result", preview="true", **DAILY, **query)


def due(system: System) -> dict[str, Any]:
    """What is due, by kind and id."""
    return {f"{one['kind']} {one['id']}": one for one in system.get(f"{PATH}/closing")["items"]}


def in_short(awards: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(one["userId"], one["tier"], one["rank"], one["competitionRank"]) for one in awards]


def test_a_preview_shows_who_would_be_paid_what_and_when_it_is_due(system: System) -> None:
    found = preview(system)
    assert in_short(found["awards"]) == AWARDS
    assert (found["preview"], found["source"], found["awardCount"]) == (True, "live", 3)
    assert found["tiers"] == [{"name": "gold", "awardCount": 2}, {"name": "silver", "awardCount": 1}]
    assert (found["step"], found["blockers"]) == ("late", [])
    assert found["days"] == [{"from": DAY, "to": DAY, "step": "late"}]
    assert found["window"]["status"] == "closing"
    cutoff = datetime.fromisoformat(DAY).replace(tzinfo=UTC) + timedelta(days=31)
    expected = datetime.fromisoformat(found["window"]["expectedFinalAt"])
    assert timedelta(minutes=5) < expected - cutoff < timedelta(minutes=6)
    missing = system.request("GET", f"{PATH}/result", params=DAILY)
    assert (missing.status_code, missing.json()["expectedFinalAt"]) == (404, found["window"]["expectedFinalAt"])

    pages = [preview(system, limit=2)]
    pages.append(preview(system, limit=2, cursor=pages[0]["nextCursor"]))
    assert [in_short(page["awards"]) for page in pages] == [AWARDS[:2], AWARDS[2:]]
    assert pages[1]["nextCursor"] is None

    items = due(system)
    assert items[f"day {DAY}"]["step"] == items[f"window {DAY}"]["step"] == "late"
    assert items[f"window {DAY}"]["expectedAt"] == found["window"]["expectedFinalAt"]
    assert system.get(f"{PATH}/closing")["checkedAt"] is not None


def test_closing_names_what_blocks_and_the_result_is_what_the_preview_was(
    system: System, quick_stack: Stack, tmp_path: Path
) -> None:
    before = preview(system)
    ghost = (1).to_bytes(6, "big") + b"ghost"
    with Redis.from_url(quick_stack.environment["CACHE_URL"]) as redis:  # a cache that shows what no event has scored
        redis.zadd(keys.ranking(BOARD, DAY), {ghost: -999})
    system.put(PATH, DEFINITION | {"lateness": "PT0S"})

    seen: dict[str, set[str]] = {"steps": set(), "codes": set()}

    def is_final() -> bool:
        item = due(system).get(f"window {DAY}")
        if item is not None:
            if item["step"] == "sealing":
                pass_the_last_calls(quick_stack, BOARD)
            seen["steps"].add(item["step"])
            seen["codes"] |= {one["code"] for one in item["blockers"]}
            assert all(one["since"] and one["reason"] for one in item["blockers"])
        shown = system.request("GET", f"{PATH}/result", params=DAILY | {"preview": "true"})  # has the window rebuilt
        return item is None and shown.status_code == 200 and shown.json()["step"] == "final"

    until(is_final, "the day is final", progress=lambda: {one: [*seen[one]] for one in seen})
    assert {"sealing", "ranking"} <= seen["steps"]
    assert "drift" in seen["codes"]

    result = system.get(f"{PATH}/result", **DAILY)
    content = system.request("GET", result["awards"]["url"]).content.decode()
    lines = list(csv.DictReader(io.StringIO(content, newline="")))
    fields = {"awardId": "award_id", "userId": "user_id", "tier": "tier"}
    numbers = {"rank": "rank", "competitionRank": "competition_rank", "score": "score"}
    paid = [
        {name: line[column] for name, column in fields.items()}
        | {name: int(line[column]) for name, column in numbers.items()}
        for line in lines
    ]
    assert paid == before["awards"]
    after = preview(system)
    assert (after["awards"], after["source"], after["resultVersion"]) == (before["awards"], "final", 1)
    assert after["days"] == [{"from": DAY, "to": DAY, "step": "sealed"}]
    assert "expectedFinalAt" not in after["window"]
    assert_the_payer_can_be_tried_first(quick_stack, lines, tmp_path / "book")


def assert_the_payer_can_be_tried_first(stack: Stack, lines: list[dict[str, str]], book: Path) -> None:
    expected = sorted(f"grant\t{BOARD}\t{DAY}\t{one['user_id']}\t{one['tier']}\t{one['award_id']}" for one in lines)

    def told(*options: str) -> list[str]:
        done = pay(stack, book, *options)
        assert done.stdout.splitlines()[-1] == "the queue is empty"
        return sorted(line for line in done.stdout.splitlines() if f"\t{BOARD}\t{DAY}\t" in line)

    would = [f"would {line}" for line in expected]
    until(lambda: told("--dry-run") == would, "the notification is there")
    assert told("--dry-run") == would
    assert not book.exists()
    assert told("--once") == expected
    with closing(sqlite3.connect(book)) as database:
        booked = database.execute("SELECT user_id FROM awards WHERE (leaderboard, window) = (?, ?)", (BOARD, DAY))
        assert {user_id for (user_id,) in booked} == {"ann", "bob", "cat"}
    assert told("--once") == []


def pay(stack: Stack, book: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | stack.environment | {"API_URL": stack.url, "QUEUE_URL": stack.config.queue_url(RESULTS)}
    command = [sys.executable, "docs/examples/pay.py", str(book), *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
