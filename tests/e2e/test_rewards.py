"""What a rewards team relies on, on the real stack: results that stay, reads that go on, letters that come back."""

import csv
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from redis import Redis

from infra.local.config import RESULTS
from infra.local.counts import fetch
from infra.local.stack import Stack
from shared.closing.schedule import LAST_CALLS_MS
from tests.support import oracle, rejections
from tests.support.boards import Boards
from tests.support.stack import HTTP_TIMEOUT_S, TIMEOUT_S, System, TopicRecord, command, until
from tests.support.traffic import BOARDS, Traffic
from tests.support.windows import Window, from_csv, read_window

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]

SEED = 7
ROOT = Path(__file__).parents[2]
NO_LATENESS = {"lateness": "PT0S"}


@pytest.fixture(scope="module")
def stack(quick_stack: Stack) -> Stack:
    return quick_stack


@pytest.fixture(scope="module")
def system(stack: Stack) -> Iterator[System]:
    running = System(stack)
    yield running
    running.close()


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(SEED, datetime.now(UTC))


@pytest.fixture(scope="module")
def boards(system: System, traffic: Traffic) -> Boards:
    """The leaderboards, and a thousand events for them."""
    boards = Boards(traffic.days)
    boards.make(system)
    system.produce(pair for board in BOARDS for pair in traffic.with_duplicates(traffic.good(board, 300), 10))
    system.settle()
    return boards


def closed(windows: list[Window]) -> list[Window]:
    """Those whose last day is over by any clock, unregistered ranges apart."""
    today = (datetime.now(UTC) - timedelta(minutes=3)).date()
    return [one for one in windows if one.last is not None and one.last < today and "from" not in one.query]


def statuses(system: System, board: str, windows: list[Window]) -> Counter[str]:
    found = (system.get(f"/leaderboards/{board}/rankings", limit=1, **window.query) for window in windows)
    return Counter(page["window"]["status"] for page in found)


def test_while_the_cache_is_flushed_under_load_reads_go_on_and_it_heals_by_itself(
    stack: Stack, system: System, boards: Boards, traffic: Traffic
) -> None:
    seen: Counter[tuple[int, str]] = Counter()
    ended = threading.Event()

    def read() -> None:
        with requests.Session() as session:
            while not ended.is_set():
                for board in BOARDS:
                    url = f"{stack.url}/leaderboards/{board}"
                    for path in ("rankings?limit=20", "rankings?window=daily", "players/player-1?context=3"):
                        answer = session.get(f"{url}/{path}", timeout=HTTP_TIMEOUT_S)
                        seen[answer.status_code, answer.json().get("source", "")] += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        until(lambda: seen[200, "live"] > 20, "the reader reads live rankings")
        with Redis.from_url(stack.environment["CACHE_URL"]) as redis:
            for _ in range(3):
                before = seen[200, "snapshot"]
                redis.flushall()
                system.produce(traffic.good("sum", 50))
                until(lambda: seen[200, "snapshot"] > before, "a snapshot is read")  # noqa: B023 - called at once
                until(lambda: is_live(system), "all is live again")
    finally:
        ended.set()
        reader.join()

    assert {status for status, _ in seen} <= {200, 404}, "404 is for a player without points in a day"
    system.settle()
    reference = boards.reference(system.records())
    for board in BOARDS:
        for window in boards.windows(board):
            assert read_window(system, board, window) == reference.ranking(board, window.first, window.last)


def is_live(system: System) -> bool:
    return all(system.get(f"/leaderboards/{board}/rankings")["source"] == "live" for board in BOARDS)


def test_what_was_refused_for_want_of_its_leaderboard_counts_once_it_is_sent_back(stack: Stack, system: System) -> None:
    today = datetime.now(UTC).isoformat()
    fields = {"leaderboardId": "new-cup", "userId": "ann", "points": 5, "occurredAt": today}
    system.produce([(b"new-cup:ann", json.dumps(fields | {"eventId": f"e{number}"}).encode()) for number in range(12)])
    system.produce([(b"", b"not an event")])
    system.settle()
    system.put("/leaderboards/new-cup", {"name": "New", "aggregation": "sum"})

    assert (
        redrive(stack, REASON="unknown_leaderboard", LEADERBOARD="new-cup")
        == "12 sent · 0 failed · 0 left · 0 too late"
    )
    until(lambda: ranking(system, "new-cup") == [("ann", 60)], "the events count")
    assert redrive(stack, REASON="unknown_leaderboard") == "0 sent · 0 failed · 0 left · 0 too late"
    left = [letter for letter in system.letters().values() if b"new-cup" in (letter.key or b"") + (letter.value or b"")]
    assert left == []
    assert [letter.reason for letter in system.letters().values() if letter.value == b"not an event"] == ["malformed"]


def redrive(stack: Stack, **chosen: str) -> str:
    """What the command behind `make redrive` says, which has no metrics and no log in it."""
    lines = command(stack, "redrive", **chosen)
    assert not [line for line in lines if line.startswith("{")]
    return lines[-1]


def ranking(system: System, board: str) -> list[tuple[str, int]]:
    return [(one["userId"], one["score"]) for one in system.get(f"/leaderboards/{board}/rankings")["entries"]]


def test_windows_become_final_with_the_oracles_ranking_and_stay_so(
    stack: Stack, system: System, boards: Boards, traffic: Traffic, tmp_path: Path
) -> None:
    for board, definition in BOARDS.items():
        assert statuses(system, board, closed(boards.windows(board))).keys() == {"closing"}
        system.put(f"/leaderboards/{board}", definition | NO_LATENESS)  # from now on their days are past their cutoff
    reference = boards.reference(system.records())
    final = {
        board: [one for one in closed(boards.windows(board)) if is_owed(reference, board, one)] for board in BOARDS
    }
    assert sum(map(len, final.values())) > 60

    seen: list[dict[str, Counter[str]]] = []

    def all_final() -> bool:
        seen[:] = [{board: statuses(system, board, windows) for board, windows in final.items()}]
        return all(found.keys() == {"final"} for found in seen[0].values())

    last_calls_s = LAST_CALLS_MS / 1000
    until(all_final, "every window whose days are over is final", last_calls_s + TIMEOUT_S, lambda: list(seen))
    assert_nothing_is_owed_for_the_others(system, boards, final)
    for board, windows in final.items():
        for window in windows:
            assert read_window(system, board, window) == reference.ranking(board, window.first, window.last)
    results = stored(stack, system)
    for board, windows in final.items():
        for window in windows:
            ranking = reference.ranking(board, window.first, window.last)
            assert results[board, window_id(system, board, window)] == ranking
        assert_result_is_served(system, board, windows[0], reference.ranking(board, windows[0].first, windows[0].last))

    assert_payments_are_right(stack, system, reference, final, tmp_path / "book")

    assert_sent_again_are_duplicates(
        stack, system, reference, next(one for one in final["sum"] if one.last is not None)
    )

    late = traffic.good("sum", 40)
    system.produce(late)
    for board in BOARDS:
        system.put(f"/leaderboards/{board}", BOARDS[board])
    system.produce(traffic.good("sum", 40))
    system.settle()
    assert_redrive_sends_nothing_to_days_that_are_sealed(system, 80)
    until(
        lambda: len(rejections.to_rejections(system.letters())) >= 80, "what came too late is on the dead-letter queue"
    )
    assert {reason for reason, _, _ in list(rejections.to_rejections(system.letters()).values())[-80:]} == {"too_late"}
    for board, windows in final.items():
        for window in windows:
            assert read_window(system, board, window) == reference.ranking(board, window.first, window.last)


def assert_sent_again_are_duplicates(stack: Stack, system: System, reference: oracle.Oracle, window: Window) -> None:
    """Records of a final window that a producer sends again unchanged have counted: they are no dead letters."""
    counted = {
        fact.event_id
        for (board, _), facts in reference.facts.items()
        for fact in facts
        if board == "sum" and window.first is not None and oracle.to_date(fact.day) == window.first
    }
    found = {
        event["eventId"]: one
        for one in system.records()
        if (event := event_of(one)) and event["leaderboardId"] == "sum"
    }
    again = [(found[event_id].key, found[event_id].value) for event_id in sorted(counted)][:50]
    assert len(again) > 20
    before, letters = fetch(stack.url), system.letters()

    system.produce(again)
    system.settle()

    after = fetch(stack.url)
    assert before is not None
    assert after is not None
    assert (after.applied, after.rejected) == (before.applied, before.rejected)
    assert after.duplicate - before.duplicate == len(again)
    assert system.letters() == letters


def assert_redrive_sends_nothing_to_days_that_are_sealed(system: System, letters: int) -> None:
    def redriven() -> Any:
        body = {"reason": "to see what can be saved", "rejectedAs": "too_late"}
        done = system.request("POST", "/leaderboards/sum/redrive", json=body).json()
        return done if done["tooLate"] == letters else None

    before = system.committed()
    done = until(redriven, "every dead letter is told to be too late")
    assert (done["sent"], done["failed"]) == (0, 0)
    system.settle()
    assert system.committed() == before


def event_of(record: TopicRecord) -> dict[str, Any] | None:
    try:
        return oracle.parse(record.value)
    except oracle.Rejected:
        return None


def is_owed(reference: oracle.Oracle, board: str, window: Window) -> bool:
    """A day or week that was over before the leaderboard's first event gets no result; a registered period does."""
    return "period" in window.query or window.last is None or window.last >= reference.days(board)[0]


def assert_nothing_is_owed_for_the_others(system: System, boards: Boards, final: Mapping[str, list[Window]]) -> None:
    for board, owed in final.items():
        for window in closed(boards.windows(board)):
            if window not in owed:
                answer = system.request("GET", f"/leaderboards/{board}/result", params=window.query)
                assert answer.json()["type"] == "urn:leaderboards:problem:never-final", (board, window)


def assert_result_is_served(system: System, board: str, window: Window, ranking: list[oracle.Entry]) -> None:
    result = system.get(f"/leaderboards/{board}/result", **window.query)
    files = {name: system.request("GET", result[name]["url"]).content for name in ("ranking", "awards")}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == {
        name: result[name]["sha256"] for name in files
    }
    assert from_csv(files["ranking"].decode()) == ranking
    awards = list(csv.DictReader(io.StringIO(files["awards"].decode(), newline="")))
    assert [(one["user_id"], one["tier"], int(one["rank"])) for one in awards] == [
        (entry.user_id, entry.tier, entry.rank) for entry in ranking if entry.tier is not None
    ]
    assert len({one["award_id"] for one in awards}) == len(awards) == result["awards"]["rows"]
    assert (result["players"], int(result["sumOfPoints"])) == (len(ranking), sum(entry.score for entry in ranking))
    export = system.request("GET", f"/leaderboards/{board}/export", params=window.query)
    assert (export.status_code, export.json()["sha256"]) == (303, result["ranking"]["sha256"])
    refused = system.request("POST", f"/leaderboards/{board}/purge", json={"reason": "too late"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:leaderboards:problem:final-result-exists")


def assert_payments_are_right(
    stack: Stack, system: System, reference: oracle.Oracle, final: dict[str, list[Window]], book: Path
) -> None:
    """The example of a payer books what the oracle would, also after a disqualification, however often it runs."""
    days = {(board, window_id(system, board, one)): (one.first, one.last) for board in final for one in final[board]}

    def expected() -> set[tuple[str, ...]]:
        rankings = {place: reference.ranking(place[0], *of) for place, of in days.items()}
        return {(*at, one.user_id, one.tier) for at, entries in rankings.items() for one in entries if one.tier}

    until(lambda: pay(stack, book, set(final)) == expected(), "every award is booked")
    winner = next(
        entries[0] for place, of in days.items() if place[0] == "sum" and (entries := reference.ranking("sum", *of))
    )
    path = f"/leaderboards/sum/players/{quote(winner.user_id, safe='')}/disqualify"
    assert system.request("POST", path, json={"reason": "bought points"}).status_code == 200
    reference.audit_log = {"sum": [("disqualify", winner.user_id)]}

    until(
        lambda: pay(stack, book, set(final)) == expected(),
        "what the disqualified got is taken back, and who moved up got his",
    )
    assert pay(stack, book, set(final)) == expected()


def pay(stack: Stack, book: Path, boards: set[str]) -> set[tuple[str, ...]]:
    """Run the example until its queue is empty; leaderboard, window, player and tier of each award in force.

    Only of these leaderboards: others of the same stack announce their results on the same queue.
    """
    environment = os.environ | stack.environment | {"API_URL": stack.url, "QUEUE_URL": stack.config.queue_url(RESULTS)}
    command = [sys.executable, "docs/examples/pay.py", str(book), "--once"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    with closing(sqlite3.connect(book)) as database:
        columns = "leaderboard, window, user_id, tier"
        found = database.execute(f"SELECT {columns} FROM awards WHERE revoked_by IS NULL")
        return {line for line in found if line[0] in boards}


def window_id(system: System, board: str, window: Window) -> str:
    return str(system.get(f"/leaderboards/{board}/rankings", limit=1, **window.query)["window"]["id"])


def stored(stack: Stack, system: System) -> dict[tuple[str, str], list[oracle.Entry]]:
    """Every result, as it stands in the registry and in S3."""
    results = {}
    for item in system.items("REGISTRY_TABLE"):
        if item["sk"]["S"].startswith("final#"):
            final: dict[str, Any] = json.loads(item["body"]["S"])
            entries = from_csv(system.object(final["object_key"]).decode())
            results[final["leaderboard_id"], final["window_id"]] = entries
    return results
