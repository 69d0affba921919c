"""Series: odd days, durations, what a change leaves, and the first and last day that there is."""

import pytest
from msgspec.structs import replace

from shared.domain.calendar import DAY_MAX, Day, InvalidWindow, format_day, parse_day
from shared.domain.periods import Period
from shared.domain.series import Series, check, parse_every

SEASON = Series(id="season", name="Season", every="P1M", first=parse_day("2027-01-31"))
FORTNIGHT = Series(id="fortnight", name="Fortnight", every="P14D", first=parse_day("2026-11-02"))


def dates(series: Series, count: int) -> list[str]:
    return [format_day(series.starts(number)) for number in range(count)]


def test_a_season_from_the_31st_begins_on_the_last_of_shorter_months_without_drift() -> None:
    expected = ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]
    assert dates(SEASON, 5) == expected
    assert dates(replace(SEASON, every="P2M"), 3) == expected[::2]
    january = SEASON.occurrence(0)
    assert january == Period(id="season~2027-01-31", name="Season", first=SEASON.first, last=parse_day("2027-02-27"))


def test_a_year_from_a_leap_day_begins_on_28_february_until_there_is_one_again() -> None:
    leap = replace(SEASON, every="P1Y", first=parse_day("2024-02-29"))
    assert dates(leap, 5) == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]
    longest = leap.occurrence(3)
    assert longest is not None
    assert len(longest.window.days) == 366


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("P1D", (1, 0)),
        ("P366D", (366, 0)),
        ("P2W", (14, 0)),
        ("P52W", (364, 0)),
        ("P1M", (0, 1)),
        ("P12M", (0, 12)),
        ("P1Y", (0, 12)),
    ],
)
def test_a_series_recurs_after_days_weeks_months_or_a_year(every: str, expected: tuple[int, int]) -> None:
    assert parse_every(every) == expected


@pytest.mark.parametrize(
    "every",
    ["", "P", "P0D", "P01D", "P367D", "P53W", "P13M", "P2Y", "PT24H", "P1M1D", "P1.5D", "p1d", "P1D ", "-P1D", "P٣D"],
)
def test_another_duration_is_refused_by_name(every: str) -> None:
    with pytest.raises(InvalidWindow, match="must be P1D to P366D") as caught:
        parse_every(every)
    assert caught.value.field == "every"


def test_the_last_occurrence_ends_by_until_or_on_the_last_day_there_is() -> None:
    until = replace(FORTNIGHT, until=parse_day("2026-11-29"))
    assert until.occurrence(1) is not None
    assert until.occurrence(2) is None
    assert replace(until, until=parse_day("2026-11-28")).occurrence(1) is None
    daily = replace(FORTNIGHT, every="P1D", first=DAY_MAX)
    assert daily.occurrence(0) is not None
    assert daily.occurrence(1) is None


@pytest.mark.parametrize(
    ("series", "field"),
    [
        (replace(FORTNIGHT, until=parse_day("2026-11-14")), "until"),
        (replace(FORTNIGHT, first=Day(DAY_MAX - 12)), "from"),
    ],
)
def test_a_series_without_an_occurrence_is_refused_by_name(series: Series, field: str) -> None:
    with pytest.raises(InvalidWindow) as caught:
        check(series)
    assert caught.value.field == field
    check(replace(FORTNIGHT, until=parse_day("2026-11-15")))


def test_a_series_of_later_makes_two_at_once_and_the_next_when_the_first_begins() -> None:
    made = replace(FORTNIGHT, next=2)
    assert FORTNIGHT.due(parse_day("2026-01-01")) == FORTNIGHT.occurrence(0)
    assert made.due(parse_day("2026-11-01")) is None
    assert made.due(parse_day("2026-11-02")) == FORTNIGHT.occurrence(2)


def test_an_occurrence_belongs_to_the_series_whose_id_it_begins_with() -> None:
    first = FORTNIGHT.occurrence(0)
    assert first is not None
    assert FORTNIGHT.owns(first)
    assert not FORTNIGHT.owns(replace(first, id="fortnight-2~2026-11-02"))
    assert not replace(FORTNIGHT, id="fort").owns(first)
