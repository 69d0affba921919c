"""A course of the simulation, and the smallest one that fails in the same way."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tests.simulation.boards import ARCHIVED, BOARDS, OPEN

EVENTS: Final = (5, 10, 20, 40, 120)
PLAYERS: Final = (1, 3, 9)
SIZES: Final = (1, 1, 2, 2, 3, len(OPEN))
"""Leaderboards: mostly few, since they have little to do with each other and each takes its time."""


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
    SKEW = "skew"
    """Nor do processes of ours."""
    SLOW = "slow"
    """A command of Redis takes its time, or is run after its client has given up."""
    FAILOVER = "failover"
    """A replica of Redis takes over that lacks the last writes."""
    FULL = "full"
    """Redis has no memory for writes, for a while; deletes and reads go on."""
    SCRIPT_ERROR = "script-error"
    """What is applied to one leaderboard's windows ends with an error of the script, for a while."""
    RESTORE = "restore"
    """An operator sets the tables back to a backup, by the steps of the runbook; the cache is left as it was."""
    RULES = "rules"
    """Administrators change lateness and tiers."""
    TWICE = "twice"
    """A second producer sends an event, too, by a key of its own."""
    STRAY = "stray"
    """A producer ignores the key."""
    HANG = "hang"
    """DynamoDB takes requests for a while and answers none: each waits for all that its client grants."""
    REWIND = "rewind"
    """Somebody sets the consumer group back, maybe to where it began."""
    CREATE_TIME = "create-time"
    """The topic is set to CreateTime for a moment, and a record carries its producer's time."""
    RETENTION = "retention"
    """The oldest records of a partition are removed, also some that are not committed."""
    ARCHIVE = "archive"
    """Administrators delete leaderboards, and put some of them again."""
    PERIODS = "periods"
    """Administrators register, change and delete periods."""
    SERIES = "series"
    """Administrators register, change and delete series of periods."""
    REDRIVE = "redrive"
    """An operator sends dead letters back."""
    PURGE = "purge"
    """Administrators let a leaderboard start over."""
    PSEUDONYM = "pseudonym"
    """Administrators replace the ids of players by pseudonyms."""
    HURRY = "hurry"
    """A run of closing or repair has no time left."""
    HELD = "held"
    """A process stands still for minutes, past its function's time limit; what it was about to send is sent all the
    same, and only then it is killed. Not those of ingest, whose time limit closing counts on."""

    __hash__ = str.__hash__  # that of enumerations is written in Python, and asked for at every point


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
    Fault.SLOW: 0.01,
    Fault.FAILOVER: 0.04,
    Fault.FULL: 0.03,
    Fault.SCRIPT_ERROR: 0.03,
    Fault.RESTORE: 0.02,
    Fault.RULES: 0.1,
    Fault.TWICE: 0.05,
    Fault.STRAY: 0.05,
    Fault.HANG: 0.03,
    Fault.REWIND: 0.03,
    Fault.CREATE_TIME: 0.05,
    Fault.RETENTION: 0.02,
    Fault.ARCHIVE: 0.015,
    Fault.PERIODS: 0.2,
    Fault.SERIES: 0.1,
    Fault.REDRIVE: 0.1,
    Fault.PURGE: 0.03,
    Fault.PSEUDONYM: 0.03,
    Fault.HURRY: 0.1,
    Fault.HELD: 0.004,
}
"""Of all points at which each may strike; rebalances, rewinds, flushes, failovers, clocks, rules, hanging, periods,
series, purges, pseudonyms and archiving of all seconds, producers and redrives of all events; the retention of all
seconds and of all questions that the broker is asked."""


@dataclass(frozen=True)
class Course:
    """All that a run depends on."""

    seed: int
    events: int = max(EVENTS)
    players: int = max(PLAYERS)
    boards: tuple[str, ...] = tuple(BOARDS)
    without: frozenset[Fault] = frozenset()

    @property
    def is_faultless(self) -> bool:
        """Whether nothing goes wrong."""
        return self.without >= {*Fault}

    def __str__(self) -> str:
        """The command that takes this course again."""
        without = f" WITHOUT={','.join(sorted(self.without))}" if self.without else ""
        size = f"EVENTS={self.events} PLAYERS={self.players} BOARDS={','.join(self.boards)}"
        return f"FIRST_SEED={self.seed} SEEDS=1 {size}{without} make simulate"


def draw(seed: int) -> Course:
    """The course of a seed: its size, its leaderboards, and which faults it goes without.

    A course with everything in it hides what something else always gets in the way of; so most leave some out
    (Groce et al., "Swarm Testing", ISSTA 2012).
    """
    rng = random.Random(f"course {seed}")
    names = {*rng.sample(OPEN, rng.choice(SIZES)), *([ARCHIVED] if rng.random() < 0.5 else [])}
    left_out = rng.choice((0, 0.2, 0.5))
    without = frozenset(fault for fault in Fault if rng.random() < left_out)
    boards = tuple(name for name in BOARDS if name in names)
    return Course(seed, rng.choice(EVENTS), rng.choice(PLAYERS), boards, without)


def shrink(course: Course, fails: Callable[[Course], bool]) -> Course:
    """The smallest course that still fails: without the faults and boards that have no part in it, with few events.

    Leaving something out makes all that follows another course, so every step is tried from the start.
    """
    for fault in Fault:
        smaller = replace(course, without=course.without | {fault})
        if fails(smaller):
            course = smaller
    for board in course.boards:
        smaller = replace(course, boards=tuple(name for name in course.boards if name != board))
        if set(smaller.boards) - {ARCHIVED} and fails(smaller):
            course = smaller
    step = course.events // 2
    while step:
        smaller = replace(course, events=course.events - step)
        if smaller.events and fails(smaller):
            course = smaller
        else:
            step //= 2
    return course
