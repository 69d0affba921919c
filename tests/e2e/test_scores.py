"""A score with its rank in one call, through gateway, Kafka, ingest, truth and cache."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from infra.local.stack import Stack
from tests.support.stack import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BOARD: Final = "scores-by-http"
WAIT: Final = {"prefer": "wait=20"}


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", {"name": "Scores by HTTP", "aggregation": "sum", "filters": ["country"]})
    yield running
    running.close()


def score(system: System, user_id: str, event: dict[str, Any], status: int = 200) -> Any:
    answer = system.request("POST", f"/leaderboards/{BOARD}/players/{user_id}/scores", json=event, headers=WAIT)
    assert answer.status_code == status, answer.text
    return answer.json()


def ranks(answer: Any) -> dict[str, tuple[int, int]]:
    """Kind of window → score and rank."""
    return {one["window"]["kind"]: (one["entry"]["score"], one["entry"]["rank"]) for one in answer["windows"]}


def test_a_score_is_answered_with_its_ranks_in_every_window(system: System) -> None:
    assert ranks(score(system, "ann", {"eventId": "a1", "points": 10})) == dict.fromkeys(
        ("daily", "weekly", "all-time"), (10, 1)
    )
    first = score(system, "ben", {"eventId": "b1", "points": 25, "attributes": {"country": "DE"}})
    assert ranks(first)["daily"] == (25, 1)
    assert ranks(score(system, "ann", {"eventId": "a2", "points": 5}))["all-time"] == (15, 2)

    again = score(system, "ben", {"eventId": "b1", "points": 25, "attributes": {"country": "DE"}})
    assert (again["occurredAt"], ranks(again)) == (first["occurredAt"], ranks(first))
    events = system.get(f"/leaderboards/{BOARD}/players/ben/events")["events"]
    assert [(one["eventId"], one["points"], one["topic"]) for one in events] == [("b1", 25, "score-events")]
    found = system.get(f"/leaderboards/{BOARD}/players/ben/events/b1")
    assert (found["status"], found["event"], found["committed"]) == ("applied", events[0], [])
    missing = system.get(f"/leaderboards/{BOARD}/players/ben/events/b2")
    assert (missing["status"], missing["event"]) == ("unknown", None)
    committed = {one["partition"]: one["nextOffset"] for one in missing["committed"]}
    assert committed[events[0]["partition"]] > events[0]["offset"]
    assert [one["userId"] for one in system.get(f"/leaderboards/{BOARD}/rankings?attr.country=DE")["entries"]] == [
        "ben"
    ]


def test_the_same_event_from_many_callers_counts_once(system: System) -> None:
    event = {"eventId": "c1", "points": 7, "occurredAt": datetime.now(UTC).isoformat()}
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda _: score(system, "cem", event), range(6)))
    assert {ranks(one)["all-time"][0] for one in answers} == {7}


def test_what_cannot_count_is_refused_and_leaves_no_dead_letter(system: System) -> None:
    score(system, "dee", {"eventId": "d1", "points": 1})
    conflict = score(system, "dee", {"eventId": "d1", "points": 2}, 409)
    assert conflict["type"].endswith("conflicting-event")
    old = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    late = score(system, "dee", {"eventId": "d2", "points": 1, "occurredAt": old}, 422)
    assert (late["type"].rpartition(":")[2], late["detail"].partition(":")[0]) == ("event-rejected", "too_late")
    assert late["errors"][0]["field"] == "occurredAt"
    system.settle()
    assert not [one for one in system.letters().values() if BOARD in str(one)]


def test_who_does_not_wait_is_told_where_to_look(system: System) -> None:
    path = f"/leaderboards/{BOARD}/players/eve"
    answer = system.request("POST", f"{path}/scores", json={"eventId": "e1", "points": 3}, headers={"prefer": "wait=0"})
    assert (answer.status_code, answer.json()["eventId"]) == (202, "e1")
    assert ranks(score(system, "eve", {"eventId": "e1", "points": 3}))["all-time"][0] == 3


def test_a_batch_is_answered_event_by_event_with_exact_ranks(system: System) -> None:
    system.put("/leaderboards/batches", {"name": "Batches", "aggregation": "sum"})
    now, old = datetime.now(UTC), (datetime.now(UTC) - timedelta(days=9)).isoformat()
    events = [
        {"userId": f"p{number}", "eventId": f"e{number}", "points": number, "occurredAt": now.isoformat()}
        for number in range(1, 95)
    ]
    twice, conflict = events[9], events[9] | {"points": 1_000}
    late, wrong = events[0] | {"eventId": "late", "occurredAt": old}, {"userId": "p1", "eventId": "w", "points": "1"}
    second = events[93] | {"eventId": "second", "points": 6}
    batch = {"scores": [*events, twice, conflict, late, wrong, second]}

    def send() -> list[Any]:
        answer = system.request("POST", "/leaderboards/batches/scores", json=batch, headers=WAIT)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["scores"]
        return found

    answers = send()
    assert [one["status"] for one in answers] == [*(200 for _ in events), 200, 409, 422, 422, 200]
    assert [ranks(one) for one in answers[:93]] == [
        dict.fromkeys(("daily", "weekly", "all-time"), (number, 95 - number)) for number in range(1, 94)
    ]
    assert ranks(answers[98])["all-time"] == (100, 1), "both events of one player"
    assert answers[94]["repeats"] == 9
    assert [one["problem"]["errors"][0]["field"] for one in answers[95:98]] == [
        "scores[95].eventId",
        "scores[96].occurredAt",
        "scores[97].points",
    ]
    shown = system.get("/leaderboards/batches/players/p50/windows")["windows"]
    assert [(one["window"], one["entry"]) for one in answers[49]["windows"]] == [
        (one["window"], one["entry"]) for one in shown
    ]
    again = send()
    assert [(one["status"], one["repeats"]) for one in again] == [(one["status"], one["repeats"]) for one in answers]
    assert system.get("/leaderboards/batches/rankings?limit=1")["entries"][0]["score"] == 100
    system.settle()
    assert not [one for one in system.letters().values() if "batches" in str(one)]
