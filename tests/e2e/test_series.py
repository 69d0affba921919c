"""A series on the real stack: its occurrences are registered, ranked, closed and paid, also one that comes late."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import pytest
from msgspec.structs import replace

from infra.local.resources import client
from infra.local.stack import Stack
from shared.truth.items import series_text
from shared.truth.keys import SERIES, series_sort
from shared.truth.series import SeriesRecords
from tests.support.oracle import Entry, Oracle, Produced
from tests.support.stack import System, pass_the_last_calls, until
from tests.support.windows import Window, read_window

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BOARD: Final = "pairs"
RULES: Final = {"name": "Pairs", "aggregation": "sum", "tiers": [{"name": "gold", "topN": 2}]}
TODAY: Final = datetime.now(UTC).date()
FIRST: Final = TODAY - timedelta(days=5)
"""Two occurrences are over, and one goes on, on its second day."""
SERIES_PATH: Final = f"/leaderboards/{BOARD}/periods/pair"


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    running.put(f"/leaderboards/{BOARD}", RULES | {"lateness": "P30D"})
    yield running
    running.close()


def occurrence(number: int) -> Window:
    first = FIRST + timedelta(days=2 * number)
    return Window({"window": "custom", "period": f"pair~{first}"}, first, first + timedelta(days=1))


def records(day: date) -> Iterator[tuple[bytes, bytes]]:
    for number, user in enumerate(("ann", "bob", "cat", "ann")):
        at = datetime.combine(day, time(0, 0, number), UTC).isoformat()
        points = (day.toordinal() * 7 + number * 5) % 11
        event = {"eventId": f"{day}-{number}", "leaderboardId": BOARD, "userId": user, "points": points}
        yield f"{BOARD}:{user}".encode(), json.dumps(event | {"occurredAt": at}).encode()


def forget_what_was_made(stack: Stack) -> None:
    """As if the series had been there from its first day on, and nobody had registered anything since."""
    dynamodb = client(stack.environment, "dynamodb")
    key = {"pk": {"S": SERIES}, "sk": {"S": series_sort(BOARD, "pair")}}
    table = stack.environment["REGISTRY_TABLE"]
    series = SeriesRecords(dynamodb, table).find(BOARD, "pair")
    assert series is not None
    item = key | {"body": {"S": series_text(replace(series, since=0, next=0))}}
    dynamodb.put_item(TableName=table, Item=item)


def made(system: System) -> list[str]:
    return [one["id"] for one in system.get(f"/leaderboards/{BOARD}/periods")["periods"]]


def test_each_occurrence_of_a_series_is_ranked_and_paid(system: System, quick_stack: Stack) -> None:
    sent = [record for back in range(6) for record in records(TODAY - timedelta(days=back))]
    system.produce(sent)
    system.settle()
    system.put(SERIES_PATH, {"name": "Pair", "from": FIRST.isoformat(), "every": "P2D"})
    ids = [f"pair~{FIRST + timedelta(days=2 * number)}" for number in range(5)]
    assert made(system) == ids[2:], "the one that goes on, and two ahead"
    reference = Oracle({BOARD: RULES | {"lateness": "P30D"}})
    reference.take(
        Produced(one.partition, one.offset, one.appended_at_ms, one.value)
        for one in system.records()
        if one.value in {value for _, value in sent}
    )
    assert read_window(system, BOARD, occurrence(2)) == ranking_of(reference, 2)

    forget_what_was_made(quick_stack)
    until(lambda: made(system) == ids, "closing has registered what was missed")
    system.put(f"/leaderboards/{BOARD}", RULES | {"lateness": "PT0S"})

    def is_final() -> bool:
        pass_the_last_calls(quick_stack, BOARD)
        pages = [system.get(f"/leaderboards/{BOARD}/rankings", **occurrence(number).query) for number in range(2)]
        return all(page["window"]["status"] == "final" for page in pages)

    until(is_final, "both that are over are final")
    for number in range(2):
        assert read_window(system, BOARD, occurrence(number)) == ranking_of(reference, number)
        result = system.get(f"/leaderboards/{BOARD}/result", **occurrence(number).query)
        content = system.request("GET", result["awards"]["url"]).content.decode()
        awards = [(one["user_id"], one["tier"]) for one in csv.DictReader(io.StringIO(content, newline=""))]
        assert awards == [(one.user_id, "gold") for one in ranking_of(reference, number)[:2]]
    assert system.request("DELETE", SERIES_PATH).status_code == 204
    assert made(system) == ids[:3], "what has begun stays"


def ranking_of(reference: Oracle, number: int) -> list[Entry]:
    """An occurrence, as the oracle ranks it."""
    window = occurrence(number)
    return [*reference.ranking(BOARD, window.first, window.last)]
