"""When the system was disturbed, until when, and what readers were answered meanwhile."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.plan import Kind

CALM: Final = "calm"
LIVE: Final = "200 live"
SNAPSHOT: Final = "200 snapshot"
BUILDING: Final = "202 building"
"""What a range that nobody keeps is answered with at first, whether anything fails or not."""
UNREACHABLE: Final = "unreachable"
TIMEOUT: Final = "timeout"
RANKS_AWAY: Final = frozenset({Kind.DYNAMODB, Kind.CACHE, Kind.CACHE_EMPTIED, Kind.FLUSH})
"""What excuses a read that is not answered with live ranks: the definitions, or the cache, or its rebuild."""
COMPLAINTS_MAX: Final = 100
"""Complaints that are kept word for word."""


@dataclass(frozen=True)
class Read:
    """One answer to a reader."""

    target: str
    started_s: float
    ended_s: float
    answer: str
    """Status with source or kind of problem, such as `200 live`, `503 rebuilding`, `unreachable`."""
    whole_page: bool
    """Whether it was a page of a ranking, which shows that its window is there again."""
    faults: tuple[str, ...] = ()
    """What is wrong with it whenever it comes."""


@dataclass
class Disturbance:
    """A strike, from just before it until everything is read live again."""

    kind: Kind
    began_s: float
    awaited: set[str]
    """Targets of readers that were not read live since the victim is back."""
    struck_s: float | None = None
    back_s: float | None = None
    """When the victim answered again."""
    first_s: float | None = None
    """When the first read that began after the strike was answered with 200."""
    over_s: float | None = None

    def touches(self, read: Read) -> bool:
        """Whether it was there at any time of the read."""
        return self.began_s <= read.ended_s and (self.over_s is None or read.started_s <= self.over_s)


@dataclass
class Timeline:
    """Takes strikes and reads from any thread."""

    targets: Iterable[str]
    clock: Callable[[], float] = time.monotonic
    disturbances: list[Disturbance] = field(default_factory=list)
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    """Phase → answer → how often. A phase is the kinds of all disturbances at that time."""
    complaints: list[str] = field(default_factory=list)
    complained: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._began_s = self.clock()

    def now_s(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._began_s

    def begin(self, kind: Kind) -> Disturbance:
        """A strike is about to fall."""
        with self._lock:
            disturbance = Disturbance(kind, self.now_s(), set(self.targets))
            self.disturbances.append(disturbance)
            return disturbance

    def open(self) -> list[Disturbance]:
        """Disturbances that are not over."""
        with self._lock:
            return [one for one in self.disturbances if one.over_s is None]

    def totals(self) -> Counter[str]:
        """Answer → how often so far, in all phases."""
        with self._lock:
            return sum(self.answers.values(), Counter())

    def saw(self, read: Read) -> None:
        """Count an answer, and complain unless it is excused."""
        with self._lock:
            touching = [one for one in self.disturbances if one.touches(read)]
            kinds = {one.kind for one in touching}
            phase = " + ".join(sorted(kinds)) or CALM
            self.answers.setdefault(phase, Counter())[read.answer] += 1
            faults = [*read.faults, *([] if is_excused(read.answer, kinds) else [f"{read.answer} in phase {phase}"])]
            for fault in faults:
                self.complained += 1
                if len(self.complaints) < COMPLAINTS_MAX:
                    self.complaints.append(f"at {read.ended_s:.1f} s, {read.target}: {fault}")
            for disturbance in touching:
                _heal(disturbance, read)


def is_excused(answer: str, kinds: set[Kind]) -> bool:
    """Whether a reader may be answered so while disturbances of these kinds last."""
    if answer in (LIVE, BUILDING):
        return True
    if answer == UNREACHABLE:
        return Kind.API in kinds
    if answer == SNAPSHOT or answer.startswith("503 "):
        return bool(kinds & RANKS_AWAY)
    return False


def _heal(disturbance: Disturbance, read: Read) -> None:
    if disturbance.over_s is not None or disturbance.struck_s is None or not read.answer.startswith("200 "):
        return
    if disturbance.first_s is None and read.started_s >= disturbance.struck_s:
        disturbance.first_s = read.ended_s
    if disturbance.back_s is None or read.started_s < disturbance.back_s:
        return
    if read.answer == LIVE and read.whole_page:
        disturbance.awaited.discard(read.target)
    if not disturbance.awaited:
        disturbance.over_s = read.ended_s
