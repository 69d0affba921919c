"""The gateway under many readers at once: every read is answered, and counted once."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from infra.local.config import HOST, Config, Ports, free_port
from infra.local.servers import Server
from tests.support.stack import until

READERS = 16
READS_EACH = 200
PATHS = ("/rankings?window=all-time&limit=100", "/players/u-1?window=daily", "")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "gateway.log"


@pytest.fixture
def port(log: Path, redis: Redis, cache_url: str, dynamodb: Any, dynamodb_url: str, tmp_path: Path) -> Iterator[int]:
    """Where the gateway listens, before an empty Redis and tables that are there."""
    del redis, dynamodb
    api = free_port()
    environment = Config(tmp_path, tmp_path, Ports(api=api)).environment()
    environment |= {"AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url, "CACHE_URL": cache_url}
    environment |= {"API_PORT": str(api), "API_WORKERS": "3"}

    def ready() -> bool:
        try:
            return ask(api, ["/health/live"]) == [200]
        except OSError:
            return False

    command = [sys.executable, "-m", "infra.local.gateway"]
    with Server("api", command, log=log, ready=ready, port=api, environment=environment):
        yield api


def ask(port: int, paths: list[str]) -> list[int]:
    """Statuses of requests over one connection."""
    connection = HTTPConnection(HOST, port, timeout=60)
    statuses = []
    for path in paths:
        connection.request("GET", path)
        with connection.getresponse() as answer:
            answer.read()
            statuses.append(answer.status)
    connection.close()
    return statuses


def define(port: int, leaderboard_id: str) -> None:
    connection = HTTPConnection(HOST, port, timeout=60)
    body, headers = json.dumps({"name": "Cup", "aggregation": "sum"}), {"content-type": "application/json"}
    connection.request("PUT", f"/leaderboards/{leaderboard_id}", body, headers)
    assert connection.getresponse().status == 201
    connection.close()


def counted(log: Path) -> Counter[str]:
    """Answers by class of status, as the function's metrics in its log say."""
    found: Counter[str] = Counter()
    for status, values in re.findall(r'"Answered_(.xx)": ?\[([^]]*)\]', log.read_text()):
        found[status] += sum(int(float(value)) for value in values.split(","))
    return found


def test_of_thousands_of_reads_at_once_none_fails_and_each_is_counted_once(
    port: int, log: Path, leaderboard_id: str
) -> None:
    define(port, leaderboard_id)
    before = counted(log)
    paths = [f"/leaderboards/{leaderboard_id}{PATHS[number % len(PATHS)]}" for number in range(READS_EACH)]

    with ThreadPoolExecutor(READERS) as readers:
        statuses = [one for each in readers.map(lambda _: ask(port, paths), range(READERS)) for one in each]

    sent = Counter(f"{status // 100}xx" for status in statuses)
    assert sum(sent.values()) == READERS * READS_EACH
    assert sent["5xx"] == 0
    until(lambda: counted(log) - before == sent, "all that was answered is counted, and nothing else")
