"""The Kafka trigger: a consumer that hands records to the ingest function as Lambda's pollers do."""

import json
import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from infra.local.config import TOPIC, InvalidConfiguration
from infra.local.destination import Destination, nowhere
from infra.local.function import Function
from infra.local.mapping import FOREVER, EventSourceMapping, Message, Partition, Policy
from shared import clients as aws

GROUP: Final = "score-ingest"
FUNCTION_TIMEOUT_MS: Final = 60_000
REPORT_EVERY_S: Final = 1.0
WAIT_S_MAX: Final = 0.5
"""A signal is noticed between two waits for records."""
READY_S: Final = 0.002
"""A batch is complete once nothing more came for as long: what the broker has at hand for several partitions comes in
as many answers."""
PAUSED_WINDOW_S: Final = 0.05
"""Batch window while partitions wait for a retry, so that the retry is not late."""
RETRIES_WITH_DESTINATION: Final = 10
"""What Lambda makes of infinite retries where there is an on-failure destination."""

log = logging.getLogger("trigger")


class Trigger:
    """One poller: consumes, invokes, commits what is done."""

    def __init__(self, consumer: Consumer, mapping: EventSourceMapping, policy: Policy, window_s: float) -> None:
        self._consumer = consumer
        self._mapping = mapping
        self._batch_size = policy.batch_size
        self._window_s = window_s
        self._stopping = False
        self._fetched: list[Message] = []
        self._done: dict[Partition, int] = {}
        """Offsets to commit that the broker has not taken yet."""
        self._committed: dict[Partition, int] = {}
        self._processed: Counter[Partition] = Counter()
        self._reported_at_s = 0.0
        self._reported: Counter[Partition] = Counter()

    def subscribe(self, topic: str) -> None:
        """Join the consumer group."""
        self._consumer.subscribe([topic], on_revoke=self._revoked, on_lost=self._revoked)

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Finish the batch that is under way, then end."""
        self._stopping = True

    def run(self, report: Path) -> None:
        """Consume until stopped."""
        try:
            while not self._stopping:
                self.step(int(time.time() * 1000))
                if time.monotonic() - self._reported_at_s >= REPORT_EVERY_S:
                    self._report(report)
        finally:
            self._consumer.close()

    def step(self, now_ms: int) -> None:
        """Fetch what is ready, waiting a batch window for it at most; invoke, commit."""
        self._fetch(PAUSED_WINDOW_S if self._mapping.backlog() else self._window_s)
        self._mapping.add(self._fetched)
        self._processed.update((message.topic, message.partition) for message in self._fetched)
        self._fetched = []
        self._done |= self._mapping.run(now_ms)
        self._commit()
        self._pause_backlog()

    def _fetch(self, window_s: float) -> None:
        """Wait for a first record, at most for the window, and take what is ready with it.

        Under load that fills a batch all the same: records gather while the function works. A rebalance happens in
        here, and takes from what was fetched.
        """
        waited_s = 0.0
        while waited_s < window_s and not self._stopping and not self._fetched:
            wait_s = min(window_s - waited_s, WAIT_S_MAX)
            waited_s += wait_s
            self._take(self._consumer.consume(1, wait_s))
        waited_s = 0.0
        while waited_s < window_s and 0 < len(self._fetched) < self._batch_size and not self._stopping:
            waited_s += READY_S
            ready = self._consumer.consume(self._batch_size - len(self._fetched), READY_S)
            if not ready:
                return
            self._take(ready)

    def _take(self, messages: Sequence[KafkaMessage]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                self._fetched.append(to_message(message))
            else:
                log.warning("broker: %s", error)

    def _commit(self) -> None:
        if not self._done:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._done.items()]
        try:
            taken = self._consumer.commit(offsets=offsets, asynchronous=False) or offsets
        except KafkaException as error:
            # A rebalance took a partition, or the broker is away. What is not revoked is tried again with the next
            # step; what is comes again to the next owner of the partition, as duplicates.
            log.warning("offsets not committed: %s", error)
            return
        for one in taken:
            if one.error is None:
                self._committed[one.topic, one.partition] = self._done.pop((one.topic, one.partition))
            else:
                log.warning("offset of %s-%d not committed: %s", one.topic, one.partition, one.error)

    def _pause_backlog(self) -> None:
        backlog = self._mapping.backlog()
        for assigned in self._consumer.assignment():
            place = TopicPartition(assigned.topic, assigned.partition)
            if (assigned.topic, assigned.partition) in backlog:
                self._consumer.pause([place])
            else:
                self._consumer.resume([place])

    def _revoked(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        revoked = {(partition.topic, partition.partition) for partition in partitions}
        self._fetched = [one for one in self._fetched if (one.topic, one.partition) not in revoked]
        for partition in revoked:
            self._mapping.revoke(partition)
            self._done.pop(partition, None)
            self._committed.pop(partition, None)

    def _report(self, path: Path) -> None:
        """The position of each partition, written atomically for other processes."""
        now_s = time.monotonic()
        assigned = self._consumer.assignment()
        lag: dict[str, int] = {}
        rate: dict[str, float] = {}
        appended = 0
        for place in assigned:
            partition = (place.topic, place.partition)
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            if end < 0 or (committed := self._last_committed(place)) is None:
                continue
            appended += end
            lag[str(place.partition)] = max(0, end - committed)
            fresh = self._processed[partition] - self._reported[partition]
            rate[str(place.partition)] = round(fresh / (now_s - self._reported_at_s), 1)
        self._reported_at_s, self._reported = now_s, self._processed.copy()
        report = {
            "at": time.time(),
            "processed": self._processed.total(),
            "appended": appended if lag and len(lag) == len(assigned) else None,
            "lag": lag,
            "rate": rate,
        }
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(report))
        draft.replace(path)

    def _last_committed(self, assigned: TopicPartition) -> int | None:
        """The offset that the group has committed; None while the broker can't be asked."""
        known = self._committed.get((assigned.topic, assigned.partition))
        if known is not None:
            return known
        try:
            (stored,) = self._consumer.committed([assigned], timeout=5)
        except KafkaException as error:
            log.warning("offsets not read: %s", error)
            return None
        return max(stored.offset, 0)


def to_message(message: KafkaMessage) -> Message:
    """A record as the mapping wants it."""
    kind, timestamp_ms = message.timestamp()
    return Message(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        timestamp_ms,
        "LOG_APPEND_TIME" if kind == TIMESTAMP_LOG_APPEND_TIME else "CREATE_TIME",
        message.key(),
        message.value(),
        _headers(message),
    )


def _headers(message: KafkaMessage) -> list[tuple[str, bytes]]:
    pairs: Any = message.headers() or ()
    return [(name, value or b"") for name, value in pairs]


def policy_from(environment: Mapping[str, str]) -> Policy:
    """Read the settings of the mapping, within AWS's limits (docs: API_CreateEventSourceMapping).

    Raises:
        InvalidConfiguration: naming the variable and what it takes.
    """
    retries = _number(environment, "MAXIMUM_RETRY_ATTEMPTS", FOREVER, 0, 10_000)
    if retries == FOREVER and environment.get("ON_FAILURE_QUEUE_URL"):
        retries = RETRIES_WITH_DESTINATION
    bisect = environment.get("BISECT_BATCH_ON_FUNCTION_ERROR", "true").lower()
    if bisect not in ("true", "false"):
        raise InvalidConfiguration(f"BISECT_BATCH_ON_FUNCTION_ERROR must be true or false, not {bisect!r}")
    return Policy(
        batch_size=_number(environment, "BATCH_SIZE", 500, 1, 10_000),
        maximum_retry_attempts=retries,
        maximum_record_age_s=_number(environment, "MAXIMUM_RECORD_AGE_S", FOREVER, 60, 604_800),
        bisect_batch_on_function_error=bisect == "true",
    )


def _number(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number within limits; the default is always allowed."""
    text = environment.get(name, str(default))
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number != default and not least <= number <= most:
        raise InvalidConfiguration(f"{name} must be {least} to {most}, or {default}, not {text!r}")
    return number


def _consumer(bootstrap_servers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 10_000,
            "max.poll.interval.ms": 300_000,
            "fetch.wait.max.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "topic.metadata.refresh.interval.ms": 5_000,
        }
    )


def _logged(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Log a function's error, as Lambda's runtime does whether the event is retried or not."""

    def invoke(event: Any) -> Any:
        try:
            return function(event)
        except Exception:
            log.exception("the function failed")
            raise

    return invoke


def _trigger(environment: Mapping[str, str]) -> Trigger:
    policy = policy_from(environment)
    window_ms = _number(environment, "BATCH_WINDOW_MS", 100, 1, 300_000)
    bootstrap_servers = environment["KAFKA_BOOTSTRAP_SERVERS"]
    function = Function(environment.get("HANDLER", "functions.ingest.handler.handler"), FUNCTION_TIMEOUT_MS)
    url = environment.get("ON_FAILURE_QUEUE_URL")
    destination = (
        Destination(aws.client("sqs", aws.QUEUES.config()), url, function.name, bootstrap_servers) if url else nowhere
    )
    mapping = EventSourceMapping(policy, _logged(function), destination, random.uniform, bootstrap_servers)
    return Trigger(_consumer(bootstrap_servers), mapping, policy, window_ms / 1000)


def main() -> int:
    """Run one trigger until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        trigger = _trigger(os.environ)
    except InvalidConfiguration as error:
        log.error("%s", error)  # noqa: TRY400 - the line says it all
        return 1
    signal.signal(signal.SIGTERM, trigger.stop)
    signal.signal(signal.SIGINT, trigger.stop)
    trigger.subscribe(os.environ.get("KAFKA_TOPIC", TOPIC))
    trigger.run(Path(os.environ["TRIGGER_REPORT"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
