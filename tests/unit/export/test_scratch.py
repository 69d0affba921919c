"""Scratch of exports: each has a directory of its own, and what killed processes have left goes."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from shared.files.scratch import PREFIX, YOUNG_S, scratch


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(directory: Path) -> None:
    then = time.time() - YOUNG_S - 1
    os.utime(directory, (then, then))


def test_a_directory_goes_with_its_export_however_that_ends(place: Path) -> None:
    def fail() -> None:
        with scratch() as directory:
            (directory / "standings.csv").write_text("1")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()

    assert list(place.iterdir()) == []


def test_what_a_killed_process_has_left_goes_with_the_next_export(place: Path) -> None:
    code = (
        "import os, signal\n"
        "from shared.files.scratch import scratch\n"
        "with scratch() as directory:\n"
        "    (directory / 'spilled').write_text('1')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(place)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = place.iterdir()
    age(left)

    with scratch() as directory:
        assert list(place.iterdir()) == [directory]


def test_a_directory_that_somebody_works_in_stays(place: Path) -> None:
    with scratch() as slow:
        age(slow)
        with scratch() as other:
            assert other != slow
        assert slow.exists()


def test_a_directory_that_may_not_have_been_locked_yet_stays(place: Path) -> None:
    young = place / f"{PREFIX}young"
    young.mkdir()

    with scratch():
        assert young.exists()


def test_what_is_not_scratch_stays(place: Path) -> None:
    file, other = place / f"{PREFIX}file", place / "other"
    file.write_text("1")
    other.mkdir()
    for one in (file, other):
        age(one)

    with scratch():
        assert file.exists()
        assert other.exists()


def test_the_lock_is_one_that_other_processes_see(place: Path) -> None:
    with scratch() as directory:
        handle = os.open(directory, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
