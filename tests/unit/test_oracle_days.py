"""The days of the oracle, where clocks change, and that the calendar agrees with them."""

from datetime import UTC, date, datetime

import pytest

from shared.domain.calendar import Day, parse_day
from shared.lookups.zones import calendar_of
from tests.simulation.boards import CLOCKS
from tests.support import oracle_days


@pytest.mark.parametrize(
    ("clocks", "day", "begins"),
    [
        (("UTC", "00:00"), "2026-11-28", "2026-11-28T00:00"),
        (("UTC", "12:00"), "2026-11-28", "2026-11-28T12:00"),
        (("Asia/Kathmandu", "00:00"), "2026-11-28", "2026-11-27T18:15"),
        (("Pacific/Kiritimati", "00:00"), "2026-11-28", "2026-11-27T10:00"),
        (("Europe/Berlin", "00:00"), "2026-03-29", "2026-03-28T23:00"),
        (("Europe/Berlin", "00:00"), "2026-03-30", "2026-03-29T22:00"),
        (("Europe/Berlin", "02:30"), "2026-03-29", "2026-03-29T01:00"),  # skipped: when they jump
        (("Europe/Berlin", "02:30"), "2026-10-25", "2026-10-25T00:30"),  # shown twice: the first
        (("America/Sao_Paulo", "00:00"), "2018-11-04", "2018-11-04T03:00"),
        (("Pacific/Apia", "00:00"), "2011-12-30", "2011-12-30T10:00"),
        (("Pacific/Apia", "00:00"), "2011-12-31", "2011-12-30T10:00"),
    ],
)
def test_a_day_begins_once_its_start_is_shown(clocks: tuple[str, str], day: str, begins: str) -> None:
    number = (date.fromisoformat(day) - date(1970, 1, 1)).days
    expected = datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert oracle_days.start_ms(clocks, number) == int(expected.timestamp() * 1000)
    assert oracle_days.day_of(clocks, oracle_days.start_ms(clocks, number) - 1) < number


@pytest.mark.parametrize("clocks", CLOCKS, ids="-".join)
def test_the_oracle_and_the_calendar_agree_on_every_day_of_years(clocks: tuple[str, str]) -> None:
    zone, starts_at = clocks
    calendar = calendar_of(zone, int(starts_at[:2]) * 60 + int(starts_at[3:]))
    for first in ("2016-01-01", "2098-12-25"):
        for day in range(parse_day(first), parse_day(first) + 1_200):
            if day < parse_day("2100-12-31"):
                assert oracle_days.start_ms(clocks, day) == calendar.day_start_ms(Day(day)), day
