"""Runs an export job: from the truth, through DuckDB, to a file in S3 with a manifest.

1. Claim the job: it is `running` now, with this process as its runner, whose heartbeat keeps it.
2. Remove what earlier attempts abandoned in S3.
3. Determine what the file is made of: the rules, the disqualified players and, of a final window, its result.
4. Fold and rank the window in DuckDB. Of a final window, check that players and points are those of its result.
5. Write the selected entries to a local file.
6. Upload the file, then its manifest.
7. Mark the job as done. Only from now on it has a URL.

Each attempt has an object of its own. If it ends early, it removes that object and marks the job as failed; if another
process has claimed the job, it only removes the object.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import duckdb
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from shared.admin.as_of import AmendedPlayers
from shared.admin.disqualifications import DisqualifiedPlayers
from shared.admin.eligible import eligible, eligible_of_all_time
from shared.domain.audit import Disqualified
from shared.domain.calendar import Day, Window, WindowKind, parse_id
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.exports.heartbeat import JobHeartbeat
from shared.exports.table import RankedTable
from shared.files.manifest import Manifest, counts_from, describe
from shared.files.scratch import scratch
from shared.files.upload import Stored, remove, store
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.results import Result, Results
from shared.reads.rankings import UnknownFilter, UnknownTier
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import (
    Compression,
    ExportFormat,
    ExportJob,
    ExportJobs,
    ExportState,
    JobTaken,
    TooManyRows,
)
from shared.truth.reads import Reads
from shared.version import code_version

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_BYTES: Final = 8 * 1024 * 1024
"""How much of the file is uploaded between two writes of the job's progress."""

CONTENT_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.NDJSON: "application/x-ndjson",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
COMPRESSED_TYPES: Final = {Compression.GZIP: "application/gzip", Compression.ZSTD: "application/zstd"}


_MOVED: Final = "a player was on the way to a pseudonym while the window was read"


class StillRunning(JobTaken):
    """Another process runs the job; if that one has died, a later attempt takes over."""


class Contradiction(Exception):
    """The export of a final window differs from its result."""


class Outdated(Exception):
    """What was requested is gone: a later version of the result has replaced it, or the leaderboard is deleted."""


class _Source(Struct, frozen=True):
    """What a file is made of: a window, the rules that rank it, and who is disqualified."""

    window: Window
    board: Leaderboard
    out: Disqualified
    result: Result | None = None
    """Of a final window; None if the file shows the window as it is now."""


class _Written(Struct, frozen=True):
    """What is in a file: its rows and the sum of their points, of how many players of the window, and how many of them
    carry the values that were asked for.
    """

    rows: int
    points: int
    players: int
    attr_players: int | None


class ExportRunner:
    """Makes the files of export jobs."""

    def __init__(
        self,
        *,
        jobs: ExportJobs,
        leaderboards: Leaderboards,
        results: Results,
        disqualified_players: DisqualifiedPlayers,
        amended_players: AmendedPlayers,
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
        self._amended_players = amended_players
        self._reads = reads
        self._s3 = s3
        self._bucket = bucket
        self._now_ms = now_ms
        self._new_token = new_token

    def run(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """Make the file of a job, unless that is done already.

        Returns:
            The job as it ended, also as failed if another attempt would fail, too; None if there is no such job.

        Raises:
            StillRunning: if another process runs it, or another job has replaced it.
            Exception: any other error that ended it. The job is stored as failed; running it again tries again.
        """
        job = self._jobs.job(leaderboard_id, export_id)
        if job is None or job.state is ExportState.DONE or (job.state is ExportState.FAILED and not job.tries_again):
            return job
        if job.state is ExportState.RUNNING and job.is_alive(self._now_ms()):
            raise StillRunning(job.id)
        heartbeat = JobHeartbeat(self._jobs, job, self._now_ms)
        try:
            self._claim(heartbeat)
            with heartbeat:
                return self._make(heartbeat)
        except JobTaken as error:
            self._abandon(heartbeat.job)
            raise StillRunning(job.id) from error
        except Exception as error:
            lasting = isinstance(error, Outdated | UnknownTier | UnknownFilter | TooManyRows)
            failed = self._fail(heartbeat, error, tries_again=not lasting)
            if lasting:
                return failed
            raise

    def _claim(self, heartbeat: JobHeartbeat) -> None:
        """Step 1. An attempt after another one writes to another object, since the other process may still run."""
        job, token = heartbeat.job, self._new_token()
        first: dict[str, Any] = {"rows_written": 0, "error": None, "tries_again": False}
        if job.state is not ExportState.QUEUED:
            folder, _, name = job.object_key.rpartition("/")
            first["object_key"] = f"{folder}/{token}/{name}"
            first["abandoned"] = job.with_abandoned
        heartbeat.write(state=ExportState.RUNNING, runner=token, **first)

    def _make(self, heartbeat: JobHeartbeat) -> ExportJob:
        """Steps 2 to 7."""
        created_at_ms, window = self._now_ms(), parse_id(heartbeat.job.request.window_id)
        for key in heartbeat.job.abandoned:
            remove(self._s3, self._bucket, key)  # step 2
        source = self._source(heartbeat.job, window)
        with scratch() as directory:
            file = directory / "export"
            written = self._write(heartbeat, source, file)
            upload = self._upload(heartbeat, file, written.rows)
        Manifest(  # step 6
            leaderboard_id=source.board.id,
            window=describe(source.board, window),
            status=source.board.calendar.status(window, created_at_ms, final=source.result is not None),
            counts_from=counts_from(source.board),
            rules_version=source.board.version,
            result_version=heartbeat.job.result_version,
            audit_sequence=source.out.audit_sequence,
            format=heartbeat.job.request.format,
            compression=heartbeat.job.request.compression,
            part=heartbeat.job.request.part,
            object=heartbeat.job.object_key,
            rows=written.rows,
            players=written.players,
            filters=source.board.filters,
            attr_players=written.attr_players,
            sum_of_points=str(written.points),
            bytes=upload.bytes,
            sha256=upload.sha256,
            code_version=code_version(),
            created_at=format_instant(created_at_ms),
        ).put(self._s3, self._bucket)
        return heartbeat.write(state=ExportState.DONE, rows_written=written.rows, sha256=upload.sha256)  # step 7

    def _source(self, job: ExportJob, window: Window) -> _Source:
        """Step 3."""
        leaderboard = self._leaderboards.read(job.leaderboard_id)
        if leaderboard is None:
            raise Outdated("the leaderboard is gone")
        if leaderboard.moving is not None:
            raise Unavailable(_MOVED)
        if not job.final:
            rules = self._results.rules_in_force(leaderboard, window)
            return _Source(window, rules, self._disqualified_players.now(leaderboard.id))
        result = self._results.latest(leaderboard, window)  # a cached one may be an earlier version
        if result is None or result.final.version != job.result_version:
            raise Outdated(f"version {job.result_version} of the result has been replaced; request the export again")
        out = self._disqualified_players.as_of(leaderboard.id, result.final.audit_sequence)
        return _Source(window, result.rules, out, result)

    def _write(self, heartbeat: JobHeartbeat, source: _Source, file: Path) -> _Written:
        """Steps 4 and 5."""
        board, window, out, request = source.board, source.window, source.out, heartbeat.job.request
        with closing(self._reads.standings_on(board, window.days)) as standings:
            counted = eligible(standings, out)
            if window.kind is WindowKind.ALL_TIME:
                counted = eligible_of_all_time(self._reads, board, standings, out, self._now_ms())
            lines = heartbeat.while_owned(counted)
            with RankedTable(board, lines, file.parent, partial(self._amended, source)) as table:
                heartbeat.check()
                _check(source.result, table)
                rows, points = table.selected(request.part)
                heartbeat.write(rows=rows)
                table.write(file, request.format, request.compression, request.part)
                heartbeat.check()
                return _Written(rows, points, table.rows, table.carriers(request.part))

    def _amended(self, source: _Source) -> dict[str, Mapping[Day, Standing]]:
        """Who was amended after the audit entry that the file is made as of: what they had then."""
        out, current = source.out, self._leaderboards.read(source.board.id)
        if current is None or current.moving is not None or current.pseudonyms != source.board.pseudonyms:
            raise Unavailable(_MOVED)
        amended = self._amended_players.as_of(source.board, source.window, out.audit_sequence, out.partly)
        return {
            user_id: {day: one for day, one in standings.items() if out.counts(user_id, day)}
            for user_id, standings in amended.items()
        }

    def _upload(self, heartbeat: JobHeartbeat, file: Path, rows: int) -> Stored:
        """Step 6: the file."""
        request, size = heartbeat.job.request, max(1, file.stat().st_size)
        kind = CONTENT_TYPES[request.format]
        if request.format is not ExportFormat.PARQUET:
            kind = COMPRESSED_TYPES.get(request.compression, kind)

        def chunks(content: BinaryIO) -> Iterator[bytes]:
            while data := content.read(READ_BYTES):
                yield data
                heartbeat.write(rows_written=rows * content.tell() // size)

        with file.open("rb") as content:
            return store(self._s3, self._bucket, heartbeat.job.object_key, kind, chunks(content))

    def _fail(self, heartbeat: JobHeartbeat, error: Exception, *, tries_again: bool) -> ExportJob | None:
        """Mark the job as failed, then remove what it may have uploaded: no URL of it will be given out."""
        try:
            failed = heartbeat.write(state=ExportState.FAILED, error=_reason(error), tries_again=tries_again)
        except (JobTaken, Unavailable):
            return self._abandon(heartbeat.job)
        self._remove(failed.object_key)
        return failed

    def _abandon(self, job: ExportJob) -> ExportJob | None:
        """Remove this attempt's object if another attempt or job makes the file."""
        with suppress(Unavailable):
            stored = self._jobs.job(job.leaderboard_id, job.id)
            if stored is not None and (
                stored.object_key != job.object_key or (stored.state is ExportState.FAILED and not stored.tries_again)
            ):
                self._remove(job.object_key)
            return stored
        return None

    def _remove(self, key: str) -> None:
        with suppress(ClientError, BotoCoreError):  # the next job tries again, see `abandoned`
            remove(self._s3, self._bucket, key)


def _check(result: Result | None, table: RankedTable) -> None:
    """Raises Contradiction if players or points of a final window differ from its result."""
    if result is None:
        return
    expected, found = (result.final.players, result.final.sum_of_points), (table.rows, str(table.sum_of_points))
    if found != expected:
        raise Contradiction(f"players and points are {found} in the truth and {expected} in the result")


def _reason(error: Exception) -> str:
    """Why a job has failed, for the caller; the error itself is in the log."""
    match error:
        case Outdated() | UnknownTier() | UnknownFilter() | Contradiction():
            return str(error)
        case ClientError() | BotoCoreError() | Unavailable():
            return "a service that the export needs was out of reach"
        case MemoryError() | OSError() | duckdb.OutOfMemoryException() | duckdb.IOException():
            return "there was not enough memory or disk"
        case _:
            return "an internal error occurred"
