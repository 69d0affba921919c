"""Calendar: days (UTC) and the windows that are made of them."""

import re
from datetime import date
from enum import StrEnum
from typing import Final, NewType

import msgspec

Day = NewType("Day", int)
"""A bucket: days since 1970-01-01 UTC."""

DAY_MS: Final = 86_400_000
DAY_MIN: Final = Day(0)
DAY_MAX: Final = Day((date(2100, 12, 31) - date(1970, 1, 1)).days)
ALL_TIME_BUCKET: Final = Day(0xFFFF)
"""Not a day: the standing that a player's events of every day add up to. Past every day, and fits two bytes."""
CUSTOM_DAYS_MAX: Final = 366
"""Longest custom window: one leap year, the most days that one read of the truth is asked to fold."""

_ORDINAL_EPOCH: Final = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WEEK = re.compile(r"(\d{4})-W(\d\d)", re.ASCII)


class WindowKind(StrEnum):
    """The four ways to cut time into windows."""

    DAILY = "daily"
    WEEKLY = "weekly"
    ALL_TIME = "all-time"
    CUSTOM = "custom"


class WindowStatus(StrEnum):
    """`open` while its time runs, `closing` while records for it may still count, then `final`."""

    OPEN = "open"
    CLOSING = "closing"
    FINAL = "final"


class InvalidWindow(ValueError):
    """A date, week or range that no window has. `field` names what was wrong, the message what it takes."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Window(msgspec.Struct, frozen=True, gc=False):
    """A run of whole buckets that is ranked. `first` and `last` are inclusive, and the same for all time."""

    kind: WindowKind
    first: Day
    last: Day

    @property
    def id(self) -> str:
        """`2026-11-23`, `2026-W48`, `all-time` or `2026-11-01..2026-11-15`."""
        match self.kind:
            case WindowKind.DAILY:
                return format_day(self.first)
            case WindowKind.WEEKLY:
                year, week, _ = to_date(self.first).isocalendar()
                return f"{year}-W{week:02d}"
            case WindowKind.ALL_TIME:
                return "all-time"
            case WindowKind.CUSTOM:
                return f"{format_day(self.first)}..{format_day(self.last)}"

    @property
    def start_ms(self) -> int | None:
        """First instant of the window; None for all time."""
        return None if self.kind is WindowKind.ALL_TIME else self.first * DAY_MS

    @property
    def end_ms(self) -> int | None:
        """First instant after the window (half-open); None for all time."""
        return None if self.kind is WindowKind.ALL_TIME else day_end_ms(self.last)

    @property
    def buckets(self) -> range:
        """The days it is made of, oldest first; for all time the one standing that is kept for it."""
        return range(max(self.first, DAY_MIN), self.last + 1)

    def status(self, now_ms: int, *, final: bool = False) -> WindowStatus:
        """Status at `now_ms`. Only the ranking that was written once makes a window `final`, never the clock."""
        if final:
            return WindowStatus.FINAL
        if self.end_ms is None or now_ms < self.end_ms:
            return WindowStatus.OPEN
        return WindowStatus.CLOSING


ALL_TIME: Final = Window(WindowKind.ALL_TIME, ALL_TIME_BUCKET, ALL_TIME_BUCKET)


def day_of(milliseconds: int) -> Day:
    """The bucket an instant falls into."""
    return Day(milliseconds // DAY_MS)


def day_end_ms(day: Day) -> int:
    """First instant after the day."""
    return (day + 1) * DAY_MS


def to_date(day: Day) -> date:
    """The calendar date of a bucket."""
    return date.fromordinal(_ORDINAL_EPOCH + day)


def format_day(day: Day) -> str:
    """ISO 8601 date of a bucket, or `all-time` for the standing over all days."""
    return "all-time" if day == ALL_TIME_BUCKET else to_date(day).isoformat()


def parse_day(text: str, field: str = "date") -> Day:
    """The bucket of an ISO 8601 date `YYYY-MM-DD` from 1970 to 2100.

    Raises:
        InvalidWindow: naming `field`.
    """
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        day = Day(date.fromisoformat(text).toordinal() - _ORDINAL_EPOCH)
    except ValueError:
        raise InvalidWindow(field, f"{field} takes a date YYYY-MM-DD, not {text[:40]!r}") from None
    if not DAY_MIN <= day <= DAY_MAX:
        raise InvalidWindow(field, f"{field} takes the years 1970 to 2100")
    return day


def monday_of(day: Day) -> Day:
    """The Monday on or before a day. 1970-01-01 was a Thursday."""
    return Day(day - (day + 3) % 7)


def daily(day: Day) -> Window:
    """The window of one UTC day."""
    return Window(WindowKind.DAILY, day, day)


def weekly(day: Day) -> Window:
    """The ISO 8601 week (Monday 00:00Z to Monday 00:00Z) that a day falls into."""
    monday = monday_of(day)
    return Window(WindowKind.WEEKLY, monday, Day(monday + 6))


def custom(first: Day, last: Day) -> Window:
    """A range of days, both inclusive.

    Raises:
        InvalidWindow: if it ends before it starts or is longer than CUSTOM_DAYS_MAX days.
    """
    if last < first:
        raise InvalidWindow("to", "to takes a date on or after from")
    if last - first >= CUSTOM_DAYS_MAX:
        raise InvalidWindow("to", f"a range takes at most {CUSTOM_DAYS_MAX} days")
    return Window(WindowKind.CUSTOM, first, last)


def parse_week(text: str, field: str = "date") -> Day:
    """The Monday of an ISO 8601 week `YYYY-Www`.

    Raises:
        InvalidWindow: naming `field`.
    """
    match = _WEEK.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
    except ValueError:
        message = f"{field} takes a date YYYY-MM-DD or a week YYYY-Www, not {text[:40]!r}"
        raise InvalidWindow(field, message) from None
    day = Day(monday.toordinal() - _ORDINAL_EPOCH)
    if not DAY_MIN - 6 <= day <= DAY_MAX:  # the first week begins in 1969
        raise InvalidWindow(field, f"{field} takes the years 1970 to 2100")
    return day


def parse_id(text: str) -> Window:
    """The window of an id as `Window.id` writes it.

    Raises:
        InvalidWindow: if no window has this id.
    """
    if text == "all-time":
        return ALL_TIME
    if ".." in text:
        first, _, last = text.partition("..")
        return custom(parse_day(first, "from"), parse_day(last, "to"))
    if "-W" in text:
        return weekly(parse_week(text))
    return daily(parse_day(text))
