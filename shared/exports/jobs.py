"""Export jobs: requests for rankings as files. Requests for the same file share one job."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.files.links import Downloads
from shared.files.manifest import manifest_key
from shared.lookups.results import Result, Results
from shared.messaging.queues import Queue, QueueUnavailable
from shared.reads.rankings import check_label, check_tier
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import (
    Compression,
    ExportFormat,
    ExportJob,
    ExportJobs,
    ExportPart,
    ExportRequest,
    ExportState,
    JobTaken,
    check_rows,
)

REUSE_MS: Final = 60_000
"""How long a finished export of a window that is not final is reused for further requests."""
KEPT: Final = "finals/"
"""Folder of exports of final windows, beside their results. The bucket's lifecycle removes nothing there, so each is
made once, and a later version of the code can't give a reader other bytes."""
EXPIRING: Final = "exports/"
"""Folder of all others; the bucket's lifecycle removes them after 30 days."""
START_TRIES_MAX: Final = 3

EXTENSIONS: Final = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}


class ExportMessage(Struct, frozen=True, rename="camel"):
    """Body of a message on the export-jobs queue."""

    leaderboard_id: str
    export_id: str


class Exports:
    """Starts and shows export jobs.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(
        self,
        *,
        jobs: ExportJobs,
        results: Results,
        downloads: Downloads,
        queue: Queue,
        now_ms: Callable[[], int],
    ) -> None:
        self._jobs = jobs
        self._results = results
        self._downloads = downloads
        self._queue = queue
        self._now_ms = now_ms

    def request(self, leaderboard: Leaderboard, window: Window, request: ExportRequest) -> ExportJob:
        """The job that makes, or has made, this file; a new one is started if there is none.

        Raises:
            UnknownTier: if the window is not ranked with the tier that the request names.
            UnknownFilter: if the leaderboard has not one of the filters that the request names.
            TooManyRows: if all entries of a final window are requested as XLSX, and a sheet can't take them.
            QueueUnavailable: if a new job could not be queued; the next request starts another.
        """
        for label in (request.part.attr or {}).items():
            check_label(leaderboard, label)
        for _ in range(START_TRIES_MAX):
            now_ms = self._now_ms()
            latest = self._jobs.latest(leaderboard.id, request)
            # read, not cached: a file of an earlier version is not the result any more
            result = self._results.latest(leaderboard, window)
            rules = self._results.rules_in_force(leaderboard, window) if result is None else result.rules
            check_tier(rules, request.part.tier)
            if result is not None and request.format is ExportFormat.XLSX and request.part == ExportPart():
                check_rows(result.final.players)
            if latest is not None and _is_current(latest, now_ms, result, leaderboard.since_ms):
                return self._with_links(latest)
            job = _new_job(leaderboard, request, result, latest, now_ms)
            try:
                self._jobs.start(job, instead_of=latest)
            except JobTaken:
                continue  # another caller has started one at the same time: share it
            if job.state is ExportState.QUEUED:
                self._enqueue(job)
            return self._with_links(job)
        raise Unavailable("other requests kept starting this export")

    def job(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """A job by its id: with a presigned URL if it is done, as failed if its process has died."""
        job = self._jobs.job(leaderboard_id, export_id)
        return None if job is None else self._with_links(job)

    def _enqueue(self, job: ExportJob) -> None:
        try:
            self._queue.send([msgspec.json.encode(ExportMessage(job.leaderboard_id, job.id))])
        except QueueUnavailable:
            with suppress(JobTaken):  # the queue has it all the same, and a process runs it
                self._jobs.update(replace(job, state=ExportState.FAILED, error="it could not be queued"), job)
            raise
        # a process may have it already; if this is not stored, a request in a minute starts another job at worst
        with suppress(JobTaken, Unavailable):
            self._jobs.update(replace(job, is_sent=True), job)

    def _with_links(self, job: ExportJob) -> ExportJob:
        if job.state is ExportState.DONE:
            keys = job.object_key, manifest_key(job.object_key)
            url, manifest_url = (self._downloads.url(job.leaderboard_id, key) for key in keys)
            return replace(job, url=url, manifest_url=manifest_url)
        if job.state is not ExportState.FAILED and not job.is_alive(self._now_ms()):
            return replace(job, state=ExportState.FAILED, error="its process has died; request it again")
        return job


def _is_current(job: ExportJob, now_ms: int, result: Result | None, since_ms: int) -> bool:
    if job.result_version != _version(result) or job.created_at_ms < since_ms:
        return False
    if job.state is ExportState.DONE:
        return (result is not None and job.object_key.startswith(KEPT)) or now_ms - job.heartbeat_at_ms < REUSE_MS
    return job.is_alive(now_ms)


def _version(result: Result | None) -> int:
    return 0 if result is None else result.final.version


def _new_job(
    leaderboard: Leaderboard, request: ExportRequest, result: Result | None, before: ExportJob | None, now_ms: int
) -> ExportJob:
    name = f"{request.window_id}-{request.digest}-{now_ms}"
    of_window = f"{leaderboard.id}/{request.window_id}"
    folder = f"{EXPIRING}{of_window}" if result is None else f"{KEPT}{of_window}/exports"
    job = ExportJob(
        id=name,
        leaderboard_id=leaderboard.id,
        request=request,
        object_key=f"{folder}/{name}.{extension(request)}",
        created_at_ms=now_ms,
        heartbeat_at_ms=now_ms,
        final=result is not None,
        result_version=_version(result),
        abandoned=() if before is None or before.state is ExportState.DONE else before.with_abandoned,
    )
    if result is None or request != ExportRequest(request.window_id):
        return job
    final = result.final  # the file exists already: it is the result itself
    return replace(
        job,
        object_key=final.object_key,
        state=ExportState.DONE,
        rows=final.players,
        rows_written=final.players,
        sha256=final.sha256,
    )


def extension(request: ExportRequest) -> str:
    """What the name of a file ends with, e.g. `csv.gz`."""
    if request.format is ExportFormat.PARQUET:
        return "parquet"
    return request.format + EXTENSIONS[request.compression]
