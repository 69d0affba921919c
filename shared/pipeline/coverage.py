"""Whether every record that the broker appended by a moment is committed."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from shared.topic import Reach, Topic
from shared.truth.losses import Loss, Losses
from shared.truth.progress import Position, Progress

CLOCK_SKEW_MS: Final = 60_000
"""How far the clocks of two brokers, or of a broker and ours, may lie apart. A partition's append times may run back
by this much when its leader changes, so a day closes only past the offset that its cutoff and this fall on."""


class Missing(Struct, frozen=True):
    """What is not committed."""

    is_lost: bool
    """Whether it never will be; otherwise it only takes its time."""
    detail: str


class Coverage:
    """What is committed of the topic, against how far the topic reaches."""

    def __init__(self, progress: Progress, losses: Losses, topic: Topic, now_ms: Callable[[], int]) -> None:
        self._progress = progress
        self._losses = losses
        self._topic = topic
        self._now_ms = now_ms

    def look(self) -> Missing | None:
        """Note what the topic has lost since it was read last: once ingest reads on from what the broker still has,
        nothing else tells of it. Likewise what ingest was never handed, where there are records.

        Returns:
            What is noted as lost, now or before.

        Raises:
            TopicUnavailable: if the broker does not answer.
            Unavailable: if the registry is out of reach.
        """
        self._look(self._now_ms())
        return self._noted()

    def missing(self, moment_ms: int) -> Missing | None:
        """What is missing until every record that was appended by a moment is committed; None if nothing is.

        What a partition lost is missing until it is acknowledged.

        Raises:
            TopicUnavailable: if the broker does not answer.
            Unavailable: if the registry is out of reach.
        """
        positions, reaches = self._look(moment_ms + CLOCK_SKEW_MS)
        if (lost := self._noted()) is not None:
            return lost
        for reach in reaches:
            missing = self._missing(reach, positions.get(reach.partition), moment_ms)
            if missing is not None:
                return missing
        return None

    def acknowledge(self, partition: int, until: int) -> None:
        """Go on without the records of a partition before an offset, which it has lost.

        Raises:
            ValueError: if the topic has no such partition, still has records before the offset, or lost more.
            TopicUnavailable: if the broker does not answer.
            Unavailable: if the registry is out of reach.
        """
        name, now_ms = self._topic.name, self._now_ms()
        first = next((one.first for one in self._topic.reach(now_ms) if one.partition == partition), None)
        loss = next((one for one in self._losses.of(name) if one.partition == partition), None)
        lost_until = 0 if loss is None else loss.until
        if first is None or until > max(first, lost_until):
            raise ValueError(f"partition {partition} of {name} has records from {first} on")
        if until < lost_until:
            raise ValueError(f"partition {partition} of {name} lost the records up to {lost_until}")
        self._progress.pass_over(Position(name, partition, until, now_ms), now_ms)
        self._losses.strike(name, Loss(partition, 0, until))

    def _look(self, moment_ms: int) -> tuple[dict[int, Position], list[Reach]]:
        name = self._topic.name
        positions = {one.partition: one for one in self._progress.positions(name)}
        gaps = self._progress.gaps(name)
        # the topic is asked after that, so that nothing can be past its end unless the topic is another one
        reaches = self._topic.reach(moment_ms)
        for reach in reaches:
            position = positions.get(reach.partition)
            loss = None if position is None else _loss(reach, position)
            if loss is not None:
                self._losses.note(name, loss)
        kept = {reach.partition: range(reach.first, reach.newest) for reach in reaches}
        for gap in gaps:
            offsets = gap.partition, gap.first, gap.until
            there = kept.get(gap.partition, range(0))
            if not (there.start <= gap.first and gap.until <= there.stop) or self._topic.holds_records(*offsets):
                self._losses.note(name, Loss(*offsets))
            self._progress.strike(name, gap)
        return positions, reaches

    def _noted(self) -> Missing | None:
        return next(map(self._lost, self._losses.of(self._topic.name)), None)

    def _missing(self, reach: Reach, position: Position | None, moment_ms: int) -> Missing | None:
        """What is missing of a partition that has lost nothing since it was first read."""
        at = reach.first if position is None else position.next_offset
        if at < reach.end and self._topic.holds_records(reach.partition, at, reach.end):
            return Missing(False, f"{self._name(reach.partition)} is committed to {at} of {reach.end}")
        if position is None and reach.first > 0:
            return self._lost(Loss(reach.partition, 0, reach.first))
        if at < reach.end:  # marks of transactions: they stay passed when the retention takes them
            passed = Position(self._topic.name, reach.partition, reach.end, moment_ms)
            self._progress.pass_over(passed, self._now_ms())
        return None

    def _lost(self, loss: Loss) -> Missing:
        return Missing(True, f"{self._name(loss.partition)} lost the records from {loss.first} to {loss.until}")

    def _name(self, partition: int) -> str:
        return f"partition {partition} of {self._topic.name}"


def _loss(reach: Reach, position: Position) -> Loss | None:
    """What a partition lost since it was read last: to its retention, or at its end, if the topic was made anew."""
    at = position.next_offset
    if at > reach.newest:
        return Loss(reach.partition, reach.newest, at)
    return Loss(reach.partition, at, reach.first) if at < reach.first else None
