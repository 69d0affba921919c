"""Points taken back and added on the real stack, also after the end: Kafka in, rankings, results and proofs out."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from infra.local.stack import Stack
from infra.prove import prove
from shared.closing.schedule import LAST_CALLS_MS
from tests.support.oracle import Entry, Fact, Oracle, instant
from tests.support.stack import TIMEOUT_S, System, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parents[2]
THAT_DAY: Final = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
DAILY: Final = {"window": "daily", "date": THAT_DAY.date().isoformat()}
GOLD: Final = {"name": "gold", "topN": 1}
CUP: Final = {"name": "Cup", "aggregation": "sum", "tiers": [GOLD]}
BEST: Final = {"name": "Best", "aggregation": "best", "lateness": "P30D"}
ACCOUNTS: Final = {"name": "Accounts", "aggregation": "sum", "lateness": "P30D", "filters": ["country"]}

Event = tuple[str, str, int, int]
"""Event id, player, points and on which second of that day."""


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    """A cup whose day is about to be closed."""
    running = System(quick_stack)
    running.put("/leaderboards/referee-cup", CUP | {"lateness": "P30D"})
    produce(running, "referee-cup", ("a1", "ann", 100, 1), ("a2", "ann", 200, 2), ("b1", "bob", 250, 3))
    running.put("/leaderboards/referee-cup", CUP | {"lateness": "PT0S"})
    yield running
    running.close()


@pytest.fixture(scope="module", autouse=True)
def _begun(system: System, given_up: System) -> None:
    """Begin, at the same time, what tests/e2e/test_archived.py waits for."""


def produce(system: System, board: str, *events: Event, **attributes: str) -> None:
    records = []
    for event_id, user_id, points, second in events:
        at = (THAT_DAY + timedelta(seconds=second)).isoformat()
        fields = {"eventId": event_id, "leaderboardId": board, "userId": user_id, "points": points, "occurredAt": at}
        records.append((f"{board}:{user_id}".encode(), json.dumps(fields | {"attributes": attributes}).encode()))
    system.produce(records)
    system.settle()


def ranking(system: System, board: str, **query: str) -> list[tuple[str, int]]:
    page = system.get(f"/leaderboards/{board}/rankings", **query)
    assert page["source"] in ("live", "final")
    return [(one["userId"], one["score"]) for one in page["entries"]]


def void(system: System, board: str, user_id: str, event_id: str) -> Any:
    path = f"/leaderboards/{board}/players/{user_id}/events/{event_id}/void"
    answer = system.request("POST", path, json={"reason": "the referee has looked again"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_glitched_run_is_voided_and_the_best_real_one_counts_again(system: System) -> None:
    system.put("/leaderboards/glitch", BEST)
    produce(
        system, "glitch", ("r1", "ann", 40, 1), ("r2", "ann", 99_999, 2), ("r3", "ann", 40, 3), ("r4", "bob", 50, 4)
    )
    assert ranking(system, "glitch") == [("ann", 99_999), ("bob", 50)]

    done = void(system, "glitch", "ann", "r2")

    assert (done["kind"], done["subject"], done["points"], done["already"]) == ("void", "r2", 99_999, False)
    assert void(system, "glitch", "ann", "r2") == done | {"already": True}
    for query in ({}, DAILY, DAILY | {"window": "weekly"}):
        assert ranking(system, "glitch", **query) == [("bob", 50), ("ann", 40)]
    assert system.get("/leaderboards/glitch/players/ann")["player"]["reachedAt"] == f"{at(1)}.000Z"

    produce(system, "glitch", ("r2", "ann", 99_999, 2))  # delivered again

    assert ranking(system, "glitch") == [("bob", 50), ("ann", 40)]
    events = system.get("/leaderboards/glitch/players/ann/events")["events"]
    assert [(one["eventId"], one["voidedByEntry"]) for one in events] == [("r1", None), ("r2", 2), ("r3", None)]
    explained = system.get("/leaderboards/glitch/players/ann/explain")
    assert explained["agrees"] is True
    assert {one["event"]["eventId"]: one["counts"] for one in explained["events"]} == {
        "r1": True, "r2": False, "r3": False,
    }  # fmt: skip
    log = system.get("/leaderboards/glitch/audit-log")["entries"]
    assert [(one["kind"], one["reason"]) for one in log][1:] == [("void", "the referee has looked again")]


def at(second: int) -> str:
    return f"{THAT_DAY + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}"


def test_what_is_wrong_with_an_amendment_is_said(system: System) -> None:
    system.put("/leaderboards/wrong", BEST)
    produce(system, "wrong", ("r1", "ann", 40, 1))
    path = "/leaderboards/wrong/players/ann"
    good = {"eventId": "c1", "points": 1, "occurredAt": f"{at(9)}Z", "reason": "why"}

    def ask(path: str, body: Any) -> tuple[int, str, str | None]:
        answer = system.request("POST", path, json=body)
        problem = answer.json()
        fields = [one["field"] for one in problem.get("errors", [])]
        return answer.status_code, problem["type"].rpartition(":")[2], fields[0] if fields else None

    invalid = [
        ask(f"{path}/corrections", good | changed)
        for changed in ({"occurredAt": "yesterday"}, {"occurredAt": "2099-01-01T00:00:00Z"}, {"reason": ""})
    ]
    assert invalid == [(422, "invalid-request", field) for field in ("occurredAt", "occurredAt", "reason")]
    assert ask(f"{path}/events/r9/void", {"reason": "why"}) == (404, "unknown-event", None)
    assert ask(f"{path}/corrections", good | {"eventId": "r1"}) == (409, "event-exists", None)
    assert [one["kind"] for one in system.get("/leaderboards/wrong/audit-log")["entries"]] == ["define"]


def test_two_accounts_are_merged_by_the_recipe(system: System) -> None:
    system.put("/leaderboards/accounts", ACCOUNTS)
    produce(system, "accounts", ("e/1", "old name", 60, 1), ("e2", "old name", 7, 90_000), country="FR")
    produce(system, "accounts", ("e/1", "new", 50, 2), country="DE")
    produce(system, "accounts", ("e4", "cat", 100, 3))
    assert ranking(system, "accounts") == [("cat", 100), ("old name", 67), ("new", 50)]

    def merge(*options: str) -> str:
        command = [sys.executable, "docs/examples/merge.py", f"{system.url}/leaderboards/accounts"]
        done = subprocess.run(
            [*command, "old name", "new", "one person, case 7", *options],
            cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    assert merge("--dry-run") == "2 events would be moved from 'old name' to 'new'"
    assert ranking(system, "accounts") == [("cat", 100), ("old name", 67), ("new", 50)]
    assert merge() == "2 events moved from 'old name' to 'new'"

    assert ranking(system, "accounts") == [("new", 117), ("cat", 100)]
    assert ranking(system, "accounts", **DAILY) == [("new", 110), ("cat", 100)]
    assert ranking(system, "accounts", **{"attr.country": "FR"}) == [("new", 117)], "of the latest event"
    assert system.get("/leaderboards/accounts/players/new")["player"]["reachedAt"] == f"{at(90_000)}.000Z"
    assert merge() == "0 events moved from 'old name' to 'new'"
    produce(system, "accounts", ("e/1", "old name", 60, 1), country="FR")  # delivered again
    assert ranking(system, "accounts") == [("new", 117), ("cat", 100)]


def test_points_taken_back_after_the_end_make_a_second_version(
    system: System, quick_stack: Stack, tmp_path: Path
) -> None:
    board = "/leaderboards/referee-cup"

    def versions() -> list[Any]:
        found: list[Any] = system.get(f"{board}/result/versions", **DAILY)["versions"]
        return found

    until(versions, "the day is final", LAST_CALLS_MS / 1000 + TIMEOUT_S)
    oracle = Oracle({"referee-cup": CUP})
    oracle.facts = {
        ("referee-cup", "ann"): [fact("a1", 100, 1), fact("a2", 200, 2)],
        ("referee-cup", "bob"): [fact("b1", 250, 3)],
    }
    day = THAT_DAY.date()
    assert stored(system, versions()[0]) == lines_of(oracle.ranking("referee-cup", day, day))

    void(system, "referee-cup", "ann", "a2")
    oracle.audit_log, oracle.voids = {"referee-cup": [("", "")] * 4}, {"referee-cup": [(3, "ann", "a2")]}

    until(lambda: len(versions()) == 2, "the result has a second version")
    first, second = versions()
    assert stored(system, first) == lines_of(oracle.ranking("referee-cup", day, day, audit_sequence=2))
    assert stored(system, second) == lines_of(oracle.ranking("referee-cup", day, day))
    assert stored(system, second) == [("bob", "250", "gold"), ("ann", "100", "")]
    difference = table(system, second["difference"]["url"])
    assert [(one["user_id"], one["score_before"], one["score_after"]) for one in difference] == [
        ("bob", "250", "250"),
        ("ann", "300", "100"),
    ]
    changes = table(system, second["awardChanges"]["url"])
    assert [(one["action"], one["user_id"]) for one in changes] == [("grant", "bob"), ("revoke", "ann")]
    page = system.get(f"{board}/rankings", **DAILY)
    assert (page["source"], page["resultVersion"]) == ("final", 2)

    for number, version in enumerate((first, second)):
        file, manifest = tmp_path / f"{number}.csv", tmp_path / f"{number}.json"
        file.write_bytes(system.request("GET", version["ranking"]["url"]).content)
        manifest.write_bytes(system.request("GET", version["manifest"]).content)
        assert prove(file, manifest, os.environ | quick_stack.environment) == []

    added = {"eventId": "case-1", "points": 200, "occurredAt": f"{at(2)}Z", "reason": "and once more"}
    assert system.request("POST", f"{board}/players/ann/corrections", json=added).status_code == 200
    until(lambda: len(versions()) == 3, "the result has a third version")
    assert stored(system, versions()[2]) == stored(system, first)


def fact(event_id: str, points: int, second: int) -> Fact:
    return Fact(event_id, points, instant(f"{at(second)}Z"), ())


def lines_of(entries: list[Entry]) -> list[tuple[str, str, str]]:
    return [(one.user_id, str(one.score), one.tier or "") for one in entries]


def stored(system: System, version: Any) -> list[tuple[str, str, str]]:
    return [(one["user_id"], one["score"], one["tier"]) for one in table(system, version["ranking"]["url"])]


def table(system: System, url: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(system.request("GET", url).content.decode(), newline="")))
