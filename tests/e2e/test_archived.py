"""A leaderboard that is deleted before its results still pays: Kafka in, files, notifications and the payer out."""

import csv
import io
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from infra.local.config import RESULTS
from infra.local.stack import Stack
from shared.closing.schedule import LAST_CALLS_MS
from tests.e2e.given_up import BOARD, YESTERDAY
from tests.support.stack import TIMEOUT_S, System, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parents[2]
WINDOW: Final = {"window": "daily", "date": YESTERDAY.date().isoformat()}


def result(system: System) -> dict[str, Any] | None:
    answer = system.request("GET", f"/leaderboards/{BOARD}/result", params=WINDOW)
    if answer.status_code == 503:  # as on a busy machine; who waits for it asks again
        return None
    assert answer.status_code == 200 or answer.json()["type"] == "urn:leaderboards:problem:not-final", answer.text
    return answer.json() if answer.status_code == 200 else None


def lines(system: System, url: str, *names: str) -> list[tuple[str, ...]]:
    content = system.request("GET", url).content.decode()
    return [tuple(line[name] for name in names) for line in csv.DictReader(io.StringIO(content, newline=""))]


def paid(stack: Stack, book: Path) -> set[tuple[str, ...]]:
    """Player and tier of the awards in force, once the example of a payer has read its queue."""
    environment = os.environ | stack.environment | {"API_URL": stack.url, "QUEUE_URL": stack.config.queue_url(RESULTS)}
    command = [sys.executable, "docs/examples/pay.py", str(book), "--once"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    with closing(sqlite3.connect(book)) as database:
        of = "SELECT user_id, tier FROM awards WHERE revoked_by IS NULL AND leaderboard = ?"
        return set(database.execute(of, (BOARD,)))


def test_what_was_won_before_the_leaderboard_was_deleted_is_paid_and_corrected(
    quick_stack: Stack, given_up: System, tmp_path: Path
) -> None:
    system = given_up
    assert system.request("GET", f"/leaderboards/{BOARD}/rankings").status_code == 404
    assert [one.reason for one in system.letters().values() if BOARD.encode() in (one.key or b"")] == [
        "leaderboard_archived"
    ], "what is new; what has counted is a duplicate"

    first = until(lambda: result(system), "yesterday is final", LAST_CALLS_MS / 1000 + TIMEOUT_S)
    ranking = lines(system, first["ranking"]["url"], "rank", "user_id", "score")
    assert ranking == [("1", "ann", "100"), ("2", "bob", "90"), ("3", "cat", "80")]
    book = tmp_path / "book"
    until(lambda: paid(quick_stack, book) == {("ann", "gold"), ("bob", "silver")}, "the prizes are paid")

    path = f"/leaderboards/{BOARD}/players/ann/disqualify"
    answer = system.request("POST", path, json={"reason": "bought points", "strict": True})
    assert (answer.status_code, answer.json()["known"]) == (200, True)
    second = until(lambda: (now := result(system)) and now["version"] == 2 and now, "the result is corrected")
    assert lines(system, second["ranking"]["url"], "rank", "user_id", "score") == [
        ("1", "bob", "90"),
        ("2", "cat", "80"),
    ]
    until(lambda: paid(quick_stack, book) == {("bob", "gold"), ("cat", "silver")}, "the prizes go to whom they belong")

    assert system.get(f"/leaderboards/{BOARD}/disqualified")["userIds"] == ["ann"]
    log = system.get(f"/leaderboards/{BOARD}/audit-log")["entries"]
    assert [one["kind"] for one in log] == ["define", "define", "delete", "disqualify"]
    listed = system.get("/leaderboards", limit=100)["leaderboards"]
    assert BOARD not in {one["id"] for one in listed}
    assert "leaderboards_archived_owing" in system.request("GET", "/metrics").text
