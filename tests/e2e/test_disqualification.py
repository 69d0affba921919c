"""Disqualifications on the real stack: who is meant, from when on, and what the windows then say."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from infra.local.stack import Stack
from tests.support.stack import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    yield running
    running.close()


def produce(system: System, board: str, *events: tuple[str, int, datetime]) -> None:
    """Events of players, and wait until they are applied."""
    system.produce(
        (
            f"{board}:{user_id}".encode(),
            json.dumps(
                {
                    "eventId": f"{user_id}-{number}",
                    "leaderboardId": board,
                    "userId": user_id,
                    "points": points,
                    "occurredAt": at.isoformat(),
                }
            ).encode(),
        )
        for number, (user_id, points, at) in enumerate(events)
    )
    system.settle()


def test_a_typing_mistake_is_told_or_refused_and_nobody_else_is_touched(system: System) -> None:
    board = "typed-names"
    system.put(f"/leaderboards/{board}", {"name": "Typed", "aggregation": "sum"})
    now = datetime.now(UTC)
    produce(system, board, ("u-42", 7, now), ("ann", 5, now))

    def disqualify(user_id: str, **more: object) -> tuple[int, dict[str, object]]:
        path = f"/leaderboards/{board}/players/{user_id}/disqualify"
        answer = system.request("POST", path, json={"reason": "bought points"} | more)
        return answer.status_code, answer.json()

    def ranked() -> list[str]:
        return [one["userId"] for one in system.get(f"/leaderboards/{board}/rankings")["entries"]]

    status, refused = disqualify("u-24", strict=True)
    assert (status, refused["type"]) == (404, "urn:leaderboards:problem:unknown-player")
    assert system.get(f"/leaderboards/{board}/disqualified")["userIds"] == []
    assert [one["kind"] for one in system.get(f"/leaderboards/{board}/audit-log")["entries"]] == ["define"]

    status, told = disqualify("u-24")
    assert (status, told["known"]) == (200, False)
    assert ranked() == ["u-42", "ann"]

    status, done = disqualify("u-42", strict=True)
    assert (status, done["known"]) == (200, True)
    assert ranked() == ["ann"]
