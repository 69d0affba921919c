"""Calendars of time zones, by the rules of the pinned package `tzdata`: never by those of the system."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import metadata, resources
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from shared.domain.calendar import DAY_MAX, DAY_MIN, UTC, Calendar, Day, DayRun, write_runs

SHORTEST_S: Final = 5 * 86_400
"""No zone changes its offset twice within this and comes back to the first one; a test holds the package to it."""
_DAY_S: Final = 86_400
_FIRST: Final = DAY_MIN - 8
_LAST: Final = DAY_MAX + 8
"""The days that a calendar is computed for: those of every window, and one week more on either side."""
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - only counted from


class UnknownZone(ValueError):
    """No time zone has this name."""


@lru_cache(1)
def version() -> str:
    """The version of the rules, e.g. `2026.6`."""
    return metadata.version("tzdata")


@lru_cache(1)
def names() -> frozenset[str]:
    """The names of all time zones."""
    listed = resources.files("tzdata").joinpath("zones").read_text("utf-8").split()
    return frozenset(listed) - {"Factory"}


@lru_cache(1_000)
def calendar_of(zone: str, starts_at_min: int) -> Calendar:
    """The calendar whose days begin at a time of the day by the clocks of a zone, in some 30 ms.

    Args:
        zone: an IANA name.
        starts_at_min: minutes past midnight, 0 to 1,439.

    Raises:
        UnknownZone: if there is none of this name.
    """
    if (zone, starts_at_min) == (UTC.zone, UTC.starts_at_min):
        return UTC
    runs = write_runs(_runs(_stretches(zone), starts_at_min * 60))
    return Calendar(zone=zone, starts_at_min=starts_at_min, tzdata=version(), runs=runs)


@lru_cache(1_000)
def first_moved(calendar: Calendar, after: Day) -> Day | None:
    """The first day after `after` that would begin at another time by the rules of now; None if there is none, or
    these don't know the zone any more.
    """
    if calendar.tzdata in ("", version()):
        return None
    try:
        return calendar.first_moved(calendar_of(calendar.zone, calendar.starts_at_min), after)
    except UnknownZone:
        return None


def _zone(name: str) -> ZoneInfo:
    if name not in names():
        raise UnknownZone(f"no time zone is called {name[:40]!r}")
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, name)


def _runs(stretches: Sequence[tuple[int, int]], starts_at_s: int) -> Iterator[DayRun]:
    """Runs of days, from how the zone's offset changes: of each stretch of one offset, first the days that its
    beginning has jumped over or just met, then those that begin within it.
    """
    day, end_s = _FIRST, (_LAST + 1) * _DAY_S
    for (start_s, offset_s), (until_s, _) in pairwise([*stretches, (end_s, 0)]):
        while day * _DAY_S + starts_at_s <= start_s + offset_s:
            if start_s > (_FIRST - 2) * _DAY_S:
                yield day, start_s - day * _DAY_S
            day += 1
        if day * _DAY_S + starts_at_s - offset_s < until_s:
            yield day, starts_at_s - offset_s
            day += max(1, -(-(until_s - starts_at_s + offset_s - day * _DAY_S) // _DAY_S))


@lru_cache(16)
def _stretches(name: str) -> Sequence[tuple[int, int]]:
    """When each offset of a zone from UTC begins, and the offset, in seconds."""
    return tuple(_changes(_zone(name)))


def _changes(zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    at_s = (_FIRST - 2) * _DAY_S
    offset_s = _offset_s(zone, at_s)
    yield at_s, offset_s
    while at_s < (_LAST + 1) * _DAY_S:
        following_s = _offset_s(zone, at_s + SHORTEST_S)
        if following_s == offset_s:
            at_s += SHORTEST_S
            continue
        low, high = at_s, at_s + SHORTEST_S
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset_s(zone, middle) == offset_s else (low, middle)
        at_s, offset_s = high, _offset_s(zone, high)
        yield at_s, offset_s


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    offset = zone.fromutc((_EPOCH + timedelta(seconds=at_s)).replace(tzinfo=zone)).utcoffset()
    assert offset is not None  # noqa: S101 - every zone has one
    return int(offset.total_seconds())
