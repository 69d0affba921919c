"""What must be true after all of it: everything that the system holds is compared with the oracle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.local.config import TOPIC
from tests.support import oracle, rejections
from tests.support.boards import Boards
from tests.support.stack import System, TopicRecord
from tests.support.windows import read_window

PAGE: Final = 200
DIFFERENCES_SHOWN_MAX: Final = 10
ALL_TIME: Final = "all-time"


@dataclass(frozen=True)
class Aftermath:
    """A system at rest, and what the topic says should be in it."""

    system: System
    boards: Boards
    records: list[TopicRecord]
    reference: oracle.Oracle


@dataclass(frozen=True)
class Check:
    """One comparison."""

    name: str
    compared: int
    """Things that should be there."""
    differences: list[str]


def run_parallel(aftermath: Aftermath) -> list[Check]:
    """Every check."""
    checks: list[Callable[[Aftermath], Check]] = [ledger, standings, windows, dead_letters, positions]
    return [check(aftermath) for check in checks]


def ledger(aftermath: Aftermath) -> Check:
    """The ledger holds exactly the accepted events, each with the record it first came in."""
    expected: dict[Any, Any] = {}
    for record in aftermath.records:
        if aftermath.reference.outcomes[record.partition, record.offset] == oracle.APPLIED:
            event = oracle.parse(record.value)
            expected[event["leaderboardId"], event["userId"], event["eventId"]] = (
                event["points"],
                oracle.instant(event["occurredAt"]),
                event.get("attributes", {}),
                (record.partition, record.offset, record.appended_at_ms),
            )
    found = {
        (*_split(item["pk"]["S"]), item["sk"]["S"]): (
            int(item["points"]["N"]),
            int(item["occurred_at"]["N"]),
            {name: value["S"] for name, value in item["attributes"]["M"].items()},
            tuple(int(item[name]["N"]) for name in ("partition", "offset", "appended_at")),
        )
        for item in aftermath.system.items("LEDGER_TABLE")
    }
    return _compared("ledger", expected, found)


def standings(aftermath: Aftermath) -> Check:
    """The standings are the oracle's fold of every player's events: of all time, and of each of their days."""
    expected: dict[Any, Any] = {}
    for (board, user_id), facts in aftermath.reference.facts.items():
        definition = aftermath.reference.leaderboards[board]
        expected[board, ALL_TIME, user_id] = (*oracle.score(definition, facts), len(facts))
        for day in {fact.day for fact in facts}:
            of_day = [fact for fact in facts if fact.day == day]
            expected[board, oracle.to_date(day).isoformat(), user_id] = (*oracle.score(definition, of_day), len(of_day))
    items = [one for one in aftermath.system.items("STANDINGS_TABLE") if not one["pk"]["S"].endswith("#days")]
    found = {}
    for item in items:
        board, day, _shard = item["pk"]["S"].split("#")
        numbers = tuple(int(item[name]["N"]) for name in ("points", "reached_at", "events"))
        found[board, day, item["sk"]["S"]] = numbers
    check = _compared("standings", expected, found)
    if len(items) != len(found):
        check.differences.append(f"{len(items) - len(found)} standings stand in two write shards")
    return check


def windows(aftermath: Aftermath) -> Check:
    """Every window over the API is the oracle's, entry for entry."""
    compared, differences = 0, []
    for board in aftermath.boards.definitions:
        for window in aftermath.boards.windows(board):
            expected = aftermath.reference.ranking(board, window.first, window.last)
            compared += len(expected)
            try:
                found = read_window(aftermath.system, board, window, PAGE)
            except AssertionError as error:
                differences.append(f"{board} {window.query} can't be read: {error}")
                continue
            if found != expected:
                pairs = zip(expected, found, strict=False)
                first = next(((one, other) for one, other in pairs if one != other), "one is longer")
                differences.append(f"{board} {window.query}: {len(expected)} expected, {len(found)} found: {first}")
    return Check("windows over the API", compared, differences)


def dead_letters(aftermath: Aftermath) -> Check:
    """The dead-letter queue holds exactly the refused records, each with its reason and its original bytes."""
    expected = rejections.expected_rejections(aftermath.reference, aftermath.records)
    found = rejections.to_rejections(aftermath.system.letters())
    return _compared("dead letters", expected, found)


def positions(aftermath: Aftermath) -> Check:
    """Every partition is committed up to its end, and nothing of it counts as passed over or lost."""
    expected: dict[Any, Any] = {}
    for record in aftermath.records:
        key = (f"progress#{TOPIC}", f"{record.partition:08d}")
        expected[key] = max(expected.get(key, 0), record.offset + 1)
    found = {
        (item["pk"]["S"], item["sk"]["S"]): int(item["next_offset"]["N"]) if "next_offset" in item else item
        for item in aftermath.system.items("REGISTRY_TABLE")
        if item["pk"]["S"].startswith(("progress#", "gaps#", "losses#"))
    }
    return _compared("positions", expected, found)


def _compared(name: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> Check:
    differences = [
        f"{key}: expected {str(expected.get(key))[:300]}, found {str(found.get(key))[:300]}"
        for key in [*expected, *(found.keys() - expected.keys())]
        if expected.get(key) != found.get(key)
    ]
    return Check(name, len(expected), differences)


def _split(partition: str) -> tuple[str, str]:
    board, _, user_id = partition.partition("#")
    return board, user_id
