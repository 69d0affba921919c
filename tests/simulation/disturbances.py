"""What goes wrong around the functions: rebalances, flushes, failovers, full memory, tables that are set back."""

from typing import TYPE_CHECKING

from shared.cache.errors import CacheUnavailable
from shared.truth.commits import Unavailable
from tests.simulation.backup import Backup
from tests.simulation.cache import Replica
from tests.simulation.course import Fault
from tests.simulation.outside import PARTITIONS
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

OUTAGE_S = 30
"""How long Redis may be full, or the script of one leaderboard fail."""
BACKUPS = 0.05
"""Share of all seconds in which the tables are backed up."""
REWINDS_MAX = 40
"""Beside hours of outages, more of them would have the same records consumed for ever."""
RESTORES_MAX = 20
"""Beside outages, more of them would leave no time for what takes many requests: a move to a pseudonym, say."""
STOPPED_S = 5
"""How long an operator waits for what was under way when everything was stopped."""
HANG_MS_MAX = 90_000
"""How long DynamoDB may answer nobody."""


def disturb(world: "World") -> None:
    """Rebalances, rewinds, flushes, and leaders whose clocks differ."""
    while not world.is_quiet():
        world.scheduler.sleep(1)
        if world.scheduler.fails(Fault.REBALANCE):
            world.owner[world.rng.randrange(PARTITIONS)] = world.rng.choice(["one", "two"])
        is_patient = sum(world.rewinds) < REWINDS_MAX
        if is_patient and world.scheduler.fails(Fault.REWIND) and not world.is_consumed():
            partition = world.rng.randrange(PARTITIONS)
            world.committed[partition] = world.rng.randrange(world.committed[partition] + 1)
            world.rewinds[partition] += 1
        if world.scheduler.fails(Fault.FLUSH):
            world.redis.flushall()
            world.lost_outside_builds.clear()
        if world.scheduler.fails(Fault.HANG):
            world.dynamo.hang(world.rng.randrange(HANG_MS_MAX))
        world.retain(world.rng.randrange(PARTITIONS))
        if world.scheduler.fails(Fault.FULL):
            _fill_up(world)
        if world.scheduler.fails(Fault.FAILOVER) and not world.stopped:
            replica = Replica(world)
            world.scheduler.sleep(world.rng.uniform(0, 1))
            if not world.stopped:
                replica.take_over()
        if world.scheduler.fails(Fault.CLOCKS):
            world.brokers_ahead_ms[world.rng.randrange(PARTITIONS)] = world.rng.randrange(-25_000, 25_000)


def _fill_up(world: "World") -> None:
    world.redis.config_set("maxmemory", 1)
    try:
        world.scheduler.sleep(world.rng.uniform(0, OUTAGE_S))
    finally:
        world.redis.config_set("maxmemory", 0)


def fail_scripts(world: "World") -> None:
    """Something of one leaderboard that the apply script doesn't understand."""
    while not world.is_quiet():
        world.failing_board = ""
        world.scheduler.sleep(1)
        if world.scheduler.fails(Fault.SCRIPT_ERROR):
            world.failing_board = world.rng.choice(world.open)
            world.scheduler.sleep(world.rng.uniform(0, OUTAGE_S))


def restore(world: "World") -> None:
    """An operator who sets the tables back, by the steps of docs/runbook.md, if the topic keeps what follows."""
    if world.scheduler.has(Fault.RETENTION):
        return
    backup = Backup(world)
    while not world.is_quiet():
        world.scheduler.sleep(1)
        if world.rng.random() < BACKUPS:
            backup = Backup(world)
        restored = world.scheduler.fault_counts[Fault.RESTORE]
        if restored < RESTORES_MAX and not world.is_consumed() and world.scheduler.fails(Fault.RESTORE):
            world.stopped = True
            world.scheduler.stop()
            world.scheduler.sleep(STOPPED_S)
            backup.take_over()
            _forget(world)
            world.stopped = False
            backup = Backup(world)


def _forget(world: "World") -> None:
    while True:
        try:
            Process(world).repair.forget()
        except (Unavailable, CacheUnavailable):
            world.scheduler.sleep(1)
        else:
            return
