"""Export jobs against real DynamoDB, S3 and SQS."""

import csv
import hashlib
import io
import json
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from infra.local.servers import free_port, ministack
from shared.domain.events import ScoreEvent
from shared.domain.records import Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import ALL_TIME, ALL_TIME_BUCKET
from shared.pipeline import uploads
from shared.pipeline.exports import FRESH_MS, Exports, StillRunning, manifest_key
from shared.queues import Queue, QueueUnavailable
from shared.retries import Backoff, Threads
from shared.truth.commits import Commits, PlayerCommit
from shared.truth.export_jobs import DEAD_AFTER_MS, ExportFormat, ExportJob, ExportJobs, ExportState
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BUCKET = "exports"
CSV = ExportFormat.CSV


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
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


class Bench:
    """Exports over real parts, with a clock that the test holds."""

    def __init__(self, dynamodb: "DynamoDBClient", aws: Any, leaderboard: Leaderboard) -> None:
        self.now_ms = 1_700_000_000_000
        self.aws = aws
        self.leaderboard = leaderboard
        self.jobs = ExportJobs(dynamodb, Tables().registry)
        self.commits = Commits(dynamodb, Tables())
        tokens = count()
        registry: Any = SimpleNamespace(read=lambda _: leaderboard)
        self.exports = Exports(
            jobs=self.jobs,
            leaderboards=registry,
            reads=Reads(dynamodb, Tables(), Threads(4), Backoff()),
            s3=aws.s3,
            bucket=BUCKET,
            queue=Queue(aws.sqs, aws.queue_url),
            now_ms=lambda: self.now_ms,
            new_token=lambda: f"token-{next(tokens)}",
        )

    def fill(self, players: int) -> None:
        numbers = range(players)
        for start in range(0, players, 50):
            group = []
            for number in numbers[start : start + 50]:
                event = ScoreEvent(f"e{number}", self.leaderboard.id, f"u{number}", number % 7, number)
                entry = LedgerEntry(event, Source("score-events", 0, number, 0))
                standing = Standing(number % 7, number, 1, version=1)
                group.append(PlayerCommit(self.leaderboard, f"u{number}", [entry], {ALL_TIME_BUCKET: standing}))
            assert self.commits.commit(group) == []

    def ask(self) -> ExportJob:
        return self.exports.ask(self.leaderboard, ALL_TIME, CSV)

    def run(self, job: ExportJob) -> ExportJob:
        ended = self.exports.run(self.leaderboard.id, job.id)
        assert ended is not None
        return ended

    def objects(self) -> list[str]:
        prefix = f"exports/{self.leaderboard.id}/"
        return [one["Key"] for one in self.aws.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def uploads(self) -> list[Any]:
        found: list[Any] = self.aws.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return found


@pytest.fixture
def bench(dynamodb: "DynamoDBClient", aws: Any, leaderboard_id: str) -> Bench:
    return Bench(dynamodb, aws, Leaderboard(id=leaderboard_id, name="Cup", aggregation=Aggregation.SUM, shards=4))


@pytest.mark.parametrize("players", [0, 1, 1_000])
def test_a_file_and_its_manifest_hold_every_player(bench: Bench, players: int) -> None:
    bench.fill(players)

    done = bench.run(bench.ask())

    assert (done.state, done.rows, done.rows_written, done.error) == (ExportState.DONE, players, players, None)
    shown = bench.exports.job(bench.leaderboard.id, done.id)
    assert shown is not None
    assert shown.url is not None
    with urllib.request.urlopen(shown.url) as response:
        content = response.read()
        assert f'filename="{bench.leaderboard.id}-{done.id}.csv"' in response.headers["content-disposition"]
    assert hashlib.sha256(content).hexdigest() == done.sha256
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    ranked = sorted(range(players), key=lambda number: (-(number % 7), number))
    assert [row["user_id"] for row in rows] == [f"u{number}" for number in ranked]
    manifest = json.loads(bench.aws.s3.get_object(Bucket=BUCKET, Key=manifest_key(done.object_key))["Body"].read())
    assert (manifest["rows"], manifest["sha256"], manifest["bytes"]) == (players, done.sha256, len(content))
    assert manifest["sumOfPoints"] == str(sum(number % 7 for number in range(players)))


def test_a_large_file_goes_up_in_parts_and_is_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill(200)
    whole = bench.run(bench.ask())
    monkeypatch.setattr(uploads, "PART_BYTES", 1_000)
    bench.now_ms += FRESH_MS

    parts = bench.run(bench.ask())

    assert parts.id != whole.id
    assert parts.sha256 == whole.sha256
    stored = bench.aws.s3.get_object(Bucket=BUCKET, Key=parts.object_key)["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == parts.sha256
    assert bench.uploads() == []


def test_a_failure_in_the_middle_leaves_neither_object_nor_upload_and_the_next_ask_succeeds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(200)
    monkeypatch.setattr(uploads, "PART_BYTES", 1_000)
    sent = count()
    real = uploads.Upload._send_part

    def break_down(upload: uploads.Upload, data: bytes) -> None:
        if next(sent) == 2:
            raise SystemExit("the process is asked to end")
        real(upload, data)

    monkeypatch.setattr(uploads.Upload, "_send_part", break_down)
    job = bench.ask()
    with pytest.raises(SystemExit):
        bench.run(job)

    assert bench.objects() == []
    assert bench.uploads() == []
    bench.now_ms += DEAD_AFTER_MS
    assert bench.run(bench.ask()).state is ExportState.DONE


def test_everybody_who_asks_at_a_time_gets_one_job(bench: Bench) -> None:
    first = bench.ask()
    assert bench.ask().id == first.id

    done = bench.run(first)
    bench.now_ms += FRESH_MS - 1
    again = bench.ask()
    assert (again.id, again.state) == (done.id, ExportState.DONE)
    assert again.url is not None

    bench.now_ms += 1
    assert bench.ask().id != first.id


def test_a_job_is_run_once_though_its_message_comes_twice(bench: Bench) -> None:
    done = bench.run(bench.ask())

    assert bench.run(done) == done


def test_a_job_that_another_process_has_is_left_to_it_until_that_one_is_dead(bench: Bench) -> None:
    job = bench.ask()
    running = ExportJob(**{**_fields(job), "state": ExportState.RUNNING, "runner": "other"})
    bench.jobs.update(running, job)

    bench.now_ms += DEAD_AFTER_MS - 1
    with pytest.raises(StillRunning):
        bench.run(job)
    bench.now_ms += 1
    assert bench.run(job).state is ExportState.DONE


def test_a_job_that_could_not_be_queued_does_not_keep_the_next_one_from_starting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_queue: Queue, _bodies: Any) -> None:
        raise QueueUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "send", refuse)
        with pytest.raises(QueueUnavailable):
            bench.ask()
    bench.now_ms += 1

    assert bench.run(bench.ask()).state is ExportState.DONE


def _fields(job: ExportJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__struct_fields__}
