"""The ranking of a window, from the truth and sorted by a second implementation, so that it and the cache check each
other: DuckDB folds, sorts and writes it, and spills to disk what does not fit into its memory.
"""

import csv
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb

from shared.domain.calendar import Day
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule, Ties
from shared.exports.spreadsheet import write_spreadsheet
from shared.reads.rankings import check_tier
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart, check_rows

MEMORY_MB: Final = 300
"""What DuckDB may take before it spills; the process around it takes another 150 MB."""
THREADS: Final = 2
LINES_AT_ONCE: Final = 10_000

Lines = Iterable[tuple[Day, str, Standing]]

_STANDINGS: Final = (
    "{'day': 'INTEGER', 'user_id': 'VARCHAR', 'points': 'BIGINT', 'reached_at': 'BIGINT', 'only_zeros': 'BOOLEAN'}"
)
_FOLDS: Final = {
    # sums of every range of days are within a BIGINT, see docs/adr/0004; a cast that is not fails
    Aggregation.SUM: "SELECT user_id, sum(points)::BIGINT AS score, coalesce(max(reached_at) FILTER (NOT only_zeros),"
    " min(reached_at)) AS reached_at FROM standings GROUP BY user_id",
    Aggregation.BEST: "SELECT user_id, points AS score, reached_at FROM standings"
    " QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY points {first}, reached_at) = 1",
    # two days never share an instant
    Aggregation.LATEST: "SELECT user_id, points AS score, reached_at FROM standings"
    " QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY day DESC) = 1",
}
_RANKED: Final = """
CREATE TABLE ranked AS
SELECT *, {tier} AS tier_number FROM (
  SELECT row_number() OVER (ORDER BY score {first}, reached_at, user_id) AS rank,
         rank() OVER (ORDER BY score {first}) AS competition_rank, count(*) OVER () AS total,
         count(*) FILTER (WHERE {qualifies}) OVER () AS qualified, user_id, score, reached_at
  FROM ({fold}))
"""
# percentile: two decimals, cut off as shared/domain/ranking.py has it
_COLUMNS: Final = """
SELECT rank, competition_rank, user_id, score, {reached_at} AS reached_at,
       (((total - rank) * 10000 // total) / 100)::DECIMAL(5, 2) AS percentile, tiers.name AS tier
FROM ranked LEFT JOIN tiers ON tiers.number = ranked.tier_number
WHERE {selected} ORDER BY rank
"""
_TEXT: Final = "strftime(epoch_ms(reached_at), '%Y-%m-%dT%H:%M:%S.%gZ')"
_UTC: Final = "make_timestamptz(reached_at * 1000)"
"""An instant, whatever the reader's time zone. DuckDB has it in microseconds only."""
_NULLABLE: Final = """
SELECT nullif(rank, -1) AS rank, nullif(competition_rank, -1) AS competition_rank,
       nullif(user_id, chr(0)) AS user_id, nullif(score, {least}) AS score,
       nullif(reached_at, make_timestamptz(-1)) AS reached_at, nullif(percentile, -1) AS percentile, tier
FROM ({columns}) ORDER BY rank
"""
"""DuckDB takes a column for one that may not be null if the statistics of its data say so. Here no statistics can, so
that files of all windows have one schema, also of one without players. None of these values ever stands there."""
LEAST: Final = -(2**63)
_AS: Final = {
    # RFC 4180; with a character for comments, 2.0 quotes a field that begins with it, which no other writer does
    ExportFormat.CSV: "FORMAT csv, HEADER, NEW_LINE '\r\n', COMMENT ''",
    ExportFormat.NDJSON: "FORMAT json",
    ExportFormat.PARQUET: "FORMAT parquet",
}


class RankedTable:
    """All entries of a window in a database of its own, which lives as long as the `with` block."""

    def __init__(self, leaderboard: Leaderboard, lines: Lines, directory: Path) -> None:
        """`directory` takes what is spilled: some 60 bytes a standing, and as much again where a sort does not fit."""
        settings: dict[str, Any] = {
            "memory_limit": f"{MEMORY_MB}MB",
            "threads": THREADS,
            "temp_directory": str(directory / "spilled"),
        }
        self._leaderboard = leaderboard
        self._database = duckdb.connect(str(directory / "ranking.duckdb"), config=settings)
        self._load(lines, directory / "standings.csv")
        self._rank()
        rows, points = self._one("SELECT count(*), coalesce(sum(score), 0) FROM ranked")
        self.rows: int = rows
        self.sum_of_points: int = points

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def selected(self, part: ExportPart) -> tuple[int, int]:
        """How many entries are selected, and the sum of their points.

        Raises:
            UnknownTier: if the leaderboard has no tier of the part's name.
        """
        condition = self._condition(part)
        rows, points = self._one(f"SELECT count(*), coalesce(sum(score), 0) FROM ranked WHERE {condition}")  # noqa: S608
        return rows, points

    def write(self, file: Path, export_format: ExportFormat, compression: Compression, part: ExportPart) -> None:
        """Write the selected entries in ranking order; rank, percentile and tier are those of the whole window.

        CSV is RFC 4180's in UTF-8, with a header; an entry without tier has an empty field. NDJSON has one object a
        line by the names of the same columns; without tier it is null. Parquet has them typed: integers, text, an
        instant in UTC, a decimal; each may be null by its schema, but only the tier ever is. XLSX has ids, instants and
        scores of more than 15 digits as text.

        Raises:
            UnknownTier: if the leaderboard has no tier of the part's name.
            TooManyRows: if XLSX can't take all entries.
        """
        if export_format is ExportFormat.XLSX:
            self._write_spreadsheet(file, part)
            return
        options = _AS[export_format]
        if export_format is ExportFormat.PARQUET and compression is Compression.NONE:
            options += ", COMPRESSION uncompressed"
        elif compression is not Compression.NONE:
            options += f", COMPRESSION {compression}"
        is_parquet = export_format is ExportFormat.PARQUET
        query = _COLUMNS.format(reached_at=_UTC if is_parquet else _TEXT, selected=self._condition(part))
        if is_parquet:
            query = _NULLABLE.format(columns=query, least=LEAST)
        self._database.execute(f"COPY ({query}) TO '{file}' ({options})")

    def _write_spreadsheet(self, file: Path, part: ExportPart) -> None:
        rows, _ = self.selected(part)
        check_rows(rows)
        found = self._database.execute(_COLUMNS.format(reached_at=_TEXT, selected=self._condition(part)))
        columns = [column[0] for column in found.description or ()]
        pages = iter(lambda: found.fetchmany(LINES_AT_ONCE), [])
        write_spreadsheet(file, columns, chain.from_iterable(pages), file.parent)

    def _load(self, lines: Lines, file: Path) -> None:
        # a file takes a third of the time of rows handed over one by one, and no memory
        with file.open("w", newline="") as text:
            writer = csv.writer(text, quoting=csv.QUOTE_ALL)
            source = iter(lines)
            while chunk := list(islice(source, LINES_AT_ONCE)):
                writer.writerows(
                    (day, user_id, one.points, one.reached_at_ms, one.only_zeros) for day, user_id, one in chunk
                )
        options = f"header = false, quote = '\"', escape = '\"', auto_detect = false, columns = {_STANDINGS}"
        self._database.execute(f"CREATE TABLE standings AS SELECT * FROM read_csv('{file}', {options})")  # noqa: S608
        file.unlink()

    def _rank(self) -> None:
        first = "DESC" if self._leaderboard.order is Order.DESC else "ASC"
        fold = _FOLDS[self._leaderboard.aggregation].format(first=first)
        tiers = self._leaderboard.tiers
        cases = "".join(
            f" WHEN rank <= qualified AND {_takes(tier)} THEN {number}" for number, tier in enumerate(tiers)
        )
        tier = f"CASE{cases} END" if cases else "NULL"
        self._database.execute(_RANKED.format(first=first, fold=fold, tier=tier, qualifies=self._qualifies()))
        self._database.execute("CREATE TABLE tiers (number INTEGER, name VARCHAR)")
        if tiers:
            named = [[number, one.name] for number, one in enumerate(tiers)]
            self._database.executemany("INSERT INTO tiers VALUES (?, ?)", named)
        self._database.execute("DROP TABLE standings")

    def _qualifies(self) -> str:
        board = self._leaderboard
        if board.qualify is None:
            return "true"
        return f"score {'>=' if board.order is Order.DESC else '<='} {board.qualify:d}"

    def _condition(self, part: ExportPart) -> str:
        if part.tier is not None:
            check_tier(self._leaderboard, part.tier)
            names = [tier.name for tier in self._leaderboard.tiers]
            return f"tier_number = {names.index(part.tier):d}"
        if part.top_n is not None:
            return f"rank <= {part.top_n:d}"
        if part.top_basis_points is not None:
            return _takes(Tier("", TierRule.TOP_PERCENT, part.top_basis_points))
        return "true"

    def _one(self, query: str) -> Any:
        found = self._database.execute(query).fetchone()
        assert found is not None  # noqa: S101 - an aggregate has one row
        return tuple(int(value) for value in found)


def _takes(tier: Tier) -> str:
    """The tier's rule, as shared/domain/tiers.py has it; all of its parts are integers."""
    counted = "competition_rank" if tier.ties is Ties.SHARED else "rank"
    match tier.rule:
        case TierRule.TOP_N:
            return f"{counted} <= {tier.value:d}"
        case TierRule.TOP_PERCENT:
            return f"{counted} <= (qualified * {tier.value:d} + 9999) // 10000"
        case TierRule.MIN_SCORE:
            return f"score >= {tier.value:d}"
        case TierRule.MAX_SCORE:
            return f"score <= {tier.value:d}"
