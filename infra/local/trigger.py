"""The Kafka trigger: a consumer that hands records to the ingest function as Lambda's pollers do."""

import base64
import json
import logging
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import boto3
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from infra.local.config import TOPIC
from infra.local.function import Function
from infra.local.mapping import EventSourceMapping, Message, Partition, Policy

GROUP: Final = "score-ingest"
FUNCTION_TIMEOUT_MS: Final = 60_000
REPORT_EVERY_S: Final = 1.0
PAUSED_POLL_S: Final = 0.05

log = logging.getLogger("trigger")


class Trigger:
    """One poller: consumes, invokes, commits what is done."""

    def __init__(self, consumer: Consumer, mapping: EventSourceMapping, policy: Policy, window_s: float) -> None:
        self._consumer = consumer
        self._mapping = mapping
        self._batch_size = policy.batch_size
        self._window_s = window_s
        self._stopping = False
        self._committed: dict[Partition, int] = {}
        self.processed = 0

    def subscribe(self, topic: str) -> None:
        """Join the consumer group."""
        self._consumer.subscribe([topic], on_revoke=self._revoked, on_lost=self._revoked)

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Finish the batch that is under way, then end."""
        self._stopping = True

    def run(self, report: Path) -> None:
        """Consume until stopped."""
        reported = 0.0
        try:
            while not self._stopping:
                self.step(int(time.time() * 1000))
                if time.monotonic() - reported > REPORT_EVERY_S:
                    reported = time.monotonic()
                    self._report(report)
        finally:
            self._consumer.close()

    def step(self, now_ms: int) -> None:
        """Fetch one batch window's records, invoke, commit."""
        waiting = bool(self._mapping.backlog())
        messages = self._consumer.consume(self._batch_size, PAUSED_POLL_S if waiting else self._window_s)
        self._mapping.add(self._accepted(messages))
        done = self._mapping.run(now_ms)
        if done:
            self._commit(done)
        self._pause_backlog()

    def _accepted(self, messages: Sequence[KafkaMessage]) -> list[Message]:
        accepted = []
        for message in messages:
            error = message.error()
            if error is not None:
                log.warning("broker: %s", error)
                continue
            accepted.append(_to_message(message))
        self.processed += len(accepted)
        return accepted

    def _commit(self, done: dict[Partition, int]) -> None:
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in done.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
            self._committed |= done
        except KafkaException as error:
            # a rebalance took the partition, or the broker is away: the records come again and are duplicates
            log.warning("offsets not committed: %s", error)

    def _pause_backlog(self) -> None:
        backlog = self._mapping.backlog()
        for assigned in self._consumer.assignment():
            place = TopicPartition(assigned.topic, assigned.partition)
            if (assigned.topic, assigned.partition) in backlog:
                self._consumer.pause([place])
            else:
                self._consumer.resume([place])

    def _revoked(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._mapping.revoke((partition.topic, partition.partition))
            self._committed.pop((partition.topic, partition.partition), None)

    def _report(self, path: Path) -> None:
        """Lag by partition, for whoever watches; written whole or not at all."""
        lag = {}
        for assigned in self._consumer.assignment():
            _, high = self._consumer.get_watermark_offsets(assigned, cached=True)
            if high < 0:
                continue
            committed = self._committed.get((assigned.topic, assigned.partition))
            if committed is None:
                (stored,) = self._consumer.committed([assigned], timeout=5)
                committed = max(stored.offset, 0)
            lag[str(assigned.partition)] = max(0, high - committed)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({"at": time.time(), "processed": self.processed, "lag": lag}))
        draft.replace(path)


def _to_message(message: KafkaMessage) -> Message:
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


def _base64(original: bytes | None) -> str | None:
    return None if original is None else base64.b64encode(original).decode()


def _on_failure(url: str | None) -> Any:
    """Where given-up records go: an SQS queue, or nowhere, which keeps them in the topic for ever."""
    sqs = boto3.client("sqs") if url else None

    def send(messages: Sequence[Message], reason: str) -> None:
        if sqs is None or url is None:
            raise RuntimeError("no on-failure destination")
        for message in messages:
            info = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
            original = {
                "key": _base64(message.key),
                "value": _base64(message.value),
                "timestamp": message.timestamp_ms,
            }
            body = {"requestContext": {"condition": reason}, "KafkaBatchInfo": info | original}
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    return send


def main() -> None:
    """Run one trigger until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    environment = os.environ
    policy = Policy(
        batch_size=int(environment.get("BATCH_SIZE", "500")),
        maximum_retry_attempts=int(environment.get("MAXIMUM_RETRY_ATTEMPTS", "-1")),
        maximum_record_age_s=int(environment.get("MAXIMUM_RECORD_AGE_S", "-1")),
        bisect_batch_on_function_error=environment.get("BISECT_BATCH_ON_FUNCTION_ERROR", "true") == "true",
    )
    bootstrap_servers = environment["KAFKA_BOOTSTRAP_SERVERS"]
    function = Function(environment.get("HANDLER", "functions.ingest.handler.handler"), FUNCTION_TIMEOUT_MS)
    destination = _on_failure(environment.get("ON_FAILURE_QUEUE_URL"))
    mapping = EventSourceMapping(policy, function, destination, random.uniform, bootstrap_servers)
    consumer = Consumer(
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
    trigger = Trigger(consumer, mapping, policy, int(environment.get("BATCH_WINDOW_MS", "100")) / 1000)
    signal.signal(signal.SIGTERM, trigger.stop)
    signal.signal(signal.SIGINT, trigger.stop)
    trigger.subscribe(environment.get("KAFKA_TOPIC", TOPIC))
    trigger.run(Path(environment["TRIGGER_REPORT"]))


if __name__ == "__main__":
    main()
