"""Which version of the code this is."""

from functools import cache
from importlib.metadata import version
from typing import Final

DISTRIBUTION: Final = "exact-leaderboards"


@cache
def code_version() -> str:
    """The installed version; looked up once, since that reads files."""
    return version(DISTRIBUTION)
