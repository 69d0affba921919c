"""Exports made: folded and sorted from the truth in a file, checked, uploaded with their manifest."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.acts import Disqualified
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.domain.windows import Day, parse_id
from shared.pipeline.disqualifications import Disqualifications, present
from shared.pipeline.leaderboards import Leaderboards
from shared.pipeline.manifests import Manifest, describe
from shared.pipeline.ranked_table import Lines, RankedTable
from shared.pipeline.results import Result, Results
from shared.pipeline.uploads import Upload, abort_left_over
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import (
    Compression,
    ExportFormat,
    ExportJob,
    ExportJobs,
    ExportState,
    JobTaken,
)
from shared.truth.reads import Reads
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BEAT_EVERY_LINES: Final = 100_000
READ_BYTES: Final = 8 * 1024 * 1024
"""What is read of the file between two signs of life."""
SCRATCH: Final = "leaderboard-export-"
SCRATCH_KEPT_S: Final = 24 * 3_600
"""After this no export can be at work in a directory any more: its process was killed."""

CONTENT_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.NDJSON: "application/x-ndjson",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
}
COMPRESSED_TYPES: Final = {Compression.GZIP: "application/gzip", Compression.ZSTD: "application/zstd"}


class StillRunning(Exception):
    """Another process has the job; if that one has died, a later try takes over."""


class Contradiction(Exception):
    """The export of a final window is not what its result says."""


class ExportRuns:
    """Makes the files of export jobs."""

    def __init__(
        self,
        *,
        jobs: ExportJobs,
        leaderboards: Leaderboards,
        results: Results,
        disqualifications: Disqualifications,
        reads: Reads,
        s3: "S3Client",
        bucket: str,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._jobs = jobs
        self._leaderboards = leaderboards
        self._results = results
        self._disqualifications = disqualifications
        self._reads = reads
        self._s3 = s3
        self._bucket = bucket
        self._now_ms = now_ms
        self._new_token = new_token

    def run(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """Make the file of a job, unless that is done already.

        Returns:
            The job as it ended; None if there is none of this id.

        Raises:
            StillRunning: if another process has it.
            Unavailable: if the registry is out of reach.
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
        except (ClientError, BotoCoreError, Unavailable, Contradiction) as error:
            return run.beat(state=ExportState.FAILED, error=f"{type(error).__name__}: {error}"[:500])

    def _make(self, run: "_Run", leaderboard: Leaderboard) -> ExportJob:
        job, request, created_at_ms = run.job, run.job.request, self._now_ms()
        window = parse_id(request.window_id)
        result = self._results.find(leaderboard, window) if job.final else None
        if result is not None and result.final.version != job.result_version:
            raise Contradiction(f"version {result.final.version} of the result has followed {job.result_version}")
        board = leaderboard if result is None else result.rules
        out = self._disqualified(board, result)
        abort_left_over(self._s3, self._bucket, job.object_key)
        with _scratch() as directory:
            lines = present(self._reads.buckets(board, [Day(bucket) for bucket in window.buckets]), out)
            with RankedTable(board, _living(run, lines), directory) as table:
                _check(result, table)
                rows, points = table.selected(request.part)
                run.beat(rows=rows)
                file = directory / "export"
                table.write(file, request.format, request.compression, request.part)
            upload = self._upload(run, file, rows)
        manifest = Manifest(
            leaderboard_id=board.id,
            window=describe(window),
            status=window.status(created_at_ms, final=result is not None),
            rules_version=board.version,
            result_version=job.result_version,
            acts=out.acts,
            format=request.format,
            compression=request.compression,
            part=request.part,
            object=job.object_key,
            rows=rows,
            players=table.rows,
            sum_of_points=str(points),
            bytes=upload.bytes,
            sha256=upload.sha256,
            code_version=code_version(),
            created_at=format_instant(created_at_ms),
        )
        manifest.put(self._s3, self._bucket)
        return run.beat(state=ExportState.DONE, rows_written=rows, sha256=upload.sha256)

    def _disqualified(self, leaderboard: Leaderboard, result: Result | None) -> Disqualified:
        """Who is not in the file: of a final window those who are not in its result."""
        if result is None:
            return self._disqualifications.now(leaderboard.id)
        return self._disqualifications.as_of(leaderboard.id, result.final.acts)

    def _upload(self, run: "_Run", file: Path, rows: int) -> Upload:
        request, size = run.job.request, max(1, file.stat().st_size)
        kind = CONTENT_TYPES[request.format]
        if request.format is not ExportFormat.PARQUET:
            kind = COMPRESSED_TYPES.get(request.compression, kind)
        with file.open("rb") as content, Upload(self._s3, self._bucket, run.job.object_key, kind) as upload:
            while data := content.read(READ_BYTES):
                upload.write(data)
                run.beat(rows_written=rows * upload.bytes // size)
            upload.finish()
        return upload


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


def _living(run: _Run, lines: Lines) -> Lines:
    """The lines, with a sign of life now and then."""
    for number, line in enumerate(lines):
        if number % BEAT_EVERY_LINES == 0:
            run.beat()
        yield line


def _check(result: Result | None, table: RankedTable) -> None:
    """Raises Contradiction if a final window does not add up to its result."""
    if result is None:
        return
    said, found = (result.final.players, result.final.sum_of_points), (table.rows, str(table.sum_of_points))
    if said != found:
        raise Contradiction(f"players and points are {found} in the truth and {said} in the result")


@contextmanager
def _scratch() -> Iterator[Path]:
    """A directory that goes with the export; those that killed processes have left go, too."""
    for left_over in Path(gettempdir()).glob(f"{SCRATCH}*"):
        with suppress(FileNotFoundError):
            if time.time() - left_over.stat().st_mtime > SCRATCH_KEPT_S:
                shutil.rmtree(left_over, ignore_errors=True)
    with TemporaryDirectory(prefix=SCRATCH) as directory:
        yield Path(directory)
