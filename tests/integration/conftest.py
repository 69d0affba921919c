"""S3, and a leaderboard whose days are closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from redis import Redis

from infra.local.servers import free_port, ministack
from tests.closing import BUCKET, Scene

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    port = free_port()
    with ministack(Path(tmp_path_factory.mktemp("aws")), port):
        client = boto3.client(
            "s3",
            region_name="eu-central-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(signature_version="s3v4"),
        )
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


@pytest.fixture
def scene(
    dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return Scene(dynamodb, redis, s3, leaderboard_id)
