#!/usr/bin/env bash
# DuckDB writes no Parquet column that is both in milliseconds and UTC-adjusted: whoever casts to TIMESTAMP_MS for the
# unit loses the zone, and TIMESTAMP_S is written as microseconds.
#
# Expected: Parquet's TIMESTAMP has isAdjustedToUTC and the unit as two parameters that are independent of each other
# (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#timestamp), and DuckDB has types for the units
# seconds, milliseconds, microseconds and nanoseconds (https://duckdb.org/docs/stable/sql/data_types/timestamp). Found:
# only TIMESTAMPTZ is UTC-adjusted, always in microseconds; every other type is written as local time, which readers in
# another zone than the writer's shift or not as they see fit. A cast of an instant to TIMESTAMP_MS says nothing of it.
#
# Seen with duckdb 2.0.0, the schema read by pyarrow 26.0.1:
# TIMESTAMPTZ: microseconds, UTC; TIMESTAMPTZ::TIMESTAMP_MS: milliseconds, local; TIMESTAMP_S: microseconds, local
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet duckdb==2.0.0 pyarrow==26.0.1

seen=$("$work/venv/bin/python" - "$work/t.parquet" <<'PYTHON'
import json
import sys

import duckdb
import pyarrow.parquet

found = []
with duckdb.connect() as connection:
    connection.execute("SET TimeZone = 'UTC'")
    for cast in ("TIMESTAMPTZ", "TIMESTAMPTZ::TIMESTAMP_MS", "TIMESTAMP_S"):
        connection.execute(f"COPY (SELECT '2026-11-27 12:00:00'::{cast} AS at) TO '{sys.argv[1]}' (FORMAT parquet)")
        column = pyarrow.parquet.ParquetFile(sys.argv[1]).schema.column(0)
        logical = json.loads(column.logical_type.to_json())
        found.append(f"{cast}: {logical['timeUnit']}, {'UTC' if logical['isAdjustedToUTC'] else 'local'}")
print("; ".join(found))
PYTHON
)
echo "$seen"
wanted="TIMESTAMPTZ: microseconds, UTC; TIMESTAMPTZ::TIMESTAMP_MS: milliseconds, local"
[ "$seen" = "$wanted; TIMESTAMP_S: microseconds, local" ]
