"""A stack whose cache is a cluster: leaderboards on every primary, and one that is killed under ingest and reads."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from redis import Redis

from infra.local.cache import form_cluster
from infra.local.stack import Stack
from tests.support.stack import System, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
BOARDS = [f"cluster-{number}" for number in range(6)]
PLAYERS = 20
KILLED = "cache-2"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack.for_test(tmp_path_factory.mktemp("cluster-stack"), cache_nodes=3) as made:
        yield made


@pytest.fixture(scope="module")
def system(stack: Stack) -> Iterator[System]:
    running = System(stack)
    yield running
    running.close()


def play(system: System, round_: int) -> None:
    """Every player gets as many points as their number, on every leaderboard."""
    at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    records = []
    for number in range(1, PLAYERS + 1):
        for board in BOARDS:
            fields = {"eventId": f"{round_}-{number}", "leaderboardId": board, "userId": f"u{number:02}"}
            records.append((b"", json.dumps(fields | {"points": number, "occurredAt": at}).encode()))
    system.produce(records)
    system.settle()


def primaries(stack: Stack) -> dict[str, str]:
    """Leaderboard → process that has it."""
    names = {
        port: "cache" if place == 0 else f"cache-{place + 1}" for place, port in enumerate(stack.config.cache_ports)
    }
    with Redis(port=stack.config.ports.cache) as redis:
        slots: Any = redis.execute_command("CLUSTER SLOTS")
        of: dict[str, Any] = {board: redis.execute_command("CLUSTER KEYSLOT", board) for board in BOARDS}
    return {board: next(names[one[2][1]] for one in slots if one[0] <= slot <= one[1]) for board, slot in of.items()}


def shown(stack: Stack, board: str) -> tuple[str, list[tuple[str, int]]]:
    """Where the ranking comes from, and all of it."""
    answer = requests.get(f"{stack.url}/leaderboards/{board}/rankings?window=all-time&limit=100", timeout=30)
    if answer.status_code != 200:
        return answer.json()["type"].rpartition(":")[2], []
    found = answer.json()
    return found["source"], [(one["userId"], one["score"]) for one in found["entries"]]


def expected(rounds: int) -> list[tuple[str, int]]:
    return [(f"u{number:02}", rounds * number) for number in range(PLAYERS, 0, -1)]


def test_what_one_primary_loses_is_shown_from_elsewhere_and_the_others_stay_live(stack: Stack, system: System) -> None:
    for board in BOARDS:
        system.put(f"/leaderboards/{board}", {"name": board, "aggregation": "sum"})
    play(system, 1)
    for board in BOARDS:
        until(lambda board=board: shown(stack, board) == ("live", expected(1)), f"{board} is live")  # type: ignore[misc]
    at = primaries(stack)
    assert set(at.values()) == {"cache", "cache-2", "cache-3"}

    stack.kill(KILLED)
    play(system, 2)
    for board in BOARDS:
        source, entries = shown(stack, board)
        if at[board] == KILLED:
            assert source != "live"
        else:
            assert (source, entries) == ("live", expected(2))

    stack.restart(KILLED)
    form_cluster(stack.config.cache_ports)  # it is back once the others say so
    play(system, 3)
    for board in BOARDS:
        until(lambda board=board: shown(stack, board) == ("live", expected(3)), f"{board} is right")  # type: ignore[misc]
