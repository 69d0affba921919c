"""The ranking of a window, from the truth and sorted by a second implementation, so that it and the cache check each
other: DuckDB folds, sorts and writes it, and spills to disk what does not fit into its memory.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb

from shared.domain.calendar import Day
from shared.domain.events import ATTRIBUTE_CHARACTERS_MAX
from shared.domain.labels import columns_of
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule, Ties
from shared.exports.spreadsheet import write_spreadsheet
from shared.reads.rankings import check_label, check_tier
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart, check_rows

MEMORY_MB: Final = 300
"""What DuckDB may take before it spills; the process around it takes another 150 MB."""
THREADS: Final = 2
LINES_AT_ONCE: Final = 10_000

Lines = Iterable[tuple[Day, str, Standing]]

_STANDINGS: Final = {
    "day": "INTEGER",
    "user_id": "VARCHAR",
    "points": "BIGINT",
    "reached_at": "BIGINT",
    "only_zeros": "BOOLEAN",
}
# of each filter the value of the latest event, by time, then by event id: both in hex, whose order is that of the bytes
_LABELS: Final = "CREATE TABLE labels AS SELECT user_id, {values} FROM standings GROUP BY user_id"
_VALUE: Final = "decode(from_hex(arg_max(coalesce(v{0}, ''), k{0}) FILTER (k{0} IS NOT NULL))) AS v{0}"
_FOLDS: Final = {
    # sums of any days are within a BIGINT, see docs/adr/0046; a cast that is not fails
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
  FROM ({fold})) {labels}
"""
_CARRIERS: Final = """
CREATE OR REPLACE TABLE carriers AS
SELECT *, row_number() OVER (ORDER BY rank) AS attr_rank, rank() OVER (ORDER BY competition_rank)
       AS attr_competition_rank, count(*) FILTER (WHERE rank <= qualified) OVER () AS attr_qualified
FROM ranked WHERE {carried}
"""
"""Those who carry some values, which are parameters, with their ranks among themselves."""
# percentile: two decimals, cut off as shared/domain/ranking.py has it
_COLUMNS: Final = """
SELECT rank, competition_rank, user_id, score, {reached_at} AS reached_at,
       (((total - rank) * 10000 // total) / 100)::DECIMAL(5, 2) AS percentile, tiers.name AS tier {more}
FROM {table} LEFT JOIN tiers ON tiers.number = tier_number
WHERE {selected} ORDER BY rank
"""
_TEXT: Final = "strftime(epoch_ms(reached_at), '%Y-%m-%dT%H:%M:%S.%gZ')"
_UTC: Final = "make_timestamptz(reached_at * 1000)"
"""An instant, whatever the reader's time zone. DuckDB has it in microseconds only."""
_NULLABLE: Final = """
SELECT nullif(rank, -1) AS rank, nullif(competition_rank, -1) AS competition_rank,
       nullif(user_id, chr(0)) AS user_id, nullif(score, {least}) AS score,
       nullif(reached_at, make_timestamptz(-1)) AS reached_at, nullif(percentile, -1) AS percentile, tier {more}
FROM ({columns}) ORDER BY rank
"""
"""DuckDB takes a column for one that may not be null if the statistics of its data say so. Here no statistics can, so
that files of all windows have one schema, also of one without players. None of these values ever stands there."""
LEAST: Final = -(2**63)
_TOO_LONG: Final = f"repeat('x', {ATTRIBUTE_CHARACTERS_MAX + 1})"
_ATTR_RANKS: Final = ("attr_rank", "attr_competition_rank")
_AS: Final = {
    # RFC 4180; with a character for comments, 2.0 quotes a field that begins with it, which no other writer does
    ExportFormat.CSV: "FORMAT csv, HEADER, NEW_LINE '\r\n', COMMENT ''",
    ExportFormat.NDJSON: "FORMAT json",
    ExportFormat.PARQUET: "FORMAT parquet",
}


class RankedTable:
    """All entries of a window in a database of its own, which lives as long as the `with` block."""

    def __init__(
        self,
        leaderboard: Leaderboard,
        lines: Lines,
        directory: Path,
        amended: Callable[[], Mapping[str, Mapping[Day, Standing]]] = dict,
    ) -> None:
        """Load and rank.

        Args:
            leaderboard: whose rules.
            lines: the standings of the window's days; none of them empty.
            directory: takes what is spilled: some 60 bytes a standing, and as much again where a sort does not fit.
            amended: called once the lines are read: the standings of players that stand in place of theirs.
        """
        settings: dict[str, Any] = {
            "memory_limit": f"{MEMORY_MB}MB",
            "threads": THREADS,
            "temp_directory": str(directory / "spilled"),
        }
        self._leaderboard = leaderboard
        self._columns = columns_of(leaderboard.filters)
        self._carried: dict[str, str] = {}
        """Filters and values of the table of carriers, if there is one."""
        self._database = duckdb.connect(str(directory / "ranking.duckdb"), config=settings)
        self._load(lines, directory / "standings.csv")
        self._replace(amended())
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
            UnknownFilter: if it has not one of the part's filters.
        """
        table, condition = self._table(part), self._condition(part)
        rows, points = self._one(f"SELECT count(*), coalesce(sum(score), 0) FROM {table} WHERE {condition}")  # noqa: S608
        return rows, points

    def carriers(self, part: ExportPart) -> int | None:
        """How many players carry the part's values; None if it has none. Raises UnknownFilter as `selected` does."""
        if not part.attr:
            return None
        (carriers,) = self._one(f"SELECT count(*) FROM {self._table(part)}")  # noqa: S608
        return int(carriers)

    def write(self, file: Path, export_format: ExportFormat, compression: Compression, part: ExportPart) -> None:
        """Write the selected entries in ranking order; rank, percentile and tier are those of the whole window.

        Each filter of the leaderboard has a column with the value that the player carries. Of a part by `attr`,
        `attr_rank` and `attr_competition_rank` count among those who carry its values.

        CSV is RFC 4180's in UTF-8, with a header; an entry without tier has an empty field. NDJSON has one object a
        line by the names of the same columns; without tier it is null. Parquet has them typed: integers, text, an
        instant in UTC, a decimal; each may be null by its schema, but only tier and values ever are. XLSX has ids,
        values, instants and scores of more than 15 digits as text.

        Raises:
            UnknownTier: if the leaderboard has no tier of the part's name.
            UnknownFilter: if it has not one of the part's filters.
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
        query = self._query(part, export_format)
        if export_format is ExportFormat.PARQUET:
            query = _NULLABLE.format(columns=query, least=LEAST, more=self._nullable(part))
        self._database.execute(f"COPY ({query}) TO '{file}' ({options})")

    def _write_spreadsheet(self, file: Path, part: ExportPart) -> None:
        rows, _ = self.selected(part)
        check_rows(rows)
        found = self._database.execute(self._query(part, ExportFormat.XLSX))
        columns = [column[0] for column in found.description or ()]
        pages = iter(lambda: found.fetchmany(LINES_AT_ONCE), [])
        write_spreadsheet(file, columns, chain.from_iterable(pages), file.parent)

    def _query(self, part: ExportPart, export_format: ExportFormat) -> str:
        # CSV has nothing between two commas for no value and for an empty one, as a result's file has
        value = "nullif(v{0}, '')" if export_format is ExportFormat.CSV else "v{0}"
        values = [f'{value.format(number)} AS "{column}"' for number, column in enumerate(self._columns)]
        ranks = _ATTR_RANKS if part.attr else ()
        return _COLUMNS.format(
            reached_at=_UTC if export_format is ExportFormat.PARQUET else _TEXT,
            more="".join(f", {column}" for column in (*values, *ranks)),
            table=self._table(part),
            selected=self._condition(part),
        )

    def _nullable(self, part: ExportPart) -> str:
        values = [f'nullif("{column}", {_TOO_LONG}) AS "{column}"' for column in self._columns]
        ranks = [f"nullif({column}, -1) AS {column}" for column in _ATTR_RANKS] if part.attr else []
        return "".join(f", {column}" for column in (*values, *ranks))

    def _table(self, part: ExportPart) -> str:
        """The table that a part is selected from: the ranking, or those in it who carry the part's values."""
        if not part.attr:
            return "ranked"
        if self._carried != part.attr:
            for label in part.attr.items():
                check_label(self._leaderboard, label)
            numbers = [self._leaderboard.filters.index(name) for name in part.attr]
            carried = " AND ".join(f"v{number:d} = ?" for number in numbers)
            self._database.execute(_CARRIERS.format(carried=carried), list(part.attr.values()))
            self._carried = dict(part.attr)
        return "carriers"

    def _load(self, lines: Lines, file: Path) -> None:
        # a file takes a third of the time of rows handed over one by one, and no memory
        filters = self._leaderboard.filters
        with file.open("w", newline="") as text:
            writer = csv.writer(text, quoting=csv.QUOTE_ALL)
            source = iter(lines)
            while chunk := list(islice(source, LINES_AT_ONCE)):
                writer.writerows(
                    (day, user_id, one.points, one.reached_at_ms, one.only_zeros, *_in_hex(filters, one))
                    for day, user_id, one in chunk
                )
        labels = {f"{column}{number}": "VARCHAR" for number in range(len(filters)) for column in "kv"}
        options = f"header = false, quote = '\"', escape = '\"', auto_detect = false, columns = {_STANDINGS | labels}"
        self._database.execute(f"CREATE TABLE standings AS SELECT * FROM read_csv('{file}', {options})")  # noqa: S608
        file.unlink()

    def _replace(self, amended: Mapping[str, Mapping[Day, Standing]]) -> None:
        filters = self._leaderboard.filters
        for user_id, standings in amended.items():
            self._database.execute("DELETE FROM standings WHERE user_id = ?", [user_id])
            for day, one in standings.items():
                row = [day, user_id, one.points, one.reached_at_ms, one.only_zeros, *_in_hex(filters, one)]
                places = ", ".join("?" * len(row))
                self._database.execute(f"INSERT INTO standings VALUES ({places})", row)  # noqa: S608

    def _rank(self) -> None:
        first = "DESC" if self._leaderboard.order is Order.DESC else "ASC"
        fold = _FOLDS[self._leaderboard.aggregation].format(first=first)
        tiers = self._leaderboard.tiers
        cases = "".join(
            f" WHEN rank <= qualified AND {_takes(tier)} THEN {number}" for number, tier in enumerate(tiers)
        )
        tier = f"CASE{cases} END" if cases else "NULL"
        ranked = _RANKED.format(
            first=first, fold=fold, tier=tier, qualifies=self._qualifies(), labels=self._fold_labels()
        )
        self._database.execute(ranked)
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

    def _fold_labels(self) -> str:
        """Find who carries which values; what joins them to a ranking."""
        if not self._leaderboard.filters:
            return ""
        values = ", ".join(_VALUE.format(number) for number in range(len(self._leaderboard.filters)))
        self._database.execute(_LABELS.format(values=values))
        return "LEFT JOIN labels USING (user_id)"

    def _condition(self, part: ExportPart) -> str:
        if part.tier is not None:
            check_tier(self._leaderboard, part.tier)
            names = [tier.name for tier in self._leaderboard.tiers]
            return f"tier_number = {names.index(part.tier):d}"
        rank, qualified = ("attr_rank", "attr_qualified") if part.attr else ("rank", "qualified")
        if part.top_n is not None:
            return f"{rank} <= {part.top_n:d}"
        if part.top_basis_points is not None:
            return f"{rank} <= {_cutoff(qualified, part.top_basis_points)}"
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
            return f"{counted} <= {_cutoff('qualified', tier.value)}"
        case TierRule.MIN_SCORE:
            return f"score >= {tier.value:d}"
        case TierRule.MAX_SCORE:
            return f"score <= {tier.value:d}"


def _cutoff(qualified: str, basis_points: int) -> str:
    return f"({qualified} * {basis_points:d} + 9999) // 10000"


def _in_hex(filters: Sequence[str], standing: Standing) -> Iterator[str | None]:
    """Of each filter when and by which event the player got its value, to be compared as text; and the value.

    In hex, for both may hold whatever text: a file of lines would take some of it for its own marks.
    """
    labels = {label.filter: label for label in standing.labels}
    for name in filters:
        label = labels.get(name)
        if label is None:
            yield from (None, None)
        else:
            yield label.occurred_at_ms.to_bytes(8).hex() + label.event_id.encode().hex()
            yield label.value.encode().hex()
