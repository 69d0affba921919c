"""When the client of one server becomes that of a cluster, and what it makes of servers that send it away or fail."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, RedisClusterException, TryAgainError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.cache import client as module
from shared.cache.client import CacheClient, _Cluster

MOVED = MovedError("3999 127.0.0.1:6381")


class Node:
    name = "127.0.0.1:6381"


class Server:
    """A client of redis-py: `answers` are given or raised one after the other, and the last one from then on."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]
        self.primary: Any = None

    def get(self, *args: Any) -> Any:
        self.asked.append(args)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def register_script(self, text: bytes) -> Any:
        return lambda keys, args, client=None: (client or self).get(*keys, *args)

    def get_node_from_key(self, key: str) -> Node:
        del key
        return Node()

    def get_redis_connection(self, node: Node) -> Any:
        del node
        return self.primary

    def pipeline(self, *, transaction: bool) -> Any:
        return Pipeline(self, transaction=transaction)


class Pipeline:
    def __init__(self, server: Server, *, transaction: bool) -> None:
        self.server, self.transaction, self.calls = server, transaction, []  # type: ignore[var-annotated]

    def get(self, *args: Any) -> None:
        self.calls.append(args)

    def execute(self) -> list[Any]:
        return [self.server.get(*args) for args in self.calls]

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: Any) -> None:
        pass


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server("from the cluster")
    monkeypatch.setattr(module, "_of_cluster", lambda _: made)
    return made


def test_a_single_server_is_asked_itself(cluster: Server) -> None:
    server = Server("value")
    client = CacheClient(server)  # type: ignore[arg-type]
    assert client.command("get", "key") == "value"
    assert client.run(client.register(b""), ["key"], [1]) == "value"
    assert client.run_each(client.register(b""), ["key"], [[1], [2]]) == ["value", "value"]
    assert (client.is_cluster, client.node_of("key"), client.primaries(str), cluster.asked) == (False, "", [], [])


@pytest.mark.parametrize("way", ["command", "run", "run_each", "transaction"])
def test_who_is_sent_elsewhere_asks_the_cluster_from_then_on(cluster: Server, way: str) -> None:
    server = Server(MOVED)
    cluster.primary = Server("from the primary")
    client = CacheClient(server)  # type: ignore[arg-type]
    script = client.register(b"")
    asks = {
        "command": lambda: client.command("get", "key"),
        "run": lambda: client.run(script, ["key"], []),
        "run_each": lambda: client.run_each(script, ["key"], [[1], [2]])[1],
        "transaction": lambda: client.transaction([("get", ("key",)), ("get", ("key",))])[0],
    }
    expected = "from the primary" if way == "run_each" else "from the cluster"
    assert [asks[way](), asks[way]()] == [expected, expected]
    assert len(server.asked) == 1
    assert (client.is_cluster, client.node_of("key")) == (True, Node.name)


@pytest.mark.parametrize("error", [MOVED, TryAgainError("later"), RedisConnectionError("refused")])
def test_calls_at_a_primary_that_lost_their_slot_are_each_sent_by_the_cluster(
    cluster: Server, error: Exception
) -> None:
    client = CacheClient(Server(MOVED))  # type: ignore[arg-type]
    cluster.primary = Server(error)
    assert client.run_each(client.register(b""), ["key"], [[1], [2]]) == ["from the cluster"] * 2
    assert cluster.asked == [("key", 1), ("key", 2)]


def test_a_primary_that_does_not_answer_in_time_is_not_asked_again(cluster: Server) -> None:
    client = CacheClient(Server(MOVED))  # type: ignore[arg-type]
    cluster.primary = Server(RedisTimeoutError("slow"))
    with pytest.raises(RedisTimeoutError):
        client.run_each(client.register(b""), ["key"], [[1], [2]])
    assert cluster.asked == []
    assert RedisTimeoutError not in _Cluster.ERRORS_ALLOW_RETRY
    assert RedisConnectionError in _Cluster.ERRORS_ALLOW_RETRY


def test_a_cluster_none_of_whose_servers_answers_is_discovered_anew(cluster: Server) -> None:
    """Its servers may all have other addresses by then; the one that was given has not."""
    server = Server(MOVED, "value")
    cluster.answers = [RedisClusterException("cannot be connected")]
    client = CacheClient(server)  # type: ignore[arg-type]
    with pytest.raises(RedisConnectionError, match="cannot be connected"):
        client.command("get", "key")
    assert not client.is_cluster
    assert client.command("get", "key") == "value"
