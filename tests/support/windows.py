"""Windows by the parameters of the API, and their entries as the oracle has them."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from tests.support import oracle
from tests.support.stack import System

PAGE = 50
COMPLETE = ("live", "final")
"""Sources of a ranking that is whole; a snapshot is not."""


@dataclass(frozen=True)
class Window:
    """A window by the parameters of the API, and its days; none for all time."""

    query: dict[str, str]
    first: date | None = None
    last: date | None = None


def calendar(first: date, last: date) -> list[Window]:
    """All time, every day from the one before `first` to the one after `last`, and their weeks and months."""
    days = [first + timedelta(days=number) for number in range(-1, (last - first).days + 2)]
    weeks = sorted({day - timedelta(days=day.weekday()) for day in days})
    found = [Window({"window": "all-time"})]
    found += [Window({"window": "daily", "date": day.isoformat()}, day, day) for day in days]
    for monday in weeks:
        year, week, _ = monday.isocalendar()
        sunday = monday + timedelta(days=6)
        found.append(Window({"window": "weekly", "date": f"{year}-W{week:02d}"}, monday, sunday))
    for start in sorted({day.replace(day=1) for day in days}):
        end = (start + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        found.append(Window({"window": "monthly", "date": f"{start:%Y-%m}"}, start, end))
    return found


def read_window(system: System, board: str, window: Window, limit: int = PAGE) -> list[oracle.Entry]:
    """Every entry, page by page."""
    entries: list[oracle.Entry] = []
    while True:
        page = system.get(f"/leaderboards/{board}/rankings", limit=limit, offset=len(entries), **window.query)
        assert page["leaderboardId"] == board
        assert page["source"] in COMPLETE
        entries += [to_entry(line) for line in page["entries"]]
        if len(page["entries"]) < limit:
            assert page["total"] == len(entries)
            return entries


def to_entry(line: dict[str, Any]) -> oracle.Entry:
    """A line of a page."""
    percentile = Decimal(str(line["percentile"]))
    reached_at_ms = oracle.instant(line["reachedAt"])
    return oracle.Entry(
        line["rank"], line["userId"], line["score"], reached_at_ms, percentile, line["tier"], line["competitionRank"]
    )


def from_csv(content: str) -> list[oracle.Entry]:
    """The lines of an export."""
    lines = csv.DictReader(io.StringIO(content, newline=""))
    first, values = (lines.fieldnames or ())[:7], (lines.fieldnames or ())[7:]
    assert first == ["rank", "competition_rank", "user_id", "score", "reached_at", "percentile", "tier"]
    assert all(name.startswith("attr.") for name in values)
    return [
        oracle.Entry(
            int(line["rank"]),
            line["user_id"],
            int(line["score"]),
            oracle.instant(line["reached_at"]),
            Decimal(line["percentile"]),
            line["tier"] or None,
            int(line["competition_rank"]),
        )
        for line in lines
    ]


def from_ndjson(content: str) -> list[oracle.Entry]:
    """As above."""
    return [
        _from_row(line | {"reached_at": oracle.instant(line["reached_at"])})
        for line in (json.loads(line, parse_float=Decimal) for line in content.split("\n") if line)
    ]


def from_parquet(content: bytes) -> list[oracle.Entry]:
    """As above."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "export.parquet"
        file.write_bytes(content)
        with duckdb.connect() as database:
            rows = database.read_parquet(str(file)).project("* REPLACE (epoch_ms(reached_at) AS reached_at)")
            names = rows.columns
            lines = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return [_from_row(line) for line in lines]


def _from_row(line: Mapping[str, Any]) -> oracle.Entry:
    names = ("rank", "competition_rank", "user_id", "score", "reached_at", "percentile", "tier")
    assert tuple(line) == names
    return oracle.Entry(*(line[name] for name in ("rank", *names[2:], "competition_rank")))
