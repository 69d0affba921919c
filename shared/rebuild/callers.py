"""The caller on whose behalf a window is built; its builds count in the caller's budget."""

from contextvars import ContextVar
from typing import Final

NOBODY: Final = ""
"""Schedules and queues, which build nothing for a reader."""
CALLER: Final[ContextVar[str]] = ContextVar("caller", default=NOBODY)
"""The subject of the access token; NOBODY where the API requires no token: those who ask without one share a
budget."""
