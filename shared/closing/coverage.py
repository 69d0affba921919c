"""Whether every record that the broker appended by a moment is committed, and what the topic has lost."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from shared.closing.schedule import CLOCK_SKEW_MS
from shared.messaging.topic import Reach, Topic, TopicUnavailable
from shared.truth.losses import Loss, Losses
from shared.truth.progress import Gap, Position, Progress


class Missing(Struct, frozen=True):
    """Records that are not committed."""

    is_lost: bool
    """Whether they never will be; otherwise ingest has yet to commit them."""
    detail: str


class Coverage:
    """Compares what is committed of the topic with how far the topic reaches.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, progress: Progress, losses: Losses, topic: Topic, now_ms: Callable[[], int]) -> None:
        self._progress = progress
        self._losses = losses
        self._topic = topic
        self._now_ms = now_ms

    def check(self) -> Missing | None:
        """Record what the topic has lost since the last check, and what ingest was never handed although it holds
        records. Nothing else shows a loss once ingest reads on from what the broker still has.

        Returns:
            What is recorded as lost, now or before.

        Raises:
            TopicUnavailable: if the broker does not answer.
        """
        self._read(self._now_ms())
        return self._recorded_loss()

    def missing(self, moment_ms: int) -> Missing | None:
        """What is not committed of the records that were appended by a moment; None if all of them are.

        What a partition lost is missing until an operator acknowledges it. So is what was never committed of a former
        topic.

        Raises:
            TopicUnavailable: if the broker does not answer.
        """
        positions, reaches = self._read(moment_ms + CLOCK_SKEW_MS)
        if (lost := self._recorded_loss()) is not None:
            return lost
        for reach in reaches:
            missing = self._uncommitted(reach, positions.get(reach.partition), moment_ms)
            if missing is not None:
                return missing
        return None

    def acknowledge(self, partition: int, until: int, topic: str | None = None) -> None:
        """Accept the loss of a partition's records before an offset, so that days can be sealed again.

        Args:
            partition: its number.
            until: the offset.
            topic: a former topic; the current one if None.

        Raises:
            ValueError: if the topic has no such partition, still has records before the offset, or lost more.
            TopicUnavailable: if the broker does not answer.
        """
        name, now_ms = topic or self._topic.name, self._now_ms()
        losses = [one for one in self._losses.of(name) if one.partition == partition]
        furthest = max((one.until for one in losses), default=0)
        if until > max(self._kept_from(name, partition, now_ms), furthest):
            raise ValueError(f"partition {partition} of {name} has records before {until}, or is not known")
        accepted = [one for one in losses if one.until <= until]
        cut = next((one for one in losses if one.first < until < one.until), None)
        if cut is not None or (losses and not accepted):
            most = furthest if cut is None else cut.until
            raise ValueError(f"partition {partition} of {name} lost the records up to {most}")
        self._progress.pass_over(Position(name, partition, until, now_ms), now_ms)
        for loss in accepted:
            self._losses.remove(name, loss)

    def _kept_from(self, name: str, partition: int, now_ms: int) -> int:
        """The first offset that a topic still has; of a former topic, its end when it was last read. 0 if unknown."""
        if name == self._topic.name:
            return next((one.first for one in self._topic.reach(now_ms) if one.partition == partition), 0)
        return self._losses.ends().get(name, {}).get(partition, 0)

    def _read(self, moment_ms: int) -> tuple[dict[int, Position], list[Reach]]:
        """Read positions and topic, and record gaps and losses that they show."""
        name = self._topic.name
        positions = {one.partition: one for one in self._progress.positions(name)}
        gaps = self._progress.gaps(name)
        seen = self._losses.ends().get(name)
        # the topic comes last: a position past its end then means that the topic was recreated
        reaches = self._topic.reach(moment_ms)
        for gap in gaps:
            self._resolve(gap, reaches)
        for reach in reaches:
            loss = _loss(reach, positions.get(reach.partition), (seen or {}).get(reach.partition, 0))
            if loss is not None:
                self._losses.record(name, loss)
        ends = {reach.partition: reach.newest for reach in reaches}
        if ends != seen:
            self._losses.record_ends(name, ends)
        return positions, reaches

    def _resolve(self, gap: Gap, reaches: list[Reach]) -> None:
        """Record a gap as a loss if it held records, or if that can't be known any more; then remove it."""
        kept = {reach.partition: range(reach.first, reach.newest) for reach in reaches}
        there = kept.get(gap.partition, range(0))
        offsets = gap.partition, gap.first, gap.until
        if not (there.start <= gap.first and gap.until <= there.stop) or self._topic.holds_records(*offsets):
            self._losses.record(self._topic.name, Loss(*offsets))
        self._progress.remove_gap(self._topic.name, gap)

    def _recorded_loss(self) -> Missing | None:
        """The first recorded loss of the topic, or what is missing of a former one."""
        name = self._topic.name
        for loss in self._losses.of(name):
            return _lost(name, loss)
        for former, ends in self._losses.ends().items():
            if former != name:
                if (missing := self._missing_of_former(former, ends)) is not None:
                    return missing
                self._losses.forget(former)
        return None

    def _missing_of_former(self, name: str, ends: Mapping[int, int]) -> Missing | None:
        """What was never committed of a former topic, up to the ends that were read last."""
        missing: list[Loss | Gap] = [*self._losses.of(name), *self._progress.gaps(name)]
        for loss in missing:
            return _lost(name, loss)
        committed = {one.partition: one.next_offset for one in self._progress.positions(name)}
        for partition, end in ends.items():
            if (at := committed.get(partition, 0)) < end:
                return _lost(name, Loss(partition, at, end))
        return None

    def _uncommitted(self, reach: Reach, position: Position | None, moment_ms: int) -> Missing | None:
        """What is not committed of a partition that has lost nothing."""
        name = self._topic.name
        at = reach.first if position is None else position.next_offset
        if at >= reach.end:
            return None
        if self._topic.holds_records(reach.partition, at, reach.end):
            return Missing(False, f"partition {reach.partition} of {name} is committed to {at} of {reach.end}")
        # only transaction markers: once passed, they count as committed even after the retention removes them
        self._progress.pass_over(Position(name, reach.partition, reach.end, moment_ms), self._now_ms())
        return None


class CachedCoverage:
    """The coverage of one run: the broker is asked once for each cutoff, however many leaderboards share it."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._known: dict[int, Missing | None] = {}
        self._failure: str | None = None

    @property
    def uncommitted(self) -> dict[int, Missing]:
        """What has been found so far: moment → what is not committed of the records that were appended by it."""
        return {moment_ms: missing for moment_ms, missing in self._known.items() if missing is not None}

    @property
    def failure(self) -> str | None:
        """Why the broker could not be asked; None if it has answered so far."""
        return self._failure

    def missing(self, moment_ms: int) -> Missing | None:
        """What is not committed of the records that were appended by a moment; None if all of them are.

        Raises:
            TopicUnavailable: if the broker does not answer, or has failed to answer earlier in this run.
            Unavailable: if DynamoDB throttles or is out of reach.
        """
        if moment_ms not in self._known:
            if self._failure is not None:
                raise TopicUnavailable(self._failure)
            try:
                self._known[moment_ms] = self._coverage.missing(moment_ms)
            except TopicUnavailable as error:
                self._failure = str(error)
                raise
        return self._known[moment_ms]


def _lost(name: str, loss: Loss | Gap) -> Missing:
    partition = f"partition {loss.partition} of {name}"
    if loss.first == loss.until:
        return Missing(True, f"{partition} was recreated: what it held from offset {loss.first} on is not known")
    return Missing(True, f"{partition} lost the records from {loss.first} to {loss.until}")


def _loss(reach: Reach, position: Position | None, seen: int) -> Loss | None:
    """What a partition lost since the last check: to its retention, or at its end if the topic was recreated.

    Args:
        reach: which offsets it has now.
        position: up to where it is committed; None if it was never read.
        seen: its end at the last check.
    """
    at = 0 if position is None else position.next_offset
    if at > reach.newest:
        return Loss(reach.partition, at, max(at, seen))
    return Loss(reach.partition, at, reach.first) if at < reach.first else None
