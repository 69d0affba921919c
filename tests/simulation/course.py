"""A course of the simulation, and the smallest one that fails in the same way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

EVENTS = 120


class Fault(StrEnum):
    """What goes wrong, and can be left out to see what is to blame."""

    CRASH = "crash"
    THROTTLE = "throttle"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    UNPROCESSED = "unprocessed"
    REFUSE = "refuse"
    """SQS or S3 does not take it, or takes it and does not say so."""
    CACHE_AWAY = "cache-away"
    CACHE_LOSES = "cache-loses"
    BROKER_AWAY = "broker-away"
    REBALANCE = "rebalance"
    FLUSH = "flush"
    CLOCKS = "clocks"
    """The leaders of partitions do not agree what time it is."""


SHARES = {
    Fault.CRASH: 0.004,
    Fault.THROTTLE: 0.02,
    Fault.TIMEOUT: 0.02,
    Fault.CONFLICT: 0.03,
    Fault.UNPROCESSED: 0.1,
    Fault.REFUSE: 0.03,
    Fault.CACHE_AWAY: 0.03,
    Fault.CACHE_LOSES: 0.01,
    Fault.BROKER_AWAY: 0.05,
    Fault.REBALANCE: 0.3,
    Fault.FLUSH: 0.02,
    Fault.CLOCKS: 0.1,
}
"""Of all points at which each may strike; the last three, of all seconds."""


@dataclass(frozen=True)
class Course:
    """All that a run depends on."""

    seed: int
    events: int = EVENTS
    without: frozenset[Fault] = frozenset()

    def __str__(self) -> str:
        """The command that takes this course again."""
        without = f" WITHOUT={','.join(sorted(self.without))}" if self.without else ""
        return f"FIRST_SEED={self.seed} SEEDS=1 EVENTS={self.events}{without} make simulate"


def shrink(course: Course, fails: Callable[[Course], bool]) -> Course:
    """The smallest course that still fails: without the faults that have no part in it, with few events.

    Leaving something out makes all that follows another course, so every step is tried anew.
    """
    for fault in Fault:
        smaller = replace(course, without=course.without | {fault})
        if fails(smaller):
            course = smaller
    step = course.events // 2
    while step:
        smaller = replace(course, events=course.events - step)
        if smaller.events and fails(smaller):
            course = smaller
        else:
            step //= 2
    return course
