"""The functions that run on a schedule or by a queue: repair and closing."""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from shared.cache.errors import CacheRefused, CacheUnavailable
from shared.rebuild.anti_entropy import Interrupted
from shared.rebuild.requests import decode_request
from shared.truth.commits import Unavailable
from tests.simulation.course import Fault
from tests.simulation.process import RANGES, REPAIRS, Process

if TYPE_CHECKING:
    from tests.simulation.world import World


def repair(world: "World") -> None:
    """The repair function with its queue, and its schedule."""
    process = Process(world)
    function = process.repair
    while not world.is_quiet():
        world.scheduler.sleep(0.5)
        messages = world.sqs.messages.setdefault(world.rng.choice([REPAIRS, RANGES]), [])
        try:
            if messages:
                body = world.rng.choice(messages)
                function.handle(decode_request(body))
                messages.remove(body)
            elif world.rng.random() < 0.05:
                function.anti_entropy(_tell_refusals, partial(_has_time, world))
            elif world.rng.random() < 0.05:
                function.take_snapshots(_tell_refusals, partial(_has_time, world))
        except (Unavailable, CacheUnavailable, Interrupted):
            continue
        finally:
            world.hold_to(process)


def close(world: "World") -> None:
    """The closing function on its schedule."""
    closing = Process(world).closing
    while not world.is_quiet():
        world.scheduler.sleep(3)
        with suppress(Unavailable):
            run = closing.run(partial(_has_time, world))
            if run.errors:
                raise run.errors[0]


def _has_time(world: "World") -> bool:
    return not world.scheduler.fails(Fault.HURRY)


def _tell_refusals(_leaderboard_id: str, error: Exception) -> None:
    if not isinstance(error, CacheRefused):
        raise error
