"""What a run of closing did, and what has to wait and why."""

from enum import StrEnum

from msgspec import Struct

from shared.closing.coverage import Missing
from shared.truth.finals import FinalResult


class Cause(StrEnum):
    """What keeps a bucket from being closed or a window from becoming final."""

    LAG = "lag"
    """A partition has not passed the offset that the cutoff falls on."""
    LOST = "lost"
    """The topic does not fit what is committed: its retention took records before, or it was made anew."""
    DIFFERENCE = "difference"
    """Cache and truth disagree."""
    CACHE = "cache"
    """The cache can't be compared now: it is out of reach or being rebuilt."""
    TRUTH = "truth"
    TOPIC = "topic"
    NOTICE = "notice"
    """A result is there, but nobody could be told."""
    TIME = "time"
    """The run had no time left; the next one goes on there."""
    ERROR = "error"
    """Something that is for people to mend; the log has it in full."""


class Blocked(Struct, frozen=True):
    """A day or window that has to wait."""

    leaderboard_id: str
    what: str
    """Id of the window, or the day."""
    cause: Cause
    detail: str
    since_ms: int | None = None
    """Since when it could be closed or final."""


class Run:
    """What one run did."""

    def __init__(self) -> None:
        self.finals: list[FinalResult] = []
        self.blocked: list[Blocked] = []
        self.lost: Missing | None = None
        """What the topic has lost, though no day may be due that it would block."""
        self.errors: list[Exception] = []
        """What nobody expected, once for each leaderboard that was not looked after for it."""
        self.unchecked = 0
        """Leaderboards that there was no time for."""

    def delay_ms(self, now_ms: int) -> int:
        """How long what is blocked has waited, at the most; 0 if nothing is."""
        return max((now_ms - one.since_ms for one in self.blocked if one.since_ms is not None), default=0)
