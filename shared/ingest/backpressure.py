"""What happens when the truth or the cache can't keep up, decided in one place.

Nothing is dropped and nothing spins. While DynamoDB throttles or is out of reach, an ingest call halves how many
transactions it has under way, waits with jitter between rounds, and after TRIES_MAX rounds that settled nothing, or
when its time runs out, fails what is left: the trigger keeps it in Kafka, splits the batch and hands it over again, and
the lag grows. While the cache is out of reach, the breaker of the live windows keeps callers from waiting for it;
ingest queues the players for repair, and only if the queue fails, too, does their batch go back.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from shared.retries import Backoff

T = TypeVar("T")

TRIES_MAX: Final = 8
"""Rounds in a row without any progress before a batch goes back to the topic; 10 s of waiting at the most."""
WIDTH_MAX: Final = 64
"""Transactions of one wave while all is well: those of 2,000 events, of which the threads send a few at once."""


class Pressure:
    """How much one process asks of DynamoDB at once. It learns over calls; a new process starts with WIDTH_MAX."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._width = WIDTH_MAX
        self._refusals = 0

    def next_wave(self, waiting: Sequence[T]) -> Sequence[T]:
        """As many of those that wait as may go now, at least one."""
        return waiting[: self._width]

    def refused(self, under_way: int) -> None:
        """A wave was throttled or lost: half of it is enough."""
        self._refusals += 1
        self._width = max(1, min(self._width, under_way) // 2)

    def taken(self) -> None:
        """A whole wave was taken: twice as much may go."""
        self._refusals = 0
        self._width = min(WIDTH_MAX, self._width * 2)

    def wait(self, tries: int) -> None:
        """Wait before the next round, if the last one was refused or settled nothing.

        Args:
            tries: rounds in a row that settled nothing.
        """
        attempts = max(tries, min(self._refusals, TRIES_MAX))
        if attempts:
            self._backoff.wait(attempts - 1)
