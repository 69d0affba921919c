"""`python -m tests.chaos`, called by the Makefile."""

import argparse
import json
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from infra.local.stack import Stack
from tests.chaos.report import show, to_json
from tests.chaos.run import Settings, run

DIRECTORY: Final = Path(".local/chaos").absolute()


def main() -> int:
    """One run; the exit status is 1 unless everything holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long there are load and strikes")
    parser.add_argument("--kills", type=int, default=28, help="how many processes are killed in that time")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="what strikes are drawn from")
    parser.add_argument("--rate", type=float, default=100, help="events a second")
    chosen = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    settings = Settings(chosen.seed, chosen.seconds, chosen.kills, chosen.rate)
    console.print(f"chaos with {settings.kills} kills in {settings.seconds:.0f} s; to repeat it: SEED={settings.seed}")
    for process in Stack.for_test(DIRECTORY / "state").processes:
        process.end_left_over()  # of a run that was killed itself
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    result = run(DIRECTORY / "state", settings, console.print)
    show(result, console)
    report = DIRECTORY / "report.json"
    report.write_text(json.dumps(to_json(result), indent=2) + "\n")
    console.print(f"report: {report}")
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
