"""A Redis whose answers come late, or get lost on their way: it is asked once, and what was asked twice counts once."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.local.config import Config, Ports, free_port
from shared import settings
from shared.assembly import Assembly
from shared.cache.errors import CacheUnavailable
from shared.cache.leases import BuildLeases
from shared.cache.server import CACHE_BREAKER_FAILURES, CACHE_RETRIED
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing

CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, has_events=True)
ANN = {"ann": {ALL_TIME_DAY: Standing(5, 1, 1, version=1)}}


class Proxy:
    """Between a client and Redis. It notes the commands that come, and may keep answers to itself."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked: list[bytes] = []
        self.silent = False
        self.hang_up_after: bytes | None = None
        """The connection is closed once, instead of passing on what Redis has answered to a command with this in it."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._upstream) as server:
            while request := client.recv(1 << 16):
                self.asked.append(request)
                if self.silent:
                    continue
                server.sendall(request)
                answer = server.recv(1 << 16)
                if self.hang_up_after is not None and self.hang_up_after in request:
                    self.hang_up_after = None
                    return
                client.sendall(answer)


@pytest.fixture
def proxy(redis: Redis) -> Iterator[Proxy]:
    options = redis.get_connection_kwargs()
    proxy = Proxy((options["host"], options["port"]))
    yield proxy
    proxy.close()


@pytest.fixture
def assembly(proxy: Proxy, tmp_path: Path) -> Assembly:
    """The product's own client and breaker."""
    config = Config(tmp_path, Path("packages"), Ports(cache=proxy.port, dynamodb=free_port(), aws=free_port()))
    return Assembly(settings.load(config.environment() | {"CACHE_TIMEOUT_MS": "200"}))


def test_a_redis_without_an_answer_is_asked_once_a_read_and_left_alone_after_three(
    assembly: Assembly, proxy: Proxy
) -> None:
    assembly.redis.ping()  # the connection is there
    proxy.asked.clear()
    proxy.silent = True

    for _ in range(CACHE_BREAKER_FAILURES + 2):
        with pytest.raises(CacheUnavailable):
            assembly.cache.revision(CUP, ALL_TIME)

    asked = [request for request in proxy.asked if b"HGET" in request]
    connections = [request for request in proxy.asked if b"HGET" not in request]
    assert len(asked) <= CACHE_BREAKER_FAILURES, "each new connection waits for its greeting, once"
    assert len(asked) + len(connections) == CACHE_BREAKER_FAILURES


def test_a_command_whose_connection_was_closed_is_asked_again(assembly: Assembly, proxy: Proxy) -> None:
    assembly.redis.ping()
    proxy.hang_up_after = b"HGET"

    assert assembly.cache.revision(CUP, ALL_TIME) == 0


def test_a_fill_that_is_asked_twice_counts_once(proxy: Proxy, redis: Redis) -> None:
    with Redis("127.0.0.1", proxy.port, retry=Retry(NoBackoff(), 1, CACHE_RETRIED)) as client:
        live = WindowCache(client)
        builds = BuildLeases(live)
        _, build = builds.begin_rebuild(CUP, "token", 0)
        live.apply(CUP, ANN, 0, build)  # loads the script
        proxy.asked.clear()
        proxy.hang_up_after = b"EVALSHA"

        live.apply(CUP, ANN, 0, build)

        assert sum(b"EVALSHA" in request for request in proxy.asked) == 2
        live.apply(CUP, ANN, 0, build)
        assert builds.finish_rebuild(CUP, build)


def test_a_call_of_a_builder_before_that_comes_late_is_none_of_the_next_ones(redis: Redis) -> None:
    """Even if both have the same token: what one of them filled in says nothing of the other's call."""
    builds = BuildLeases(WindowCache(redis))
    _, before = builds.begin_rebuild(CUP, "token", 0)
    _, after = builds.begin_rebuild(CUP, "token", 0)

    assert before.next_fill != after.next_fill
    assert after.next_fill == after.next_fill
