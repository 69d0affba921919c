"""An operator who sends dead letters back to the topic, by the product's own redrive."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.messaging.dead_letters import DeadLetterQueue, RedriveFilter
from shared.messaging.queues import QueueUnavailable, Received
from shared.truth.failures import Unavailable
from tests.simulation.outside import Broker
from tests.simulation.process import Process
from tests.simulation.progress import DLQ

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
        "topic": Broker(world, world.redriven),
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
