"""`python -m infra.bench [--tiny] [PART,PART…]`: measure, and print and keep one table."""

import argparse
import importlib
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from infra.bench import plots
from infra.bench.results import DIRECTORY, Results
from infra.local.config import POWERTOOLS

PARTS: Final = ("ingest", "cache", "reads", "imports", "rebuild", "export", "final_result", "end_to_end")


def main() -> int:
    """Run the chosen parts, one after another."""
    parser = argparse.ArgumentParser(prog="infra.bench")
    parser.add_argument("parts", nargs="?", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--tiny", action="store_true", help="a size that only shows that everything works")
    parser.add_argument("--seconds", type=float, help="how long parts that last some time (reads) do")
    parser.add_argument("--directory", type=Path, default=DIRECTORY)
    options = parser.parse_args()
    parts = [part.strip().replace("-", "_") for part in options.parts.split(",") if part.strip()]
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    os.environ |= POWERTOOLS
    console = Console(stderr=True)
    results = Results(options.directory)
    warnings.filterwarnings("ignore", message="No application metrics")
    for part in parts:
        run_part(part, results, console, tiny=options.tiny, seconds=options.seconds)
    plots.draw(results.entries, options.directory)
    results.print(Console(width=180 if not sys.stdout.isatty() else None))
    print(f"kept in {options.directory}: results.json, results.md, *.svg")
    return 0


def run_part(part: str, results: Results, console: Console, *, tiny: bool, seconds: float | None = None) -> None:
    """Measure one part and keep its figures; `seconds` is how long it lasts, where a part has such a size."""
    module = importlib.import_module(f"infra.bench.{part}")
    size = module.TINY if tiny else module.Size()
    if seconds is not None and "seconds" in size.__struct_fields__:
        size = msgspec.structs.replace(size, seconds=seconds)
    start = time.monotonic()
    with console.status(part) as status:
        figures = module.run(size, lambda what: status.update(f"{part}: {what}"))
    results.add(part, figures)
    console.print(f"{part}: {len(figures)} figures in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
