"""The client of one server of the cache: how often it tries, how long it waits, and when it is left alone."""

from typing import Final

from circuitbreaker import CircuitBreaker
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

CACHE_CONNECTIONS_MAX: Final = 64
CACHE_RETRIED: Final = (RedisConnectionError, ReadOnlyError)
"""Errors after which the client sends a command again, on a new connection. redis-py's default includes timeouts."""
CACHE_BREAKER_FAILURES: Final = 3
"""Commands in a row without an answer after which the breaker opens."""
CACHE_BREAKER_REST_S: Final = 2
"""How long the breaker stays open; then it lets one command through."""


def cache(url: str, password: str | None, timeout_ms: int) -> "Redis":
    """A client of the cache that retries once, at once, after an error in CACHE_RETRIED.

    Such an error means that the connection was closed while idle, or leads to a server that is a replica now. A timeout
    is not retried: the caller would wait twice, and a slow cache would get twice the work.
    """
    timeout_s = timeout_ms / 1000
    return Redis.from_url(
        url,
        password=password,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1, CACHE_RETRIED),
        max_connections=CACHE_CONNECTIONS_MAX,
    )


def cache_breaker() -> CircuitBreaker:
    """The breaker that keeps commands from a cache that does not answer."""
    silent = (RedisConnectionError, RedisTimeoutError)
    return CircuitBreaker(CACHE_BREAKER_FAILURES, CACHE_BREAKER_REST_S, silent, name="cache")
