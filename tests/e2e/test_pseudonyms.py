"""Pseudonyms on the real stack: a player is forgotten, and every score and award stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.stack import Stack
from tests.e2e.test_purge import ranked, record
from tests.support.stack import System, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    yield running
    running.close()


def named_anywhere(system: System, user: str) -> list[str]:
    """Keys and bodies of all items that have an id in them."""
    texts = [
        f"{item['pk']['S']} {item['sk']['S']} {item.get('body', {}).get('S', '')}"
        for table in ("LEDGER_TABLE", "STANDINGS_TABLE", "REGISTRY_TABLE")
        for item in system.items(table)
    ]
    return [one for one in texts if user in one]


def test_a_player_is_forgotten_and_scores_stay(system: System) -> None:
    board, player = "forgetful-cup", "u-forget-me"
    path = f"/leaderboards/{board}"
    system.put(path, {"name": "Forgetful", "aggregation": "sum"})
    now = datetime.now(UTC)
    events = [
        record(board, "f-1", player, 5, now),
        record(board, "f-2", player, 4, now - timedelta(minutes=1)),
        record(board, "f-3", "u-other", 7, now),
    ]
    system.produce(events)
    system.settle()
    assert ranked(system, board) == [(player, 9), ("u-other", 7)]
    void = system.request("POST", f"{path}/players/{player}/events/f-2/void", json={"reason": "a foul"})
    assert void.status_code == 200, void.text
    number = void.json()["number"]

    unknown = system.request("POST", f"{path}/players/nobody/pseudonymise", json={"reason": "x", "strict": True})
    assert unknown.status_code == 404
    answer = system.request("POST", f"{path}/players/{player}/pseudonymise", json={"reason": "asked for it"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    name = told["pseudonym"]
    assert (told["known"], told["complete"], told["auditEntry"]["userId"]) == (True, True, name)
    assert told["stays"], "what can't be changed is listed"

    system.produce([*events, record(board, "f-4", player, 10, datetime.now(UTC))])
    system.settle()
    until(lambda: ranked(system, board) == [(name, 15), ("u-other", 7)], "only what is new counts, for the pseudonym")
    again = system.request("POST", f"{path}/players/{player}/pseudonymise", json={"reason": "again"}).json()
    assert again == told
    held = system.get(f"{path}/players/{name}/events")["events"]
    assert {one["eventId"]: one["voidedByEntry"] for one in held} == {"f-1": None, "f-2": number, "f-4": None}
    assert system.request("GET", f"{path}/players/{player}/events").status_code == 404
    assert system.request("GET", f"{path}/rankings/{player}").status_code == 404
    refused = system.request("POST", f"{path}/players/{player}/disqualify", json={"reason": "x"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:leaderboards:problem:has-pseudonym")
    assert name not in refused.text
    log = [(one["kind"], one["userId"]) for one in system.get(f"{path}/audit-log")["entries"]]
    assert log[-2:] == [("void", name), ("pseudonymise", name)]
    until(lambda: named_anywhere(system, player) == [], "closing takes the id away")
    assert ranked(system, board) == [(name, 15), ("u-other", 7)]
    assert system.get(f"{path}/rankings")["source"] == "live"
