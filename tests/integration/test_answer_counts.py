"""Answers are counted over all instances of the API, on a real cache."""

from collections.abc import Iterator

import pytest
from redis import Redis

from shared.cache.answer_counts import BOUNDS_S, FLUSH_S, KEY, AnswerCounts
from shared.cache.windows import WindowCache

RANKINGS = "GET /leaderboards/{id}/rankings"


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(redis: Redis) -> Iterator[Clock]:
    redis.delete(KEY)
    yield Clock()
    redis.delete(KEY)


def test_instances_add_up_by_route_class_and_bucket_and_waits_have_no_duration(redis: Redis, clock: Clock) -> None:
    one, other = (AnswerCounts(lambda: WindowCache(redis), clock) for _ in range(2))
    one.count(RANKINGS, 200, 0.001, waited=False)
    one.count(RANKINGS, 304, 20, waited=True)
    one.count(RANKINGS, 503, 60, waited=False)
    other.count(RANKINGS, 200, 0.0011, waited=False)
    other.count_source("snapshot")
    other.flush()

    found = one.read()

    buckets = {status: answered.buckets for (_, status), answered in found.by_route.items()}
    assert buckets["2xx"] == (1, 1, *[0] * (len(BOUNDS_S) - 1)), "a bound belongs to its bucket"
    assert buckets["5xx"] == (*[0] * len(BOUNDS_S), 1)
    assert (sum(buckets["3xx"]), found.by_route[RANKINGS, "3xx"].waited) == (0, 1)
    assert found.by_route[RANKINGS, "2xx"].seconds == 0.0021
    assert found.by_source == {"snapshot": 1}
    assert one.read() == found, "nothing counts twice"


def test_the_cache_is_told_once_in_ten_seconds(redis: Redis, clock: Clock) -> None:
    counts = AnswerCounts(lambda: WindowCache(redis), clock)
    for _ in range(100):
        counts.count(RANKINGS, 200, 0.001, waited=False)
    assert not redis.exists(KEY)

    clock.now_s = FLUSH_S
    counts.count(RANKINGS, 200, 0.001, waited=False)
    assert redis.hgetall(KEY)[f"{RANKINGS}|2xx|0".encode()] == b"101"


def test_what_the_cache_does_not_take_is_kept(redis: Redis, clock: Clock) -> None:
    with Redis(port=1, socket_connect_timeout=1) as nobody:
        caches = [WindowCache(nobody), WindowCache(redis)]
        counts = AnswerCounts(lambda: caches[0], clock)
        counts.count(RANKINGS, 200, 0.001, waited=False)
        counts.flush()
        caches.pop(0)
        assert counts.read().by_route[RANKINGS, "2xx"].buckets[0] == 1
