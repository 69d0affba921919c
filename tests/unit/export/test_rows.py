"""Exports are sorted and folded by a second implementation: it has to agree with the plain one below."""

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace
from openpyxl.utils.escape import unescape

from shared.closing.ranking import FoldedWindow, WindowRanking
from shared.closing.result_files import COLUMNS, ranking_file
from shared.domain.audit import Disqualified
from shared.domain.calendar import Day
from shared.domain.events import POINTS_MAX
from shared.domain.labels import Label
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule, Ties
from shared.exports import table as ranked_table
from shared.exports.table import RankedTable
from shared.reads.rankings import UnknownFilter, UnknownTier
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart, TooManyRows
from tests.support.folding import by_player

DAY_MS = 86_400_000
USERS = ["ann", "bob", 'quo"te', "com,ma", "semi;colon", " space ", "ünï", "\U0001f600", "￿", "=1+1", "Ann", "#1", "#,"]
TIERS = (Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.TOP_PERCENT, 5_000, Ties.SHARED))

line = st.tuples(
    st.sampled_from([20_000, 20_001, 20_002]),
    st.sampled_from(USERS),
    st.integers(-3, 3),
    st.integers(0, 2),
    st.sampled_from([0, 2]),
)
"""Day, user, points, time, and points that cancelled out."""


def board(aggregation: Aggregation, order: Order) -> Leaderboard:
    return Leaderboard(id="cup", name="Cup", aggregation=aggregation, order=order, tiers=TIERS)


@given(
    aggregation=st.sampled_from(Aggregation),
    order=st.sampled_from(Order),
    lines=st.lists(line, unique_by=lambda one: one[:2], max_size=33),
    export_format=st.sampled_from(ExportFormat),
    random=st.randoms(use_true_random=False),
    qualify=st.none() | st.integers(-2, 2),
)
def test_an_export_is_the_ranking_whatever_order_the_truth_is_read_in(
    aggregation: Aggregation,
    order: Order,
    lines: list[Any],
    export_format: ExportFormat,
    random: Any,
    qualify: int | None,
) -> None:
    standings = [
        (Day(day), user, Standing(points, day * DAY_MS + at, 1, absolute_sum=abs(points) + cancelled))
        for day, user, points, at, cancelled in lines
    ]
    random.shuffle(standings)

    rules = replace(board(aggregation, order), qualify=qualify)

    table, content = export(rules, standings, export_format)

    assert read(content, export_format) == expected(aggregation, order, lines, qualify)
    assert table.rows == len({user for _, user, *_ in lines})
    assert table.sum_of_points == sum(row[3] for row in expected(aggregation, order, lines))
    if export_format is ExportFormat.CSV:
        with TemporaryDirectory() as name:
            window = FoldedWindow(rules, by_player(standings), Path(name))
            ranking = WindowRanking(window, Disqualified())
            assert b"".join(ranking_file(ranking.entries())) == content


VALUES = [
    "DE",
    "FR",
    "",
    "fr",
    'quo"te',
    "com,ma",
    " space ",
    "two\nlines",
    "\r",
    "\x00é\x1b",
    "=1+1",
    "#1",
    "00123",
    "é" * 256,
]
FILTERS = ("country", "Country", "club_1", "rank")
"""Two that a reader may take for one, and one that is called as another column is."""
HEADER = (*COLUMNS, "attr.country", "attr.Country.2", "attr.club_1", "attr.rank")
label = st.tuples(
    st.sampled_from(FILTERS), st.sampled_from(VALUES), st.integers(0, 2), st.sampled_from(["", "a", "é\x00"])
)
"""Filter, value, time and event."""
EMPTY_IS_NONE = (ExportFormat.CSV, ExportFormat.XLSX)
"""Formats that tell no empty value from none."""


@given(
    lines=st.lists(
        st.tuples(line, st.lists(label, unique_by=lambda one: one[0])), unique_by=lambda one: one[0][:2], max_size=20
    ),
    export_format=st.sampled_from(ExportFormat),
    asked=st.dictionaries(st.sampled_from(FILTERS), st.sampled_from(VALUES), max_size=2),
)
def test_an_export_has_the_values_of_filters_whatever_they_hold(
    lines: list[Any], export_format: ExportFormat, asked: dict[str, str]
) -> None:
    leaderboard = replace(board(Aggregation.SUM, Order.DESC), filters=FILTERS)
    standings = [
        (
            Day(day),
            user,
            Standing(
                points,
                day * DAY_MS + at,
                1,
                absolute_sum=abs(points) + more,
                labels=tuple(Label(name, value, day * DAY_MS + then, event) for name, value, then, event in labels),
            ),
        )
        for (day, user, points, at, more), labels in lines
    ]
    carried: dict[str, dict[str, str]] = {}
    for (_, user, *_), labels in sorted(lines, key=lambda one: one[0][0]):
        for name, value, _then, _event in labels:  # the latest of a player is on their latest day
            carried.setdefault(user, {})[name] = value
    ranked = expected(Aggregation.SUM, Order.DESC, [one for one, _ in lines])
    rows = [row for row in ranked if all(carried.get(row[2], {}).get(name) == asked[name] for name in asked)]

    _, content = export(leaderboard, standings, export_format, part=ExportPart(attr=asked or UNSET))

    header, found = table_of(content, export_format)
    ranks = ("attr_rank", "attr_competition_rank") if asked else ()
    assert header == (*HEADER, *ranks) or (export_format is ExportFormat.NDJSON and not rows)
    shown = [tuple(str(one[column]) for column in (0, 1, 2, 3)) for one in found]
    assert shown == [tuple(map(str, row[:4])) for row in rows]
    values = [tuple(one[len(COLUMNS) : len(HEADER)]) for one in found]
    of_rows = [[carried.get(row[2], {}).get(name) for name in FILTERS] for row in rows]
    assert values == [
        tuple((one or None) if export_format in EMPTY_IS_NONE else one for one in of_row) for of_row in of_rows
    ]
    if asked:
        firsts = [1 + sum(other[1] < row[1] for other in rows) for row in rows]
        assert [(int(one[-2]), int(one[-1])) for one in found] == list(enumerate(firsts, start=1))
    elif export_format is ExportFormat.CSV:
        with TemporaryDirectory() as name:
            ranking = WindowRanking(FoldedWindow(leaderboard, by_player(standings), Path(name)), Disqualified())
            assert b"".join(ranking_file(ranking.entries(), FILTERS, ranking.values())) == content


@pytest.mark.parametrize(
    ("part", "users"),
    [
        (ExportPart(top_n=2), ["u7", "u5"]),
        (ExportPart(top_n=9), ["u7", "u5", "u3", "u1"]),
        (ExportPart(top_basis_points=5_000), ["u7", "u5"]),  # of three that qualify
        (ExportPart(tier="gold"), []),
        (ExportPart(tier="silver"), ["u7"]),  # half of six is its cutoff
    ],
)
def test_the_first_of_those_who_carry_a_value_are_counted_among_them(part: ExportPart, users: list[str]) -> None:
    leaderboard = replace(board(Aggregation.SUM, Order.DESC), filters=("odd",), qualify=3)
    standings = [
        (
            Day(1),
            f"u{number}",
            Standing(number, 5, 1, labels=(Label("odd", "no" if number % 2 == 0 else "yes", 5, "e"),)),
        )
        for number in range(9)
    ]

    table, content = export(leaderboard, standings, part=replace(part, attr={"odd": "yes"}))

    _, rows = table_of(content, ExportFormat.CSV)
    assert [row[2] for row in rows] == users
    assert [row[0] for row in rows] == [str(9 - int(user[1])) for user in users], "ranks stay those of the whole"
    assert [row[-2] for row in rows] == [str(number) for number in range(1, len(users) + 1)]
    assert table.rows == 9


def test_a_player_carries_the_latest_value_of_each_filter() -> None:
    leaderboard = replace(board(Aggregation.BEST, Order.DESC), filters=("country", "club"))
    standings = [
        (Day(1), "ann", Standing(9, 5, 1, labels=(Label("club", "x", 5, "e"), Label("country", "DE", 5, "e")))),
        (Day(2), "ann", Standing(1, 6, 1, labels=(Label("country", "FR", 6, "e"),))),
        (Day(1), "bob", Standing(9, 7, 1, labels=(Label("country", "FR", 7, "e"),))),
        (Day(1), "cat", Standing(8, 7, 1, labels=(Label("club", "x", 7, "e"), Label("country", "FR", 7, "e")))),
    ]

    def shown(**attr: str) -> list[tuple[str, ...]]:
        _, rows = table_of(export(leaderboard, standings, part=ExportPart(attr=attr))[1], ExportFormat.CSV)
        return [(row[2], row[7], row[8] or "", *row[9:]) for row in rows]

    assert shown(country="FR") == [
        ("ann", "FR", "x", "1", "1"),
        ("bob", "FR", "", "2", "1"),
        ("cat", "FR", "x", "3", "3"),
    ]
    assert shown(country="FR", club="x") == [("ann", "FR", "x", "1", "1"), ("cat", "FR", "x", "2", "2")]
    assert shown(country="DE") == []


def test_a_filter_that_the_leaderboard_has_not_is_refused_rather_than_empty() -> None:
    with pytest.raises(UnknownFilter):
        export(board(Aggregation.SUM, Order.DESC), many(3), part=ExportPart(attr={"guild": "x"}))


def table_of(content: bytes, export_format: ExportFormat) -> tuple[tuple[str, ...], list[list[Any]]]:
    """Header and rows of a file; what a format can't tell from nothing is None."""
    if export_format is ExportFormat.XLSX:
        header, *rows = openpyxl.load_workbook(io.BytesIO(content))["ranking"].iter_rows(values_only=True)
        shown = [[(unescape(one) or None) if isinstance(one, str) else one for one in row] for row in rows]
        return tuple(map(str, header)), shown
    if export_format is ExportFormat.PARQUET:
        table = pq.read_table(io.BytesIO(content))
        return tuple(table.column_names), [list(row) for row in zip(*table.to_pydict().values(), strict=True)]
    if export_format is ExportFormat.NDJSON:
        lines = [json.loads(one) for one in content.decode().split("\n") if one]
        return tuple(lines[0]) if lines else (), [list(one.values()) for one in lines]
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return tuple(header), [[one or None for one in row] for row in rows]


def export(
    leaderboard: Leaderboard,
    standings: list[Any],
    export_format: ExportFormat = ExportFormat.CSV,
    compression: Compression = Compression.NONE,
    part: ExportPart | None = None,
) -> tuple[RankedTable, bytes]:
    with TemporaryDirectory() as name, RankedTable(leaderboard, standings, Path(name)) as table:
        table.write(Path(name) / "file", export_format, compression, part or ExportPart())
        return table, (Path(name) / "file").read_bytes()


def test_standings_of_before_stand_in_place_of_those_that_were_read(tmp_path: Path) -> None:
    """Asked for once all are read: what is amended later is in none of them."""
    leaderboard, asked = board(Aggregation.SUM, Order.DESC), []
    lines = [(Day(1), user, Standing(points, 5, 1)) for user, points in (("ann", 5), ("bob", 99), ("cat", 7))]

    def read() -> Any:
        yield from lines
        asked.append("read")

    def amended() -> Any:
        asked.append("amended")
        before = {Day(1): Standing(3, 1, 1), Day(2): Standing(3, 2, 1)}
        return {"bob": before, "cat": {}, "dan": {Day(1): Standing(0, 9, 1)}}

    with RankedTable(leaderboard, read(), tmp_path, amended) as table:
        table.write(tmp_path / "file", ExportFormat.CSV, Compression.NONE, ExportPart())
        content = (tmp_path / "file").read_bytes()

    assert [one[2:4] for one in read_csv(content)] == [("bob", 6), ("ann", 5), ("dan", 0)]
    assert (table.rows, table.sum_of_points, asked) == (3, 11, ["read", "amended"])


def read_csv(content: bytes) -> list[tuple[Any, ...]]:
    return read(content, ExportFormat.CSV)


def read_sheet(content: bytes) -> list[tuple[Any, ...]]:
    header, *rows = openpyxl.load_workbook(io.BytesIO(content))["ranking"].iter_rows()
    assert tuple(one.value for one in header) == COLUMNS
    assert {one.data_type for row in rows for one in (row[2], row[4])} <= {"s", "inlineStr"}, "no number and no formula"
    found = [[one.value for one in row] for row in rows]
    return [(rank, shared, unescape(user), int(score), at, tier) for rank, shared, user, score, at, _, tier in found]


def read(content: bytes, export_format: ExportFormat) -> list[tuple[Any, ...]]:
    if export_format is ExportFormat.XLSX:
        return read_sheet(content)
    if export_format is ExportFormat.PARQUET:
        return read_parquet(content)
    if export_format is ExportFormat.NDJSON:
        found = [json.loads(one) for one in content.decode().splitlines()]
        assert all(tuple(one) == COLUMNS for one in found)
        keys = ("rank", "competition_rank", "user_id", "score", "reached_at", "tier")
        return [tuple(one[key] for key in keys) for one in found]
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    assert tuple(header) == COLUMNS
    return [
        (int(rank), int(shared), user, int(score), at, tier or None) for rank, shared, user, score, at, _, tier in rows
    ]


def read_parquet(content: bytes) -> list[tuple[Any, ...]]:
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        instant = "strftime(reached_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')"
        query = f"SELECT * REPLACE ({instant} AS reached_at) FROM read_parquet(?)"
        found = duckdb.execute(query, [file.name])
        assert tuple(column[0] for column in found.description or ()) == COLUMNS
        return [(rank, shared, user, score, at, tier) for rank, shared, user, score, at, _, tier in found.fetchall()]


def expected(
    aggregation: Aggregation, order: Order, lines: list[Any], qualify: int | None = None
) -> list[tuple[Any, ...]]:
    """By plain words: each player's score over all days, the first place to whom no one is better."""
    scores: dict[str, tuple[int, int]] = {}
    for user in {user for _, user, *_ in lines}:
        parts = sorted((day * DAY_MS + at, points) for day, name, points, at, _ in lines if name == user)
        if aggregation is Aggregation.SUM:
            carrying = [
                day * DAY_MS + at for day, name, *what, at, more in lines if name == user and (*what, more) != (0, 0)
            ]
            scores[user] = (sum(points for _, points in parts), max(carrying, default=parts[0][0]))
        elif aggregation is Aggregation.LATEST:
            scores[user] = (parts[-1][1], parts[-1][0])
        else:
            assert aggregation is Aggregation.BEST
            best = (max if order is Order.DESC else min)(points for _, points in parts)
            scores[user] = (best, min(at for at, points in parts if points == best))
    ranked = sorted(
        scores, key=lambda user: (scores[user][0] * (-1 if order is Order.DESC else 1), scores[user][1], user.encode())
    )
    rows: list[tuple[Any, ...]] = []
    for place, user in enumerate(ranked, start=1):
        at = datetime.fromtimestamp(scores[user][1] / 1000, UTC)
        shared = min(rank for rank, other in enumerate(ranked, start=1) if scores[other][0] == scores[user][0])
        sign = -1 if order is Order.DESC else 1
        fit = [other for other in ranked if qualify is None or scores[other][0] * sign <= qualify * sign]
        tier = "gold" if place == 1 else "silver" if shared <= -(-len(fit) // 2) else None
        tier = tier if user in fit else None
        rows.append(
            (place, shared, user, scores[user][0], f"{at:%Y-%m-%dT%H:%M:%S}.{scores[user][1] % 1000:03d}Z", tier)
        )
    return rows


@pytest.mark.parametrize("order", Order)
def test_scores_are_exact_at_the_ends_of_their_range(order: Order) -> None:
    points = [POINTS_MAX, POINTS_MAX - 1, 0, 1 - POINTS_MAX, -POINTS_MAX]
    lines = [(Day(1), f"u{number}", Standing(one, 5, 1)) for number, one in enumerate(points)]

    for export_format in ExportFormat:
        _, content = export(board(Aggregation.SUM, order), lines, export_format)
        shown = [row[3] for row in read(content, export_format)]
        assert shown == sorted(points, reverse=order is Order.DESC)


@pytest.mark.parametrize("export_format", ExportFormat)
def test_an_empty_window_makes_a_file_without_rows(export_format: ExportFormat) -> None:
    table, content = export(board(Aggregation.SUM, Order.DESC), [], export_format)

    assert (table.rows, table.sum_of_points) == (0, 0)
    assert read(content, export_format) == []


def test_instants_are_told_in_utc_wherever_the_machine_stands() -> None:
    code = (
        "from tests.unit.export.test_rows import *\n"
        "lines = [(Day(20_000), 'ann', Standing(1, 20_000 * DAY_MS + 7, 1))]\n"
        "for one in ExportFormat: print(read(export(board(Aggregation.SUM, Order.DESC), lines, one)[1], one)[0][4])\n"
    )
    environment = os.environ | {"TZ": "America/New_York"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["2024-10-04T00:00:00.007Z"] * len(ExportFormat)


def many(count: int) -> list[tuple[Day, str, Standing]]:
    return [(Day(1), f"u{number}", Standing(number // 3, 5, 1)) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 99, 100, 101])
@pytest.mark.parametrize(
    ("part", "last_rank"),
    [
        (ExportPart(), lambda total: total),
        (ExportPart(top_n=100), lambda total: min(100, total)),
        (ExportPart(top_n=1), lambda total: min(1, total)),
        (ExportPart(top_basis_points=1_000), lambda total: -(-total // 10)),
        (ExportPart(top_basis_points=1), lambda total: -(-total // 10_000)),
        (ExportPart(top_basis_points=10_000), lambda total: total),
    ],
)
def test_a_part_has_its_ranks_and_percentiles_from_the_whole_window(
    part: ExportPart, last_rank: Any, count: int
) -> None:
    leaderboard = board(Aggregation.SUM, Order.ASC)
    _, whole = export(leaderboard, many(count))

    table, content = export(leaderboard, many(count), part=part)

    kept = last_rank(count) + 1
    assert content.splitlines() == whole.splitlines()[:kept]
    assert table.rows == count


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_the_tiers_share_the_entries_among_them(count: int) -> None:
    tiers = (*TIERS, Tier('br"onze, 3', TierRule.MIN_SCORE, 1), Tier("none", TierRule.TOP_N, 1))
    leaderboard = replace(board(Aggregation.SUM, Order.DESC), tiers=tiers)
    _, whole = export(leaderboard, many(count))

    parts = [export(leaderboard, many(count), part=ExportPart(tier=tier.name))[1] for tier in tiers]

    found = [row for part in parts for row in read(part, ExportFormat.CSV)]
    assert found == [row for row in read(whole, ExportFormat.CSV) if row[-1] is not None]
    assert read(parts[-1], ExportFormat.CSV) == []


def test_a_tier_that_the_leaderboard_does_not_have_is_refused_rather_than_empty() -> None:
    with pytest.raises(UnknownTier):
        export(board(Aggregation.SUM, Order.DESC), many(3), part=ExportPart(tier="champion"))


@pytest.mark.parametrize(
    ("compression", "magic"), [(Compression.GZIP, b"\x1f\x8b"), (Compression.ZSTD, b"\x28\xb5\x2f\xfd")]
)
def test_a_compressed_file_holds_the_same_bytes_and_is_the_same_when_made_again(
    compression: Compression, magic: bytes
) -> None:
    leaderboard = board(Aggregation.SUM, Order.DESC)
    _, plain = export(leaderboard, many(5_000))

    _, packed = export(leaderboard, many(5_000), compression=compression)

    assert packed.startswith(magic)
    assert len(packed) < len(plain) / 2
    assert packed == export(leaderboard, many(5_000)[::-1], compression=compression)[1]
    with NamedTemporaryFile(suffix=".csv") as file:
        file.write(packed)
        file.flush()
        query = f"SELECT user_id FROM read_csv(?, compression = '{compression}')"
        users = [user for (user,) in duckdb.execute(query, [file.name]).fetchall()]
    assert users == [row[2] for row in read(plain, ExportFormat.CSV)]


@pytest.mark.parametrize("export_format", ExportFormat)
def test_what_does_not_fit_into_memory_is_spilled_and_the_bytes_are_the_same(
    export_format: ExportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        (Day(1 + number % 2), f"{'u' * 100}{number // 2}", Standing(number % 977, 5, 1)) for number in range(60_000)
    ]
    leaderboard = board(Aggregation.BEST, Order.DESC)
    _, in_memory = export(leaderboard, lines, export_format)
    spilled: list[int] = []
    monkeypatch.setattr(ranked_table, "MEMORY_MB", 24)
    monkeypatch.setattr(ranked_table, "THREADS", 1)

    with TemporaryDirectory() as name, RankedTable(leaderboard, lines, Path(name)) as table:
        spilled += [file.stat().st_size for file in Path(name).rglob("*") if file.is_file()]
        table.write(Path(name) / "file", export_format, Compression.NONE, ExportPart())
        content = (Path(name) / "file").read_bytes()

    assert sum(spilled) > 1_000_000
    assert content == in_memory


def test_a_sheet_has_ids_and_long_scores_as_text_and_the_same_bytes_each_time() -> None:
    users = ["00123", "1E5", "=1+1", "+49 30", "2026-11-27", "https://example.com", "@x", " space ", "ünï"]
    scores = [10**15 - 1, 10**15, POINTS_MAX, -(10**15), 7, 6, 5, 4, 3]
    standings = [(Day(20_000), *line) for line in zip(users, (Standing(one, 1, 1) for one in scores), strict=True)]
    leaderboard = board(Aggregation.BEST, Order.DESC)

    _, content = export(leaderboard, standings, ExportFormat.XLSX)

    rows = list(openpyxl.load_workbook(io.BytesIO(content))["ranking"].iter_rows(min_row=2))
    shown = {row[2].value: (row[3].value, row[3].data_type) for row in rows}
    assert shown == {
        user: (score, "n") if abs(score) < 10**15 else (str(score), rows[0][2].data_type)
        for user, score in zip(users, scores, strict=True)
    }
    assert [row[5].number_format for row in rows] == ["0.00"] * len(rows)
    assert all(one.hyperlink is None for row in rows for one in row)
    assert export(leaderboard, standings, ExportFormat.XLSX)[1] == content


def test_a_sheet_takes_only_so_many_rows_and_a_part_may_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.truth.export_jobs.SHEET_ROWS_MAX", 2)
    standings = [(Day(20_000), f"u{number}", Standing(number, 1, 1)) for number in range(3)]
    leaderboard = board(Aggregation.BEST, Order.DESC)

    with pytest.raises(TooManyRows, match=r"^must not be xlsx for 3 rows: a sheet has 2; choose a part, or csv$"):
        export(leaderboard, standings, ExportFormat.XLSX)
    _, content = export(leaderboard, standings, ExportFormat.XLSX, part=ExportPart(top_n=2))
    assert [row[2] for row in read_sheet(content)] == ["u2", "u1"]
    export(leaderboard, standings, ExportFormat.CSV)
