"""Sorts more byte strings than memory holds: sorted runs on disk, merged into one file."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from heapq import merge
from pathlib import Path
from typing import Final

RUN_BYTES: Final = 16 * 1024 * 1024
"""What is sorted in memory at a time, some twice as much with what Python adds to each string."""
RUNS_MAX: Final = 128
"""Runs that are merged at once, each an open file: a Lambda function may have 1,024."""
LENGTH_BYTES: Final = 2
"""In front of each string in a file."""


class Sorter:
    """Takes byte strings of up to 65,535 bytes in any order; then gives them in ascending order, as often as asked.

    What fits into one run stays in memory; more goes to files of a directory, which its owner removes.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._lines: list[bytes] = []
        self._bytes = 0
        self._runs: list[Path] = []
        self._files = 0
        self._is_sorted = False

    def add(self, line: bytes) -> None:
        """Take one string, before the first iteration."""
        assert not self._is_sorted  # noqa: S101
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= RUN_BYTES:
            self._spill()

    def __iter__(self) -> Iterator[bytes]:
        if not self._is_sorted:
            self._finish()
        return _read(self._runs[0]) if self._runs else iter(self._lines)

    def _finish(self) -> None:
        self._lines.sort()
        if self._runs:
            if self._lines:
                self._spill()
            if len(self._runs) > 1:
                self._merge()
        self._is_sorted = True

    def _spill(self) -> None:
        self._lines.sort()
        self._runs.append(self._write(self._lines))
        self._lines, self._bytes = [], 0
        if len(self._runs) == RUNS_MAX:
            self._merge()

    def _merge(self) -> None:
        merged = self._write(merge(*map(_read, self._runs)))
        for run in self._runs:
            run.unlink()
        self._runs = [merged]

    def _write(self, lines: Iterable[bytes]) -> Path:
        self._files += 1
        file = self._directory / f"{self._name}-{self._files}"
        with file.open("wb") as run:
            run.writelines(part for line in lines for part in (len(line).to_bytes(LENGTH_BYTES, "big"), line))
        return file


def _read(file: Path) -> Iterator[bytes]:
    with closing(file.open("rb")) as run:
        while length := run.read(LENGTH_BYTES):
            yield run.read(int.from_bytes(length, "big"))
