"""Whether every record that the broker appended by a moment is committed."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from shared.messaging.topic import Reach, Topic
from shared.truth.losses import Loss, Losses
from shared.truth.progress import Gap, Position, Progress

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

        What a partition lost is missing until it is acknowledged; so is what was never committed of a former topic.

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

    def acknowledge(self, partition: int, until: int, topic: str | None = None) -> None:
        """Go on without the records of a partition before an offset, which it has lost.

        Args:
            partition: its number.
            until: the offset.
            topic: a former topic; the one of now without it.

        Raises:
            ValueError: if the topic has no such partition, still has records before the offset, or lost more.
            TopicUnavailable: if the broker does not answer.
            Unavailable: if the registry is out of reach.
        """
        name, now_ms = topic or self._topic.name, self._now_ms()
        losses = [one for one in self._losses.of(name) if one.partition == partition]
        furthest = max((one.until for one in losses), default=0)
        if until > max(self._kept_from(name, partition, now_ms), furthest):
            raise ValueError(f"partition {partition} of {name} has records before {until}, or is not known")
        struck = [one for one in losses if one.until <= until]
        cut = next((one for one in losses if one.first < until < one.until), None)
        if cut is not None or (losses and not struck):
            most = furthest if cut is None else cut.until
            raise ValueError(f"partition {partition} of {name} lost the records up to {most}")
        self._progress.pass_over(Position(name, partition, until, now_ms), now_ms)
        for loss in struck:
            self._losses.strike(name, loss)

    def _kept_from(self, name: str, partition: int, now_ms: int) -> int:
        """The first offset that a topic still has, as far as is known; of a former topic, its end. 0 if not known."""
        if name == self._topic.name:
            return next((one.first for one in self._topic.reach(now_ms) if one.partition == partition), 0)
        return self._losses.ends().get(name, {}).get(partition, 0)

    def _look(self, moment_ms: int) -> tuple[dict[int, Position], list[Reach]]:
        name = self._topic.name
        positions = {one.partition: one for one in self._progress.positions(name)}
        gaps = self._progress.gaps(name)
        seen = self._losses.ends().get(name)
        # the topic is asked after that, so that nothing can be past its end unless the topic is another one
        reaches = self._topic.reach(moment_ms)
        for gap in gaps:
            self._look_into(gap, reaches)
        for reach in reaches:
            loss = _loss(reach, positions.get(reach.partition), (seen or {}).get(reach.partition, 0))
            if loss is not None:
                self._losses.note(name, loss)
        ends = {reach.partition: reach.newest for reach in reaches}
        if ends != seen:
            self._losses.note_ends(name, ends)
        return positions, reaches

    def _look_into(self, gap: Gap, reaches: list[Reach]) -> None:
        """Note a gap as lost, if it held records or nobody knows."""
        kept = {reach.partition: range(reach.first, reach.newest) for reach in reaches}
        there = kept.get(gap.partition, range(0))
        offsets = gap.partition, gap.first, gap.until
        if not (there.start <= gap.first and gap.until <= there.stop) or self._topic.holds_records(*offsets):
            self._losses.note(self._topic.name, Loss(*offsets))
        self._progress.strike(self._topic.name, gap)

    def _noted(self) -> Missing | None:
        """What is noted as lost of the topic, or missing of a former one."""
        name = self._topic.name
        for loss in self._losses.of(name):
            return _lost(name, loss)
        for former, ends in self._losses.ends().items():
            if former != name:
                if (missing := self._left_behind(former, ends)) is not None:
                    return missing
                self._losses.forget(former)
        return None

    def _left_behind(self, name: str, ends: Mapping[int, int]) -> Missing | None:
        """What was never committed of a former topic, as far as it was seen."""
        missing: list[Loss | Gap] = [*self._losses.of(name), *self._progress.gaps(name)]
        for loss in missing:
            return _lost(name, loss)
        committed = {one.partition: one.next_offset for one in self._progress.positions(name)}
        for partition, end in ends.items():
            if (at := committed.get(partition, 0)) < end:
                return _lost(name, Loss(partition, at, end))
        return None

    def _missing(self, reach: Reach, position: Position | None, moment_ms: int) -> Missing | None:
        """What is missing of a partition that has lost nothing."""
        name = self._topic.name
        at = reach.first if position is None else position.next_offset
        if at >= reach.end:
            return None
        if self._topic.holds_records(reach.partition, at, reach.end):
            return Missing(False, f"partition {reach.partition} of {name} is committed to {at} of {reach.end}")
        # marks of transactions: they stay passed when the retention takes them
        self._progress.pass_over(Position(name, reach.partition, reach.end, moment_ms), self._now_ms())
        return None


def _lost(name: str, loss: Loss | Gap) -> Missing:
    place = f"partition {loss.partition} of {name}"
    if loss.first == loss.until:
        return Missing(True, f"{place} was made anew: what it held from offset {loss.first} on is not known")
    return Missing(True, f"{place} lost the records from {loss.first} to {loss.until}")


def _loss(reach: Reach, position: Position | None, seen: int) -> Loss | None:
    """What a partition lost since it was read last: to its retention, or at its end, if the topic was made anew.

    Args:
        reach: how it stands now.
        position: what is committed; None if it was never read.
        seen: its end at the look before.
    """
    at = 0 if position is None else position.next_offset
    if at > reach.newest:
        return Loss(reach.partition, at, max(at, seen))
    return Loss(reach.partition, at, reach.first) if at < reach.first else None
