"""Export jobs that fail, are killed, are late or are nobody's: real DynamoDB, S3 and SQS."""

import errno
import hashlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from botocore.exceptions import EndpointConnectionError
from msgspec.structs import replace

from infra.local.config import Config as LocalConfig
from infra.local.config import Ports
from shared import settings
from shared.assembly import Assembly
from shared.domain.calendar import ALL_TIME_DAY
from shared.domain.standings import Standing
from shared.exports import heartbeat as running_jobs
from shared.exports.jobs import REUSE_MS
from shared.exports.runner import Contradiction, StillRunning
from shared.exports.table import RankedTable
from shared.files.manifest import Manifest, manifest_key
from shared.files.upload import HashingReader
from shared.messaging.queues import Queue, QueueUnavailable
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import (
    DEAD_AFTER_MS,
    QUEUED_MS,
    ExportFormat,
    ExportJob,
    ExportJobs,
    ExportState,
    JobTaken,
)
from tests.support.closing import BUCKET
from tests.support.exporting import Bench, result_of
from tests.support.parts import make_parts_small
from tests.support.stack import until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def bench(dynamodb: "DynamoDBClient", aws: Any, leaderboard_id: str) -> Bench:
    return Bench(dynamodb, aws, leaderboard_id)


def test_a_failure_midway_leaves_no_object_or_upload_and_the_next_request_succeeds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(200)
    make_parts_small(monkeypatch, 1_000)
    sent = count()
    real = bench.aws.s3.upload_part

    def break_down(**part: Any) -> Any:
        if next(sent) == 2:
            raise SystemExit("the process is asked to end")
        return real(**part)

    monkeypatch.setattr(bench.aws.s3, "upload_part", break_down)
    job = bench.ask()
    with pytest.raises(SystemExit):
        bench.run(job)

    assert bench.objects() == []
    assert bench.uploads() == []
    bench.now_ms += DEAD_AFTER_MS
    assert bench.run(bench.ask()).state is ExportState.DONE


def test_a_job_that_another_process_has_is_left_to_it_until_that_one_is_dead(bench: Bench) -> None:
    job = bench.ask()
    bench.jobs.update(replace(job, state=ExportState.RUNNING, runner="other"), job)

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


def test_an_export_that_contradicts_the_result_is_not_given_out(bench: Bench) -> None:
    bench.fill(200)
    bench.result = result_of(bench, 199)
    job = bench.ask(format=ExportFormat.NDJSON)

    with pytest.raises(Contradiction):
        bench.run(job)

    ended = bench.shown(job)
    assert ended.state is ExportState.FAILED
    assert "199" in (ended.error or "")
    assert bench.objects() == []


def test_a_queued_job_lives_as_long_as_its_message_can_wait(bench: Bench) -> None:
    job = bench.ask()

    bench.now_ms += QUEUED_MS - 1
    assert bench.ask().id == job.id
    assert bench.shown(job).state is ExportState.QUEUED
    bench.now_ms += 1
    other = bench.ask()

    assert other.id != job.id
    assert bench.run(job).state is ExportState.FAILED, "its message comes after all, and finds that it is given up"
    assert bench.run(other).state is ExportState.DONE


def test_a_job_whose_message_was_never_sent_does_not_keep_others_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_queue: Queue, _bodies: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "send", die)
        with pytest.raises(SystemExit):
            bench.ask()

    bench.now_ms += DEAD_AFTER_MS

    assert bench.run(bench.ask()).state is ExportState.DONE


def test_a_running_job_says_so_however_long_a_step_of_it_takes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill(3)
    job = bench.ask()
    read = bench.source

    def slow(*of: Any) -> Iterator[Any]:
        for _ in range(3):
            bench.now_ms += DEAD_AFTER_MS - 1
            until(lambda: bench.stored(job).heartbeat_at_ms == bench.now_ms, "the job says that it lives")
        bench.now_ms += DEAD_AFTER_MS - 1
        assert bench.ask().id == job.id
        with pytest.raises(StillRunning):
            bench.run(job)
        yield from read(*of)

    bench.source = slow
    monkeypatch.setattr(running_jobs, "HEARTBEAT_EVERY_S", 0.01)

    assert bench.run(job).state is ExportState.DONE


def test_a_run_ends_once_another_job_has_taken_the_place_of_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(3)
    job, others = bench.ask(), []
    read = bench.source

    def endless(*_: Any) -> Iterator[Any]:
        yield ALL_TIME_DAY, "u0", Standing(1, 1, 1)
        bench.now_ms += DEAD_AFTER_MS
        others.append(bench.ask())
        monkeypatch.setattr(running_jobs, "HEARTBEAT_EVERY_S", 0.01)
        for number in count(1):
            yield ALL_TIME_DAY, f"u{number}", Standing(1, 1, 1)

    bench.source = endless
    monkeypatch.setattr(running_jobs, "HEARTBEAT_EVERY_S", 0.2)
    with pytest.raises(StillRunning):
        bench.run(job)

    assert bench.shown(job).state is ExportState.FAILED
    bench.source = read
    assert bench.run(others[0]).state is ExportState.DONE
    assert bench.run(job).state is ExportState.FAILED


def test_a_file_that_was_finished_for_a_job_that_is_not_ones_own_any_more_goes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, others = bench.ask(), []
    real = Manifest.put

    def late(manifest: Manifest, *of: Any) -> None:
        bench.now_ms += DEAD_AFTER_MS
        others.append(bench.ask())
        real(manifest, *of)

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "put", late)
        with pytest.raises(StillRunning):
            bench.run(job)
    assert bench.objects() == []

    done = bench.run(others[0])
    assert sorted(bench.objects()) == [done.object_key, manifest_key(done.object_key)]


def test_a_file_that_another_process_has_finished_stays_as_it_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill(3)
    job, read, real = bench.ask(), bench.source, bench.aws.s3.put_object

    def late(**put: Any) -> Any:
        bench.now_ms += DEAD_AFTER_MS
        monkeypatch.setattr(bench.aws.s3, "put_object", real)
        bench.source = lambda *of: (line for line in read(*of) if line[1] != "u0")
        assert bench.run(job).rows == 2
        return real(**put)

    monkeypatch.setattr(bench.aws.s3, "put_object", late)
    with pytest.raises(StillRunning):
        bench.run(job)

    done = bench.shown(job)
    assert (done.state, done.rows) == (ExportState.DONE, 2)
    assert sorted(bench.objects()) == [done.object_key, manifest_key(done.object_key)]
    content = bench.aws.s3.get_object(Bucket=BUCKET, Key=done.object_key)["Body"].read()
    assert hashlib.sha256(content).hexdigest() == done.sha256


def test_a_job_whose_process_is_dead_is_shown_as_failed_until_it_is_resumed(bench: Bench) -> None:
    job = bench.ask()
    bench.jobs.update(replace(job, state=ExportState.RUNNING, runner="killed"), job)

    bench.now_ms += DEAD_AFTER_MS - 1
    assert bench.shown(job).state is ExportState.RUNNING
    bench.now_ms += 1
    assert (bench.shown(job).state, bench.shown(job).url) == (ExportState.FAILED, None)
    assert bench.run(job).state is ExportState.DONE
    assert bench.shown(job).state is ExportState.DONE


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "/tmp/secret"), "there was not enough memory or disk"),
        (MemoryError("secret"), "there was not enough memory or disk"),
        (duckdb.OutOfMemoryException("secret"), "there was not enough memory or disk"),
        (duckdb.ConversionException("secret"), "an internal error occurred"),
        (ZeroDivisionError("secret"), "an internal error occurred"),
        (EndpointConnectionError(endpoint_url="secret"), "a service that the export needs was out of reach"),
        (Unavailable("secret"), "a service that the export needs was out of reach"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("place", [(RankedTable, "write"), (HashingReader, "read"), (Manifest, "put")])
def test_whatever_ends_an_export_its_job_says_so_and_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: tuple[type, str], error: Exception, told: str
) -> None:
    bench.fill(3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    job = bench.ask()

    def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(*place, fail)
        with pytest.raises(type(error)):
            bench.run(job)

    failed = bench.shown(job)
    assert (failed.state, failed.error) == (ExportState.FAILED, told)
    assert list(tmp_path.iterdir()) == []
    assert (bench.objects(), bench.uploads()) == ([], [])
    done = bench.run(job)
    assert (done.state, done.rows, done.error) == (ExportState.DONE, 3, None)


def test_a_failed_job_is_not_retried_once_another_is_requested(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job = bench.ask()
    with monkeypatch.context() as patch:
        patch.setattr(RankedTable, "write", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            bench.run(job)

    bench.now_ms += 1
    other = bench.ask()

    assert other.id != job.id
    assert bench.run(job).state is ExportState.FAILED
    assert bench.run(other).state is ExportState.DONE


def test_a_write_of_the_job_whose_answer_is_lost_does_not_end_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill(200)
    make_parts_small(monkeypatch, 1_000)
    real = ExportJobs.update

    def lose_the_answer(jobs: ExportJobs, job: ExportJob, read: ExportJob) -> None:
        real(jobs, job, read)
        raise JobTaken  # what the client's own second try finds

    job = bench.ask()
    monkeypatch.setattr(ExportJobs, "update", lose_the_answer)

    done = bench.run(job)

    assert (done.state, done.rows_written) == (ExportState.DONE, 200)
    assert bench.stored(job).state is ExportState.DONE


def test_uploads_of_other_objects_are_let_alone(bench: Bench) -> None:
    job = bench.ask()
    other = f"{job.object_key}.of-somebody-else"
    upload = bench.aws.s3.create_multipart_upload(Bucket=BUCKET, Key=other)
    bench.aws.s3.create_multipart_upload(Bucket=BUCKET, Key=job.object_key)
    bench.jobs.update(replace(job, state=ExportState.RUNNING, runner="killed"), job)
    bench.now_ms += DEAD_AFTER_MS

    assert bench.run(job).state is ExportState.DONE

    assert [one["UploadId"] for one in bench.uploads()] == [upload["UploadId"]]
    bench.aws.s3.abort_multipart_upload(Bucket=BUCKET, Key=other, UploadId=upload["UploadId"])


def test_what_is_left_of_several_jobs_in_a_row_goes_with_the_first_that_is_done(bench: Bench) -> None:
    bench.fill(3)
    for _ in range(3):
        job = bench.ask()
        bench.jobs.update(replace(job, state=ExportState.RUNNING, runner="killed"), bench.stored(job))
        bench.aws.s3.create_multipart_upload(Bucket=BUCKET, Key=job.object_key)
        bench.aws.s3.put_object(Bucket=BUCKET, Key=job.object_key, Body=b"")
        bench.now_ms += DEAD_AFTER_MS

    done = bench.run(bench.ask())

    assert bench.uploads() == []
    assert sorted(bench.objects()) == [done.object_key, manifest_key(done.object_key)]
    bench.now_ms += REUSE_MS
    assert bench.ask().abandoned == ()


@pytest.mark.parametrize("next_is", ["its message again", "another ask"])
def test_an_exporter_killed_before_any_request_leaves_nothing_once_the_next_is_done(
    bench: Bench, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, next_is: str
) -> None:
    bench.fill(200)
    expected = bench.run(bench.ask())
    assert expected.sha256 is not None
    environment = LocalConfig(Path("state"), Path("packages"), Ports()).environment() | {
        "AWS_ENDPOINT_URL": bench.aws.s3.meta.endpoint_url,
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "EXPORT_BUCKET": BUCKET,
        "TMPDIR": str(tmp_path),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Assembly(settings.load()).registry.save(bench.leaderboard)
    finished = {expected.object_key}
    killed = 0
    for request in count(1):
        bench.now_ms += REUSE_MS
        job = bench.ask()
        command = [sys.executable, "-m", "tests.integration.killed_export", bench.leaderboard.id, job.id]
        ended = subprocess.run([*command, str(request), "3000"], check=False)
        if ended.returncode == 0:
            finished.add(job.object_key)
            break
        assert ended.returncode == -signal.SIGKILL
        killed += 1
        left = bench.stored(job)
        assert left.state is ExportState.RUNNING
        bench.now_ms = left.heartbeat_at_ms + DEAD_AFTER_MS
        following = job if next_is == "its message again" else bench.ask()
        assert (following.id == job.id) == (next_is == "its message again")
        done = bench.run(following)
        assert (done.state, done.rows_written, done.sha256) == (ExportState.DONE, 200, expected.sha256)
        finished.add(done.object_key)
        assert bench.uploads() == []
        whole = bench.aws.s3.get_object(Bucket=BUCKET, Key=done.object_key)["Body"].read()
        assert hashlib.sha256(whole).hexdigest() == done.sha256
    assert killed >= 6, "before starting an upload, its parts, completing it, the manifest"
    assert set(bench.objects()) == finished | {manifest_key(key) for key in finished}
