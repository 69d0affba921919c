"""A page that a client can paint: profiles set over HTTP, shown, kept through the loss of the cache, and forgotten."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from infra.local.stack import Stack
from tests.support.stack import System, command, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BOARD: Final = "painted"
PAGE: Final = f"/leaderboards/{BOARD}/rankings?window=all-time&include=profile"


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", {"name": "Painted", "aggregation": "sum"})
    yield running
    running.close()


def play(system: System, user_id: str, points: int, **more: Any) -> None:
    event = {"eventId": f"{user_id}-{points}", "leaderboardId": BOARD, "userId": user_id, "points": points}
    event |= {"occurredAt": datetime.now(UTC).isoformat()}
    system.produce([(f"{BOARD}:{user_id}".encode(), json.dumps(event | more).encode())])


def at(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def names(system: System) -> list[tuple[str, str | None]]:
    shown = [(entry["userId"], entry["profile"]) for entry in system.get(PAGE)["entries"]]
    return [(user_id, profile and profile["name"]) for user_id, profile in shown]


def test_a_page_shows_names_whatever_becomes_of_the_cache(system: System, quick_stack: Stack) -> None:
    for number, user_id in enumerate(("ann", "bob", "eve")):
        play(system, user_id, 30 - number)
    system.settle()
    assert names(system) == [("ann", None), ("bob", None), ("eve", None)]

    ada = {"name": "<b>Ada</b>", "avatar": "fox-3", "metadata": {"level": 12}}
    answer = system.request("PUT", f"/leaderboards/{BOARD}/players/ann/profile", json=ada)
    assert (answer.status_code, answer.json()["profile"]) == (200, ada)
    assert names(system) == [("ann", "<b>Ada</b>"), ("bob", None), ("eve", None)], "at once"
    assert system.get(f"/leaderboards/{BOARD}/players/ann?include=profile")["player"]["profile"] == ada

    command(quick_stack, "flush")

    def are_there() -> bool:
        page = system.get(PAGE)
        assert page["entries"] or page["source"] == "snapshot", "of before the first event"
        return bool(page["entries"])

    until(are_there, "a later snapshot, or the window is rebuilt")
    assert names(system)[0] == ("ann", "<b>Ada</b>"), "of a snapshot or rebuilt: never said to have none"

    answer = system.request("POST", f"/leaderboards/{BOARD}/players/ann/pseudonymise", json={"reason": "asked"})
    until(lambda: "ann" not in dict(names(system)), "the pseudonym in place of the id")
    assert all(name is None for _, name in names(system))
    again = system.request("PUT", f"/leaderboards/{BOARD}/players/ann/profile", json=ada)
    assert (answer.status_code, again.status_code) == (200, 409)


def test_an_event_brings_a_profile_and_the_newest_stays(system: System) -> None:
    play(system, "dan", 10, profile={"name": "Dan"}, occurredAt=at(-60))
    play(system, "dan", 11, profile={"name": "Older"}, occurredAt=at(-120))
    play(system, "dan", 12, profile={"name": "x" * 65})
    play(system, "dan", 13)
    system.settle()
    until(lambda: "dan" in dict(names(system)), "the page is no snapshot of before any more")
    assert dict(names(system))["dan"] == "Dan"
    (dan,) = system.get(f"{PAGE}&userIds=dan")["entries"]
    assert dan["score"] == 46, "an invalid profile costs no points"
    play(system, "dan", 14, profile={})
    system.settle()
    assert dict(names(system))["dan"] is None
