"""Every part of the benchmark measures what it says, in a tiny size. Nothing here asserts on time."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import infra.bench.__main__ as bench
from infra.bench import plots
from infra.bench.results import Figure, Results

KEYS = {
    "ingest": {
        "ingest_us_per_event",
        "ingest_vs_baseline_ratio",
        "items_per_event_worst",
        "cache_roundtrips_per_batch",
    },
    "cache": {"apply_vs_pipelined_ratio", "bytes_per_player_window"},
    "reads": {"read_p99_ms", "read_pause_max_ms", "read_vs_raw_redis_ratio", "cursor_page_cpu_ms", "closed_loop_per_s"},
    "rebuild": {"rebuild_entries_per_s"},
    "export": {"export_rows_per_s"},
    "final_result": {"final_result_peak_mb"},
    "imports": {"import_ratio_api", "import_ratio_ingest", "import_ratio_export"},
    "console": {"console_frame_p50_ms", "console_frame_p99_ms", "console_jump_p50_ms"},
}


@pytest.mark.parametrize("part", KEYS)
def test_a_part_measures_its_figures(part: str) -> None:
    module = importlib.import_module(f"infra.bench.{part}")

    said: list[str] = []
    figures = {figure.key: figure.value for figure in module.run(module.TINY, said.append)}
    if part == "console" and not figures:  # without Chromium; of no other part is nothing enough
        pytest.skip(said[-1])

    assert KEYS[part] <= figures.keys()
    assert all(value >= 0 for value in figures.values())


def test_the_command_measures_without_an_environment_of_its_own(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("POWERTOOLS_")}
    command = [sys.executable, "-m", "infra.bench", "--tiny", "--directory", str(tmp_path), "ingest"]

    subprocess.run(command, check=True, env=bare)

    assert json.loads((tmp_path / "results.json").read_text())["ingest_us_per_event"] > 0


def test_ingest_writes_three_items_an_event_and_calls_redis_once() -> None:
    ingest = importlib.import_module("infra.bench.ingest")

    figures = {figure.key: figure.value for figure in ingest.run(ingest.TINY, lambda _: None)}

    assert figures["items_per_event_worst"] == 3
    assert figures["items_per_event_zipf"] <= 3
    assert figures["cache_roundtrips_per_batch"] == 1


def test_results_are_flat_and_each_says_where_and_when(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add("ingest", [Figure(key="ingest_us_per_event", what="CPU", value=80.5, unit="µs", at_most=119)])

    flat = json.loads((tmp_path / "results.json").read_text())

    assert flat["ingest_us_per_event"] == 80.5
    assert not any(isinstance(value, dict | list) for value in flat.values())
    assert flat["ingest_us_per_event.machine"]
    assert flat["ingest_us_per_event.date"][:2] == "20"
    assert "| ingest | CPU | 80.5 µs |  | ≤ 119 | met |" in (tmp_path / "results.md").read_text()


def test_a_part_measured_again_replaces_only_its_own_figures(tmp_path: Path) -> None:
    first = Results(tmp_path)
    first.add("ingest", [Figure(key="a", what="A", value=1), Figure(key="gone", what="G", value=1)])
    first.add("cache", [Figure(key="b", what="B", value=2)])

    Results(tmp_path).add("ingest", [Figure(key="a", what="A", value=3)])

    flat = json.loads((tmp_path / "results.json").read_text())
    assert (flat["a"], flat["b"]) == (3, 2)
    assert "gone" not in flat


@pytest.mark.parametrize(("value", "met"), [(1.5, True), (1.49, False)])
def test_an_aim_is_met_from_its_bound_on(value: float, met: bool) -> None:
    assert Figure(key="k", what="w", value=value, at_least=1.5).met is met
    assert Figure(key="k", what="w", value=3 - value, at_most=1.5).met is met


def test_figures_at_several_sizes_are_drawn_over_the_size(tmp_path: Path) -> None:
    results = Results(tmp_path)
    points = [Figure(key=f"rate_at_{10**n}", what="r", value=n, unit="players/s", at_least=1) for n in (2, 3)]
    results.add("cache", points)

    plots.draw(results.entries, tmp_path)

    assert {path.name for path in tmp_path.glob("*.svg")} == {"aims.svg", "cache-players-s.svg"}


@pytest.mark.parametrize(("loads", "waits"), [([0.2], 0), ([1.4, 0.8, 0.5], 2)])
def test_a_part_of_the_table_waits_until_the_load_of_the_one_before_is_gone(
    loads: list[float], waits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, slept = iter(loads), list[float]()
    monkeypatch.setattr(os, "getloadavg", lambda: (next(asked), 0.0, 0.0))
    monkeypatch.setattr("time.sleep", slept.append)
    bench.wait_until_quiet(Console(quiet=True))
    assert len(slept) == waits
