"""A temporary directory for one export or result."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Final

PREFIX: Final = "leaderboard-scratch-"
YOUNG_S: Final = 60
"""A directory younger than this may not have been locked yet by its owner."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory, locked as long as the `with` block lasts; those of killed processes go first.

    A lock ends with its process, so an unlocked directory belongs to a killed one: its gigabytes are freed for the
    next.
    """
    for left_over in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError, BlockingIOError, NotADirectoryError):
            if time.time() - left_over.stat().st_mtime > YOUNG_S:
                _remove(left_over)
    with TemporaryDirectory(prefix=PREFIX) as name, _locked(Path(name)) as directory:
        yield directory


def _remove(directory: Path) -> None:
    """Raises BlockingIOError if another process has locked it."""
    with _locked(directory):
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _locked(directory: Path) -> Iterator[Path]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield directory
    finally:
        os.close(handle)
