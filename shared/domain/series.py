"""Series: periods that recur. Each occurrence is a registered period of its own, with a window and a result."""

import re
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from shared.domain.calendar import CUSTOM_DAYS_MAX, DAY_MAX, DAY_MIN, Day, InvalidWindow, format_day, to_date
from shared.domain.events import LEADERBOARD_ID_PATTERN
from shared.domain.periods import Period

AHEAD: Final = 2
"""Occurrences that have not begun and are registered all the same: players see what comes next, and whoever makes them
may be out of order for as long as one takes without one being late."""
SHORTEST_MONTH_DAYS: Final = 28
PERIOD_ID_PATTERN: Final = LEADERBOARD_ID_PATTERN.replace(r"\Z", r"(~[0-9]{4}-[0-9]{2}-[0-9]{2})?\Z")
"""Ids of periods: as of leaderboards; those of occurrences end with `~` and their first day."""

_EVERY: Final = re.compile(r"P([1-9]\d{0,2})([DWMY])", re.ASCII)
_UNITS: Final = {"D": (1, 0), "W": (7, 0), "M": (0, 1), "Y": (0, 12)}
_LONGEST: Final = f"P1D to P{CUSTOM_DAYS_MAX}D, P1W to P{CUSTOM_DAYS_MAX // 7}W, P1M to P12M, or P1Y"
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Series(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a period recurs: each occurrence begins where the one before it ends.

    Number n begins at `first` and n times `every`, counted from `first` itself; in a month without that day on the
    month's last one. So a series from the 31st begins on 30 April and on 31 May again.
    """

    id: str
    name: str
    """Of each occurrence."""
    every: str
    """As it was sent, e.g. `P14D`, `P1M`."""
    first: Day
    until: Day | None = None
    """The last day on which an occurrence may end; None for the last day that there is."""
    since: int = 0
    """Number of the first occurrence that is registered at all, since the last change."""
    next: int = 0
    """Number of the occurrence that is registered next. Those from `since` on were."""

    def starts(self, number: int) -> Day:
        """The first day of an occurrence, whether or not there is one of this number."""
        days, months = parse_every(self.every)
        if days:
            return Day(self.first + number * days)
        anchor = to_date(self.first)
        years, month = divmod(anchor.year * 12 + anchor.month - 1 + number * months, 12)
        day = min(anchor.day, monthrange(years, month + 1)[1])
        return Day(date(years, month + 1, day).toordinal() - _EPOCH)

    def occurrence(self, number: int) -> Period | None:
        """The period of a number; None if it would end after `until`."""
        first, last = self.starts(number), Day(self.starts(number + 1) - 1)
        if last > (DAY_MAX if self.until is None else min(self.until, DAY_MAX)):
            return None
        return Period(id=f"{self.id}~{format_day(first)}", name=self.name, first=first, last=last)

    def due(self, today: Day) -> Period | None:
        """The occurrence that is to be registered now; None if AHEAD of them that have not begun are."""
        if self.next - self.since >= AHEAD and self.starts(self.next - AHEAD) > today:
            return None
        return self.occurrence(self.next)

    def owns(self, period: Period) -> bool:
        """Whether a period is an occurrence of it, by its id."""
        return period.id.startswith(f"{self.id}~")

    def is_as(self, other: "Series") -> bool:
        """Whether it recurs in the same way, under the same name."""
        return replace(self, since=0, next=0) == replace(other, since=0, next=0)

    def begin(self, today: Day, stay: Iterable[Period]) -> "Series":
        """A new series, from the first occurrence on that is not over and begins after those that stay.

        Args:
            today: by the leaderboard's calendar.
            stay: occurrences of a series of the same id that was deleted.
        """
        return self._from(max(self._first_after(_last(stay)), self._first_after(today) - 1))

    def go_on(self, today: Day, stay: Iterable[Period]) -> "Series":
        """A series that was changed, from the first occurrence on that has not begun and begins after those that stay.

        Args:
            today: by the leaderboard's calendar.
            stay: occurrences that were registered before.
        """
        return self._from(self._first_after(max(today, _last(stay))))

    def _from(self, number: int) -> "Series":
        return replace(self, since=number, next=number)

    def _first_after(self, day: Day) -> int:
        """Number of the first occurrence that begins after a day."""
        days, months = parse_every(self.every)
        numbers = range(max(0, day - self.first) // (days or months * SHORTEST_MONTH_DAYS) + 2)
        return bisect_right(numbers, day, key=self.starts)


def _last(periods: Iterable[Period]) -> Day:
    """The last day of some periods; the one before every day if there are none."""
    return max((one.last for one in periods), default=Day(DAY_MIN - 1))


@lru_cache(1_024)
def parse_every(text: str) -> tuple[int, int]:
    """Days and months of an ISO 8601 duration, one of which is 0.

    Raises:
        InvalidWindow: naming `every`, if it is none, or longer than a window may be.
    """
    match = _EVERY.fullmatch(text)
    if match is not None:
        count, (days, months) = int(match[1]), _UNITS[match[2]]
        if count * days <= CUSTOM_DAYS_MAX and count * months <= 12:
            return count * days, count * months
    raise InvalidWindow("every", f"must be {_LONGEST}, an ISO 8601 duration, not {text[:40]!r}")


def check(series: Series) -> None:
    """Check that a series has an occurrence.

    Raises:
        InvalidWindow: naming `every` or `until`.
    """
    if series.occurrence(0) is not None:
        return
    last = Day(series.starts(1) - 1)
    if last > DAY_MAX:
        raise InvalidWindow("from", "must be so early that one occurrence ends by 2100-12-31")
    raise InvalidWindow("until", f"must be {format_day(last)} or later: the first occurrence ends then")
