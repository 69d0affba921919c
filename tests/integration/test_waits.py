"""Waits have a share of their own, whoever counts them and whatever becomes of who held one."""

from contextlib import ExitStack
from itertools import count

import pytest
from redis import Redis

from shared.cache.waits import KEY, Waits
from shared.cache.windows import WindowCache
from tests.support.stack import until

MOST, LONG_MS = 3, 600_000
_tokens = count()


@pytest.fixture
def instances(redis: Redis) -> list[Waits]:
    """Instances of the API, each with a connection of its own."""
    return [Waits(WindowCache(redis), MOST, lambda: str(next(_tokens))) for _ in range(MOST + 2)]


def test_no_more_wait_than_their_share_over_all_instances(instances: list[Waits]) -> None:
    with ExitStack() as waiting:
        granted = [waiting.enter_context(one.granted(LONG_MS)) for one in instances]
        assert granted == [True] * MOST + [False] * 2


def test_a_wait_that_ends_makes_room_for_one_and_one_that_was_refused_for_none(instances: list[Waits]) -> None:
    with ExitStack() as waiting:
        for one in instances[1:MOST]:
            waiting.enter_context(one.granted(LONG_MS))
        for _ in range(3):
            with instances[0].granted(LONG_MS) as granted, instances[MOST].granted(LONG_MS) as another:
                assert (granted, another) == (True, False)


def test_the_wait_of_an_instance_that_crashed_ends_by_itself(instances: list[Waits], redis: Redis) -> None:
    with ExitStack() as waiting:
        for one in instances[1:MOST]:
            waiting.enter_context(one.granted(LONG_MS))
        waiting.enter_context(instances[0].granted(1))  # and is never given back until here

        def granted() -> bool:
            with instances[MOST].granted(LONG_MS) as found:
                assert not found or redis.zcard(KEY) == MOST, "those that go on are counted"
                return found

        until(granted, "a wait that is granted")


def test_nobody_waits_while_redis_fails() -> None:
    unreachable = Redis(port=1, socket_connect_timeout=1)
    with Waits(WindowCache(unreachable), MOST, lambda: "token").granted(LONG_MS) as granted:
        assert not granted
