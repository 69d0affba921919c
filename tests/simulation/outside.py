"""Who else there is: the broker as closing asks it, and who is told of results."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_END,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from shared.messaging.notifications import NotificationUnavailable, WindowFinal
from shared.messaging.topic import Outgoing, Topic
from tests.simulation.course import Fault
from tests.support.oracle import Produced

if TYPE_CHECKING:
    from tests.simulation.world import World

TOPIC = "score-events"
PARTITIONS = 3


class Notifications:
    """Who is told of results."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def send(self, notice: WindowFinal) -> None:
        self._world.scheduler.pause()
        if self._world.scheduler.fails(Fault.REFUSE):
            raise NotificationUnavailable("away")
        self._world.told.append((notice.leaderboard_id, notice.window_id, notice.version))
        self._world.scheduler.pause()
        if self._world.scheduler.fails(Fault.REFUSE):
            raise NotificationUnavailable("away")


def broker(world: "World") -> Topic:
    """The product's view of the topic, on a client of the simulated broker."""
    new_consumer: Any = partial(Consumer, world)
    return Topic({}, TOPIC, new_consumer)


class Message:
    """A record as librdkafka gives it, or an event."""

    def __init__(self, offset: int, record: Produced | None = None, error: int | None = None) -> None:
        self._offset, self._record, self._error = offset, record, error

    def error(self) -> KafkaError | None:
        return None if self._error is None else KafkaError(self._error)

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        assert self._record is not None
        return TIMES[self._record.stamped], self._record.appended_at_ms


TIMES = {True: TIMESTAMP_LOG_APPEND_TIME, False: TIMESTAMP_CREATE_TIME}


class Consumer:
    """What the product asks of librdkafka's consumer. The broker is out of reach at times, and removes records."""

    def __init__(self, world: "World", settings: Mapping[str, Any]) -> None:
        self._world = world
        self._reset = settings.get("auto.offset.reset", "largest")
        assert settings["enable.partition.eof"]
        self._at: tuple[int, int] | None = None

    def list_topics(self, name: str, timeout: float) -> Any:
        partitions = dict.fromkeys(range(len(self._world.topic)))
        return SimpleNamespace(topics={name: SimpleNamespace(error=None, partitions=partitions)})

    def offsets_for_times(self, wanted: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """By whatever times records carry."""
        self._ask()
        return [TopicPartition(TOPIC, one.partition, self._first_at(one.partition, one.offset)) for one in wanted]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        self._world.retain(place.partition)
        return self._world.removed[place.partition], len(self._world.topic[place.partition])

    def assign(self, places: Sequence[TopicPartition]) -> None:
        (place,) = places
        self._at = place.partition, place.offset

    def unassign(self) -> None:
        self._at = None

    def poll(self, timeout: float) -> Message:
        self._ask()
        assert self._at is not None
        partition, offset = self._at
        first, log = self._world.removed[partition], self._world.topic[partition]
        if not first <= offset <= len(log):
            if self._reset == "error":
                return Message(offset, error=KafkaError._AUTO_OFFSET_RESET)
            offset = first if self._reset in ("smallest", "earliest", "beginning") else len(log)
        if offset == len(log):
            return Message(offset, error=KafkaError._PARTITION_EOF)
        self._at = partition, offset + 1
        return Message(offset, log[offset])

    def _ask(self) -> None:
        self._world.scheduler.pause()
        if self._world.scheduler.fails(Fault.BROKER_AWAY):
            raise KafkaException("away")
        for partition in range(len(self._world.topic)):
            self._world.retain(partition)

    def _first_at(self, partition: int, moment_ms: int) -> int:
        kept = self._world.topic[partition][self._world.removed[partition] :]
        return next((one.offset for one in kept if one.appended_at_ms >= moment_ms), OFFSET_END)


class Broker:
    """The broker as a producer of ours sees it: it takes a record or not, and may not say that it did.

    Nothing is sent once all is consumed: nobody would be there any more to read it.
    """

    def __init__(self, world: "World", noted: set[tuple[int, int]] | None = None) -> None:
        """`noted` gets partition and offset of each record."""
        self._world = world
        self._noted = set() if noted is None else noted

    def send(self, records: Sequence[Outgoing], wait_s: float = 0) -> list[str | None]:
        """As the product's own topic."""
        return [self._send(one.value or b"") for one in records]

    def _send(self, value: bytes) -> str | None:
        self._world.scheduler.pause()
        self._world.scheduler.hold()
        if self._world.scheduler.fails(Fault.BROKER_AWAY) or self._world.is_consumed():
            return "away"
        partition = _partition(value)
        log = self._world.topic[partition]
        at_ms = self._world.scheduler.now_ms + self._world.brokers_ahead_ms[partition]
        self._noted.add((partition, len(log)))
        log.append(Produced(partition, len(log), at_ms, value))
        self._world.scheduler.pause()
        return "no answer" if self._world.scheduler.fails(Fault.BROKER_AWAY) else None


def _partition(value: bytes) -> int:
    try:
        return int(json.loads(value)["userId"][1:]) % PARTITIONS
    except (ValueError, LookupError, TypeError):
        return 0
