"""Export jobs against real DynamoDB, S3 and SQS."""

import csv
import hashlib
import io
import json
import signal
import subprocess
import sys
import urllib.request
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from infra.local.config import Config as LocalConfig
from infra.local.config import Ports
from shared import settings
from shared.domain.acts import Act, ActKind
from shared.domain.events import ScoreEvent
from shared.domain.records import Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import ALL_TIME, ALL_TIME_BUCKET
from shared.pipeline import uploads
from shared.pipeline.disqualifications import Disqualifications
from shared.pipeline.downloads import Downloads
from shared.pipeline.export_runs import ExportRuns, StillRunning
from shared.pipeline.exports import FRESH_MS, KEPT_MS, Exports
from shared.pipeline.manifests import manifest_key
from shared.pipeline.results import Result
from shared.queues import Queue, QueueUnavailable
from shared.retries import Backoff, Threads
from shared.truth.acts import Acts
from shared.truth.commits import Commits, PlayerCommit
from shared.truth.export_jobs import (
    DEAD_AFTER_MS,
    Compression,
    ExportFormat,
    ExportJob,
    ExportJobs,
    ExportPart,
    ExportRequest,
    ExportState,
)
from shared.truth.finals import FinalRanking
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.tables import Tables
from shared.wiring import Wiring
from tests.closing import BUCKET

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Bench:
    """Exports over real parts, with a clock that the test holds."""

    def __init__(self, dynamodb: "DynamoDBClient", aws: Any, leaderboard: Leaderboard) -> None:
        self.now_ms = 1_700_000_000_000
        self.aws = aws
        self.leaderboard = leaderboard
        self.jobs = ExportJobs(dynamodb, Tables().registry)
        self.commits = Commits(dynamodb, Tables())
        self.acts = Acts(dynamodb, Tables().registry)
        tokens = count()
        registry: Any = SimpleNamespace(read=lambda _: leaderboard)
        self.result: Result | None = None
        self.results: Any = SimpleNamespace(find=lambda _leaderboard, _window: self.result)
        self.exports = Exports(
            jobs=self.jobs,
            results=self.results,
            downloads=Downloads(aws.s3, BUCKET),
            queue=Queue(aws.sqs, aws.queue_url),
            now_ms=lambda: self.now_ms,
        )
        self.runs = ExportRuns(
            jobs=self.jobs,
            leaderboards=registry,
            results=self.results,
            disqualifications=Disqualifications(self.acts),
            reads=Reads(dynamodb, Tables(), Threads(4), Backoff()),
            s3=aws.s3,
            bucket=BUCKET,
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

    def ask(self, **request: Any) -> ExportJob:
        return self.exports.ask(self.leaderboard, ALL_TIME, ExportRequest(ALL_TIME.id, **request))

    def run(self, job: ExportJob) -> ExportJob:
        ended = self.runs.run(self.leaderboard.id, job.id)
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


def result_of(bench: Bench, players: int) -> Result:
    key = f"finals/{bench.leaderboard.id}/all-time/rules-1.csv"
    bench.aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"the result itself")
    final = FinalRanking(
        leaderboard_id=bench.leaderboard.id,
        window_id=ALL_TIME.id,
        rules_version=1,
        players=players,
        sum_of_points=str(sum(number % 7 for number in range(players))),
        object_key=key,
        bytes=17,
        sha256=hashlib.sha256(b"the result itself").hexdigest(),
        awards_key="finals/awards.csv",
        awards_sha256="",
        code_version="1",
        finalised_at_ms=bench.now_ms,
    )
    return Result(final, bench.leaderboard)


def test_requests_that_differ_in_anything_are_different_jobs(bench: Bench) -> None:
    requests: list[dict[str, Any]] = [
        {},
        {"format": ExportFormat.NDJSON},
        {"format": ExportFormat.PARQUET, "compression": Compression.ZSTD},
        {"compression": Compression.GZIP},
        {"part": ExportPart(tier="gold")},
        {"part": ExportPart(top_n=10)},
        {"part": ExportPart(top_basis_points=10)},
    ]
    bench.fill(3)

    jobs = [bench.ask(**request) for request in requests]

    assert len({job.id for job in jobs}) == len({job.object_key for job in jobs}) == len(requests)
    assert [bench.ask(**request).id for request in requests] == [job.id for job in jobs]
    assert {bench.run(job).state for job in jobs} == {ExportState.DONE}
    assert len(bench.objects()) == 2 * len(requests)


def test_the_whole_of_a_final_window_is_the_file_of_its_result(bench: Bench) -> None:
    moving = bench.run(bench.ask())
    bench.now_ms += 1
    bench.result = result_of(bench, 5)

    done = bench.ask()

    assert done.id != moving.id
    assert (done.state, done.rows, done.sha256) == (ExportState.DONE, 5, bench.result.final.sha256)
    assert done.url is not None
    with urllib.request.urlopen(done.url) as response:
        assert response.read() == b"the result itself"
    bench.now_ms += 300 * KEPT_MS
    assert bench.ask().sha256 == done.sha256


def test_other_exports_of_a_final_window_are_kept_and_the_same_when_made_again(bench: Bench) -> None:
    bench.fill(200)
    bench.result = result_of(bench, 200)
    first = bench.run(bench.ask(format=ExportFormat.NDJSON))
    assert first.state is ExportState.DONE

    bench.now_ms += KEPT_MS - 1
    assert bench.ask(format=ExportFormat.NDJSON).id == first.id
    bench.now_ms += 1
    again = bench.run(bench.ask(format=ExportFormat.NDJSON))

    assert again.id != first.id
    assert again.sha256 == first.sha256


def test_an_export_that_contradicts_the_result_is_not_given_out(bench: Bench) -> None:
    bench.fill(200)
    bench.result = result_of(bench, 199)

    ended = bench.run(bench.ask(format=ExportFormat.NDJSON))

    assert ended.state is ExportState.FAILED
    assert "Contradiction" in (ended.error or "")
    assert bench.objects() == []


def test_a_killed_export_leaves_nothing_behind_once_it_was_made_again(bench: Bench) -> None:
    bench.fill(200)
    job = bench.ask()
    left = bench.aws.s3.create_multipart_upload(Bucket=BUCKET, Key=job.object_key)
    other = bench.aws.s3.create_multipart_upload(Bucket=BUCKET, Key=f"{job.object_key}.of-somebody-else")
    running = ExportJob(**{**_fields(job), "state": ExportState.RUNNING, "runner": "killed"})
    bench.jobs.update(running, job)
    bench.now_ms += DEAD_AFTER_MS

    assert bench.run(job).state is ExportState.DONE

    assert [one["UploadId"] for one in bench.uploads()] == [other["UploadId"]]
    assert left["UploadId"] != other["UploadId"]
    bench.aws.s3.abort_multipart_upload(
        Bucket=BUCKET, Key=f"{job.object_key}.of-somebody-else", UploadId=other["UploadId"]
    )


def test_the_disqualified_are_in_no_export_and_the_manifest_says_as_of_which_act(bench: Bench) -> None:
    bench.fill(20)
    for number, kind in enumerate((ActKind.DISQUALIFY, ActKind.REINSTATE, ActKind.DISQUALIFY), start=1):
        act = Act(number=number, kind=kind, actor="ida", reason="why", at_ms=0, user_id="u6")
        bench.acts.append(bench.leaderboard.id, act)

    done = bench.run(bench.ask())

    content = bench.aws.s3.get_object(Bucket=BUCKET, Key=done.object_key)["Body"].read()
    lines = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [line["rank"] for line in lines] == [str(rank) for rank in range(1, 20)]
    assert {line["user_id"] for line in lines} == {f"u{number}" for number in range(20)} - {"u6"}
    manifest = json.loads(bench.aws.s3.get_object(Bucket=BUCKET, Key=manifest_key(done.object_key))["Body"].read())
    assert (manifest["acts"], manifest["rows"], manifest["players"]) == (3, 19, 19)


def test_an_exporter_that_is_killed_before_any_of_its_requests_leaves_nothing_behind_once_asked_again(
    bench: Bench, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.fill(200)
    expected = bench.run(bench.ask())
    assert expected.sha256 is not None
    environment = LocalConfig(Path("state"), Path("packages"), Ports()).environment() | {
        "AWS_ENDPOINT_URL": bench.aws.s3.meta.endpoint_url,
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "EXPORT_BUCKET": BUCKET,
        "TMPDIR": str(tmp_path),  # what they were sorting is left there: a day later another export takes it away
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Wiring(settings.load()).registry.save(bench.leaderboard)
    killed = 0
    for request in count(1):
        bench.now_ms += FRESH_MS
        job = bench.ask()
        command = [sys.executable, "-m", "tests.integration.killed_export", bench.leaderboard.id, job.id]
        ended = subprocess.run([*command, str(request), "3000"], check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        killed += 1
        left = bench.jobs.job(bench.leaderboard.id, job.id)
        assert left is not None
        assert left.state is ExportState.RUNNING
        bench.now_ms = left.beat_at_ms + DEAD_AFTER_MS
        done = bench.run(job)
        assert (done.state, done.rows_written, done.sha256) == (ExportState.DONE, 200, expected.sha256)
        assert bench.uploads() == []
        whole = bench.aws.s3.get_object(Bucket=BUCKET, Key=done.object_key)["Body"].read()
        assert hashlib.sha256(whole).hexdigest() == done.sha256
    assert killed >= 6, "before looking for uploads, starting one, its parts, completing it, the manifest"
    assert len(bench.objects()) == 2 * (killed + 2), "a file and a manifest for each job"
