"""Prizes by country, from files with the values of filters: events in by Kafka, files out."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from infra.local.stack import Stack
from tests.support.stack import System, pass_the_last_calls, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LAST_WEEK: Final = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=7)
DAILY: Final = {"window": "daily", "date": LAST_WEEK.date().isoformat()}
BOARD: Final = "/leaderboards/by-country"
DEFINITION: Final[dict[str, Any]] = {
    "name": "By country",
    "aggregation": "sum",
    "tiers": [{"name": "gold", "topN": 1}],
    "filters": ["country", "club"],
}
EVENTS: Final[list[tuple[str, int, dict[str, str]]]] = [
    ("de1", 9, {"country": "DE"}),
    ("fr1", 8, {"country": "FR", "club": "one, two"}),
    ("de2", 8, {"country": "DE", "club": ""}),
    ("fr2", 7, {"country": "FR"}),
    ("fr3", 7, {"country": "FR", "club": "one, two"}),
    ("none", 6, {}),
    ("fr4", 1, {"country": "FR"}),
]


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    """A contest of a week ago, whose result is there."""
    running = System(quick_stack)
    running.put(BOARD, DEFINITION | {"lateness": "P30D"})
    running.produce(records())
    running.settle()
    running.put(BOARD, DEFINITION | {"lateness": "PT0S"})

    def is_final() -> bool:
        pass_the_last_calls(quick_stack, "by-country")
        return bool(running.get(f"{BOARD}/rankings", **DAILY)["window"]["status"] == "final")

    until(is_final, "the day is final")
    yield running
    running.close()


def records() -> Iterator[tuple[bytes, bytes]]:
    for number, (user_id, points, attributes) in enumerate(EVENTS):
        at = (LAST_WEEK + timedelta(seconds=number)).isoformat()
        event = {"eventId": f"e{number}", "leaderboardId": "by-country", "userId": user_id, "points": points}
        yield (
            f"by-country:{user_id}".encode(),
            json.dumps(event | {"occurredAt": at, "attributes": attributes}).encode(),
        )


def lines(system: System, url: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(system.request("GET", url).content.decode(), newline="")))


def exported(system: System, **query: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Lines and manifest of an export."""

    def made() -> Any:
        answer = system.request("GET", f"{BOARD}/export", params=DAILY | query)
        assert answer.status_code in (202, 303), answer.text
        return answer if answer.status_code == 303 else None

    job = until(made, "the file is made")
    return lines(system, job.headers["location"]), system.request("GET", job.json()["manifest"]).json()


def test_a_result_and_its_exports_have_the_values_of_filters(system: System) -> None:
    whole, manifest = exported(system)

    result = system.get(f"{BOARD}/result", **DAILY)
    assert lines(system, result["ranking"]["url"]) == whole
    assert manifest["filters"] == ["country", "club"]
    assert [(one["user_id"], one["attr.country"], one["attr.club"]) for one in whole] == [
        (user_id, attributes.get("country", ""), attributes.get("club", "")) for user_id, _, attributes in EVENTS
    ]
    of_no_club, _ = exported(system, **{"attr.club": ""})
    assert [one["user_id"] for one in of_no_club] == ["de2"], "an empty value is one, none is not"


def test_prizes_by_country_are_paid_from_files_with_ranks_of_their_own(system: System) -> None:
    france, manifest = exported(system, **{"attr.country": "FR", "topN": "2"})
    assert [(one["user_id"], one["rank"], one["attr_rank"], one["attr_competition_rank"]) for one in france] == [
        ("fr1", "2", "1", "1"),
        ("fr2", "4", "2", "2"),
    ]
    assert (manifest["rows"], manifest["players"], manifest["attrPlayers"]) == (2, 7, 4)
    assert (manifest["part"]["attr"], manifest["status"], manifest["resultVersion"]) == ({"country": "FR"}, "final", 1)

    both, _ = exported(system, **{"attr.country": "FR", "attr.club": "one, two"})
    assert [(one["user_id"], one["attr_rank"]) for one in both] == [("fr1", "1"), ("fr3", "2")]
    page = system.get(f"{BOARD}/rankings", **DAILY, **{"attr.country": "FR"})
    all_of_france, _ = exported(system, **{"attr.country": "FR"})
    assert [one["userId"] for one in page["entries"]] == [one["user_id"] for one in all_of_france]
    refused = system.request("GET", f"{BOARD}/export", params=DAILY | {"attr.guild": "x"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "attr.guild")
