"""Parquet as its readers have it: one schema for every window, and instants that no time zone moves."""

import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.domain.calendar import Day
from shared.domain.events import POINTS_MAX
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.exports.table import RankedTable
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart

AT_MS = 1_795_430_526_698
AT = datetime(2026, 11, 23, 10, 42, 6, 698_000, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        pa.field("rank", pa.int64()),
        pa.field("competition_rank", pa.int64()),
        pa.field("user_id", pa.string()),
        pa.field("score", pa.int64()),
        pa.field("reached_at", pa.timestamp("us", tz="UTC")),
        pa.field("percentile", pa.decimal128(5, 2)),
        pa.field("tier", pa.string()),
    ]
)
"""A field of pyarrow is nullable unless it says otherwise."""
WINDOWS = {"empty": 0, "of one": 1, "all in a tier": 2, "of many": 7}


def file(directory: Path, players: int, compression: Compression = Compression.ZSTD) -> bytes:
    gold = Tier("gold", TierRule.TOP_N, 2)
    board = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=(gold,))
    standings = [(Day(1), f"u{number}", Standing(POINTS_MAX - number, AT_MS, 1)) for number in range(players)]
    with RankedTable(board, standings, directory) as table:
        table.write(directory / "export", ExportFormat.PARQUET, compression, ExportPart())
    return (directory / "export").read_bytes()


@pytest.mark.parametrize("players", WINDOWS.values(), ids=WINDOWS)
def test_every_windows_file_has_one_schema(players: int, tmp_path: Path) -> None:
    content = file(tmp_path, players)

    assert pq.read_schema(io.BytesIO(content)).remove_metadata() == SCHEMA
    assert pl.read_parquet_schema(io.BytesIO(content)) == {
        "rank": pl.Int64(),
        "competition_rank": pl.Int64(),
        "user_id": pl.String(),
        "score": pl.Int64(),
        "reached_at": pl.Datetime("us", "UTC"),
        "percentile": pl.Decimal(5, 2),
        "tier": pl.String(),
    }
    frame = pd.read_parquet(io.BytesIO(content))
    assert str(frame.dtypes["reached_at"]) == "datetime64[us, UTC]"
    assert [str(frame.dtypes[name]) for name in ("rank", "competition_rank", "score")] == ["int64"] * 3


def test_files_of_full_and_empty_windows_can_be_concatenated(tmp_path: Path) -> None:
    tables = []
    for name, players in WINDOWS.items():
        (tmp_path / name).mkdir()
        tables.append(pq.read_table(io.BytesIO(file(tmp_path / name, players))))

    assert pa.concat_tables(tables).num_rows == sum(WINDOWS.values())


def test_all_readers_read_the_same_lines(tmp_path: Path) -> None:
    content = file(tmp_path, 3)
    expected: list[tuple[Any, ...]] = [
        (1, 1, "u0", POINTS_MAX, AT, Decimal("66.66"), "gold"),
        (2, 2, "u1", POINTS_MAX - 1, AT, Decimal("33.33"), "gold"),
        (3, 3, "u2", POINTS_MAX - 2, AT, Decimal("0.00"), None),
    ]

    assert [tuple(row.values()) for row in pq.read_table(io.BytesIO(content)).to_pylist()] == expected
    assert pl.read_parquet(io.BytesIO(content)).rows() == expected
    frame = pd.read_parquet(io.BytesIO(content)).astype(object)
    assert [tuple(row) for row in frame.where(frame.notna(), None).itertuples(index=False)] == expected


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_an_instant_is_the_same_in_every_time_zone(zone: str, tmp_path: Path) -> None:
    """Both where the file is written and where it is read."""
    code = """
import sys
from pathlib import Path
import duckdb
from tests.unit.export.test_parquet import file
content = file(Path(sys.argv[1]), 1)
path = Path(sys.argv[1]) / "export"
print(duckdb.execute("SELECT epoch_ms(reached_at) FROM read_parquet(?)", [str(path)]).fetchone()[0])
"""
    command = [sys.executable, "-c", code, str(tmp_path)]

    done = subprocess.run(command, env=os.environ | {"TZ": zone}, check=True, capture_output=True, text=True)

    assert int(done.stdout) == AT_MS
