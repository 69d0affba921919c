"""SIGTERM, as a deployment sends it: what is under way is finished, nothing is lost, nothing is done twice."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from redis import Redis

from infra.local.stack import Stack
from shared.truth.items import to_ledger_entry
from tests.support.stack import System, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

BOARD = "stopped-cup"
PLAYERS = 1_200
STOP_S = 30
"""What a container gets before it is killed, in docker-compose.yml as well."""


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", {"name": "Cup", "aggregation": "sum"})
    yield running
    running.close()


def events(count: int) -> list[tuple[bytes, bytes]]:
    """Events of one point each, of the players in turn."""
    now = datetime.now(UTC).isoformat()
    return [
        (
            f"{BOARD}:u-{number % PLAYERS}".encode(),
            f'{{"eventId":"{uuid.uuid4()}","leaderboardId":"{BOARD}","userId":"u-{number % PLAYERS}","points":1,'
            f'"occurredAt":"{now}"}}'.encode(),
        )
        for number in range(count)
    ]


@contextmanager
def producing(system: System) -> Iterator[list[int]]:
    """Events of every player, and more of them until the block ends; how many were sent, a number for each call."""
    sent: list[int] = []
    ended = threading.Event()

    def produce() -> None:
        while not (ended.is_set() and sent):
            system.produce(events(PLAYERS))
            sent.append(PLAYERS)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield sent
    finally:
        ended.set()
        thread.join()


def in_ledger(system: System) -> int:
    found = (to_ledger_entry(item).event.leaderboard_id for item in system.items("LEDGER_TABLE"))
    return sum(one == BOARD for one in found)


def end(stack: Stack, name: str) -> str:
    """Ask a process to end and wait; how it did."""
    process = stack.process(name)
    process.terminate()
    process.wait_stopped(STOP_S)
    return process.cause_of_death()


def test_a_trigger_that_is_stopped_in_a_batch_commits_exactly_what_it_has_done(
    quick_stack: Stack, system: System
) -> None:
    system.settle()
    before = system.committed()
    with producing(system) as sent:
        until(lambda: in_ledger(system) > 0, "batches are under way")
        assert end(quick_stack, "trigger").startswith("exit status 0")
        done = in_ledger(system)

    assert 0 < done < sum(sent), "stopped in the middle"
    assert system.committed() - before == done, "neither a record that comes again nor one that is passed over"

    system.restart_trigger()
    system.settle()
    assert in_ledger(system) == sum(sent)
    page = system.get(f"/leaderboards/{BOARD}/rankings", limit=1)
    assert (page["total"], page["source"]) == (PLAYERS, "live")


def test_an_api_that_is_stopped_answers_who_has_asked_and_nobody_new(quick_stack: Stack, system: System) -> None:
    path = f"{quick_stack.url}/leaderboards/{BOARD}/rankings?window=all-time&limit=1"
    tag = requests.get(path, timeout=10).headers["etag"]
    answers: list[requests.Response] = []

    def wait() -> None:
        headers = {"If-None-Match": tag, "Prefer": "wait=4"}
        answers.append(requests.get(path, headers=headers, timeout=STOP_S))

    asking = threading.Thread(target=wait)
    before = looks(quick_stack)
    try:
        asking.start()
        until(lambda: looks(quick_stack) > before, "the request is under way")
        assert end(quick_stack, "api") == "killed by SIGTERM", "uvicorn passes it on once it is done"
        asking.join()
    finally:
        quick_stack.restart("api")

    assert [(one.status_code, one.headers["preference-applied"]) for one in answers] == [(304, "wait=4")]


def looks(stack: Stack) -> int:
    """How often somebody who waits for a change has looked."""
    with Redis.from_url(stack.environment["CACHE_URL"]) as redis:
        commands: Any = redis.info("commandstats")
    return int(commands.get("cmdstat_hget", {}).get("calls", 0))


def test_an_export_that_is_under_way_when_its_worker_is_stopped_is_made(quick_stack: Stack, system: System) -> None:
    path = f"/leaderboards/{BOARD}/export"
    query: dict[str, Any] = {"window": "all-time", "format": "csv"}
    asked = system.request("GET", path, params=query)
    assert asked.status_code == 202, asked.text

    try:
        assert end(quick_stack, "queues").startswith("exit status 0")
    finally:
        quick_stack.restart("queues")

    file = until(lambda: done(system, path, query), "the export is made")
    assert len(file.text.splitlines()) == PLAYERS + 1


def done(system: System, path: str, query: dict[str, Any]) -> requests.Response | None:
    answer = system.request("GET", path, params=query)
    return system.request("GET", answer.headers["location"]) if answer.status_code == 303 else None
