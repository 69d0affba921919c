"""Days of time zones, on the real stack: Kafka in, HTTP out, over both changes of the clocks."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from infra.local.stack import Stack
from tests.support.oracle import APPLIED, Oracle, Produced
from tests.support.stack import System
from tests.support.windows import calendar, read_window

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CALENDARS = {
    "berlin": ("Europe/Berlin", "00:00"),
    "paulista": ("America/Sao_Paulo", "00:00"),
    "kiritimati": ("Pacific/Kiritimati", "00:00"),
    "kathmandu": ("Asia/Kathmandu", "00:00"),
    "noon": ("UTC", "12:00"),
}
KEPT = {
    "kathmandu": ["all-time"],
    "noon": ["daily", "all-time"],
    "berlin": ["daily", "monthly", "all-time"],
    "paulista": ["weekly"],
}
"""Windows that the cache keeps, where it doesn't keep all: the others are answered all the same."""


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    running = System(quick_stack)
    yield running
    running.close()


def last_sunday(month: int) -> date:
    """The Sunday on which Europe's clocks last changed in a month."""
    today = datetime.now(UTC).date() - timedelta(days=2)
    year = today.year if today >= date(today.year, month, 31) else today.year - 1
    end = date(year, month, 31)
    return end - timedelta(days=end.isoweekday() % 7)


def start_of(zone: str, starts_at: str, day: date) -> datetime:
    return datetime.combine(day, time.fromisoformat(starts_at), ZoneInfo(zone)).astimezone(UTC)


def test_events_count_for_the_day_of_their_leaderboards_clocks(system: System) -> None:
    days = [sunday + timedelta(days=more) for sunday in (last_sunday(3), last_sunday(10)) for more in (-1, 0, 1)]
    records, definitions = [], {}
    for board, (zone, starts_at) in CALENDARS.items():
        rules = {"timeZone": zone, "dayStartsAt": starts_at, "lateness": "P366D"}
        kept = {"windows": KEPT[board]} if board in KEPT else {}
        definitions[board] = {"name": board, "aggregation": "sum"} | rules | kept
        system.put(f"/leaderboards/{board}", definitions[board])
        for number, day in enumerate(days):
            first = start_of(zone, starts_at, day)
            last = start_of(zone, starts_at, day + timedelta(days=1)) - timedelta(milliseconds=1)
            for user, at in (("first", first), ("last", last)):
                fields = {"eventId": f"{user}-{number}", "leaderboardId": board, "userId": user, "points": 2**number}
                value = json.dumps(fields | {"occurredAt": at.isoformat()})
                records.append((f"{board}:{user}".encode(), value.encode()))
    system.produce(records)
    system.settle()
    reference = Oracle(definitions)
    sent = {value for _, value in records}
    reference.take(
        Produced(one.partition, one.offset, one.appended_at_ms, one.value)
        for one in system.records()
        if one.value in sent
    )
    assert set(reference.outcomes.values()) == {APPLIED}
    for board in CALENDARS:
        assert reference.days(board) == days
        for window in calendar(days[1], days[1]) + calendar(days[4], days[4]):
            found = read_window(system, board, window)
            assert found == reference.ranking(board, window.first, window.last), (board, window)

    for board, (zone, starts_at) in CALENDARS.items():
        for number, day in enumerate(days):
            found = system.get(f"/leaderboards/{board}/rankings", window="daily", date=day.isoformat())
            first, end = (start_of(zone, starts_at, one) for one in (day, day + timedelta(days=1)))
            assert [datetime.fromisoformat(found["window"][name]) for name in ("startsAt", "endsAt")] == [first, end]
            assert [(one["userId"], one["score"]) for one in found["entries"]] == [
                ("first", 2**number),
                ("last", 2**number),
            ], (board, day)
        week = system.get(f"/leaderboards/{board}/rankings", window="weekly", date=days[2].isoformat())
        assert [one["score"] for one in week["entries"]] == [4, 4]
    lengths = [
        datetime.fromisoformat(window["endsAt"]) - datetime.fromisoformat(window["startsAt"])
        for window in (
            system.get("/leaderboards/berlin/rankings", window="daily", date=day.isoformat())["window"]
            for day in (days[1], days[4])
        )
    ]
    assert lengths == [timedelta(hours=23), timedelta(hours=25)]
    for board, (zone, starts_at) in CALENDARS.items():
        month = system.get(f"/leaderboards/{board}/rankings", window="monthly", date=days[4].isoformat())["window"]
        begin = days[4].replace(day=1)
        bounds = [start_of(zone, starts_at, one) for one in (begin, (begin + timedelta(days=31)).replace(day=1))]
        assert (month["kind"], month["id"]) == ("monthly", f"{days[4]:%Y-%m}")
        assert [datetime.fromisoformat(month[name]) for name in ("startsAt", "endsAt")] == bounds
        assert ("expectedFinalAt" in month) is (board == "berlin"), "no result of months elsewhere"
    body = {"name": "Berlin", "aggregation": "sum", "lateness": "P366D"}
    assert system.request("PUT", "/leaderboards/berlin", json=body).status_code == 409
