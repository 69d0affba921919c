"""`python -m infra.bench [--tiny] [PART,PART…|table]`: measure, and print and keep one table."""

import argparse
import importlib
import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from infra.bench import comparison, plots
from infra.bench.results import DIRECTORY, Results
from infra.local.config import POWERTOOLS

TABLE: Final = "table"
"""In place of parts: those that are compared with another server, and a table of that."""
QUIET_WAIT_S: Final = 180
PARTS: Final = ("ingest", "cache", "reads", "imports", "rebuild", "export", "final_result", "end_to_end", "console")


def main() -> int:
    """Run the chosen parts, one after another."""
    parser = argparse.ArgumentParser(prog="infra.bench")
    parser.add_argument("parts", nargs="?", default=",".join(PARTS), help=f"of {','.join(PARTS)}, or {TABLE}")
    parser.add_argument("--tiny", action="store_true", help="a size that only shows that everything works")
    parser.add_argument("--seconds", type=float, help="how long parts that last some time (reads) do")
    parser.add_argument("--players", type=float, help="of reads, in place of a million, e.g. 1e7; kept beside it")
    parser.add_argument("--kept", action="store_true", help="measure nothing, print what was measured before")
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    options = parser.parse_args()
    parts = [part.strip().replace("-", "_") for part in options.parts.split(",") if part.strip()]
    is_compared = TABLE in parts
    if is_compared:
        parts = list(dict.fromkeys([*(part for part in parts if part != TABLE), *comparison.PARTS]))
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    os.environ |= POWERTOOLS
    console = Console(stderr=True)
    results = Results(options.directory)
    warnings.filterwarnings("ignore", message="No application metrics")
    sizes = {"seconds": options.seconds, "players": options.players and int(options.players)}
    for part in () if options.kept else parts:
        if is_compared and not options.tiny:
            wait_until_quiet(console)
        run_part(part, results, console, tiny=options.tiny, sizes=sizes)
    plots.draw(results.entries, options.directory)
    results.print(Console(width=180 if not sys.stdout.isatty() else None))
    if is_compared:
        table = comparison.markdown(results.entries)
        options.directory.mkdir(parents=True, exist_ok=True)
        (options.directory / "table.md").write_text(table + "\n")
        print(table)
    print(f"kept in {options.directory}: results.json, results.md, *.svg" + (", table.md" if is_compared else ""))
    return 0


def wait_until_quiet(console: Console) -> None:
    """Let the load of the part before go, so that the next one isn't said to have been measured beside it."""
    deadline = time.monotonic() + QUIET_WAIT_S
    with console.status("waiting until the machine is quiet"):
        while os.getloadavg()[0] > comparison.QUIET_LOAD and time.monotonic() < deadline:
            time.sleep(1)


def run_part(
    part: str, results: Results, console: Console, *, tiny: bool, sizes: Mapping[str, float | None] | None = None
) -> None:
    """Measure one part and keep its figures.

    Args:
        part: as PARTS has it.
        results: where they are kept.
        console: for progress.
        tiny: whether a size will do that only shows that everything works.
        sizes: `seconds` that a part lasts and `players` of its board, in place of its own, for parts that have one such
            size. Figures of another number of players are kept beside the others, by a name that ends in `_at_` and it.
    """
    module = importlib.import_module(f"infra.bench.{part}")
    usual = module.TINY if tiny else module.Size()
    chosen = {name: value for name, value in (sizes or {}).items() if value is not None}
    one = {name: value for name, value in chosen.items() if isinstance(getattr(usual, name, None), int | float)}
    size = msgspec.structs.replace(usual, **one)
    start, load = time.monotonic(), os.getloadavg()[0]
    with console.status(part) as status:
        figures = module.run(size, lambda what: status.update(f"{part}: {what}"))
    if getattr(size, "players", None) != getattr(usual, "players", None):
        suffix = f"_at_{size.players}"
        part += suffix
        figures = [msgspec.structs.replace(figure, key=figure.key + suffix) for figure in figures]
    results.add(part, figures, load)
    console.print(f"{part}: {len(figures)} figures in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
