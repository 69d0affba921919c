"""The client of the cache: of one server, or of a cluster whose primaries share the leaderboards by their hash tags.

It starts as one of a single server. The first answer that sends it to another server (MOVED, ASK) tells that there is a
cluster: from then on it knows which primary has which key, and follows failovers and slots that move.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, TypeVar

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.connection import SSLConnection
from redis.exceptions import AskError, ClusterDownError, RedisClusterException, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

T = TypeVar("T")
Command = tuple[str, tuple[Any, ...]]
"""Name of a method of the client, and what it is given; a key first."""

TAGS_MAX: Final = 10_000
"""Hash tags to look through for one of every primary: one with a thousandth of the slots is among them."""
_KEPT: Final = ("username", "password", "socket_timeout", "socket_connect_timeout")
"""Options of the client of one server that that of the cluster has, too, beside those of TLS."""
_ELSEWHERE: Final = (AskError, TryAgainError, ClusterDownError, RedisConnectionError)
"""What a pipeline to a primary meets that is not the right one any more."""


class _Cluster(RedisCluster):
    """redis-py's, but that a command that timed out is not sent again: a slow server would get twice the work."""

    ERRORS_ALLOW_RETRY: Any = tuple(kind for kind in RedisCluster.ERRORS_ALLOW_RETRY if kind is not RedisTimeoutError)


class CacheClient:
    """Sends each command to the server that has its keys. All keys of one call have one hash tag.

    Methods raise RedisError.
    """

    def __init__(self, redis: "Redis") -> None:
        """`redis`: a client of the only server, or of any server of the cluster."""
        self._redis = redis
        self._cluster: Any = None
        """redis-py's client of the cluster, once it is known that there is one."""
        self._lock = Lock()

    @property
    def is_cluster(self) -> bool:
        """Whether there are several servers, as far as is known."""
        return self._cluster is not None

    def node_of(self, key: str) -> str:
        """Name of the primary that has a key, as far as is known; of the only server it is empty."""
        cluster = self._cluster
        if cluster is None:
            return ""
        with self._discovering():
            return str(cluster.get_node_from_key(key).name)

    def register(self, text: bytes) -> Any:
        """A script, for `run`."""
        return self._redis.register_script(text)

    def run(self, script: Any, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script."""
        if self._cluster is None:
            try:
                return script(keys=keys, args=args)
            except AskError:
                self._discover()
        return self._at_cluster(lambda cluster: script(keys=keys, args=args, client=cluster))

    def run_each(self, script: Any, keys: Sequence[str], calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Run a script for each of several arguments, in one round trip, with other clients let in between.

        Some calls may be run twice, if the slot of the keys moves meanwhile.
        """

        def send(server: Any) -> list[Any]:
            with server.pipeline(transaction=False) as pipe:
                for args in calls:
                    script(keys=keys, args=args, client=pipe)
                answers: list[Any] = pipe.execute()
                return answers

        def send_to_primary(cluster: Any) -> list[Any]:
            try:
                return send(cluster.get_redis_connection(cluster.get_node_from_key(keys[0])))
            except _ELSEWHERE:
                return [script(keys=keys, args=args, client=cluster) for args in calls]

        if self._cluster is None:
            try:
                return send(self._redis)
            except AskError:
                self._discover()
        return self._at_cluster(send_to_primary)

    def command(self, name: str, *args: Any, **options: Any) -> Any:
        """Send one command."""
        if self._cluster is None:
            try:
                return getattr(self._redis, name)(*args, **options)
            except AskError:
                self._discover()
        return self._at_cluster(lambda cluster: getattr(cluster, name)(*args, **options))

    def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Send several commands that are run together, or none of them."""

        def send(server: Any) -> list[Any]:
            with server.pipeline(transaction=True) as pipe:
                for name, args in commands:
                    getattr(pipe, name)(*args)
                answers: list[Any] = pipe.execute()
                return answers

        if self._cluster is None:
            try:
                return send(self._redis)
            except AskError:
                self._discover()
        return self._at_cluster(send)

    def primaries(self, key: Callable[[str], str]) -> list[str]:
        """A key of each primary of a cluster; `key` makes one of a hash tag."""
        cluster = self._cluster
        if cluster is None:
            return []
        left, found = {node.name for node in cluster.get_primaries()}, []
        for tag in map(str, range(TAGS_MAX)):
            node = self.node_of(key(tag))
            if node in left:
                left.remove(node)
                found.append(key(tag))
            if not left:
                break
        return found

    def sections(self, *names: str) -> dict[str, dict[str, Any]]:
        """What each server says of itself, by its name: sections of INFO; of the only server the name is empty."""

        def ask(server: Any) -> dict[str, Any]:
            return {field: value for name in names for field, value in server.info(name).items()}

        if self._cluster is None:
            return {"": ask(self._redis)}
        return self._at_cluster(
            lambda cluster: {str(node.name): ask(cluster.get_redis_connection(node)) for node in cluster.get_nodes()}
        )

    def _at_cluster(self, send: Callable[[Any], T]) -> T:
        with self._discovering():
            cluster = self._cluster or self._discover()
            return send(cluster)

    def _discover(self) -> Any:
        """The client of the cluster, made of what its first server says."""
        with self._lock, self._discovering():
            if self._cluster is None:
                self._cluster = _of_cluster(self._redis)
            return self._cluster

    @contextmanager
    def _discovering(self) -> Iterator[None]:
        """Around all that needs to know the cluster: if no server of it answers, it is discovered anew."""
        try:
            yield
        except RedisClusterException as error:  # no RedisError
            self._cluster = None
            raise RedisConnectionError(str(error)) from error


def _of_cluster(redis: "Redis") -> RedisCluster:
    """The client of the cluster that a server is part of, with the limits of the client of that server."""
    options = redis.get_connection_kwargs()
    kept = {name: value for name, value in options.items() if name in _KEPT or name.startswith("ssl_")}
    return _Cluster(
        host=options["host"],
        port=options["port"],
        ssl=issubclass(redis.connection_pool.connection_class, SSLConnection),
        max_connections=redis.connection_pool.max_connections,
        retry=Retry(NoBackoff(), 1),
        require_full_coverage=False,
        **kept,
    )
