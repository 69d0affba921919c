"""Cold start: how long each function takes to import, beside `import fastapi`, in fresh processes by turns."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from infra.bench.results import Figure
from infra.local.config import Config, Ports

YARDSTICK: Final = "fastapi"
AIMS: Final = {"api": 1.4, "ingest": 1.5, "export": 1.5, "repair": None}
LIBRARIES: Final = "fastapi, mangum, redis, boto3, pynamodb.models, aws_lambda_powertools"
"""What the API function stands on, without a line of ours."""
_TIMED: Final = "import time; start = time.process_time(); import {module}; print((time.process_time() - start) * 1000)"


class Size(Struct, frozen=True):
    """How often each is imported."""

    turns: int = 15


TINY: Final = Size(turns=1)


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Median CPU times of the imports; the first turn, which may have to compile, does not count."""
    with TemporaryDirectory() as directory:
        environment = os.environ | Config(Path("state"), Path("packages"), Ports()).environment()
        environment |= {"PYTHONPYCACHEPREFIX": directory, "PYTHONDONTWRITEBYTECODE": ""}  # compiled, as in the image
        ms = _medians(size, environment, progress)
    return [
        Figure(
            key=f"import_ratio_{name}",
            what=f"import of functions.{name}.handler, times that of {YARDSTICK}",
            value=ms[name] / ms["yardstick"],
            unit="×",
            beside=f"{ms[name]:.0f} ms, {YARDSTICK} {ms['yardstick']:.0f} ms",
            at_most=aim,
        )
        for name, aim in AIMS.items()
    ] + [
        Figure(
            key="import_ratio_api_libraries", what=f"import of the API's libraries alone, times that of {YARDSTICK}",
            value=ms["libraries"] / ms["yardstick"], unit="×", beside=LIBRARIES,
        )
    ]  # fmt: skip


def _medians(size: Size, environment: Mapping[str, str], progress: Callable[[str], None]) -> dict[str, float]:
    modules = {"yardstick": YARDSTICK, "libraries": LIBRARIES, **{name: f"functions.{name}.handler" for name in AIMS}}
    times: dict[str, list[float]] = {name: [] for name in modules}
    for turn in range(size.turns + 1):
        progress(f"turn {turn} of {size.turns}")
        for name, module in modules.items():
            command = [sys.executable, "-c", _TIMED.format(module=module)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            if turn:
                times[name].append(float(done.stdout))
    return {name: median(values) for name, values in times.items()}
