"""The topic itself: how far its partitions reach, and sending records to it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from msgspec import Struct

TIMEOUT_S: Final = 10
DELIVERY_TIMEOUT_MS: Final = 60_000
"""How long the broker may take to acknowledge a record before it counts as not sent."""
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Past what a topic takes: how large a record may be is the broker's to say."""
_GROUP: Final = "leaderboards-closing"
"""Never subscribes nor commits; the client wants a name all the same."""


class TopicUnavailable(Exception):
    """The broker did not answer, or answered with an error."""


class Reach(Struct, frozen=True):
    """A partition up to a moment: every record that was appended until then stands before `end`."""

    partition: int
    first: int
    """The oldest offset that the broker still has."""
    end: int
    newest: int
    """The offset that the next record of the partition will have."""


class Outgoing(Struct, frozen=True):
    """A record to send."""

    key: bytes | None
    value: bytes | None


class Topic:
    """One topic, by a client that is made when it is first needed."""

    def __init__(self, settings: Mapping[str, Any], name: str) -> None:
        """`settings` are librdkafka's (https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md)."""
        self.name = name
        self._settings = settings

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
            return [self._reach(one) for one in found]
        except KafkaException as error:
            raise TopicUnavailable(str(error)) from error

    def holds_records(self, partition: int, first: int, end: int) -> bool:
        """Whether any record stands at `first` or after it and before `end`.

        Not every offset has one: the marks of transactions take offsets, too, and compaction takes records away.

        Raises:
            TopicUnavailable: if the broker does not answer.
        """
        try:
            self._reader.assign([TopicPartition(self.name, partition, first)])
            message = self._reader.poll(TIMEOUT_S)
            self._reader.unassign()
        except KafkaException as error:
            raise TopicUnavailable(str(error)) from error
        if message is None:
            raise TopicUnavailable(f"partition {partition} was not read within {TIMEOUT_S} s")
        failure = message.error()
        # a transaction that is open ends what can be read before `end`: its records may still come to count
        if failure is not None and failure.code() != KafkaError._PARTITION_EOF:
            raise TopicUnavailable(str(failure))
        at = message.offset()
        return at is None or at < end

    def send(self, records: Iterable[Outgoing]) -> list[str | None]:
        """Send records and wait until the broker has them.

        Returns:
            For each what kept it from being sent; None for those that the broker has.
        """
        outcomes: list[str | None] = []
        for number, record in enumerate(records):
            outcomes.append("not acknowledged in time")

            def acknowledge(error: Any, _message: Any, number: int = number) -> None:
                outcomes[number] = None if error is None else str(error)

            try:
                self._producer.produce(self.name, record.value, record.key, on_delivery=acknowledge)
            except (KafkaException, BufferError) as error:
                outcomes[number] = str(error)
            self._producer.poll(0)
        self._producer.flush(DELIVERY_TIMEOUT_MS / 1000 + 1)
        return outcomes

    def _partitions(self) -> Sequence[int]:
        topic = self._offsets.list_topics(self.name, timeout=TIMEOUT_S).topics[self.name]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return sorted(topic.partitions)

    def _reach(self, found: TopicPartition) -> Reach:
        if found.error is not None:
            raise KafkaException(found.error)
        place = TopicPartition(self.name, found.partition)
        first, newest = self._offsets.get_watermark_offsets(place, timeout=TIMEOUT_S)
        return Reach(found.partition, first, newest if found.offset in (-1, OFFSET_END) else found.offset, newest)

    @cached_property
    def _offsets(self) -> Consumer:
        """Counts the records of transactions that are still open: they were appended, and may come to count."""
        return self._consumer("read_uncommitted")

    @cached_property
    def _reader(self) -> Consumer:
        return self._consumer("read_committed")

    def _consumer(self, isolation_level: str) -> Consumer:
        return Consumer(
            {
                **self._settings,
                "group.id": _GROUP,
                "enable.auto.commit": False,
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
