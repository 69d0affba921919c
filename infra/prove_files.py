"""Reads the lines of an export for its proof, in each format that programs read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb

PERCENTILE: Final = re.compile(r"\d{1,3}(\.\d{1,2})?")
FILTER: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,31}")
READERS: Final = {
    "csv": "read_csv(?, header = true, all_varchar = true, compression = ?, delim = ',', quote = '\"', escape = '\"', "
    "comment = '')",
    "ndjson": "read_json(?, format = 'newline_delimited', compression = ?, columns = {{rank: 'VARCHAR', "
    "competition_rank: 'VARCHAR', user_id: 'VARCHAR', score: 'VARCHAR', reached_at: 'VARCHAR', percentile: 'VARCHAR', "
    "tier: 'VARCHAR'{more}}})",
    # a local time gets no Z, since it says nothing of when it was; as text, since Python's datetime would need pytz
    "parquet": "(SELECT * REPLACE (strftime(make_timestamp(epoch_us(reached_at)), '%Y-%m-%dT%H:%M:%S.%g') "
    "|| if(typeof(reached_at) = 'TIMESTAMP WITH TIME ZONE', 'Z', '') AS reached_at) FROM read_parquet(?))",
}

Line = tuple[str | None, ...]
"""Rank, competition rank, user id, score, reached at, percentile and tier, as text; then the values of filters, None of
those that the player does not carry, and of a part by `attr` rank and competition rank among those who carry its
values."""


class CannotProve(Exception):
    """The export can't be looked at at all."""


def lines(file: Path, manifest: Mapping[str, Any]) -> Iterator[Line]:
    """What the file says, line by line.

    Raises:
        CannotProve: if no reader knows the format.
    """
    file_format = manifest["format"]
    if file_format not in READERS:
        raise CannotProve(f"{file_format} is not a format to prove: prove the csv export of the same part")
    parameters = [str(file)] if file_format == "parquet" else [str(file), manifest["compression"]]
    ranks = ["attr_rank", "attr_competition_rank"] if manifest["part"].get("attr") else []
    more = [*_columns(manifest.get("filters", [])), *ranks]
    reader = READERS[file_format]
    if file_format == "ndjson":
        reader = reader.format(more="".join(f", '{column}': 'VARCHAR'" for column in more))
    columns = "rank, competition_rank, user_id, score, reached_at, percentile, tier"
    columns += "".join(f', "{column}"' for column in more)
    cursor = duckdb.execute(f"SELECT {columns} FROM {reader}", parameters)  # noqa: S608 - constants, names of filters
    while rows := cursor.fetchmany(10_000):
        for row in rows:
            said = [told(one, file_format) if one is None or isinstance(one, str) else str(one) for one in row[7:]]
            yield (*_as_text(row[:7]), *said)


def _as_text(row: Sequence[Any]) -> Line:
    rank, shared, user_id, score, at, percentile, tier = row
    if PERCENTILE.fullmatch(str(percentile)):  # else it is not a number, and shown unchanged
        percentile = Decimal(str(percentile)).quantize(Decimal("0.01"))
    return str(rank), str(shared), str(user_id), str(score), str(at), str(percentile), tier or ""


def _columns(filters: Sequence[str]) -> Iterator[str]:
    """Each filter's column; the second of two that differ in case alone has its number."""
    for number, name in enumerate(filters, start=1):
        if not FILTER.fullmatch(name):
            raise CannotProve(f"{name!r} is no name of a filter")
        is_second = name.lower() in [one.lower() for one in filters[: number - 1]]
        yield f"attr.{name}.{number}" if is_second else f"attr.{name}"


def told(value: str | None, file_format: str) -> str | None:
    """A value as a file of a format tells it: CSV has the same for an empty one and none."""
    return value or "" if file_format == "csv" else value
