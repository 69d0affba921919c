"""Why a record of the topic is not applied."""

from enum import StrEnum
from typing import Final

DETAIL_CHARACTERS_MAX: Final = 500
"""What is said of a record never outgrows it by far, whatever it holds."""


class Reason(StrEnum):
    """Reason codes of the dead-letter queue. The sender has to correct all of them; none passes by itself."""

    MALFORMED = "malformed"
    """The value is not a JSON object in UTF-8."""
    INVALID = "invalid"
    """A field is missing, of the wrong type or outside its range."""
    UNKNOWN_LEADERBOARD = "unknown_leaderboard"
    LEADERBOARD_ARCHIVED = "leaderboard_archived"
    """The leaderboard was deleted: it takes no more events."""
    TOO_LATE = "too_late"
    """The broker appended the record after the end of its day plus the leaderboard's lateness."""
    FROM_THE_FUTURE = "from_the_future"
    """The event claims to have occurred more than five minutes after the broker appended it."""
    CONFLICTING_DUPLICATE = "conflicting_duplicate"
    """The player's ledger holds an event of this id with other content."""
    UNTRUSTED_TIMESTAMP = "untrusted_timestamp"
    """The record carries its producer's time (CreateTime), so the append time is unknown."""
    SCORE_OVERFLOW = "score_overflow"
    """A standing or a window of the player would leave ±(2^53−1)."""


class Rejection(Exception):
    """Raised where a rule refuses an event. `detail` names the field or the figures, for the person who corrects it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:DETAIL_CHARACTERS_MAX]
