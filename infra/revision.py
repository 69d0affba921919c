"""The revision of the source that this is run from."""

import os
import subprocess
from functools import cache
from pathlib import Path

from shared.version import VARIABLE

ROOT = Path(__file__).parents[1]


class UnknownRevision(Exception):
    """Neither git nor the environment says which revision this is."""


def revision() -> str:
    """What the environment says, or git's 40 hex digits, with `+dirty` if a file that git knows was changed since.

    Raises:
        UnknownRevision: if neither says, as in a source archive.
    """
    return os.environ.get(VARIABLE) or _of_git()


@cache
def _of_git() -> str:
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+dirty"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode != 0:
        raise UnknownRevision(f"this is not a git repository: set {VARIABLE} to the revision that the source is of")
    return done.stdout.strip()
