"""The table beside another server: plain words, and nothing said of what was not measured."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.bench.comparison import NOT_MEASURED, PARTS, ROWS, Row, markdown
from infra.bench.results import Entry, Figure

TIME = Row(what="time", peer=(2.0, 4.0), unit="ms", keys=("t",), method="m")
RATE = Row(what="rate", peer=(100, 200), unit="/s", keys=("r",), is_rate=True, method="m")
ALONE = Row(what="alone", peer=None, unit="×", keys=("a",), limit=1.4, method="m")


def entry(value: float, load: float | None = None) -> Entry:
    figure = Figure(key="k", what="w", value=value)
    return Entry(figure=figure, part="reads", machine="a machine", date="2026-11-28T09:00", load=load)


@pytest.mark.parametrize(
    ("row", "value", "word"),
    [
        (TIME, 1.79, "ahead"),
        (TIME, 1.81, "par"),
        (TIME, 4.39, "par"),
        (TIME, 4.41, "behind"),
        (RATE, 221, "ahead"),
        (RATE, 219, "par"),
        (RATE, 91, "par"),
        (RATE, 89, "behind"),
        (ALONE, 1.4, "aim met"),
        (ALONE, 1.41, "aim missed"),
    ],
)
def test_ahead_or_behind_takes_a_tenth_beyond_all_that_the_peer_showed(row: Row, value: float, word: str) -> None:
    assert row.compared(value) == word


def test_what_was_not_measured_is_not_compared() -> None:
    table = markdown({"t": entry(1.0)}, (TIME, RATE)).splitlines()
    assert table[2] == "| time | 2–4 ms | 1 ms | ahead | m |"
    assert table[3] == f"| rate | 100–200 /s | {NOT_MEASURED} |  | m |"
    assert table[-1] == "- reads: 2026-11-28, a machine"


@pytest.mark.parametrize(
    ("load", "word", "run"),
    [
        (0.5, "ahead", "a machine, load 0.5 before"),
        (0.6, "ahead, measure again", "a machine, load 0.6 before"),
        (None, "ahead", "a machine"),
    ],
)
def test_what_a_busy_machine_showed_is_to_be_measured_again(load: float | None, word: str, run: str) -> None:
    table = markdown({"t": entry(1.0, load)}, (TIME,)).splitlines()
    assert table[2] == f"| time | 2–4 ms | 1 ms | {word} | m |"
    assert table[-1] == f"- reads: 2026-11-28, {run}"


def test_ours_may_be_made_of_a_figure() -> None:
    rows = {row.what: row for row in ROWS}
    rebuild = rows["rebuild of 1,000,000 players × 3 windows"]
    assert rebuild.value({"rebuild_entries_per_s_at_1000000": entry(50_000)}) == 60
    assert rows["write into three windows, own CPU"].value({"ingest_us_per_event": entry(90)}) == 0.09


def test_a_tiny_run_of_all_parts_fills_the_table_that_takes_no_stack(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra.bench", "--tiny", "--directory", str(tmp_path)]
    subprocess.run([*command, "ingest"], check=True)
    done = subprocess.run([*command, "--kept", "table"], check=True, capture_output=True, text=True)
    lines = {line.split(" | ")[0].strip("| "): line for line in done.stdout.splitlines() if line.startswith("| ")}
    assert NOT_MEASURED not in lines["write into three windows, own CPU"]
    assert NOT_MEASURED in lines["highest rate with p99 < 10 ms"]
    assert (tmp_path / "table.md").read_text().strip() in done.stdout


def test_every_row_is_measured_by_a_part_of_the_table() -> None:
    written = "".join((Path("infra/bench") / f"{part}.py").read_text() for part in (*PARTS, "at_rest"))
    for key in (key for row in ROWS for key in row.keys):
        stem = key.replace("_at_1000000", "_at_{players}").replace("import_ratio_api", "import_ratio_{name}")
        for kind in ("top_page", "deep_page", "player"):
            stem = stem.replace(f"read_{kind}_", "read_{name}_")
        assert f'"{stem}"' in written, key
