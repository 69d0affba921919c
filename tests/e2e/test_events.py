"""What becomes of single events, on the real stack: Kafka in, HTTP out."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from infra.local.stack import Stack
from tests.support.stack import System, command, until

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


def test_a_record_in_time_counts_though_it_was_redriven_after_the_cutoff(
    system: System,
) -> None:
    now = datetime.now(UTC)
    yesterday = now - timedelta(days=1)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    cutoff = now + timedelta(seconds=4)
    early = [event("morning", "ann", f"e{number}", 5, yesterday) for number in range(3)]
    system.produce(early)
    system.settle()
    lateness = f"PT{int((cutoff - midnight).total_seconds())}S"
    system.put("/leaderboards/morning", {"name": "Morning", "aggregation": "sum", "lateness": lateness})
    time.sleep(max(0, (cutoff - datetime.now(UTC)).total_seconds()) + 1)
    late = event("morning", "bob", "e9", 7, yesterday)
    system.produce([late])  # without a receipt
    system.settle()

    body = {"reason": "created late", "rejectedAs": "unknown_leaderboard"}
    answer = system.request("POST", "/leaderboards/morning/redrive", json=body)

    assert answer.status_code == 200, answer.text
    assert [answer.json()[name] for name in ("sent", "failed", "left", "tooLate")] == [3, 0, 0, 0]
    system.settle()
    entries = system.get("/leaderboards/morning/rankings", window="daily", date=f"{yesterday:%Y-%m-%d}")["entries"]
    assert [(one["userId"], one["score"]) for one in entries] == [("ann", 15)]
    (letter,) = [one for one in system.letters().values() if one.value == late[1]]
    assert letter.reason == "too_late"


def test_events_with_other_keys_count_and_the_scrape_says_how_many(system: System) -> None:
    now = datetime.now(UTC)
    system.put("/leaderboards/keys", {"name": "Keys", "aggregation": "sum"})
    before = mismatches(system)
    right, *others = (event("keys", "ann", f"e{number}", 5, now) for number in range(4))
    system.produce([right, *zip([None, b"keys", b"keys:bob"], (value for _, value in others), strict=True)])
    system.settle()

    entries = system.get("/leaderboards/keys/rankings")["entries"]

    assert [(one["userId"], one["score"]) for one in entries] == [("ann", 20)]
    assert mismatches(system) - before == 3


def test_health_tells_of_each_dependency_what_an_operator_asks_next(system: System) -> None:
    begun = datetime.now(UTC)
    system.put("/leaderboards/healthy", {"name": "Healthy", "aggregation": "sum"})
    system.produce([event("healthy", "ann", "a", 1, begun)])
    system.settle()
    until(lambda: instant(asked(system, "topic")["lastCommitAt"]) > begun, "the commit is told")

    cache, queues = asked(system, "cache"), asked(system, "queues")["queues"]

    assert 0 < cache["completeLeaderboards"] <= cache["leaderboards"]
    assert cache["memoryUsedBytes"] > 0
    assert {*queues} == {"repairs", "ranges", "exports", "deadLetters"}
    assert queues["exports"]["waiting"] == 0
    assert asked(system, "topic")["lastCommitAgeMs"] < 60_000
    assert instant(asked(system, "dynamodb")["since"]) <= datetime.now(UTC)


def asked(system: System, name: str) -> Any:
    """What health tells of one dependency."""
    answer = system.request("GET", "/health")
    assert answer.status_code == 200, answer.text
    return answer.json()["dependencies"][name]


def mismatches(system: System) -> float:
    """Of all partitions, as a Prometheus reads them."""
    families = text_string_to_metric_families(system.request("GET", "/metrics").text)  # type: ignore[no-untyped-call]
    (mismatched,) = (family for family in families if family.name == "leaderboards_key_mismatches")
    return float(sum(one.value for one in mismatched.samples))


def test_a_refused_event_is_found_among_the_dead_letters(stack: Stack, system: System) -> None:
    now = datetime.now(UTC)
    system.put("/leaderboards/refusing", {"name": "Refusing", "aggregation": "sum"})
    key, good = event("refusing", "ann", "found", 1, now)
    bad = good.replace(b'"points": 1', b'"points": "1"')
    system.produce([(key, bad), (key, b"\xff\x00"), event("refusing", "ann", "future", 1, now + timedelta(days=1))])
    system.settle()

    status = system.get("/leaderboards/refusing/players/ann/events/found")
    assert (status["status"], status["event"], status["rejection"]["reason"]) == ("rejected", None, "invalid")
    committed = {one["partition"]: one["nextOffset"] for one in status["committed"]}
    assert status["rejection"]["offset"] < committed[status["rejection"]["partition"]]
    letters = system.get("/dead-letters?leaderboardId=refusing")["deadLetters"]

    assert {(one["eventId"], one["reason"]) for one in letters} == {("found", "invalid"), ("future", "from_the_future")}
    (found,) = system.get("/dead-letters?eventId=found&reason=invalid")["deadLetters"]
    assert "points" in found["detail"]
    assert found["topic"] == "score-events"
    assert found["key"] == {"text": key.decode(), "encoding": "utf-8", "bytes": len(key), "truncated": False}
    assert found["value"]["text"] == bad.decode()
    line = rejected_line(stack, "found")
    assert [line[name] for name in ("service", "reason", "leaderboard")] == ["ingest", "invalid", "refusing"]
    place = ("topic", "partition", "offset", "detail")
    assert [line[name] for name in place] == [found[name] for name in place]
    malformed = system.get("/dead-letters?reason=malformed")["deadLetters"]
    assert {"text": "/wA=", "encoding": "base64", "bytes": 2, "truncated": False} in [one["value"] for one in malformed]
    assert f"invalid: {found['detail']}" in command(stack, "dead-letters", REASON="invalid", EVENT="found")[-2]


def rejected_line(stack: Stack, event_id: str) -> dict[str, Any]:
    """What the log of ingest says of a rejected event."""
    lines = (stack.config.directory / "logs" / "trigger.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if '"record rejected"' in line]
    (one,) = (line for line in found if line.get("event") == event_id)  # what is not known is left out
    return dict(one)
