"""Exports: whole rankings as files, made once for everybody who asks at a time."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.domain.windows import Day, Window, WindowStatus, format_day, parse_id
from shared.pipeline.export_rows import RankedRows, encode
from shared.pipeline.leaderboards import Leaderboards
from shared.pipeline.uploads import Upload
from shared.queues import Queue, QueueUnavailable
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import ExportFormat, ExportJob, ExportJobs, ExportState, JobTaken
from shared.truth.reads import Reads
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FRESH_MS: Final = 60_000
"""How long a finished export of a window that still moves is given to who asks next."""
URL_LIFETIME_S: Final = 900
BEAT_EVERY_ROWS: Final = 100_000
START_TRIES_MAX: Final = 3

CONTENT_TYPES: Final = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.NDJSON: "application/x-ndjson"}


class StillRunning(Exception):
    """Another process has the job; if that one has died, a later try takes over."""


class ExportRequest(Struct, frozen=True, rename="camel"):
    """Body of a message on the export-jobs queue."""

    leaderboard_id: str
    export_id: str


class Manifest(Struct, frozen=True, rename="camel", kw_only=True):
    """What stands beside a file, so that who pays from it can check it."""

    leaderboard_id: str
    window: dict[str, str | None]
    status: WindowStatus
    rules_version: int
    format: ExportFormat
    object: str
    rows: int
    sum_of_points: str
    """A decimal integer; as text, since it may be past what a double holds."""
    bytes: int
    sha256: str
    code_version: str
    created_at: str


class Exports:
    """Starts, runs and shows export jobs."""

    def __init__(
        self,
        *,
        jobs: ExportJobs,
        leaderboards: Leaderboards,
        reads: Reads,
        s3: "S3Client",
        bucket: str,
        queue: Queue,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._jobs = jobs
        self._leaderboards = leaderboards
        self._reads = reads
        self._s3 = s3
        self._bucket = bucket
        self._queue = queue
        self._now_ms = now_ms
        self._new_token = new_token

    def ask(self, leaderboard: Leaderboard, window: Window, export_format: ExportFormat) -> ExportJob:
        """The job that makes, or has just made, this file: started if there is none.

        Raises:
            Unavailable: if the registry is out of reach.
            QueueUnavailable: if a new job could not be queued; the next ask starts another.
        """
        for _ in range(START_TRIES_MAX):
            now_ms = self._now_ms()
            latest = self._jobs.latest(leaderboard.id, window.id, export_format)
            if latest is not None and _is_current(latest, now_ms):
                return self._with_url(latest)
            job = _new_job(leaderboard, window, export_format, now_ms)
            try:
                self._jobs.start(job, instead_of=latest)
            except JobTaken:
                continue  # somebody else asked at the same time: theirs is ours, too
            self._enqueue(job)
            return job
        raise Unavailable("others start this export again and again")

    def job(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """A job by its id, with a presigned URL if it is done.

        Raises:
            Unavailable: as above.
        """
        job = self._jobs.job(leaderboard_id, export_id)
        return None if job is None else self._with_url(job)

    def run(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """Make the file of a job, unless that is done already.

        Returns:
            The job as it ended; None if there is none of this id.

        Raises:
            StillRunning: if another process has it.
            Unavailable: as above.
        """
        job = self._jobs.job(leaderboard_id, export_id)
        if job is None or job.state in (ExportState.DONE, ExportState.FAILED):
            return job
        if job.state is ExportState.RUNNING and job.is_alive(self._now_ms()):
            raise StillRunning(job.id)
        leaderboard = self._leaderboards.read(leaderboard_id)
        run = _Run(self._jobs, job, self._now_ms)
        try:
            run.beat(state=ExportState.RUNNING, runner=self._new_token(), rows_written=0)
            if leaderboard is None:
                return run.beat(state=ExportState.FAILED, error="the leaderboard is gone")
            return self._make(run, leaderboard)
        except JobTaken as error:
            raise StillRunning(job.id) from error
        except (ClientError, BotoCoreError, Unavailable) as error:
            return run.beat(state=ExportState.FAILED, error=f"{type(error).__name__}: {error}"[:500])

    def _make(self, run: "_Run", leaderboard: Leaderboard) -> ExportJob:
        job, created_at_ms = run.job, self._now_ms()
        window = parse_id(job.window_id)
        rows = RankedRows(leaderboard, self._reads.buckets(leaderboard, [Day(bucket) for bucket in window.buckets]))
        run.beat(rows=len(rows))
        written = beaten = 0
        with Upload(self._s3, self._bucket, job.object_key, CONTENT_TYPES[job.format]) as upload:
            for chunk, count in encode(rows, job.format):
                upload.write(chunk)
                written += count
                if written - beaten >= BEAT_EVERY_ROWS:
                    run.beat(rows_written=written)
                    beaten = written
            upload.finish()
        manifest = Manifest(
            leaderboard_id=leaderboard.id,
            window=_describe(window),
            status=window.status(created_at_ms),
            rules_version=leaderboard.version,
            format=job.format,
            object=job.object_key,
            rows=len(rows),
            sum_of_points=str(rows.sum_of_points),
            bytes=upload.bytes,
            sha256=upload.sha256,
            code_version=code_version(),
            created_at=format_instant(created_at_ms),
        )
        self._s3.put_object(
            Bucket=self._bucket,
            Key=manifest_key(job.object_key),
            Body=msgspec.json.encode(manifest),
            ContentType="application/json",
        )
        return run.beat(state=ExportState.DONE, rows_written=written, sha256=upload.sha256)

    def _enqueue(self, job: ExportJob) -> None:
        try:
            self._queue.send([msgspec.json.encode(ExportRequest(job.leaderboard_id, job.id))])
        except QueueUnavailable:
            _Run(self._jobs, job, self._now_ms).beat(state=ExportState.FAILED, error="the queue did not take it")
            raise

    def _with_url(self, job: ExportJob) -> ExportJob:
        if job.state is not ExportState.DONE:
            return job
        name = job.object_key.rpartition("/")[2]
        place = {"Bucket": self._bucket, "Key": job.object_key}
        disposition = {"ResponseContentDisposition": f'attachment; filename="{job.leaderboard_id}-{name}"'}
        url = self._s3.generate_presigned_url("get_object", Params=place | disposition, ExpiresIn=URL_LIFETIME_S)
        return msgspec.structs.replace(job, url=url)


class _Run:
    """A job in the hands of this process; every write of it fails once another process has it."""

    def __init__(self, jobs: ExportJobs, job: ExportJob, now_ms: Callable[[], int]) -> None:
        self._jobs = jobs
        self.job = job
        self._now_ms = now_ms

    def beat(self, **changes: object) -> ExportJob:
        """Write changes, and that it lives. Raises JobTaken if another process has it."""
        job = msgspec.structs.replace(self.job, beat_at_ms=self._now_ms(), **changes)
        self._jobs.update(job, self.job)
        self.job = job
        return job


def manifest_key(object_key: str) -> str:
    """Where the manifest of a file is."""
    return f"{object_key}.manifest.json"


def _is_current(job: ExportJob, now_ms: int) -> bool:
    if job.state is ExportState.DONE:
        return now_ms - job.beat_at_ms < FRESH_MS
    return job.is_alive(now_ms)


def _new_job(leaderboard: Leaderboard, window: Window, export_format: ExportFormat, now_ms: int) -> ExportJob:
    name = f"{window.id}-{export_format}-{now_ms}"
    return ExportJob(
        id=name,
        leaderboard_id=leaderboard.id,
        window_id=window.id,
        format=export_format,
        object_key=f"exports/{leaderboard.id}/{window.id}/{name}.{export_format}",
        created_at_ms=now_ms,
        beat_at_ms=now_ms,
    )


def _describe(window: Window) -> dict[str, str | None]:
    all_time = window.end_ms is None
    return {
        "kind": window.kind,
        "id": window.id,
        "from": None if all_time else format_day(window.first),
        "to": None if all_time else format_day(window.last),
    }
