"""The topic itself: how far its partitions reach, and sending records to it."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import Any, Final

from confluent_kafka import (
    OFFSET_END,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from msgspec import Struct

TIMEOUT_S: Final = 10
DELIVERY_TIMEOUT_MS: Final = 60_000
"""How long the broker may take to acknowledge a record before it counts as not sent."""
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Past what a topic takes: how large a record may be is the broker's to say."""
FETCH_WAIT_MS: Final = 20
"""How long the broker may hold back its answer where there is nothing to read: the end of a partition is told then."""
UNTRUSTED_WALK_MAX: Final = 1_000
"""Records with a producer's time that are passed in a row to find one with the broker's."""
_GROUP: Final = "leaderboards-closing"
"""Never subscribes nor commits; the client wants a name all the same."""


class TopicUnavailable(Exception):
    """The broker did not answer, or answered with an error."""


class Reach(Struct, frozen=True):
    """A partition up to a moment: every record that the broker stamped until then stands before `end`.

    Records that carry a producer's time (CreateTime) say nothing of when they were appended, and count for no day.
    """

    partition: int
    first: int
    """The oldest offset that the broker still has."""
    end: int
    newest: int
    """The offset that the next record of the partition will have."""


RETENTION_MS_MIN: Final = 86_400_000
"""How long the topic must keep records at least, so that ingest may stand still for a night and lose nothing."""
SETTINGS: Final = ("message.timestamp.type", "cleanup.policy", "retention.ms")
"""Of the topic, that exactness depends on."""


def wrong_settings(settings: Mapping[str, str]) -> list[str]:
    """What is wrong with a topic's settings, in words, each naming the setting; nothing for those that are not given.

    Args:
        settings: by SETTINGS.
    """
    wrong = []
    timestamp_type = settings.get("message.timestamp.type", "LogAppendTime")
    if timestamp_type != "LogAppendTime":
        wrong.append(f"message.timestamp.type must be LogAppendTime, not {timestamp_type}")
    policy = settings.get("cleanup.policy", "delete")
    if policy != "delete":
        wrong.append(f"cleanup.policy must be delete, not {policy}: compaction removes events")
    kept_ms = int(settings.get("retention.ms", "-1"))
    if 0 <= kept_ms < RETENTION_MS_MIN:
        wrong.append(f"retention.ms must be {RETENTION_MS_MIN} or more, not {kept_ms}")
    return wrong


Headers = list[tuple[str, str | bytes | None]]


class Outgoing(Struct, frozen=True):
    """A record to send."""

    key: bytes | None
    value: bytes | None


class Topic:
    """One topic, by a client that is made when it is first needed."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        name: str,
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
        headers: Callable[[], Headers] = list,
    ) -> None:
        """`settings` are librdkafka's (https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md).

        `headers`: those of records that are sent now.
        """
        self.name = name
        self._settings = settings
        self._new_consumer = new_consumer
        self._headers = headers

    def reach(self, moment_ms: int) -> list[Reach]:
        """Every partition up to a moment.

        Args:
            moment_ms: the last append time that counts, in milliseconds; well past, by the clocks of all brokers.

        Raises:
            TopicUnavailable: if the broker does not answer.
        """
        try:
            partitions = self._partitions()
            wanted = [TopicPartition(self.name, one, moment_ms + 1) for one in partitions]
            found = self._offsets.offsets_for_times(wanted, timeout=TIMEOUT_S)
            return [self._reach(one, moment_ms) for one in found]
        except KafkaException as error:
            raise TopicUnavailable(str(error)) from error

    def holds_records(self, partition: int, first: int, end: int) -> bool:
        """Whether any record stands at `first` or after it and before `end`.

        Not every offset has one: the marks of transactions take offsets, too, and compaction takes records away.

        Raises:
            TopicUnavailable: if the broker does not answer, or no longer has all offsets from `first` on: none can
                know then what stood there.
        """
        try:
            with closing(self._records(self._reader, partition, first)) as records:
                message = next(records)
            oldest, _ = self._reader.get_watermark_offsets(TopicPartition(self.name, partition), timeout=TIMEOUT_S)
        except KafkaException as error:
            raise TopicUnavailable(str(error)) from error
        if oldest > first:
            raise TopicUnavailable(f"partition {partition} lost the records from {first} to {oldest} meanwhile")
        # a transaction that is open ends what can be read before `end`: its records may still come to count
        at = message.offset()
        return at is None or at < end

    def settings(self) -> dict[str, str]:
        """Those of SETTINGS that the broker answers.

        Raises:
            TopicUnavailable: if the broker does not answer, or may not be asked.
        """
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        admin = AdminClient({**self._settings, "log_level": 3})  # answers nothing once it is gone
        try:
            (answer,) = admin.describe_configs([resource], request_timeout=TIMEOUT_S).values()
            found = answer.result(TIMEOUT_S + 1)
        except (KafkaException, TimeoutError) as error:
            raise TopicUnavailable(str(error)) from error
        return {name: found[name].value for name in SETTINGS if name in found}

    def send(self, records: Iterable[Outgoing], wait_s: float = DELIVERY_TIMEOUT_MS / 1000 + 1) -> list[str | None]:
        """Send records and wait until the broker has them.

        Args:
            records: any number.
            wait_s: how long to wait. What is not acknowledged by then may still be sent.

        Returns:
            For each what kept it from being sent; None for those that the broker has.
        """
        outcomes: list[str | None] = []
        headers = self._headers()
        for number, record in enumerate(records):
            outcomes.append("not acknowledged in time")

            def acknowledge(error: Any, _message: Any, number: int = number) -> None:
                outcomes[number] = None if error is None else str(error)

            try:
                self._producer.produce(self.name, record.value, record.key, headers=headers, on_delivery=acknowledge)
            except (KafkaException, BufferError) as error:
                outcomes[number] = str(error)
            self._producer.poll(0)
        self._producer.flush(wait_s)
        return outcomes

    def _partitions(self) -> Sequence[int]:
        topic = self._offsets.list_topics(self.name, timeout=TIMEOUT_S).topics[self.name]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return sorted(topic.partitions)

    def _reach(self, found: TopicPartition, moment_ms: int) -> Reach:
        if found.error is not None:
            raise KafkaException(found.error)
        partition = found.partition
        first, newest = self._offsets.get_watermark_offsets(TopicPartition(self.name, partition), timeout=TIMEOUT_S)
        if found.offset in (-1, OFFSET_END):
            return Reach(partition, first, newest, newest)
        return Reach(partition, first, self._end(partition, max(first, found.offset), newest, moment_ms), newest)

    def _end(self, partition: int, found: int, newest: int, moment_ms: int) -> int:
        """The offset of a record that the broker stamped after a moment, at `found` or, nearly the first, behind it.

        The broker finds offsets by whatever times records carry. One with a producer's time that is ahead may stand
        before many that were appended by the moment.
        """
        end, low, high, probe = newest, found, newest, found
        while low < high:
            stamped, passed = self._stamped(partition, probe, newest)
            if (stamped is not None and stamped.timestamp()[1] <= moment_ms) or (stamped is None and passed < newest):
                low = passed
            else:
                end = end if stamped is None else min(end, passed - 1)
                high = probe
            probe = (low + high) // 2
        return end

    def _stamped(self, partition: int, first: int, newest: int) -> tuple[Message | None, int]:
        """The first record from an offset on that carries the broker's time, and the offset after the last one read."""
        passed = first
        with closing(self._records(self._offsets, partition, first)) as records:
            for message in islice(records, UNTRUSTED_WALK_MAX):
                if message.error() is not None:
                    return None, newest  # the end
                passed = (message.offset() or 0) + 1
                if message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME:
                    return message, passed
        return None, passed

    def _records(self, consumer: Consumer, partition: int, offset: int) -> Generator[Message, None, None]:
        """The records from an offset on, and the event that says that there is none for now.

        Raises:
            TopicUnavailable: if the broker does not answer, or does not have the offset any more.
        """
        consumer.assign([TopicPartition(self.name, partition, offset)])
        try:
            while True:
                message = consumer.poll(TIMEOUT_S)
                if message is None:
                    raise TopicUnavailable(f"partition {partition} was not read within {TIMEOUT_S} s")
                failure = message.error()
                if failure is not None and failure.code() != KafkaError._PARTITION_EOF:
                    raise TopicUnavailable(str(failure))
                yield message
        finally:
            consumer.unassign()

    @cached_property
    def _offsets(self) -> Consumer:
        """Counts the records of transactions that are still open: they were appended, and may come to count."""
        return self._consumer("read_uncommitted")

    @cached_property
    def _reader(self) -> Consumer:
        return self._consumer("read_committed")

    def _consumer(self, isolation_level: str) -> Consumer:
        return self._new_consumer(
            {
                **self._settings,
                "group.id": _GROUP,
                "enable.auto.commit": False,
                # an offset that is gone is an answer of its own; the default would go on at the end, as if there
                # were no records
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "enable.partition.eof": True,
                "isolation.level": isolation_level,
                "log_level": 3,
            }
        )

    @cached_property
    def _producer(self) -> Producer:
        return Producer(
            {
                **self._settings,
                "enable.idempotence": True,
                "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "log_level": 3,
            }
        )
