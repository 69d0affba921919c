"""Which records were rejected, one line of the log each: what a metric counts, to be followed by its place or event."""

from collections.abc import Callable, Sequence
from typing import Final

from shared.telemetry import logger
from shared.truth.letters import RegisteredLetter

LOGGED_PER_CALL: Final = 20
LOGGED_PER_MINUTE: Final = 60
"""By one instance: a producer that sends nothing else would fill the log. Register and queue have the others."""
DETAIL_CHARACTERS_MAX: Final = 500
_MINUTE_MS: Final = 60_000


class RejectionLog:
    """Writes the first of each call and minute, and how many it left out."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._minute = -1
        self._left = 0

    def write(self, letters: Sequence[RegisteredLetter], count: int) -> None:
        """Write a line for each rejected record of a call, as far as they may be.

        Args:
            letters: the first of them, LOGGED_PER_CALL at least if there are as many.
            count: how many there are.
        """
        minute = self._now_ms() // _MINUTE_MS
        if minute != self._minute:
            self._minute, self._left = minute, LOGGED_PER_MINUTE
        shown = min(count, LOGGED_PER_CALL, self._left)
        self._left -= shown
        for letter in letters[:shown]:
            logger.warning(
                "record rejected",
                extra={
                    "reason": letter.reason,
                    "detail": letter.detail[:DETAIL_CHARACTERS_MAX],
                    "topic": letter.topic,
                    "partition": letter.partition,
                    "offset": letter.offset,
                    "leaderboard": letter.leaderboard_id,
                    "event": letter.event_id,
                },
            )
        if shown < count:
            logger.warning("rejected records left out", extra={"leftOut": count - shown})
