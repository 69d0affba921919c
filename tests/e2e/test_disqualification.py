"""Disqualifications on the real stack: who is meant, from when on, and what the windows then say."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.stack import Stack
from tests.support.stack import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    yield running
    running.close()


def event(board: str, user_id: str, points: int, at: datetime, event_id: str) -> tuple[bytes, bytes]:
    """Key and value of a record."""
    fields = {"eventId": event_id, "leaderboardId": board, "userId": user_id, "points": points}
    return f"{board}:{user_id}".encode(), json.dumps(fields | {"occurredAt": at.isoformat()}).encode()


def produce(system: System, board: str, *events: tuple[str, int, datetime]) -> None:
    """Events of players, and wait until they are applied."""
    system.produce(event(board, *one, event_id=str(number)) for number, one in enumerate(events))
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


def test_honest_days_keep_their_scores_in_every_window(system: System) -> None:
    board = "some-days"
    tiers = [{"name": "gold", "topN": 1}]
    system.put(f"/leaderboards/{board}", {"name": "Days", "aggregation": "sum", "tiers": tiers, "lateness": "P7D"})
    today = datetime.now(UTC).replace(microsecond=0)
    cheated, honest = today - timedelta(days=1), today - timedelta(days=2)
    produce(system, board, ("bob", 9, honest), ("bob", 90, cheated), ("ann", 8, honest), ("ann", 8, cheated))
    path, day = f"/leaderboards/{board}/players/bob", cheated.date().isoformat()
    of_honest, of_cheated = ({"window": "daily", "date": at.date().isoformat()} for at in (honest, cheated))

    def ranked(**query: str) -> list[tuple[str, int, str | None]]:
        page = system.get(f"/leaderboards/{board}/rankings", **query)
        assert page["source"] in ("live", "final")
        return [(one["userId"], one["score"], one["tier"]) for one in page["entries"]]

    def act(kind: str) -> None:
        done = system.request("POST", f"{path}/{kind}", json={"reason": "a bot, case 12", "from": day, "to": day})
        assert (done.status_code, done.json()["from"], done.json()["to"]) == (200, day, day)

    act("disqualify")
    assert ranked(**of_honest) == [("bob", 9, "gold"), ("ann", 8, None)]
    assert ranked(**of_cheated) == [("ann", 8, "gold")]
    both = {"window": "custom", "from": honest.date().isoformat(), "to": day}
    assert ranked(**both) == ranked(window="all-time") == [("ann", 16, "gold"), ("bob", 9, None)]
    assert system.get(f"/leaderboards/{board}/disqualified")["days"] == [{"userId": "bob", "from": day, "to": day}]
    explained = system.get(f"{path}/explain", window="all-time")
    assert (explained["player"]["score"], explained["agrees"]) == (9, True)
    assert explained["disqualifiedDays"] == [{"from": day, "to": day}]

    system.produce([event(board, "bob", 5, cheated, "late"), event(board, "bob", 3, today, "new")])
    system.settle()
    assert ranked(window="all-time") == [("ann", 16, "gold"), ("bob", 12, None)]
    act("reinstate")
    assert ranked(window="all-time") == [("bob", 107, "gold"), ("ann", 16, None)]
