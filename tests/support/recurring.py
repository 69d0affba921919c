"""When the occurrences of a series begin, as the documents say it: written a second time."""

from datetime import date, timedelta


def starts(anchor: date, every: str, number: int) -> date:
    """The first day of an occurrence: so many durations after the first one, on the month's last day if it is short."""
    count, unit = int(every[1:-1]) * number, every[-1]
    if unit in "DW":
        return anchor + timedelta(days=count * (7 if unit == "W" else 1))
    month = date(anchor.year, anchor.month, 1)
    for _ in range(count * (12 if unit == "Y" else 1)):
        month = _next_month(month)
    longest = (_next_month(month) - timedelta(1)).day
    return month.replace(day=min(anchor.day, longest))


def _next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
