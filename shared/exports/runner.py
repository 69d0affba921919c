"""Exports made: folded and sorted from the truth in a file, checked, uploaded with their manifest."""

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from shared.admin.disqualifications import DisqualifiedPlayers, eligible
from shared.domain.audit import Disqualified
from shared.domain.calendar import Day, Window, parse_id
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.exports.heartbeat import JobHeartbeat
from shared.exports.table import RankedTable
from shared.files.manifest import Manifest, describe
from shared.files.scratch import scratch
from shared.files.upload import Upload, remove
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.results import Result, Results
from shared.reads.rankings import UnknownTier
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

READ_BYTES: Final = 8 * 1024 * 1024
"""What is read of the file before the job's progress is written."""

CONTENT_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.NDJSON: "application/x-ndjson",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
}
COMPRESSED_TYPES: Final = {Compression.GZIP: "application/gzip", Compression.ZSTD: "application/zstd"}


class StillRunning(JobTaken):
    """Another process has the job; if that one has died, a later try takes over."""


class Contradiction(Exception):
    """The export of a final window is not what its result says."""


class Outdated(Exception):
    """What was asked for is not there any more: another version of the result has followed, the leaderboard is gone."""


class _Source(Struct, frozen=True):
    """What a file is made of: a window, the rules that it is ranked by, and who is not in it."""

    window: Window
    board: Leaderboard
    out: Disqualified
    result: Result | None = None
    """If the file is of that, and not of the window as it is now."""


class ExportRunner:
    """Makes the files of export jobs."""

    def __init__(
        self,
        *,
        jobs: ExportJobs,
        leaderboards: Leaderboards,
        results: Results,
        disqualified_players: DisqualifiedPlayers,
        reads: Reads,
        s3: "S3Client",
        bucket: str,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._jobs = jobs
        self._leaderboards = leaderboards
        self._results = results
        self._disqualified_players = disqualified_players
        self._reads = reads
        self._s3 = s3
        self._bucket = bucket
        self._now_ms = now_ms
        self._new_token = new_token

    def run(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """Make the file of a job, unless that is done already.

        Returns:
            The job as it ended, also as failed if nothing would be otherwise at another try; None if there is none of
            this id.

        Raises:
            StillRunning: if another process has it, or another job has taken its place.
            Exception: whatever else ended it. The job has failed, says so, and is tried again when it is run again.
        """
        job = self._jobs.job(leaderboard_id, export_id)
        if job is None or job.state is ExportState.DONE or (job.state is ExportState.FAILED and not job.tries_again):
            return job
        if job.state is ExportState.RUNNING and job.is_alive(self._now_ms()):
            raise StillRunning(job.id)
        run = JobHeartbeat(self._jobs, job, self._now_ms)
        try:
            self._take(run)
            with run:
                return self._make(run)
        except JobTaken as error:
            self._leave(run.job)
            raise StillRunning(job.id) from error
        except Exception as error:
            refused = isinstance(error, Outdated | UnknownTier)
            failed = self._fail(run, error, tries_again=not refused)
            if refused:
                return failed
            raise

    def _take(self, run: JobHeartbeat) -> None:
        """Make the job this process's. What others have begun is theirs: each try has an object of its own."""
        job, token = run.job, self._new_token()
        fresh: dict[str, Any] = {"rows_written": 0, "error": None, "tries_again": False}
        if job.state is not ExportState.QUEUED:
            folder, _, name = job.object_key.rpartition("/")
            fresh["object_key"] = f"{folder}/{token}/{name}"
            fresh["abandoned"] = job.with_abandoned
        run.write(state=ExportState.RUNNING, runner=token, **fresh)

    def _make(self, run: JobHeartbeat) -> ExportJob:
        created_at_ms, window = self._now_ms(), parse_id(run.job.request.window_id)
        for key in run.job.abandoned:
            remove(self._s3, self._bucket, key)
        source = self._source(run.job, window)
        with scratch() as directory:
            file = directory / "export"
            rows, players, points = self._write(run, source, file)
            upload = self._upload(run, file, rows)
        Manifest(
            leaderboard_id=source.board.id,
            window=describe(window),
            status=window.status(created_at_ms, final=source.result is not None),
            rules_version=source.board.version,
            result_version=run.job.result_version,
            audit_sequence=source.out.audit_sequence,
            format=run.job.request.format,
            compression=run.job.request.compression,
            part=run.job.request.part,
            object=run.job.object_key,
            rows=rows,
            players=players,
            sum_of_points=str(points),
            bytes=upload.bytes,
            sha256=upload.sha256,
            code_version=code_version(),
            created_at=format_instant(created_at_ms),
        ).put(self._s3, self._bucket)
        return run.write(state=ExportState.DONE, rows_written=rows, sha256=upload.sha256)

    def _source(self, job: ExportJob, window: Window) -> _Source:
        leaderboard = self._leaderboards.read(job.leaderboard_id)
        if leaderboard is None:
            raise Outdated("the leaderboard is gone")
        if not job.final:
            return _Source(window, leaderboard, self._disqualified_players.now(leaderboard.id))
        result = self._results.latest(leaderboard, window)  # one that was kept may be the version before
        if result is None or result.final.version != job.result_version:
            raise Outdated(f"another version of the result has followed {job.result_version}; ask for it again")
        out = self._disqualified_players.as_of(leaderboard.id, result.final.audit_sequence)
        return _Source(window, result.rules, out, result)

    def _write(self, run: JobHeartbeat, source: _Source, file: Path) -> tuple[int, int, int]:
        """Write the file; returns its rows, the window's players, and the sum of the rows' points."""
        board, window, out, request = source.board, source.window, source.out, run.job.request
        with closing(self._reads.buckets(board, [Day(bucket) for bucket in window.buckets])) as standings:
            lines = run.living(eligible(standings, out))
            with RankedTable(board, lines, file.parent) as table:
                run.check()
                _check(source.result, table)
                rows, points = table.selected(request.part)
                run.write(rows=rows)
                table.write(file, request.format, request.compression, request.part)
                run.check()
                return rows, table.rows, points

    def _upload(self, run: JobHeartbeat, file: Path, rows: int) -> Upload:
        request, size = run.job.request, max(1, file.stat().st_size)
        kind = CONTENT_TYPES[request.format]
        if request.format is not ExportFormat.PARQUET:
            kind = COMPRESSED_TYPES.get(request.compression, kind)
        with file.open("rb") as content, Upload(self._s3, self._bucket, run.job.object_key, kind) as upload:
            while data := content.read(READ_BYTES):
                upload.write(data)
                run.write(rows_written=rows * upload.bytes // size)
            upload.finish()
        return upload

    def _fail(self, run: JobHeartbeat, error: Exception, *, tries_again: bool) -> ExportJob | None:
        """Write that the job has failed; then nobody will be given what it may have uploaded, and that goes."""
        try:
            failed = run.write(state=ExportState.FAILED, error=_told(error), tries_again=tries_again)
        except (JobTaken, Unavailable):
            return self._leave(run.job)
        self._remove(failed.object_key)
        return failed

    def _leave(self, job: ExportJob) -> ExportJob | None:
        """Take away what was uploaded in vain: the job is given up, or it is another try that makes its file."""
        with suppress(Unavailable):
            stored = self._jobs.job(job.leaderboard_id, job.id)
            if stored is not None and (
                stored.object_key != job.object_key or (stored.state is ExportState.FAILED and not stored.tries_again)
            ):
                self._remove(job.object_key)
            return stored
        return None

    def _remove(self, key: str) -> None:
        with suppress(ClientError, BotoCoreError):  # the next ask's job tries again, see `abandoned`
            remove(self._s3, self._bucket, key)


def _check(result: Result | None, table: RankedTable) -> None:
    """Raises Contradiction if a final window does not add up to its result."""
    if result is None:
        return
    said, found = (result.final.players, result.final.sum_of_points), (table.rows, str(table.sum_of_points))
    if said != found:
        raise Contradiction(f"players and points are {found} in the truth and {said} in the result")


def _told(error: Exception) -> str:
    """Why a job has failed, in words for who asked; the error itself is in the log."""
    match error:
        case Outdated() | UnknownTier() | Contradiction():
            return str(error)
        case ClientError() | BotoCoreError() | Unavailable():
            return "a service that it takes was out of reach"
        case MemoryError() | OSError() | duckdb.OutOfMemoryException() | duckdb.IOException():
            return "there was not enough memory or disk"
        case _:
            return "something went wrong on our side"
