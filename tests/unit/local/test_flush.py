"""`make flush` empties the cache of this stack alone."""

from pathlib import Path

import pytest
from redis import Redis

from infra.local import __main__ as commands
from infra.local.cache import cache_server
from infra.local.config import InvalidConfiguration, Ports, free_ports


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ports:
    chosen = free_ports()
    for name in Ports.__struct_fields__:
        monkeypatch.setenv(f"{name.upper()}_PORT", str(getattr(chosen, name)))
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path / "state"))
    return chosen


def test_the_cache_of_this_stack_is_emptied(ports: Ports, tmp_path: Path) -> None:
    with cache_server(tmp_path / "state" / "cache", ports.cache), Redis(port=ports.cache) as redis:
        redis.set("key", "value")
        commands.flush()
        assert redis.dbsize() == 0


def test_another_cache_that_listens_there_is_left_alone(ports: Ports, tmp_path: Path) -> None:
    with cache_server(tmp_path / "of-somebody-else", ports.cache), Redis(port=ports.cache) as redis:
        redis.set("key", "value")
        with pytest.raises(InvalidConfiguration, match="the cache of this stack does not run"):
            commands.flush()
        assert redis.get("key") == b"value"
