"""When the days of a leaderboard begin, for proofs: by the clocks of its zone, with no code of the service."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from importlib import metadata, resources
from typing import Any, Final
from zoneinfo import ZoneInfo

DAY_MS: Final = 86_400_000
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
CLOCKS_BACK_MAX: Final = 180
"""Minutes that no clocks are put back by more than at once."""


def clocks(board: Mapping[str, Any]) -> Callable[[int], int]:
    """Which day an instant falls into, since 1970: by the clocks of the leaderboard's zone, or, where its days were
    computed by other rules of zones than are here, by the days that its definition holds.
    """
    calendar = board.get("calendar") or {}
    if not calendar:
        return lambda at_ms: at_ms // DAY_MS
    if calendar["tzdata"] != metadata.version("tzdata"):
        return partial(_day_held, calendar["runs"])
    return partial(_day, calendar.get("zone", "UTC"), timedelta(minutes=calendar.get("starts_at_min", 0)))


def _day(zone: str, starts_at: timedelta, at_ms: int) -> int:
    """The last day whose start the clocks of a zone have shown by an instant."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    named = _zone(zone)
    shown = [
        (moment - timedelta(minutes=before)).astimezone(named).replace(tzinfo=None) for before in range(CLOCKS_BACK_MAX)
    ]
    return max((one - starts_at).date().toordinal() for one in shown) - EPOCH_ORDINAL


def _day_held(runs: str, at_ms: int) -> int:
    """The day by runs of days, each as how many days it begins after the one before, and its seconds past 00:00 UTC."""
    first, found = 0, 0
    for days, offset_s in (map(int, run.split(":")) for run in runs.split()):
        first += days
        if at_ms < first * DAY_MS + offset_s * 1000:
            return min(found, first - 1)
        found = (at_ms - offset_s * 1000) // DAY_MS
    return found


@lru_cache
def _zone(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, name)


def misdated(window: Mapping[str, str | None], board: Mapping[str, Any], day_of: Callable[[int], int]) -> list[str]:
    """What is wrong with the time zone and the instants that a manifest gives for a window's dates."""
    if "timeZone" not in window:  # of before there were time zones
        return []
    calendar, first, last = board.get("calendar") or {}, window["from"], window["to"]
    said = (window["timeZone"], window["dayStartsAt"], window["tzdata"] or "")
    starts_at = "{:02d}:{:02d}".format(*divmod(calendar.get("starts_at_min", 0), 60))
    true = (calendar.get("zone", "UTC"), starts_at, calendar.get("tzdata", ""))
    wrong = [] if said == true else [f"manifest: days are those of {said}; the definition says {true}"]
    if first is None or last is None:
        return wrong
    start, end = map(int, bounds(window))
    numbers = [date.fromisoformat(one).toordinal() - EPOCH_ORDINAL for one in (first, last)]
    is_outside = day_of(start - 1) < numbers[0] and numbers[1] < day_of(end)
    is_inside = start == end or (numbers[0] <= day_of(start) and day_of(end - 1) <= numbers[1])
    if not (start <= end and is_outside and is_inside):  # they are one instant of a date that the zone skips
        wrong.append(
            f"manifest: {window['startsAt']} and {window['endsAt']} are not when {first} begins and {last} ends"
        )
    return wrong


def bounds(window: Mapping[str, str | None]) -> tuple[float, float]:
    """First instant of a window and first one after it, as its manifest has them."""
    if window["from"] is None or window["to"] is None:
        return 0, float("inf")
    starts_at, ends_at = window.get("startsAt"), window.get("endsAt")
    if starts_at is not None and ends_at is not None:
        start, end = (datetime.fromisoformat(one) - datetime(1970, 1, 1, tzinfo=UTC) for one in (starts_at, ends_at))
        return start // timedelta(milliseconds=1), end // timedelta(milliseconds=1)
    epoch = date(1970, 1, 1)
    first, last = date.fromisoformat(window["from"]), date.fromisoformat(window["to"])
    return (first - epoch).days * DAY_MS, (last - epoch + timedelta(days=1)).days * DAY_MS
