"""Send dead letters back to the topic, once the cause of their rejection is corrected."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from shared.domain.events import ScoreEvent, decode
from shared.domain.rejections import Reason, Rejection
from shared.lookups.leaderboards import Leaderboards
from shared.messaging.dead_letters import DeadLetter, DeadLetterQueue, RedriveFilter
from shared.messaging.queues import Received
from shared.messaging.topic import Outgoing, Topic
from shared.parallel import RunParallel
from shared.truth.reads import Reads, event_key
from shared.truth.receipts import Receipts

Origin = tuple[str, int, int]
"""Topic, partition and offset of a record that was rejected."""

EMPTY_POLLS: Final = 3
"""Polls in a row that bring nothing until the queue counts as read: one asks only some of its servers."""
LIMIT_MAX: Final = 100_000
"""Dead letters of one run; fewer than the 120,000 that may be in flight
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html)."""


NOT_IN_TIME: Final = frozenset(
    {Reason.MALFORMED, Reason.INVALID, Reason.CONFLICTING_DUPLICATE, Reason.UNTRUSTED_TIMESTAMP}
)
"""Reasons whose dead letters get no receipt: their records are no events, or may carry a producer's time."""

UNREADABLE: Final = frozenset({Reason.MALFORMED, Reason.INVALID})
"""Reasons whose dead letters may name no leaderboard, as their records couldn't be read that far."""


class Redriven(Struct, rename="camel"):
    """What became of the dead letters."""

    sent: int = 0
    failed: int = 0
    """Chosen, but the broker did not take them: they stay."""
    left: int = 0
    """Chosen, but rejected once more while this ran: they stay."""
    too_late: int = 0
    """Chosen, but their day is sealing or sealed, and the ledger doesn't hold their event: they stay."""
    complete: bool = False
    """Whether the queue was read to its end. If not, some were not read: ask again."""


class Redrive:
    """Reads the dead-letter queue from end to end, once.

    A record that is sent back gets a new offset and a new append time. Before that, a receipt is written of when the
    broker appended it at first, so that it counts as long as its day is not sealing. Its event id is the old one, so
    one that is sent back twice counts once. What is rejected again comes back as a new dead letter.
    """

    def __init__(
        self,
        *,
        dead_letters: DeadLetterQueue,
        topic: Topic,
        leaderboards: Leaderboards,
        reads: Reads,
        receipts: Receipts,
        run_parallel: RunParallel,
        now_ms: Callable[[], int],
    ) -> None:
        self._dead_letters = dead_letters
        self._queue = dead_letters.queue
        self._topic = topic
        self._leaderboards = leaderboards
        self._reads = reads
        self._receipts = receipts
        self._run_parallel = run_parallel
        self._now_ms = now_ms

    def run(self, choice: RedriveFilter, has_time: Callable[[], bool] = lambda: True) -> Redriven:
        """Send back what is chosen; every dead letter that was there at the start is checked, time permitting.

        Dead letters that are not chosen stay as they are, and are not counted.

        Raises:
            QueueUnavailable: if SQS, or the S3 behind it, fails; what was sent until then may be sent again.
            Unavailable: if DynamoDB throttles or is out of reach, likewise.
        """
        done = Redriven()
        passed: list[Received] = []
        sent: set[Origin] = set()
        try:
            for batch in self._batches(choice, passed, has_time, done):
                chosen = [(one, dead_letter) for one in batch if (dead_letter := _chosen(one, choice)) is not None]
                passed += [one for one in batch if not any(one is other for other, _ in chosen)]
                self._send(chosen, sent, passed, done)
                if done.sent + done.failed + done.too_late >= LIMIT_MAX:
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
        sent: set[Origin],
        passed: list[Received],
        done: Redriven,
    ) -> None:
        """Send each record once, however many dead letters there are of it, and delete them."""
        records = {
            _origin(dead_letter): _Original(dead_letter, Outgoing(*self._dead_letters.original(dead_letter)))
            for _, dead_letter in reversed(chosen)
            if _origin(dead_letter) not in sent
        }
        too_late = self._too_late(records)
        sendable = {origin: one for origin, one in records.items() if origin not in too_late}
        self._write_receipts(sendable.values())
        outcomes = self._topic.send([one.record for one in sendable.values()])
        failed = {origin for origin, failure in zip(sendable, outcomes, strict=True) if failure is not None}
        sent |= sendable.keys() - failed
        done.sent += len(sendable) - len(failed)
        done.failed += sum(_origin(dead_letter) in failed for _, dead_letter in chosen)
        done.too_late += sum(_origin(dead_letter) in too_late for _, dead_letter in chosen)
        passed += [one for one, dead_letter in chosen if _origin(dead_letter) in failed | too_late]
        self._queue.delete([one for one, dead_letter in chosen if _origin(dead_letter) not in failed | too_late])

    def _too_late(self, records: Mapping[Origin, "_Original"]) -> set[Origin]:
        """Records that ingest would reject for their day, whenever they were appended at first."""
        late = {}
        for origin, one in records.items():
            event = one.event
            leaderboard = None if event is None else self._leaderboards.find(event.leaderboard_id)
            if (
                event is not None
                and leaderboard is not None
                and leaderboard.rejects(leaderboard.calendar.day_of(event.occurred_at_ms))
            ):
                late[origin] = event_key(leaderboard.for_event(event, self._now_ms()).scores_id, event)
        held = self._reads.held(late.values()) if late else {}
        return {origin for origin, key in late.items() if key not in held}

    def _write_receipts(self, records: Iterable["_Original"]) -> None:
        """Write when the broker appended each record, before any is sent: the next run repeats what a crash cut off."""
        self._run_parallel(
            [
                partial(self._receipts.write, one.record.value, one.dead_letter.appended_at_ms)
                for one in records
                if one.record.value is not None and one.event is not None and one.dead_letter.reason not in NOT_IN_TIME
            ]
        )


class _Original:
    """A dead letter with the record that it is about."""

    def __init__(self, dead_letter: DeadLetter, record: Outgoing) -> None:
        self.dead_letter = dead_letter
        self.record = record
        self.event: ScoreEvent | None
        """None if the record can't be read."""
        try:
            self.event = decode(record.value)
        except Rejection:
            self.event = None


def _chosen(received: Received, choice: RedriveFilter) -> DeadLetter | None:
    try:
        dead_letter = msgspec.json.decode(received.body, type=DeadLetter)
    except msgspec.DecodeError:
        return None  # none of ours
    if choice.reason is not None and dead_letter.reason != choice.reason:
        return None
    if choice.leaderboard_id is not None and not _is_of(dead_letter, choice.leaderboard_id, choice.reason):
        return None
    return dead_letter


def _is_of(dead_letter: DeadLetter, leaderboard_id: str, reason: Reason | None) -> bool:
    """Whether it is the leaderboard's: one that can't be read names none, so its key decides where it is asked for."""
    if dead_letter.leaderboard_id is not None or reason not in UNREADABLE:
        return dead_letter.leaderboard_id == leaderboard_id
    named, colon, _ = base64.b64decode(dead_letter.key or "").partition(b":")
    return not colon or named == leaderboard_id.encode()


def _origin(dead_letter: DeadLetter) -> Origin:
    return dead_letter.topic, dead_letter.partition, dead_letter.offset
