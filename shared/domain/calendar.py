"""Calendar: when a leaderboard's days begin, the windows made of them, which a day feeds, and how long each is kept.

Standings are kept for each day, and for all time, which counts as a day of its own. Every instant and duration is in
milliseconds. What a window is made of, and how long the cache keeps it, goes by dates alone; when its days begin and
end is up to the leaderboard's `Calendar`.
"""

import re
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, chain
from typing import Final, NewType, cast

import msgspec

Day = NewType("Day", int)
"""A date, as days since 1970-01-01, or ALL_TIME_DAY."""

DAY_MS: Final = 86_400_000
DAY_MIN: Final = Day(0)
DAY_MAX: Final = Day((date(2100, 12, 31) - date(1970, 1, 1)).days)
ALL_TIME_DAY: Final = Day(0xFFFF)
"""Not a day: the standing that a player's events of every day add up to. Past every day, and fits two bytes."""
ALL_DAYS: Final = Day(0xFFFE)
"""Not a day: says in the cache's all-time window that all days of a player are there, of which the score is made."""
CUSTOM_DAYS_MAX: Final = 366
"""Longest custom window: one leap year, the most days that one read of the truth folds."""
WEEK_DAYS: Final = 7
LONGEST_DAYS: Final = 31
"""Days of the longest window that a day feeds, all time aside: a month."""
RETENTION_MS: Final = 35 * DAY_MS
"""How long the cache keeps a day, week or month after its cutoff; a later read builds it from the truth."""
EXPIRY_MARGIN_MS: Final = 3_600_000
"""How much longer the cache has a window than `is_kept` says: the clocks of functions differ from the cache's."""

CALENDARS_MAX: Final = 1_000
"""Tables of days that a function holds, some 20 KB each for a zone with summer time."""
DAYS_KEPT_MAX: Final = 4_096
"""Days whose text is remembered, some 60 bytes each."""

_ORDINAL_EPOCH: Final = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WEEK = re.compile(r"(\d{4})-W(\d\d)", re.ASCII)
_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)


class WindowKind(StrEnum):
    """The ways to cut time into windows."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    ALL_TIME = "all-time"
    CUSTOM = "custom"


class WindowStatus(StrEnum):
    """`open` while its time runs, `closing` while records for it may still count, then `final`."""

    OPEN = "open"
    CLOSING = "closing"
    FINAL = "final"


class InvalidWindow(ValueError):
    """A date, week, month or range that no window has. `field` names what was wrong, the message what it takes."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Window(msgspec.Struct, frozen=True, gc=False):
    """A run of whole days that is ranked. `first` and `last` are inclusive, and the same for all time."""

    kind: WindowKind
    first: Day
    last: Day

    @property
    def id(self) -> str:
        """`2026-11-23`, `2026-W48`, `2026-11`, `all-time` or `2026-11-01..2026-11-15`."""
        match self.kind:
            case WindowKind.DAILY:
                return format_day(self.first)
            case WindowKind.WEEKLY:
                year, week, _ = to_date(self.first).isocalendar()
                return f"{year}-W{week:02d}"
            case WindowKind.MONTHLY:
                return format_day(self.first)[:7]
            case WindowKind.ALL_TIME:
                return "all-time"
            case WindowKind.CUSTOM:
                return f"{format_day(self.first)}..{format_day(self.last)}"

    @property
    def is_all_time(self) -> bool:
        """Whether it is the window without an end."""
        return self.kind is WindowKind.ALL_TIME

    @property
    def days(self) -> Sequence[Day]:
        """The days it is made of, oldest first; for all time the one standing that is kept for it."""
        return cast("Sequence[Day]", range(max(self.first, DAY_MIN), self.last + 1))


ALL_TIME: Final = Window(WindowKind.ALL_TIME, ALL_TIME_DAY, ALL_TIME_DAY)


DayRun = tuple[int, int]
"""The first of some days in a row, and how much later than 00:00 UTC of its date each of them begins, in seconds."""
_Table = tuple[Sequence[int], Sequence[int], Sequence[int]]


class Calendar(msgspec.Struct, frozen=True, omit_defaults=True):
    """When the days of a leaderboard begin: at `starts_at_min` minutes past midnight by the clocks of a time zone.

    A day begins at the first instant at which these clocks show its date and that time, or later. So one whose start
    they skip begins when they jump; one whose start they show twice begins at the first; and a date that they skip
    altogether begins and ends at that instant, and no event is in it.

    All that decides this is written in `runs`, once, by whoever defines the leaderboard. So functions with different
    rules of time zones agree, and no day moves when these change.
    """

    zone: str = "UTC"
    """IANA name."""
    starts_at_min: int = 0
    tzdata: str = ""
    """The version of the time zones' rules that `runs` are from, e.g. `2026.6`; empty for UTC."""
    runs: str = ""
    """Ascending runs of days (DayRun), as `write_runs` writes them; empty where every day begins at 00:00 UTC."""

    def day_of(self, moment_ms: int) -> Day:
        """The day that an instant falls into."""
        if not self.runs:
            return Day(moment_ms // DAY_MS)
        begins_ms, firsts, offsets_ms = _table(self.runs)
        number = max(0, bisect_right(begins_ms, moment_ms) - 1)
        day = (moment_ms - offsets_ms[number]) // DAY_MS
        if number + 1 < len(firsts):  # the next run begins later than the days of this one would go on
            day = min(day, firsts[number + 1] - 1)
        return Day(day)

    def day_start_ms(self, day: Day) -> int:
        """First instant of a day."""
        if not self.runs:
            return day * DAY_MS
        _, firsts, offsets_ms = _table(self.runs)
        return day * DAY_MS + offsets_ms[max(0, bisect_right(firsts, day) - 1)]

    def day_end_ms(self, day: Day) -> int:
        """First instant after a day."""
        return self.day_start_ms(Day(day + 1))

    def start_ms(self, window: Window) -> int | None:
        """First instant of a window; None for all time."""
        return None if window.kind is WindowKind.ALL_TIME else self.day_start_ms(window.first)

    def end_ms(self, window: Window) -> int | None:
        """First instant after a window (half-open); None for all time."""
        return None if window.kind is WindowKind.ALL_TIME else self.day_end_ms(window.last)

    def status(self, window: Window, now_ms: int, *, final: bool = False) -> WindowStatus:
        """Status at `now_ms`. Only the ranking that was written once makes a window `final`, never the clock."""
        if final:
            return WindowStatus.FINAL
        end_ms = self.end_ms(window)
        if end_ms is None or now_ms < end_ms:
            return WindowStatus.OPEN
        return WindowStatus.CLOSING

    def first_moved(self, other: "Calendar", after: Day) -> Day | None:
        """The first day after `after` that begins at another time by another calendar; None if there is none."""
        ours, theirs = (read_runs(one.runs) for one in (self, other))
        firsts = sorted({Day(first) for first, _ in (*ours, *theirs) if first > after} | {Day(after + 1)})
        return next((day for day in firsts if self.day_start_ms(day) != other.day_start_ms(day)), None)


UTC: Final = Calendar()


def write_runs(runs: Iterable[DayRun]) -> str:
    """Runs of days as text, e.g. `-7:43200` of a calendar whose days begin at 12:00 UTC: each as how many days it
    begins after the one before, and the offset. Runs that go on like the one before are left out.
    """
    parts: list[str] = []
    day, offset_s = 0, None
    for first, following_s in runs:
        if following_s != offset_s:
            parts.append(f"{first - day}:{following_s}")
            day, offset_s = first, following_s
    return " ".join(parts)


def read_runs(text: str) -> list[DayRun]:
    """Runs of days as `write_runs` wrote them."""
    pairs = [tuple(map(int, part.split(":"))) for part in text.split()]
    firsts = accumulate(days for days, _ in pairs)
    return [(first, offset_s) for first, (_, offset_s) in zip(firsts, pairs, strict=True)]


@lru_cache(CALENDARS_MAX)
def _table(runs: str) -> _Table:
    """Of each run when it begins, its first day, and its offset, for `bisect`."""
    parsed = read_runs(runs)
    offsets_ms = [offset_s * 1000 for _, offset_s in parsed]
    begins_ms = [first * DAY_MS + offset_ms for (first, _), offset_ms in zip(parsed, offsets_ms, strict=True)]
    return begins_ms, [first for first, _ in parsed], offsets_ms


def day_of(moment_ms: int) -> Day:
    """The UTC day that an instant falls into; a leaderboard's is told by its `Calendar`."""
    return UTC.day_of(moment_ms)


def to_date(day: Day) -> date:
    """The calendar date of a day."""
    return date.fromordinal(_ORDINAL_EPOCH + day)


@lru_cache(DAYS_KEPT_MAX)
def format_day(day: Day) -> str:
    """ISO 8601 date of a day, or `all-time` for the standing over all days."""
    return "all-time" if day == ALL_TIME_DAY else to_date(day).isoformat()


def parse_day(text: str, field: str = "date") -> Day:
    """The day of an ISO 8601 date `YYYY-MM-DD` from 1970 to 2100.

    Raises:
        InvalidWindow: naming `field`.
    """
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        day = Day(date.fromisoformat(text).toordinal() - _ORDINAL_EPOCH)
    except ValueError:
        raise InvalidWindow(field, f"{field} must be a date YYYY-MM-DD, not {text[:40]!r}") from None
    if not DAY_MIN <= day <= DAY_MAX:
        raise InvalidWindow(field, f"{field} must be in the years 1970 to 2100")
    return day


def monday_of(day: Day) -> Day:
    """The Monday on or before a day. 1970-01-01 was a Thursday."""
    return Day(day - (day + 3) % 7)


def daily(day: Day) -> Window:
    """The window of one day."""
    return Window(WindowKind.DAILY, day, day)


def weekly(day: Day) -> Window:
    """The ISO 8601 week (Monday to Sunday) that a day falls into."""
    monday = monday_of(day)
    return Window(WindowKind.WEEKLY, monday, Day(monday + 6))


def monthly(day: Day) -> Window:
    """The calendar month that a day falls into."""
    found = to_date(day)
    first = Day(day - found.day + 1)
    return Window(WindowKind.MONTHLY, first, Day(first + monthrange(found.year, found.month)[1] - 1))


def custom(first: Day, last: Day) -> Window:
    """A range of days, both inclusive.

    Raises:
        InvalidWindow: if it ends before it starts or is longer than CUSTOM_DAYS_MAX days.
    """
    if last < first:
        raise InvalidWindow("to", "to must be a date on or after from")
    if last - first >= CUSTOM_DAYS_MAX:
        raise InvalidWindow("to", f"a range must be at most {CUSTOM_DAYS_MAX} days")
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
        message = f"{field} must be a date YYYY-MM-DD or a week YYYY-Www, not {text[:40]!r}"
        raise InvalidWindow(field, message) from None
    day = Day(monday.toordinal() - _ORDINAL_EPOCH)
    if not DAY_MIN - 6 <= day <= DAY_MAX:  # the first week begins in 1969
        raise InvalidWindow(field, f"{field} must be in the years 1970 to 2100")
    return day


def parse_month(text: str, field: str = "date") -> Day:
    """The first day of a month `YYYY-MM`.

    Raises:
        InvalidWindow: naming `field`.
    """
    try:
        if not _MONTH.fullmatch(text):
            raise ValueError
        date.fromisoformat(f"{text}-01")
    except ValueError:
        message = f"{field} must be a date YYYY-MM-DD or a month YYYY-MM, not {text[:40]!r}"
        raise InvalidWindow(field, message) from None
    return parse_day(f"{text}-01", field)


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
    if _MONTH.fullmatch(text):
        return monthly(parse_month(text))
    return daily(parse_day(text))


_KEPT: Final = (daily, weekly, monthly)
"""The kinds of window that every day feeds and the cache can keep for everyone. A custom window is built on demand."""


def windows_fed_by(day: Day) -> list[Window]:
    """The windows that a day feeds and the cache can keep for everyone: a day's day, week and month, or all time."""
    return [ALL_TIME] if day >= ALL_DAYS else [make(day) for make in _KEPT]


def current_windows(today: Day) -> list[Window]:
    """The windows that are going on today: day, week, month, all time."""
    return [*windows_fed_by(today), ALL_TIME]


def recent_windows(today: Day) -> list[Window]:
    """All time, and of each other kind the window before the current one and the current one; some may be the same."""
    pairs = ((make(Day(max(DAY_MIN, make(today).first - 1))), make(today)) for make in _KEPT)
    return [ALL_TIME, *chain.from_iterable(pairs)]


def windows_ending(day: Day) -> list[Window]:
    """The windows whose last day this is; registered periods aside."""
    return [window for window in windows_fed_by(day) if window.last == day]


def kept_until_ms(window: Window, lateness_ms: int) -> int | None:
    """When ingest stops feeding a window that the cache keeps; None for never.

    By the UTC days of its dates, whatever the calendar: days of others end up to 14 hours earlier or 36 hours later, of
    35 days.
    """
    return None if window.kind is WindowKind.ALL_TIME else (window.last + 1) * DAY_MS + lateness_ms + RETENTION_MS


def expires_ms(window: Window, lateness_ms: int) -> int:
    """When the cache drops a window that the cache keeps; 0 for never."""
    until_ms = kept_until_ms(window, lateness_ms)
    return 0 if until_ms is None else until_ms + EXPIRY_MARGIN_MS


def is_kept(window: Window, lateness_ms: int, now_ms: int) -> bool:
    """Whether the cache keeps a window for everyone; it builds any other from the truth on demand."""
    if window.kind is WindowKind.CUSTOM:
        return False
    until_ms = kept_until_ms(window, lateness_ms)
    return until_ms is None or now_ms < until_ms


def kept_days(lateness_ms: int, now_ms: int, kinds: Collection[WindowKind]) -> list[Day]:
    """All time if it is of these kinds, then every day that feeds a window of them which is kept, oldest first,
    tomorrow last.

    Tomorrow, by UTC, is among them because the clocks of producers may run ahead, and those of a time zone do.
    """
    longest = LONGEST_DAYS if WindowKind.MONTHLY in kinds else WEEK_DAYS
    days = _days(now_ms - lateness_ms - RETENTION_MS, UTC.day_of(now_ms) + 2, longest)
    return [ALL_TIME_DAY, *days] if WindowKind.ALL_TIME in kinds else list(days)


def cached_windows(lateness_ms: int, now_ms: int) -> set[Window]:
    """Every window that the cache may hold for everyone, by any lateness up to this one."""
    oldest_end_ms, stop = now_ms - lateness_ms - RETENTION_MS - EXPIRY_MARGIN_MS, UTC.day_of(now_ms) + WEEK_DAYS
    days = _days(oldest_end_ms, stop, LONGEST_DAYS)
    return {ALL_TIME, *(window for day in days for window in windows_fed_by(day))}


def _days(oldest_end_ms: int, stop: int, longest: int) -> Iterator[Day]:
    """Days, up to but without `stop`, of windows of up to `longest` days that end at `oldest_end_ms` or later."""
    oldest = UTC.day_of(max(0, oldest_end_ms)) - longest
    return map(Day, range(max(DAY_MIN, oldest), stop))
