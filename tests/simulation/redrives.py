"""An operator who sends dead letters back to the topic, by the product's own redrive."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.messaging.dead_letters import DeadLetterQueue, RedriveFilter
from shared.messaging.queues import QueueUnavailable, Received
from shared.messaging.topic import Outgoing
from shared.truth.failures import Unavailable
from tests.simulation.course import Fault
from tests.simulation.outside import PARTITIONS
from tests.simulation.process import Process
from tests.simulation.progress import DLQ
from tests.support.oracle import Produced

if TYPE_CHECKING:
    from tests.simulation.world import World

LETTERS_MAX = 4
"""Of one run; a queue holds them in no order."""


def redrive(world: "World") -> None:
    """Send some dead letters back, whatever their reasons. It may die at every step, and others do the same again."""
    process = Process(world)
    queue: Any = _Letters(world)
    stand_ins: dict[str, Any] = {
        "dead_letters": DeadLetterQueue(queue, None, "bucket"),  # type: ignore[arg-type]
        "topic": _Topic(world),
    }
    process.__dict__.update(stand_ins)
    with suppress(Unavailable, QueueUnavailable):
        process.redrive.run(RedriveFilter())


class _Letters:
    """The dead-letter queue of one run. What is deleted comes again at times, and stays for the accounts."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._left = LETTERS_MAX

    def receive(self) -> list[Received]:
        self._world.scheduler.pause()
        letters = self._world.sqs.messages.get(DLQ, [])
        chosen = self._world.rng.sample(letters, min(self._left, len(letters)))
        self._left = 0
        return [Received(body, "", 0) for body in chosen]

    def delete(self, _: Sequence[Received]) -> None:
        self._world.scheduler.pause()

    release = delete


class _Topic:
    """The broker as a producer sees it: it takes a record or not, and the operator may die before its answer."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def send(self, records: Sequence[Outgoing]) -> list[str | None]:
        return [self._send(one.value or b"") for one in records]

    def _send(self, value: bytes) -> str | None:
        self._world.scheduler.pause()
        if self._world.scheduler.fails(Fault.BROKER_AWAY):
            return "away"
        partition = _partition(value)
        log = self._world.topic[partition]
        at_ms = self._world.scheduler.now_ms + self._world.brokers_ahead_ms[partition]
        self._world.redriven.add((partition, len(log)))
        log.append(Produced(partition, len(log), at_ms, value))
        return None


def _partition(value: bytes) -> int:
    try:
        return int(json.loads(value)["userId"][1:]) % PARTITIONS
    except (ValueError, LookupError, TypeError):
        return 0
