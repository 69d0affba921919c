"""`make flush` empties the cache of this stack, or of the one in containers, and no other."""

import os
from pathlib import Path

import pytest
from redis import Redis

from infra.local import __main__ as commands
from infra.local.cache import cache_server
from infra.local.config import InvalidConfiguration, Ports, free_ports


def docker(directory: Path, script: str) -> None:
    """A stand-in for the command, which is not here."""
    program = directory / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ports:
    chosen = free_ports()
    for name in Ports.__struct_fields__:
        monkeypatch.setenv(f"{name.upper()}_PORT", str(getattr(chosen, name)))
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("infra.local.config.revision", lambda: "1")  # a copy of the project has no git
    docker(tmp_path, ": # no container")
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


@pytest.mark.usefixtures("ports")
def test_the_cache_in_a_container_is_emptied_by_its_own_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODE_VERSION", raising=False)
    docker(tmp_path, f'echo "$CODE_VERSION $*" >> {tmp_path}/calls; echo OK')
    commands.flush()
    assert (tmp_path / "calls").read_text().splitlines() == [
        "any compose ps --quiet --status running cache",
        "any compose exec -T cache valkey-cli flushall",
    ]


@pytest.mark.usefixtures("ports")
def test_a_cache_in_a_container_that_refuses_is_said(tmp_path: Path) -> None:
    docker(tmp_path, 'case "$*" in *exec*) echo LOADING >&2; exit 1;; *) echo 1234;; esac')
    with pytest.raises(InvalidConfiguration, match="the cache in its container does not answer: LOADING"):
        commands.flush()
