"""Real servers for the tests that need them, started once a session on free ports."""

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, settings
from redis import Redis, RedisCluster

from infra.local import packages
from infra.local.cache import cache_server, chosen, cluster_node, form_cluster
from infra.local.config import POWERTOOLS
from infra.local.dynamodb import dynamodb_server
from infra.local.servers import PACKAGES, free_port
from shared.truth.client import skip_model
from shared.truth.tables import Tables, create_tables
from shared.version import VARIABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

os.environ |= POWERTOOLS | {VARIABLE: "0" * 40}  # whichever test imports a function first

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("ci")

_numbers = count(1)


def pytest_unconfigure() -> None:
    """Let go of what a function's module froze, or DuckDB tells of leaks after the tests' closing line."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def cache_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cache of the tests' own: one server, or as many as CACHE_NODES says, joined to a cluster."""
    packages.prepare_cache(PACKAGES, chosen())
    ports = [free_port() for _ in range(int(os.environ.get("CACHE_NODES", "1")))]
    start = cluster_node if len(ports) > 1 else cache_server
    with ExitStack() as running:
        for port in ports:
            running.enter_context(start(tmp_path_factory.mktemp("cache"), port))
        if len(ports) > 1:
            form_cluster(ports)
        yield f"redis://127.0.0.1:{ports[0]}"


@pytest.fixture
def redis(cache_url: str) -> Iterator[Redis]:
    """A client of an empty cache."""
    client: Any = RedisCluster if int(os.environ.get("CACHE_NODES", "1")) > 1 else Redis
    with client.from_url(cache_url) as made:
        made.flushall()
        yield made


@pytest.fixture(scope="session")
def dynamodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A DynamoDB of the tests' own."""
    port = free_port()
    with dynamodb_server(Path(tmp_path_factory.mktemp("dynamodb")), port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def dynamodb(dynamodb_url: str) -> "DynamoDBClient":
    """A client of a DynamoDB with all tables. Tests keep apart by the ids of their leaderboards."""
    client = skip_model(
        boto3.client(
            "dynamodb",
            region_name="eu-central-1",
            endpoint_url=dynamodb_url,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(parameter_validation=False),
        )
    )
    create_tables(client)
    return client


@pytest.fixture(scope="session")
def tables() -> Tables:
    """The names of the tables."""
    return Tables()


@pytest.fixture
def leaderboard_id() -> str:
    """An id that no other test has."""
    return f"board-{next(_numbers)}"
