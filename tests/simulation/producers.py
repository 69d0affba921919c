"""Whoever produces events, with all that real producers do wrong."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.closing.schedule import LAST_CALLS_MS
from shared.domain.calendar import DAY_MS
from tests.simulation.boards import HOUR_MS, VALUES
from tests.simulation.course import Fault
from tests.simulation.outside import PARTITIONS
from tests.simulation.redrives import redrive
from tests.support.oracle import Produced

if TYPE_CHECKING:
    from tests.simulation.world import World

BEGINNINGS_MAX = 4
"""How often a producer sends everything from its beginning."""
PROFILES: tuple[Any, ...] = (
    {"name": "Ada"},
    {"name": "Bo <b>", "avatar": "fox-3"},
    {},
    {"name": "x" * 65},
    7,
    {"metadata": {"a": [1]}},
    None,
)
"""What some events bring; two of these are none, and one takes back what was before."""
DAYS = 2
"""Over which a course's events come, about, however many they are."""
LULL_S = 25
"""How long nothing may be produced on another day: enough for consumers to come to the end and for days to refuse
events, then for these to be closed and windows to become final, while things go wrong."""


def produce(world: "World") -> None:
    """Events over some days: sent twice, in conflict, malformed, late, ahead of their time, enormous.

    A producer that dies begins again, but not for ever: then it goes on where it was.
    """
    world.productions += 1
    for number in range(0 if world.productions <= BEGINNINGS_MAX else world.sent, world.events):
        world.sent = number
        user = world.user()
        value = json.dumps(_event(world, number, user)).encode()
        if world.rng.random() < 0.04:
            value = world.rng.choice([b"", b"[]", b"\xff", b'{"eventId":"x"}', value[:-1]])
        partition = world.rng.randrange(2) if value[:1] != b"{" else int(user[1:]) % PARTITIONS
        if world.scheduler.fails(Fault.STRAY):
            partition = (partition + 1) % PARTITIONS
        for _ in range(world.rng.choice([1, 1, 1, 1, 2])):
            _append(world, partition, value)
        if world.scheduler.fails(Fault.TWICE):
            _append(world, (partition + 2) % PARTITIONS, value)
        if world.scheduler.fails(Fault.REDRIVE):
            redrive(world)
        if world.rng.random() < DAYS / world.events:
            world.scheduler.now_ms += world.rng.randrange(2 * DAY_MS)
            if world.rng.random() < 0.5:
                world.scheduler.sleep(LULL_S)
                world.scheduler.now_ms += LAST_CALLS_MS
                world.scheduler.sleep(LULL_S)
            if world.rng.random() < 0.5:
                world.registry.unknown.clear()  # on the next morning an administrator finds out
            if world.scheduler.has(Fault.REDRIVE):
                redrive(world)
    world.registry.unknown.clear()
    world.produced = True


def _append(world: "World", partition: int, value: bytes) -> None:
    log, at_ms = world.topic[partition], world.scheduler.now_ms + world.brokers_ahead_ms[partition]
    if by_producer := world.scheduler.fails(Fault.CREATE_TIME):
        at_ms += world.rng.randrange(-2 * DAY_MS, 2 * DAY_MS)
    log.append(Produced(partition, len(log), at_ms, value, not by_producer))
    world.scheduler.pause()


def _event(world: "World", number: int, user: str) -> dict[str, Any]:
    ago_ms = world.rng.choice([0, 0, world.rng.randrange(2 * HOUR_MS), world.rng.randrange(5 * DAY_MS), -6 * 60_000])
    at_ms = world.scheduler.now_ms - ago_ms - world.rng.randrange(3)
    points = (
        world.rng.choice([0, 1, 1, 2, -3, 10]) if world.rng.random() < 0.95 else world.rng.choice([-1, 1]) * (2**53 - 1)
    )
    repeated = world.rng.random() < 0.08
    event_id = f"e{world.rng.randrange(number)}" if repeated and number else f"e{number}"
    board = world.rng.choice([*world.boards]) if world.rng.random() < 0.93 else "unknown"
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    names = [name for name in ("country", "platform", "guild") if world.rng.random() < 0.5]
    profile = {} if number % 3 else {"profile": PROFILES[number // 3 % len(PROFILES)]}  # without a draw of its own
    return {
        **profile,
        "eventId": event_id,
        "leaderboardId": board,
        "userId": user,
        "points": points,
        "attributes": {name: world.rng.choice(VALUES) for name in names},
        "occurredAt": f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z",
    }
