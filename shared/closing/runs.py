"""What one run of closing did, and what is blocked and why."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from shared.truth.final_results import FinalResult

if TYPE_CHECKING:
    from shared.closing.coverage import Missing  # loads the Kafka client, which readers of causes have no use for


class Cause(StrEnum):
    """What keeps a day from being sealed or a window from becoming final."""

    LAG = "lag"
    """A partition is not committed past the offset that the cutoff falls on."""
    LOST = "lost"
    """The topic has lost records that were not committed: to its retention, or because it was recreated."""
    DRIFT = "drift"
    """The cache differs from the truth."""
    CACHE = "cache"
    """The cache can't be compared: it is out of reach or being rebuilt."""
    TRUTH = "truth"
    """DynamoDB throttles or is out of reach."""
    TOPIC = "topic"
    """The broker does not answer."""
    NOTIFICATION = "notification"
    """A result is written, but SNS did not take its notification."""
    TIME = "time"
    """The run had no time left; the next one resumes there."""
    ERROR = "error"
    """A fault that does not pass by itself; the log has it in full."""


class Blocked(Struct, frozen=True):
    """A day, window, audit entry or notification that has to wait."""

    leaderboard_id: str
    what: str
    """The day, the window's id, `audit entry <number>`, `notifications`, or `all` of the leaderboard."""
    cause: Cause
    detail: str
    since_ms: int | None = None
    """Since when nothing but the cause has kept it waiting; None if unknown."""


class ClosingRun:
    """Collects what one run did."""

    def __init__(self) -> None:
        self.final_results: list[FinalResult] = []
        self.blocked: list[Blocked] = []
        self.lost: Missing | None = None
        """What the topic has lost, even if no day is due that it would block."""
        self.uncommitted: Mapping[int, Missing] = {}
        """Cutoff in ms → what is not committed of the records that the broker appended by it."""
        self.topic_failure: str | None = None
        """Why the broker could not be asked about cutoffs."""
        self.errors: list[Exception] = []
        """Unexpected errors, one for each leaderboard whose work ended with it."""
        self.unchecked = 0
        """Leaderboards that the run had no time for."""
        self.archived_owing: set[str] = set()
        """Archived leaderboards with days to seal or work to do, as far as the run came."""

    def delay_ms(self, now_ms: int) -> int:
        """How long the longest-blocked item has waited; 0 if nothing is blocked."""
        return max((now_ms - one.since_ms for one in self.blocked if one.since_ms is not None), default=0)
