"""Send dead letters back to the topic, once the cause of their rejection is corrected."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from shared.messaging.dead_letters import DeadLetter, DeadLetterQueue, RedriveFilter
from shared.messaging.queues import Received
from shared.messaging.topic import Outgoing, Topic

EMPTY_POLLS: Final = 3
"""Polls in a row that bring nothing until the queue counts as read: one asks only some of its servers."""
LIMIT_MAX: Final = 100_000
"""Dead letters of one run; fewer than the 120,000 that may be in flight
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html)."""


class Redriven(Struct):
    """What became of the dead letters."""

    sent: int = 0
    failed: int = 0
    """Chosen, but the broker did not take them: they stay."""
    left: int = 0
    """Chosen, but rejected once more while this ran: they stay."""
    complete: bool = False
    """Whether the queue was read to its end. If not, some were not read: ask again."""


class Redrive:
    """Reads the dead-letter queue from end to end, once.

    A record that is sent back gets a new offset and a new append time, which decides whether it is late. Its event id
    is the old one, so one that is sent back twice counts once. What is rejected again comes back as a new dead letter.
    """

    def __init__(self, dead_letters: DeadLetterQueue, topic: Topic, now_ms: Callable[[], int]) -> None:
        self._dead_letters = dead_letters
        self._queue = dead_letters.queue
        self._topic = topic
        self._now_ms = now_ms

    def run(self, choice: RedriveFilter, has_time: Callable[[], bool] = lambda: True) -> Redriven:
        """Send back what is chosen; every dead letter that was there at the start is checked, time permitting.

        Dead letters that are not chosen stay as they are, and are not counted.

        Raises:
            QueueUnavailable: if SQS, or the S3 behind it, fails; what was sent until then may be sent again.
        """
        done = Redriven()
        passed: list[Received] = []
        sent: set[tuple[str, int, int]] = set()
        try:
            for batch in self._batches(choice, passed, has_time, done):
                chosen = [(one, dead_letter) for one in batch if (dead_letter := _chosen(one, choice)) is not None]
                passed += [one for one in batch if not any(one is other for other, _ in chosen)]
                self._send(chosen, sent, passed, done)
                if done.sent + done.failed >= LIMIT_MAX:
                    break
        finally:
            self._queue.release(passed)
        return done

    def _batches(
        self, choice: RedriveFilter, passed: list[Received], has_time: Callable[[], bool], done: Redriven
    ) -> Iterator[list[Received]]:
        started_ms = self._now_ms()
        empty = 0
        while empty < EMPTY_POLLS and has_time():
            received = self._queue.receive()
            # what comes back while this run goes on would be sent round and round
            new = [one for one in received if one.sent_at_ms >= started_ms]
            done.left += sum(_chosen(one, choice) is not None for one in new)
            passed += new
            batch = [one for one in received if one.sent_at_ms < started_ms]
            empty = 0 if batch else empty + 1
            if batch:
                yield batch
        done.complete = empty >= EMPTY_POLLS

    def _send(
        self,
        chosen: list[tuple[Received, DeadLetter]],
        sent: set[tuple[str, int, int]],
        passed: list[Received],
        done: Redriven,
    ) -> None:
        """Send each record once, however many dead letters there are of it, and delete them."""
        first = {
            _origin(dead_letter): dead_letter for _, dead_letter in reversed(chosen) if _origin(dead_letter) not in sent
        }
        outcomes = self._topic.send(
            [Outgoing(*self._dead_letters.original(dead_letter)) for dead_letter in first.values()]
        )
        failed = {origin for origin, failure in zip(first, outcomes, strict=True) if failure is not None}
        sent |= first.keys() - failed
        done.sent += len(first) - len(failed)
        done.failed += sum(_origin(dead_letter) in failed for _, dead_letter in chosen)
        passed += [one for one, dead_letter in chosen if _origin(dead_letter) in failed]
        self._queue.delete([one for one, dead_letter in chosen if _origin(dead_letter) not in failed])


def _chosen(received: Received, choice: RedriveFilter) -> DeadLetter | None:
    try:
        dead_letter = msgspec.json.decode(received.body, type=DeadLetter)
    except msgspec.DecodeError:
        return None  # none of ours
    if choice.reason is not None and dead_letter.reason != choice.reason:
        return None
    if choice.leaderboard_id is not None and dead_letter.leaderboard_id != choice.leaderboard_id:
        return None
    return dead_letter


def _origin(dead_letter: DeadLetter) -> tuple[str, int, int]:
    return dead_letter.topic, dead_letter.partition, dead_letter.offset
