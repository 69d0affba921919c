"""What the monkey does and when: drawn from a seed before the run, so that a run can be had again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from infra.local.supervisor import DEATHS_WITHIN_S

DEATHS_PLANNED_MAX: Final = 3
"""Kills of one process within DEATHS_WITHIN_S. With more, it would spend most of the run in the supervisor's pauses
before its next start, where nothing can hit it."""
TOGETHER: Final = 0.2
"""Share of strikes that come at the same moment as the one before."""
QUIET_BEFORE: Final = 0.04
QUIET_AFTER: Final = 0.08
"""Shares of the time without strikes: at first something must be there to be lost, at last something must heal."""
DRAWS_MAX: Final = 100


class Kind(StrEnum):
    """Kinds of strikes."""

    BROKER = "broker"
    TRIGGER = "trigger"
    DYNAMODB = "dynamodb"
    CACHE = "cache"
    CACHE_EMPTIED = "cache emptied"
    API = "api"
    QUEUES = "queues"
    FLUSH = "flushall"


KILLS: Final = tuple(kind for kind in Kind if kind is not Kind.FLUSH)
"""The strikes that kill a process."""
VICTIMS: Final = {
    Kind.BROKER: "kafka",
    Kind.TRIGGER: "trigger",
    Kind.DYNAMODB: "dynamodb",
    Kind.CACHE: "cache",
    Kind.CACHE_EMPTIED: "cache",
    Kind.API: "api",
    Kind.QUEUES: "queues",
    Kind.FLUSH: "cache",
}
"""The process that a strike hits. The S3 and SQS of the local stack are spared: they keep nothing through a kill."""


@dataclass(frozen=True)
class Strike:
    """One strike of the plan."""

    at_s: float
    """Seconds since the start of the run, without those that strikes were waited with."""
    kind: Kind
    into_peace: bool = False
    """Whether it waits until the system has recovered from those before."""


def plan(rng: Random, kills: int, seconds: float) -> list[Strike]:
    """Strikes in the order of their times: `kills` kills, each kind about as often, and flushes besides.

    Raises:
        ValueError: if so many kills in so little time would leave the processes in the pauses before their next start.
    """
    for _ in range(DRAWS_MAX):
        strikes = _draw(rng, kills, seconds)
        if _deaths_at_once(strikes) <= DEATHS_PLANNED_MAX:
            return strikes
    raise ValueError(f"{kills} kills in {seconds:.0f} s are too many: processes would mostly wait for their next start")


def _draw(rng: Random, kills: int, seconds: float) -> list[Strike]:
    kinds = _rounds(rng, KILLS, kills)
    for _ in range(max(1, kills // len(KILLS))):
        kinds.insert(rng.randint(0, len(kinds)), Kind.FLUSH)
    _let_cache_keep_its_data_at_last(kinds)
    gaps: list[float] = []
    for number, kind in enumerate(kinds):
        same_victim = number > 0 and VICTIMS[kinds[number - 1]] == VICTIMS[kind]
        together = number > 0 and not same_victim and rng.random() < TOGETHER
        gaps.append(0.0 if together else rng.uniform(0.3, 1.7))
    span_s = seconds * (1 - QUIET_BEFORE - QUIET_AFTER)
    at_s = seconds * QUIET_BEFORE
    strikes: list[Strike] = []
    for gap, kind in zip(gaps, kinds, strict=True):
        at_s += span_s * gap / sum(gaps)
        strikes.append(Strike(round(at_s, 1), kind, kind is Kind.CACHE and kind not in kinds[len(strikes) + 1 :]))
    return strikes


def _rounds(rng: Random, kinds: Sequence[Kind], count: int) -> list[Kind]:
    """Rounds of all kinds, each round in an order of its own."""
    found: list[Kind] = []
    while len(found) < count:
        found += rng.sample(kinds, len(kinds))
    return found[:count]


def _let_cache_keep_its_data_at_last(kinds: list[Kind]) -> None:
    """After a rebuild nobody sees any more what was not repaired before it: none may follow the last kill of Redis, nor
    be under way when that comes."""
    places = [place for place, kind in enumerate(kinds) if VICTIMS[kind] == VICTIMS[Kind.CACHE]]
    kept = [place for place in places if kinds[place] is Kind.CACHE]
    if kept:
        kinds[kept[-1]], kinds[places[-1]] = kinds[places[-1]], Kind.CACHE


def _deaths_at_once(strikes: Sequence[Strike]) -> int:
    """The most deaths of one process within the time that the supervisor looks back."""
    deaths = [(VICTIMS[strike.kind], strike.at_s) for strike in strikes if strike.kind in KILLS]
    return max(
        (
            sum(name == other and 0 <= later_s - at_s <= DEATHS_WITHIN_S for other, later_s in deaths)
            for name, at_s in deaths
        ),
        default=0,
    )
