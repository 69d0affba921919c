"""The calendar of every time zone against `zoneinfo`: at each change of a zone's clocks, and one millisecond around."""

import hashlib
import os
import struct
import zoneinfo
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise, product
from typing import Final

import pytest

from shared.domain.calendar import DAY_MAX, DAY_MIN, DAY_MS, UTC, Day, daily, parse_day, read_runs, to_date, write_runs
from shared.lookups.zones import SHORTEST_S, UnknownZone, calendar_of, first_moved, names, version

EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - of clocks, whose zone is beside it
END_S: Final = (DAY_MAX + 1) * 86_400
STARTS: Final = (0, 23 * 60 + 59)
TELLING: Final = (
    "Africa/Casablanca",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)


def content(name: str) -> bytes:
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


@cache
def zone(name: str) -> zoneinfo.ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, name)


def different() -> list[str]:
    """One name of each zone, as many are links: of every one with EVERY_ZONE=1 (`make zones`), else of some that differ
    most, and a sixteenth of the others.
    """
    found = sorted({hashlib.sha256(content(name)).digest(): name for name in sorted(names())}.values())
    return found if os.environ.get("EVERY_ZONE") == "1" else sorted({*found[::16], *TELLING})


def written_changes(name: str) -> list[int]:
    """The changes that a zone's file lists (TZif version 2), in seconds since 1970; later ones follow its footer."""
    data = content(name)
    counts = struct.unpack(">6l", data[20:44])
    utc, std, leaps, times, types, letters = counts
    second = 44 + times * 5 + types * 6 + letters + leaps * 8 + std + utc
    times = struct.unpack(">6l", data[second + 20 : second + 44])[3]
    return list(struct.unpack(f">{times}q", data[second + 44 : second + 44 + 8 * times]))


def wall(name: str, at_s: int) -> datetime:
    return zone(name).fromutc((EPOCH + timedelta(seconds=at_s)).replace(tzinfo=zone(name))).replace(tzinfo=None)


def expected(name: str, starts_at_min: int, at_ms: int, changed_s: int) -> Day:
    """The last date whose start the clocks have shown: by now, or just before they were put back."""
    at_s = at_ms // 1000
    shown = max(wall(name, one) for one in (at_s, min(at_s, changed_s - 1)))
    return Day((shown - timedelta(minutes=starts_at_min) - EPOCH).days)


def test_days_are_those_of_the_clocks_at_each_change() -> None:
    for name, starts_at_min in product(different(), STARTS):
        calendar = calendar_of(name, starts_at_min)
        changes = [at_s for at_s in written_changes(name) if 0 < at_s < END_S]
        begins = [calendar.day_start_ms(Day(day)) // 1000 for day, _ in read_runs(calendar.runs) if day >= DAY_MIN]
        for at_s in (*changes, *(at_s for at_s in begins if at_s > END_S // 2)):
            for at_ms in (at_s * 1000 - 1, at_s * 1000, at_s * 1000 + 1):
                assert calendar.day_of(at_ms) == expected(name, starts_at_min, at_ms, at_s), (name, at_ms)


def test_days_begin_where_they_are_told_to_and_follow_each_other() -> None:
    for number, name in enumerate(different()):
        calendar = calendar_of(name, STARTS[number % len(STARTS)])
        days = {Day(day + more) for day, _ in read_runs(calendar.runs) for more in range(-2, 3)}
        for day in sorted(day for day in days if DAY_MIN <= day <= DAY_MAX):
            start_ms, end_ms = calendar.day_start_ms(day), calendar.day_end_ms(day)
            assert calendar.day_of(start_ms - 1) < day, (name, day)
            assert calendar.day_of(end_ms) > day, (name, day)
            if start_ms == end_ms:
                continue
            assert start_ms < end_ms, (name, day)
            assert calendar.day_of(start_ms) == calendar.day_of(end_ms - 1) == day, (name, day)


def test_no_zone_changes_twice_and_back_within_what_is_looked_at_at_once() -> None:
    for name in different():
        changes = [at_s for at_s in written_changes(name) if -8 * 86_400 < at_s < END_S]
        for at_s, following_s in pairwise(changes):
            if following_s - at_s < SHORTEST_S:
                before, after = wall(name, at_s - 1), wall(name, following_s)
                assert after - before != timedelta(seconds=following_s - at_s + 1), name


@pytest.mark.parametrize(
    ("name", "starts_at_min", "day", "hours"),
    [
        ("Europe/Berlin", 0, "2026-03-29", 23),
        ("Europe/Berlin", 0, "2026-10-25", 25),
        ("Europe/Berlin", 180, "2026-03-28", 23),
        ("America/Sao_Paulo", 0, "2018-11-04", 23),  # clocks skip midnight
        ("America/Sao_Paulo", 0, "2018-02-17", 25),  # clocks show 23:00 twice
        ("America/Havana", 0, "2024-11-03", 25),  # clocks show midnight twice
        ("Pacific/Apia", 0, "2011-12-30", 0),  # a date that there was not
        ("Pacific/Kiritimati", 0, "2026-11-28", 24),
    ],
)
def test_days_are_as_long_as_the_clocks_make_them(name: str, starts_at_min: int, day: str, hours: int) -> None:
    calendar, number = calendar_of(name, starts_at_min), parse_day(day)
    assert calendar.day_end_ms(number) - calendar.day_start_ms(number) == hours * 3_600_000


def test_the_date_that_samoa_left_out_begins_and_ends_at_once() -> None:
    calendar, day = calendar_of("Pacific/Apia", 0), parse_day("2011-12-30")
    start_ms = calendar.day_start_ms(day)
    assert EPOCH + timedelta(milliseconds=start_ms) == datetime(2011, 12, 30, 10)  # noqa: DTZ001
    assert (calendar.day_of(start_ms - 1), calendar.day_of(start_ms)) == (day - 1, day + 1)
    assert calendar.start_ms(daily(day)) == calendar.end_ms(daily(day))


def test_days_of_utc_need_no_zone() -> None:
    assert calendar_of("UTC", 0) is UTC
    assert calendar_of("UTC", 720).runs == f"{read_runs(calendar_of('UTC', 720).runs)[0][0]}:43200"
    assert calendar_of("UTC", 720).day_of(DAY_MS // 2 - 1) == -1


def test_an_unknown_zone_is_refused() -> None:
    for name in ("Europe/Bonn", "../UTC", "europe/berlin", "Factory", ""):
        with pytest.raises(UnknownZone):
            calendar_of(name, 1)


def test_runs_are_read_as_they_were_written() -> None:
    assert read_runs(write_runs([(-7, 5), (3, 5), (4, -9), (100, 0)])) == [(-7, 5), (4, -9), (100, 0)]


def test_a_zone_whose_rules_have_changed_is_told_from_the_first_day_that_moves() -> None:
    now = calendar_of("Europe/Berlin", 0)
    moved = parse_day("2030-04-01")
    runs = [run for run in read_runs(now.runs) if run[0] < moved]
    old = type(now)(zone=now.zone, tzdata="2020.1", runs=write_runs(runs))
    assert now.tzdata == version()
    assert first_moved(now, DAY_MIN) is None
    found = first_moved(old, DAY_MIN)
    assert found is not None
    assert to_date(found).isoformat() == "2030-04-01"
    assert first_moved(old, parse_day("2031-12-01")) == parse_day("2031-12-02") or first_moved(old, found) is not None
    assert old.day_start_ms(found) != now.day_start_ms(found)
