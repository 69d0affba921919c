"""ISO 8601 durations of fixed length: weeks, days, hours, minutes, seconds. Months and years have none."""

import re
from typing import Final

_UNITS_MS: Final = {"W": 604_800_000, "D": 86_400_000, "H": 3_600_000, "M": 60_000, "S": 1_000}
_DURATION = re.compile(
    r"P(?:(?P<W>\d{1,9})W|(?:(?P<D>\d{1,9})D)?"
    r"(?:T(?=\d)(?:(?P<H>\d{1,9})H)?(?:(?P<M>\d{1,9})M)?(?:(?P<S>\d{1,9})(?:\.(?P<ms>\d{1,3}))?S)?)?)",
    re.ASCII,
)


def parse_duration(text: str) -> int:
    """Milliseconds of a duration such as `PT1H`, `P1DT12H` or `PT0.5S`.

    Raises:
        ValueError: if it is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None or text == "P":
        raise ValueError("must be an ISO 8601 duration in days, hours, minutes and seconds, e.g. PT1H")
    whole = sum(int(match[unit] or 0) * length for unit, length in _UNITS_MS.items())
    return whole + int((match["ms"] or "0").ljust(3, "0"))


def format_duration(milliseconds: int) -> str:
    """The shortest form, e.g. `PT1H`, `P1DT12H`, `PT0S`."""
    days, rest = divmod(milliseconds, _UNITS_MS["D"])
    hours, rest = divmod(rest, _UNITS_MS["H"])
    minutes, rest = divmod(rest, _UNITS_MS["M"])
    seconds, fraction = divmod(rest, _UNITS_MS["S"])
    date = f"{days}D" if days else ""
    time = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if fraction:
        time += f"{seconds}.{fraction:03d}".rstrip("0") + "S"
    elif seconds or not (date or time):
        time += f"{seconds}S"
    return f"P{date}" + (f"T{time}" if time else "")
