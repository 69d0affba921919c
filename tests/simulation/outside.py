"""Who else there is: the broker as closing asks it, and who is told of results."""

from typing import TYPE_CHECKING

from shared.notices import NoticeUnavailable, WindowFinal
from shared.topic import Reach, TopicUnavailable
from tests.simulation.course import Fault

if TYPE_CHECKING:
    from tests.simulation.world import World

TOPIC = "score-events"


class Notices:
    """Who is told of results."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def send(self, notice: WindowFinal) -> None:
        self._world.scheduler.pause()
        if self._world.scheduler.fails(Fault.REFUSE):
            raise NoticeUnavailable("away")
        self._world.told.append((notice.leaderboard_id, notice.window_id, notice.version))
        self._world.scheduler.pause()
        if self._world.scheduler.fails(Fault.REFUSE):
            raise NoticeUnavailable("away")


class Broker:
    """What the product asks of the broker, which is out of reach at times."""

    name = TOPIC

    def __init__(self, world: "World") -> None:
        self._world = world

    def reach(self, moment_ms: int) -> list[Reach]:
        self._world.scheduler.pause()
        if self._world.scheduler.fails(Fault.BROKER_AWAY):
            raise TopicUnavailable("away")
        return [
            Reach(partition, 0, next((one.offset for one in log if one.appended_at_ms > moment_ms), len(log)), len(log))
            for partition, log in enumerate(self._world.topic)
        ]

    def holds_records(self, partition: int, first: int, end: int) -> bool:
        self._world.scheduler.pause()
        return first < end
