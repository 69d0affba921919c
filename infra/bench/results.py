"""What was measured: a flat JSON that later runs bring up to date, and a table."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

DIRECTORY: Final = Path(os.environ.get("BENCH_DIR", ".local/bench"))


class Figure(Struct, frozen=True, kw_only=True):
    """One measured figure and, where there is one, what it is judged by."""

    key: str
    """Its name in the JSON."""
    what: str
    value: float
    unit: str = ""
    beside: str = ""
    """The baselines of the same run, for the table."""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def aim(self) -> str:
        """The aim, for the table."""
        if self.at_least is not None:
            return f"≥ {_number(self.at_least)}"
        return f"≤ {_number(self.at_most)}" if self.at_most is not None else ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.value <= self.at_most if self.at_most is not None else None


class Entry(Struct, frozen=True, kw_only=True):
    """A figure with where and when it was measured."""

    figure: Figure
    part: str
    machine: str
    date: str
    load: float | None = None
    """Load of the machine before the part began (of the minute before); None where it was not noted."""

    @property
    def run(self) -> str:
        """Which part, when, on what, and how busy that was."""
        load = "" if self.load is None else f", load {self.load:.1f} before"
        return f"{self.part}: {self.date[:10]}, {self.machine}{load}"


class Results:
    """All entries by key, kept between runs in a directory."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._directory = directory
        self._entries = self._read()

    @property
    def _store(self) -> Path:
        return self._directory / "entries.json"

    def _read(self) -> dict[str, Entry]:
        if not self._store.exists():
            return {}
        return msgspec.json.decode(self._store.read_bytes(), type=dict[str, Entry])

    @property
    def entries(self) -> dict[str, Entry]:
        """Key → entry."""
        return self._entries

    def add(self, part: str, figures: list[Figure], load: float | None = None) -> None:
        """Take in what a part measured, in place of what it measured before, and write everything.

        `load`: of the machine before it.
        """
        self._entries = {key: entry for key, entry in self._read().items() if entry.part != part}
        date = datetime.now(UTC).isoformat(timespec="seconds")
        for figure in figures:
            self._entries[figure.key] = Entry(figure=figure, part=part, machine=machine(), date=date, load=load)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._store.write_bytes(msgspec.json.encode(self._entries))
        (self._directory / "results.json").write_text(json.dumps(self.flat(), indent=1, ensure_ascii=False) + "\n")
        (self._directory / "results.md").write_text(self.markdown())

    def flat(self) -> dict[str, float | str]:
        """`key` → value, `key.unit`, `key.machine`, `key.date`, and `key.aim` where there is one."""
        flat: dict[str, float | str] = {}
        for key, entry in self._entries.items():
            flat[key] = entry.figure.value
            flat[f"{key}.unit"] = entry.figure.unit
            flat[f"{key}.machine"] = entry.machine
            flat[f"{key}.date"] = entry.date
            if entry.figure.aim:
                flat[f"{key}.aim"] = entry.figure.aim
        return flat

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                entry.part,
                entry.figure.what,
                f"{_number(entry.figure.value)} {entry.figure.unit}".strip(),
                entry.figure.beside,
                entry.figure.aim,
                {True: "met", False: "missed", None: ""}[entry.figure.met],
            )
            for entry in self._entries.values()
        ]

    def markdown(self) -> str:
        """The table as Markdown, with machine and date below."""
        lines = ["| part | what | measured | beside it | aim | |", "|---|---|---:|---|---:|---|"]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self._rows()]
        runs = sorted({entry.run for entry in self._entries.values()})
        return "\n".join([*lines, "", *(f"- {run}" for run in runs), ""])

    def print(self, console: Console) -> None:
        """The table for people."""
        table = Table("part", "what", "measured", "beside it", "aim", "")
        for row in self._rows():
            table.add_row(*row, style="red" if row[-1] == "missed" else None)
        console.print(table)


def machine() -> str:
    """Processor, cores and Python, e.g. `AMD EPYC, 2 cores, Linux 6.18, Python 3.11`."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model n")]
        model = names[0] if names else model
    kernel = ".".join(platform.release().split(".")[:2])
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {kernel}, Python {python}"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1_000_000_000:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
