"""The cache's scripts, and what keeps callers from trusting or waiting for a server that fails."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from circuitbreaker import CircuitBreaker
from msgspec import Struct

from shared.breakers import BreakerState, worst_state
from shared.cache.errors import CacheFull, CacheUnavailable, raising

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")
PROBE_KEY: Final = "writable"
"""What a probe writes, with the hash tag of what is read, to be gone after PROBE_MS: a server that is full answers
everything else."""
PROBE_MS: Final = 60_000
PROBE_EVERY_MS: Final = 1_000
"""How often one function finds out whether a server takes writes at all, before it trusts its marks."""


SCRIPTS: Final = Path(__file__).parent / "scripts"
_USES: Final = b"-- uses "
"""What a script begins with that needs others before it; their names follow on that line."""


@cache
def _script(name: str) -> bytes:
    text = (SCRIPTS / name).read_bytes()
    first = text.partition(b"\n")[0]
    used = first.removeprefix(_USES).decode().split() if first.startswith(_USES) else []
    return b"".join((*((SCRIPTS / one).read_bytes() for one in used), text))


class ServerLoad(Struct, frozen=True):
    """How full and how busy one server is."""

    used_bytes: int
    """Memory that counts against the limit."""
    limit_bytes: int
    """0 if it has no limit."""
    cpu_seconds: float
    """What its main thread has worked since it started."""

    @property
    def share(self) -> float:
        """The part of its limit that is used; 0 without one."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


class CacheConnection:
    """Sends commands and scripts. Methods raise CacheUnavailable if the cache fails."""

    def __init__(
        self, redis: "Redis", breaker: CircuitBreaker | None = None, now_ms: Callable[[], int] | None = None
    ) -> None:
        """Of one cache.

        Args:
            redis: a client of its server, or of any server of its cluster.
            breaker: keeps callers from waiting for a server that hangs, each for itself. Each primary of a cluster gets
                one like it.
            now_ms: the time, for who shows rankings to others: see `read`. Without it nothing is probed.
        """
        from shared.cache.client import CacheClient  # noqa: PLC0415 - loads redis-py, which not every function uses

        self._client = CacheClient(redis)
        self._breakers = {"": breaker}
        self._new_breaker = copy(breaker)
        self._now_ms = now_ms
        self._probed_ms: dict[str, int] = {}

    def register(self, name: str) -> Any:
        """A script of this package, for `call`."""
        return self._client.register(_script(name))

    def ping(self) -> None:
        """Raises CacheUnavailable unless every primary takes a write; each is asked however often it failed before."""
        with raising():
            self._probe(PROBE_KEY)  # by its answer the cluster is known, if there is one
            for key in self._client.primaries(_probe_key):
                self._probe(key)

    def loads(self) -> dict[str, ServerLoad]:
        """By the server's name, which is empty of the only one; each is asked however often it failed before."""
        with raising():
            return {name: _load(found) for name, found in self._client.sections("memory", "cpu").items()}

    @property
    def breaker_state(self) -> BreakerState:
        """The state of this function's breaker; of those of a cluster's primaries, the worst. Nothing is asked."""
        return worst_state(self._breakers.values())

    def _check_writable(self, key: str) -> None:
        """Raise CacheUnavailable if the key's server takes no write, so that no worker could take back what it marks.

        So it is of one that can't save, lost its replicas, or is a replica itself. One that is only full takes deletes:
        there each leaderboard is withdrawn when a write for it is refused, and the others are still live.
        """
        if self._now_ms is None:
            return
        now_ms, node = self._now_ms(), self._node_of(key)
        probed_ms = self._probed_ms.get(node)
        if probed_ms is not None and 0 <= now_ms - probed_ms < PROBE_EVERY_MS:
            return
        with suppress(CacheFull), self.reaching(key):
            self._probe(key)
        self._probed_ms[node] = now_ms

    def _probe(self, key: str) -> None:
        self._client.command("set", _probe_key(_tag(key)), b"", px=PROBE_MS)

    def _node_of(self, key: str) -> str:
        if not self._client.is_cluster:
            return ""
        with raising():
            return self._client.node_of(key)

    @contextmanager
    def reaching(self, key: str) -> Iterator[None]:
        """Around commands on a key: their failures count, and while its server had too many none is sent."""
        node = self._node_of(key)
        if node not in self._breakers:
            self._breakers[node] = copy(self._new_breaker)
        breaker = self._breakers[node]
        if breaker is not None and breaker.opened:
            raise CacheUnavailable("the cache has failed repeatedly and is left alone for a moment")
        with raising(), breaker or nullcontext():
            yield

    def read(self, script: Any, script_keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a registered script that reads what the cache marks as complete, unless its server takes no writes.

        Raises:
            CacheUnavailable: if so, or if the cache fails.
        """
        return self.trusting(script_keys[0], lambda: self.call(script, script_keys, args))

    def trusting(self, key: str, ask: Callable[[], T]) -> T:
        """What a call answers about a key, unless the server that has the key takes no writes.

        Raises:
            CacheUnavailable: if so.
        """
        self._check_writable(key)
        node = self._node_of(key)
        answer = ask()
        if self._node_of(key) != node:  # it was another server's to answer
            self._check_writable(key)
        return answer

    def call(self, script: Any, script_keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a registered script; all of its keys have one hash tag."""
        with self.reaching(script_keys[0]):
            return self._client.run(script, script_keys, args)

    def call_all(self, script: Any, script_keys: Sequence[str], calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Run a registered script for each of several arguments, in one round trip."""
        with self.reaching(script_keys[0]):
            return self._client.run_each(script, script_keys, calls)

    def command(self, name: str, key: str, *args: Any) -> Any:
        """Send one command of redis-py's client on a key."""
        with self.reaching(key):
            return self._client.command(name, key, *args)


def _load(found: Mapping[str, Any]) -> ServerLoad:
    """The thread's own CPU where the server tells it, as both engines do; else that of the whole process."""
    cpu_s = sum(
        float(found.get(f"used_cpu_{kind}_main_thread", found.get(f"used_cpu_{kind}", 0))) for kind in ("user", "sys")
    )
    used = int(found["used_memory"]) - int(found.get("mem_not_counted_for_evict", 0))
    return ServerLoad(used, int(found.get("maxmemory", 0)), cpu_s)


def _tag(key: str) -> str:
    """The hash tag of a key; the key itself if it has none."""
    _, brace, rest = key.partition("{")
    tag = rest.partition("}")[0]
    return tag if brace and tag else key


def _probe_key(tag: str) -> str:
    return f"{PROBE_KEY}:{{{tag}}}"
