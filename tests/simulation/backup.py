"""A backup of the tables, as of one instant, and what an operator does to set them back to it."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import msgspec

from shared.messaging.dead_letters import DeadLetter
from shared.truth.progress import Progress
from tests.simulation.outside import TOPIC
from tests.simulation.progress import DLQ

if TYPE_CHECKING:
    from tests.simulation.world import World


class Backup:
    """The truth as it was: tables, and what is known of them beside."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._tables = deepcopy({name: dict(table) for name, table in world.dynamo.tables.items()})
        self._all_time = deepcopy(world.dynamo.all_time)
        self._history = {name: list(versions) for name, versions in world.registry.history.items()}
        self._accepted = dict(world.dynamo.accepted)
        self._paid_for = dict(world.dynamo.paid_for)
        self._period_changes = list(world.registry.period_changes)
        self._registered = set(world.dynamo.recurring.registered)
        self._told = list(world.told)

    def take_over(self) -> None:
        """Everything since then is gone from the tables. The consumer group is set back to the positions that are
        restored with them; the cache is left as it is.
        """
        world = self._world
        for name, table in world.dynamo.tables.items():
            for place in list(table):
                del table[place]
            for place, item in self._tables.get(name, {}).items():
                table[place] = item
        world.dynamo.all_time = self._all_time
        world.dynamo.accepted = self._accepted
        world.dynamo.paid_for = self._paid_for
        world.registry.period_changes[:] = self._period_changes
        world.registry.history.clear()
        world.registry.history.update(self._history)
        world.dynamo.recurring.registered = self._registered
        world.told = self._told
        world.shown.versions.clear()
        self._set_back()

    def _set_back(self) -> None:
        world = self._world
        calm, world.scheduler.calm = world.scheduler.calm, True
        client: Any = world.dynamo
        recorded = {one.partition: one.next_offset for one in Progress(client, "registry").positions(TOPIC)}
        world.scheduler.calm = calm
        world.committed = [recorded.get(partition, 0) for partition in range(len(world.topic))]
        world.settled = {place for place in world.settled if place[1] < world.committed[place[0]]}
        world.accounts.go_back(dict(enumerate(world.committed)))
        letters = world.sqs.messages.get(DLQ, [])
        letters[:] = [body for body in letters if self._is_before(msgspec.json.decode(body, type=DeadLetter))]

    def _is_before(self, letter: DeadLetter) -> bool:
        """Whether its record does not come again: those that do are checked again."""
        return letter.offset < self._world.committed[letter.partition]
