"""Buckets and windows: bounds at midnights, week 53, leap days, the first and last year; what the cache keeps."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.domain.calendar import (
    ALL_TIME,
    ALL_TIME_DAY,
    CUSTOM_DAYS_MAX,
    DAY_MAX,
    DAY_MIN,
    DAY_MS,
    EXPIRY_MARGIN_MS,
    LONGEST_DAYS,
    RETENTION_MS,
    WEEK_DAYS,
    Calendar,
    Day,
    InvalidWindow,
    Window,
    WindowKind,
    WindowStatus,
    cached_windows,
    current_windows,
    custom,
    daily,
    day_of,
    expires_ms,
    format_day,
    is_kept,
    kept_days,
    kept_until_ms,
    monday_of,
    monthly,
    parse_day,
    parse_id,
    parse_month,
    parse_week,
    recent_windows,
    to_date,
    weekly,
    windows_ending,
    windows_fed_by,
)
from shared.domain.periods import Period
from shared.domain.rules import DEFAULT_WINDOWS, WINDOWS

CALENDAR = Calendar()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_days_reach_from_1970_to_2100() -> None:
    assert (parse_day("1970-01-01"), parse_day("2100-12-31")) == (DAY_MIN, DAY_MAX)
    assert (DAY_MIN, format_day(DAY_MAX)) == (0, "2100-12-31")
    assert DAY_MAX + 7 < ALL_TIME_DAY < 2**16


@pytest.mark.parametrize("text", ["1969-12-31", "2101-01-01", "0001-01-01", "9999-12-31"])
def test_a_date_out_of_those_years_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidWindow, match="from must be in the years 1970 to 2100") as caught:
        parse_day(text, "from")
    assert caught.value.field == "from"


NO_DATES = [
    "",
    "today",
    "2026-11-31",
    "2026-02-29",
    "2100-02-29",
    "2026-13-01",
    "2026-00-10",
    "2026-1-1",
    "20261123",
    "2026-11-23 ",
    "2026-11-23\n",
    "2026-11-23T00:00:00Z",
    "+2026-11-23",
    "２026-11-23",
    "2026-W48",
    "2026-W48-1",
    "2026-327",
    "x" * 1_000_000,
]


@pytest.mark.parametrize("text", NO_DATES, ids=[text[:20] for text in NO_DATES])
def test_what_is_no_date_is_refused_by_name_in_a_short_line(text: str) -> None:
    with pytest.raises(InvalidWindow, match="to must be a date YYYY-MM-DD") as caught:
        parse_day(text, "to")
    assert caught.value.field == "to"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["2000-02-29", "2024-02-29", "2028-02-29", "2096-02-29"])
def test_a_leap_day_is_a_day(text: str) -> None:
    day = parse_day(text)

    assert format_day(day) == text
    assert format_day(Day(day + 1)) == text[:4] + "-03-01"


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-23T00:00:00", "2026-11-23"),
        ("2026-11-23T23:59:59.999", "2026-11-23"),
        ("2026-11-24T00:00:00", "2026-11-24"),
        ("2027-01-01T00:00:00", "2027-01-01"),
        ("1970-01-01T00:00:00", "1970-01-01"),
        ("2100-12-31T23:59:59.999", "2100-12-31"),
    ],
)
def test_a_day_is_half_open_at_midnight(at: str, day: str) -> None:
    assert format_day(day_of(ms(at))) == day
    window = daily(parse_day(day))
    start_ms, end_ms = CALENDAR.start_ms(window), CALENDAR.end_ms(window)
    assert start_ms is not None
    assert end_ms is not None
    assert start_ms <= ms(at) < end_ms
    assert end_ms - start_ms == DAY_MS


WEEKS = {
    "1969-12-29..1970-01-04": ("1970-01-01", "1970-W01"),
    "2015-12-28..2016-01-03": ("2016-01-01", "2015-W53"),
    "2020-12-28..2021-01-03": ("2020-12-31", "2020-W53"),
    "2026-11-23..2026-11-29": ("2026-11-29", "2026-W48"),
    "2026-12-28..2027-01-03": ("2027-01-03", "2026-W53"),
    "2027-01-04..2027-01-10": ("2027-01-04", "2027-W01"),
    "2024-12-30..2025-01-05": ("2024-12-30", "2025-W01"),
    "2024-02-26..2024-03-03": ("2024-02-29", "2024-W09"),
    "2100-12-27..2101-01-02": ("2100-12-31", "2100-W52"),
}


@pytest.mark.parametrize(("bounds", "member"), WEEKS.items(), ids=[week for _, week in WEEKS.values()])
def test_a_week_runs_from_monday_to_sunday_across_years(bounds: str, member: tuple[str, str]) -> None:
    day, week_id = member
    week = weekly(parse_day(day))

    first, last = (date.fromisoformat(part) for part in bounds.split(".."))
    assert (to_date(week.first), to_date(week.last)) == (first, last)
    assert week.id == week_id
    assert CALENDAR.start_ms(week) == ms(first.isoformat())
    assert CALENDAR.end_ms(week) == ms((last + timedelta(days=1)).isoformat())
    assert parse_week(week_id) == week.first
    assert parse_id(week_id) == week


def test_sunday_midnight_divides_two_weeks() -> None:
    sunday = day_of(ms("2026-11-29T23:59:59.999"))
    monday = day_of(ms("2026-11-30T00:00:00"))

    assert (weekly(sunday).id, weekly(monday).id) == ("2026-W48", "2026-W49")
    assert CALENDAR.end_ms(weekly(sunday)) == CALENDAR.start_ms(weekly(monday))


def test_the_week_that_began_before_1970_has_only_days_since() -> None:
    assert list(weekly(DAY_MIN).days) == [0, 1, 2, 3]
    assert monday_of(DAY_MIN) == -3


NO_WEEKS = ["2026-W54", "2025-W53", "2026-W00", "2026-w48", "2026-W4", "2026-W48-1", "W48", "2026-W48\n", "0000-W01"]


@pytest.mark.parametrize("text", NO_WEEKS)
def test_what_is_no_week_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidWindow, match="date must be a date YYYY-MM-DD or a week YYYY-Www") as caught:
        parse_week(text)
    assert caught.value.field == "date"


@pytest.mark.parametrize("text", ["1969-W52", "2101-W01", "9999-W52"])
def test_a_week_out_of_the_years_is_refused(text: str) -> None:
    with pytest.raises(InvalidWindow, match="1970 to 2100"):
        parse_week(text)


MONTHS = {
    "2026-11": ("2026-11-01", "2026-11-30"),
    "2028-02": ("2028-02-01", "2028-02-29"),
    "2026-12": ("2026-12-01", "2026-12-31"),
}


@pytest.mark.parametrize(("month_id", "bounds"), MONTHS.items(), ids=list(MONTHS))
def test_a_month_runs_from_its_first_day_to_its_last(month_id: str, bounds: tuple[str, str]) -> None:
    first, last = map(parse_day, bounds)

    assert {monthly(day) for day in map(Day, range(first, last + 1))} == {monthly(first)}
    month = monthly(first)
    assert (month.id, month.first, month.last) == (month_id, first, last)
    assert CALENDAR.start_ms(month) == ms(bounds[0])
    assert CALENDAR.end_ms(month) == CALENDAR.start_ms(monthly(Day(last + 1)))
    assert parse_month(month_id) == first


NO_MONTHS = ["2026-13", "2026-00", "2026-1", "2026-11-1", "26-11", "2026-11\n", "2026-W48", "november"]


@pytest.mark.parametrize("text", NO_MONTHS)
def test_what_is_no_month_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidWindow, match="date must be a date YYYY-MM-DD or a month YYYY-MM") as caught:
        parse_month(text)
    assert caught.value.field == "date"


@pytest.mark.parametrize("text", ["1969-12", "2101-01"])
def test_a_month_out_of_the_years_is_refused(text: str) -> None:
    with pytest.raises(InvalidWindow, match="1970 to 2100"):
        parse_month(text)


def test_a_range_takes_a_leap_year_and_not_a_day_more() -> None:
    first = parse_day("2028-01-01")
    leap_year = custom(first, parse_day("2028-12-31"))

    assert len(leap_year.days) == CUSTOM_DAYS_MAX == 366
    with pytest.raises(InvalidWindow, match="at most 366 days") as caught:
        custom(first, parse_day("2029-01-01"))
    assert caught.value.field == "to"


def test_a_range_takes_a_single_day_and_none_that_ends_before_it_starts() -> None:
    day = parse_day("2026-11-23")

    assert list(custom(day, day).days) == [day]
    with pytest.raises(InvalidWindow, match="on or after from") as caught:
        custom(day, Day(day - 1))
    assert caught.value.field == "to"


def test_both_days_of_a_range_are_in_it() -> None:
    window = custom(parse_day("2026-11-01"), parse_day("2026-11-15"))

    assert (CALENDAR.start_ms(window), CALENDAR.end_ms(window)) == (ms("2026-11-01"), ms("2026-11-16"))
    assert len(window.days) == 15


def test_all_time_has_no_bounds_and_one_standing() -> None:
    assert (CALENDAR.start_ms(ALL_TIME), CALENDAR.end_ms(ALL_TIME), list(ALL_TIME.days)) == (None, None, [ALL_TIME_DAY])
    assert format_day(ALL_TIME_DAY) == ALL_TIME.id == "all-time"


MONDAY = parse_day("2026-11-23")
IDS = {
    "2026-11-23": daily(MONDAY),
    "1970-01-01": daily(DAY_MIN),
    "2100-12-31": daily(DAY_MAX),
    "2026-W48": weekly(MONDAY),
    "1970-W01": weekly(DAY_MIN),
    "2100-W52": weekly(DAY_MAX),
    "2026-11": monthly(MONDAY),
    "1970-01": monthly(DAY_MIN),
    "2100-12": monthly(DAY_MAX),
    "all-time": ALL_TIME,
    "2026-11-23..2026-11-23": custom(MONDAY, MONDAY),
    "2026-11-22..2026-11-30": custom(Day(MONDAY - 1), Day(MONDAY + 7)),
}


@pytest.mark.parametrize(("text", "window"), IDS.items(), ids=list(IDS))
def test_an_id_and_its_window_round_trip(text: str, window: Window) -> None:
    assert window.id == text
    assert parse_id(text) == window


NO_IDS = [
    "",
    "2026-13",
    "2026-1",
    "2026-11-",
    "2101-01",
    "all",
    "ALL-TIME",
    "..",
    "2026-11-23..",
    "..2026-11-23",
    "2026-11-23..2026-11-24..2026-11-25",
    "2026-11-24..2026-11-23",
    "2026-W48..2026-W49",
    "2026-11-23...2026-11-24",
]


@pytest.mark.parametrize("text", NO_IDS)
def test_an_id_that_no_window_has_is_refused(text: str) -> None:
    with pytest.raises(InvalidWindow):
        parse_id(text)


@pytest.mark.parametrize("window", [daily(MONDAY), weekly(MONDAY), monthly(MONDAY), custom(MONDAY, Day(MONDAY + 3))])
def test_a_window_is_open_until_its_end_then_closing_and_final_once_that_is_written(window: Window) -> None:
    end_ms = CALENDAR.day_end_ms(window.last)

    assert CALENDAR.status(window, end_ms - 1) is WindowStatus.OPEN
    assert CALENDAR.status(window, end_ms) is WindowStatus.CLOSING
    assert CALENDAR.status(window, end_ms + 10**12) is WindowStatus.CLOSING
    assert CALENDAR.status(window, end_ms, final=True) is WindowStatus.FINAL


def test_all_time_stays_open() -> None:
    assert CALENDAR.status(ALL_TIME, 10**15) is WindowStatus.OPEN


def test_two_periods_of_the_same_days_share_a_window() -> None:
    one = Period(id="a", name="A", first=MONDAY, last=Day(MONDAY + 1))
    other = Period(id="b", name="B", first=MONDAY, last=Day(MONDAY + 1))

    assert one.window == other.window == custom(MONDAY, Day(MONDAY + 1))


SUNDAY = Day(MONDAY + 6)
HOUR_MS = 3_600_000


def ids(windows: Iterable[Window]) -> list[str]:
    return [window.id for window in windows]


def test_a_day_feeds_its_day_week_and_month_and_the_overall_standing_all_time() -> None:
    assert ids(windows_fed_by(SUNDAY)) == ["2026-11-29", "2026-W48", "2026-11"]
    assert windows_fed_by(ALL_TIME_DAY) == [ALL_TIME]


def test_the_current_windows_are_the_day_the_week_the_month_and_all_time() -> None:
    assert ids(current_windows(MONDAY)) == ["2026-11-23", "2026-W48", "2026-11", "all-time"]


@pytest.mark.parametrize("today", range(MONDAY, MONDAY + 7))
def test_the_recent_windows_are_the_current_ones_and_those_just_before(today: Day) -> None:
    yesterday, last_week = Day(today - 1), Day(today - 7)

    assert ids(recent_windows(today)) == [
        "all-time",
        *ids([daily(yesterday), daily(today), weekly(last_week), weekly(today)]),
        "2026-10",
        "2026-11",
    ]


@pytest.mark.parametrize("today", range(DAY_MIN, DAY_MIN + 5))
def test_no_recent_window_is_from_before_the_first_day(today: Day) -> None:
    assert all(window.last >= DAY_MIN for window in recent_windows(today))


def test_a_week_ends_with_its_sunday_and_a_month_with_its_last_day_only() -> None:
    assert ids(windows_ending(SUNDAY)) == ["2026-11-29", "2026-W48"]
    assert all(windows_ending(Day(day)) == [daily(Day(day))] for day in range(MONDAY, SUNDAY))
    assert ids(windows_ending(Day(SUNDAY + 1))) == ["2026-11-30", "2026-11"]


@pytest.mark.parametrize("window", [daily(MONDAY), weekly(MONDAY), monthly(MONDAY)], ids=lambda window: window.id)
def test_a_window_is_kept_35_days_past_its_cutoff_and_stays_in_redis_an_hour_longer(window: Window) -> None:
    assert CALENDAR.end_ms(window) is not None
    end_ms = CALENDAR.end_ms(window)
    assert end_ms is not None
    until_ms = end_ms + HOUR_MS + 35 * DAY_MS

    assert kept_until_ms(window, HOUR_MS) == until_ms
    assert is_kept(window, HOUR_MS, until_ms - 1)
    assert not is_kept(window, HOUR_MS, until_ms)
    assert expires_ms(window, HOUR_MS) == until_ms + EXPIRY_MARGIN_MS == until_ms + HOUR_MS


def test_all_time_is_kept_for_ever_and_a_range_never() -> None:
    assert (kept_until_ms(ALL_TIME, 0), expires_ms(ALL_TIME, 0)) == (None, 0)
    assert is_kept(ALL_TIME, 0, 10**15)
    assert not is_kept(custom(MONDAY, SUNDAY), 0, MONDAY * DAY_MS)


@pytest.mark.parametrize("at_ms", [SUNDAY * DAY_MS, SUNDAY * DAY_MS - 1, MONDAY * DAY_MS + HOUR_MS, 0, 40 * DAY_MS])
@pytest.mark.parametrize("lateness_ms", [0, HOUR_MS, 9 * DAY_MS])
@pytest.mark.parametrize("kinds", [DEFAULT_WINDOWS, WINDOWS, WINDOWS[:2]], ids=["default", "every", "but all time"])
def test_every_day_of_a_kept_window_is_kept_and_every_kept_window_may_be_in_redis(
    at_ms: int, lateness_ms: int, kinds: tuple[WindowKind, ...]
) -> None:
    today = day_of(at_ms)
    days = kept_days(lateness_ms, at_ms, kinds)
    all_time = days.pop(0) if WindowKind.ALL_TIME in kinds else ALL_TIME_DAY
    kept = {
        window
        for day in range(max(DAY_MIN, today - 90), today + 2)
        for window in windows_fed_by(Day(day))
        if window.kind in kinds and is_kept(window, lateness_ms, at_ms)
    }

    assert all_time == ALL_TIME_DAY
    assert days == list(range(days[0], today + 2)), "oldest first, tomorrow last"
    assert {day for window in kept for day in window.days if day <= today + 1} <= set(days)
    assert kept | {ALL_TIME} <= cached_windows(lateness_ms, at_ms)


def test_no_window_that_a_day_feeds_is_longer_than_the_longest() -> None:
    lengths = [len(window.days) for day in range(MONDAY, MONDAY + 366) for window in windows_fed_by(Day(day))]

    weeks = [len(weekly(Day(day)).days) for day in range(MONDAY, MONDAY + 366)]
    assert (max(lengths), max(weeks)) == (LONGEST_DAYS, WEEK_DAYS)
    assert RETENTION_MS >= LONGEST_DAYS * DAY_MS
