"""The days of the naive oracle: found by looking at a zone's clocks, apart from the product's code."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)

Clocks = tuple[str, str]
"""A time zone, and what its clocks show when a day begins."""
UTC_CLOCKS: Clocks = ("UTC", "00:00")


def clocks_of(board: Mapping[str, Any]) -> Clocks:
    """The clocks of a leaderboard as it is sent to the API."""
    return board.get("timeZone", "UTC"), board.get("dayStartsAt", "00:00")


def day_of(clocks: Clocks, at_ms: int) -> int:
    """The last day, since 1970, that has begun at an instant."""
    near = at_ms // 86_400_000
    return max(day for day in range(near - 3, near + 3) if start_ms(clocks, day) <= at_ms)


def end_ms(clocks: Clocks, day: int) -> int:
    """When a day is over."""
    return start_ms(clocks, day + 1)


@lru_cache(100_000)
def start_ms(clocks: Clocks, day: int) -> int:
    """When a day begins: once the clocks show its date and the time at which days begin, or later."""
    name, starts_at = clocks
    shown = datetime.combine(date(1970, 1, 1) + timedelta(days=day), time.fromisoformat(starts_at))
    first = shown.replace(tzinfo=_zone(name), fold=0).astimezone(UTC)
    if _shows(name, first) != shown:  # they skip it: when do they jump?
        before = first - timedelta(days=1, hours=1)
        while first - before > SECOND:
            middle = before + (first - before) // SECOND // 2 * SECOND
            before, first = (before, middle) if _shows(name, middle) >= shown else (middle, first)
    return (first - EPOCH) // MILLISECOND


def _shows(name: str, moment: datetime) -> datetime:
    return moment.astimezone(_zone(name)).replace(tzinfo=None, fold=0)


@lru_cache
def _zone(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, name)
