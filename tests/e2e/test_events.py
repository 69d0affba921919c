"""What becomes of single events, on the real stack: Kafka in, HTTP out."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.local.stack import Stack
from tests.support.stack import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(quick_stack: Stack) -> Stack:
    return quick_stack


@pytest.fixture(scope="module")
def system(stack: Stack) -> Iterator[System]:
    running = System(stack)
    yield running
    running.close()


def event(board: str, user: str, event_id: str, points: int, at: datetime) -> tuple[bytes, bytes]:
    """Key and value of a record."""
    fields = {"eventId": event_id, "leaderboardId": board, "userId": user, "points": points}
    return f"{board}:{user}".encode(), json.dumps(fields | {"occurredAt": at.isoformat()}).encode()


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_an_event_of_no_points_breaks_no_tie(system: System) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    first, second, third = now - timedelta(hours=3), now - timedelta(hours=2), now - timedelta(hours=1)
    system.put("/leaderboards/tied", {"name": "Tied", "aggregation": "sum", "lateness": "P2D"})
    system.produce(
        [
            event("tied", "first", "a", 100, first),
            event("tied", "second", "b", 100, second),
            event("tied", "first", "c", 0, third),
            event("tied", "cancelled", "d", 100, first),
            event("tied", "cancelled", "e", -5, second),
            event("tied", "cancelled", "f", 5, third),
            event("tied", "idle", "g", 0, third),
            event("tied", "idle", "h", 0, first),
        ]
    )
    system.settle()

    entries: list[dict[str, Any]] = system.get("/leaderboards/tied/rankings")["entries"]

    assert [(one["userId"], one["score"], instant(one["reachedAt"])) for one in entries] == [
        ("first", 100, first),
        ("second", 100, second),
        ("cancelled", 100, third),
        ("idle", 0, first),
    ]
    explained = system.get("/leaderboards/tied/players/first/explain")
    assert explained["agrees"] is True


def test_a_record_with_a_name_twice_counts_nothing(system: System) -> None:
    now = datetime.now(UTC)
    system.put("/leaderboards/twice", {"name": "Twice", "aggregation": "sum"})
    _, good = event("twice", "ann", "a", 1, now)
    key, once = event("twice", "ann", "b", 1, now)
    twice = once.replace(b'"points": 1', b'"points": 1, "points": 1000')
    system.produce([(key, good), (key, twice)])
    system.settle()

    entries = system.get("/leaderboards/twice/rankings")["entries"]

    assert [(one["userId"], one["score"]) for one in entries] == [("ann", 1)]
    (letter,) = [one for one in system.letters().values() if one.value == twice]
    assert letter.reason == "malformed"
