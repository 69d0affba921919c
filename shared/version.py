"""Which code this is, for results, manifests and whoever has to find it again."""

import os
from typing import Final

VARIABLE: Final = "CODE_VERSION"


class UnknownVersion(Exception):
    """The version of the code is not set."""


def code_version() -> str:
    """The git revision that the image or the local stack was made from; `+dirty` if files had changed since.

    Raises:
        UnknownVersion: if the environment does not say; functions do not start then (shared/settings.py).
    """
    found = os.environ.get(VARIABLE)
    if not found:
        raise UnknownVersion(f"environment: set `{VARIABLE}`")
    return found
