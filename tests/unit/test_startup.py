"""What a function loads when it starts, and what it leaves to the collector."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from infra.local.config import Config, Ports

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("api", "close", "export", "ingest", "redrive", "repair")
ELSEWHERE = {"infra", "tests", "docs", "uvicorn", "pytest"}
"""What is no part of any function."""
ONLY_WHEN_USED = {
    "redis.asyncio.client": "redis-py imports its asyncio client itself",
    "fastapi": "most processes of the API only read, which takes no framework",
    "mangum": "likewise",
    "boto3": "its transfer manager is for clients of S3",
    "s3transfer": "likewise",
    "confluent_kafka": "librdkafka is for who asks the broker",
    "duckdb": "it sorts exports",
    "aws_xray_sdk": "it is for who traces",
    "opentelemetry.sdk": "it is for who names a collector",
}
"""What no function may load before it needs it, and why it is there at all."""
USES_THE_CACHE = {"api", "ingest"}
"""Functions that make their client of the cache at start; export and redrive never make one."""
_LOAD = "import sys, gc, json; import functions.{name}.handler; print(json.dumps([sorted(sys.modules), {more}]))"


def loaded(name: str, more: str = "None") -> tuple[set[str], object]:
    """The modules that a handler loads in a process of its own, and the value of an expression in it."""
    environment = os.environ | Config(Path("state"), Path("packages"), Ports()).environment()
    command = [sys.executable, "-c", _LOAD.format(name=name, more=more)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    modules, value = msgspec.json.decode(done.stdout.splitlines()[-1])
    return set(modules), value


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_nothing_that_it_does_not_use(function: str) -> None:
    modules, settled = loaded(function, "[gc.isenabled(), gc.get_threshold()[0], gc.get_freeze_count() > 10_000]")

    assert f"functions.{function}.handler" in modules
    assert not {module for module in modules if module.partition(".")[0] in ELSEWHERE}
    assert not modules & ONLY_WHEN_USED.keys()
    assert ("redis" in modules) == (function in USES_THE_CACHE)
    others = {f"functions.{one}" for one in FUNCTIONS if one != function}
    assert not modules & others
    assert settled == [True, 50_000, True]


QUIET = """
import logging, warnings
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")  # as Lambda has it
import functions.{name}.handler
from botocore.session import get_session
get_session().get_credentials()
warnings.warn("No application metrics to publish. The cold-start metric may be published if enabled.", stacklevel=1)
logging.getLogger("botocore").warning("is told")
"""


@pytest.mark.parametrize("function", ["api", "ingest", "redrive"])
def test_a_start_says_nothing_and_libraries_only_warn(function: str) -> None:
    environment = os.environ | Config(Path("state"), Path("packages"), Ports()).environment()
    command = [sys.executable, "-W", "default", "-c", QUIET.format(name=function)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr.splitlines()) == ("", ["botocore is told"])


DEFERRED = """
from shared import startup
import sys
import redis
assert "redis.asyncio.client" not in sys.modules
client = redis.asyncio.Redis
from redis.asyncio.client import Redis
from redis.asyncio import Sentinel
assert client is Redis
print(client.__name__, Sentinel.__name__)
"""


def test_the_asyncio_client_is_there_once_it_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", DEFERRED], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("Redis Sentinel\n", "")
