"""Who asks, for what is counted by caller however deep it is decided."""

from contextvars import ContextVar
from typing import Final

NOBODY: Final = ""
"""Schedules and queues, which ask for nothing on demand."""
CALLER: Final[ContextVar[str]] = ContextVar("caller", default=NOBODY)
"""The subject of the token; one for all where nobody is asked for one."""
