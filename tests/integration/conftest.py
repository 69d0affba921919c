"""The API's function on real servers; S3, and a leaderboard whose days are closed."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from redis import Redis

from infra.local import packages
from infra.local.config import InvalidConfiguration
from infra.local.servers import PACKAGES, free_port, ministack
from shared.assembly import now_ms, parts
from shared.domain.calendar import DAY_MS, day_of, format_day
from shared.domain.events import format_instant
from shared.domain.records import Record, Source
from shared.rebuild import on_demand
from tests.support.closing import BUCKET, Scene

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVENTS = Path(__file__).parents[2] / "events"
CONTEXT = SimpleNamespace(
    function_name="api",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:000000000000:function:api",
    aws_request_id="request-1",
)
SAMPLE_DAY = "2026-11-23"
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def module(cache_url: str, dynamodb_url: str, dynamodb: "DynamoDBClient") -> Iterator[Any]:
    """functions.api.handler, loaded in the environment of these servers; nobody listens where its queues are."""
    environment = {
        "STAGE": "local",
        "AUTHORIZATION": "off",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "LEDGER_TABLE": "leaderboard-ledger",
        "STANDINGS_TABLE": "leaderboard-standings",
        "REGISTRY_TABLE": "leaderboard-registry",
        "CACHE_URL": cache_url,
        "DLQ_QUEUE_URL": "http://127.0.0.1:1/dlq",
        "REPAIR_QUEUE_URL": "http://127.0.0.1:1/repair",
        "RANGE_QUEUE_URL": "http://127.0.0.1:1/ranges",
        "EXPORT_QUEUE_URL": "http://127.0.0.1:1/export",
        "EXPORT_BUCKET": "exports",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "KAFKA_TOPIC": "score-events",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_METRICS_NAMESPACE": "Leaderboards",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(on_demand, "BUILD_WAIT_MS", 600_000)  # however slow the machine is
        for limit in ("TRUTH_BUDGET_MS", "TRUTH_PATIENCE_MS"):
            patch.setattr(parts, limit, 600_000)
        sys.modules.pop("functions.api.handler", None)
        yield importlib.import_module("functions.api.handler")
        sys.modules.pop("functions.api.handler", None)


@pytest.fixture
def call(module: Any, redis: Redis, leaderboard_id: str) -> Call:
    """Calls the function with a sample event, `autumn-cup` in it being this test's leaderboard, its day being today."""
    today = format_day(day_of(now_ms()))

    def call(
        name: str, *, path: str | None = None, query: str | None = None, body: Any = None, headers: Any = None
    ) -> Any:
        event = msgspec.json.decode((EVENTS / f"api-{name}.json").read_bytes())
        event["rawPath"] = path or event["rawPath"].replace("autumn-cup", leaderboard_id)
        event["rawQueryString"] = event["rawQueryString"].replace(SAMPLE_DAY, today) if query is None else query
        if body is not None:
            event["body"] = msgspec.json.encode(body).decode()
        event["headers"] |= headers or {}
        answer = module.handler(event, CONTEXT)
        parsed = msgspec.json.decode(answer["body"]) if answer["body"] else None
        return SimpleNamespace(status=answer["statusCode"], headers=answer["headers"], json=parsed)

    return call


@pytest.fixture
def score(module: Any, leaderboard_id: str) -> Callable[..., None]:
    """Ingests events as (user, points) or (user, points, event id), one millisecond apart, now, all with attributes.

    With `days_ago` they occurred as many days before.
    """
    numbers = iter(range(1_000_000))

    def score(*scores: tuple[Any, ...], days_ago: int = 0, **attributes: str) -> None:
        start_ms = now_ms()
        records = []
        for user_id, points, *named in scores:
            number = next(numbers)
            event = {
                "eventId": named[0] if named else f"e-{number}",
                "leaderboardId": leaderboard_id,
                "userId": user_id,
                "points": points,
                "occurredAt": format_instant(start_ms + number - days_ago * DAY_MS),
                "attributes": attributes,
            }
            source = Source("score-events", 0, number, start_ms + number)
            records.append(Record(source, None, msgspec.json.encode(event)))
        assert {one.kind for one in module.assembly.ingest.ingest(records)} == {"applied"}

    return score


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """S3 with a bucket for files, SQS with a queue for export jobs."""
    port = free_port()
    with ministack(Path(tmp_path_factory.mktemp("aws")), port):
        settings: Any = {
            "region_name": "eu-central-1",
            "endpoint_url": f"http://127.0.0.1:{port}",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }
        s3 = boto3.client("s3", config=Config(signature_version="s3v4"), **settings)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        sqs = boto3.client("sqs", **settings)
        yield SimpleNamespace(s3=s3, sqs=sqs, queue_url=sqs.create_queue(QueueName="export-jobs")["QueueUrl"])


@pytest.fixture(scope="module")
def s3(aws: Any) -> Any:
    """S3 alone."""
    return aws.s3


@pytest.fixture
def scene(
    dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return Scene(dynamodb, redis, s3, leaderboard_id)


@pytest.fixture(scope="session")
def sam() -> Path:
    """AWS's tools for templates and functions."""
    try:
        return packages.prepare_sam(PACKAGES)
    except InvalidConfiguration as error:
        pytest.skip(f"the AWS SAM CLI can't be had here: {error}")
