"""Exports asked for: whole rankings as files, made once for everybody who asks at a time."""

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
from shared.reads.rankings import check_tier
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import (
    Compression,
    ExportFormat,
    ExportJob,
    ExportJobs,
    ExportRequest,
    ExportState,
    JobTaken,
)

FRESH_MS: Final = 60_000
"""How long a finished export of a window that still moves is given to who asks next."""
KEPT: Final = "finals/"
"""Where exports of final windows are, beside their results: the bucket's lifecycle takes nothing away there, so that
each is made once, and nobody ever gets other bytes from a later version of what writes them."""
PASSING: Final = "exports/"
"""Where all others are; the bucket's lifecycle takes them away after 30 days."""
START_TRIES_MAX: Final = 3

EXTENSIONS: Final = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}


class ExportMessage(Struct, frozen=True, rename="camel"):
    """Body of a message on the export-jobs queue."""

    leaderboard_id: str
    export_id: str


class Exports:
    """Starts and shows export jobs."""

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

    def ask(self, leaderboard: Leaderboard, window: Window, request: ExportRequest) -> ExportJob:
        """The job that makes, or has made, this file: started if there is none.

        Raises:
            UnknownTier: if the window is not ranked with the tier that the request names: by its result's rules if it
                is final, by the leaderboard's if not.
            Unavailable: if the registry is out of reach.
            QueueUnavailable: if a new job could not be queued; the next ask starts another.
        """
        for _ in range(START_TRIES_MAX):
            now_ms = self._now_ms()
            latest = self._jobs.latest(leaderboard.id, request)
            # as it is now: a file of the version before, if that is remembered, is not what a result says any more
            result = self._results.latest(leaderboard, window)
            check_tier(leaderboard if result is None else result.rules, request.part.tier)
            if latest is not None and _is_current(latest, now_ms, result):
                return self._shown(latest)
            job = _new_job(leaderboard, request, result, latest, now_ms)
            try:
                self._jobs.start(job, instead_of=latest)
            except JobTaken:
                continue  # somebody else asked at the same time: theirs is ours, too
            if job.state is ExportState.QUEUED:
                self._enqueue(job)
            return self._shown(job)
        raise Unavailable("others start this export again and again")

    def job(self, leaderboard_id: str, export_id: str) -> ExportJob | None:
        """A job by its id: with a presigned URL if it is done, as failed if nobody is at work on it any more.

        Raises:
            Unavailable: as above.
        """
        job = self._jobs.job(leaderboard_id, export_id)
        return None if job is None else self._shown(job)

    def _enqueue(self, job: ExportJob) -> None:
        try:
            self._queue.send([msgspec.json.encode(ExportMessage(job.leaderboard_id, job.id))])
        except QueueUnavailable:
            with suppress(JobTaken):  # the queue took it all the same, and somebody is at work on it
                self._jobs.update(replace(job, state=ExportState.FAILED, error="the queue did not take it"), job)
            raise
        # it may have been taken from the queue already; and who asks in a minute at worst starts another one
        with suppress(JobTaken, Unavailable):
            self._jobs.update(replace(job, is_sent=True), job)

    def _shown(self, job: ExportJob) -> ExportJob:
        if job.state is ExportState.DONE:
            keys = job.object_key, manifest_key(job.object_key)
            url, manifest_url = (self._downloads.url(job.leaderboard_id, key) for key in keys)
            return replace(job, url=url, manifest_url=manifest_url)
        if job.state is not ExportState.FAILED and not job.is_alive(self._now_ms()):
            return replace(job, state=ExportState.FAILED, error="nobody is at work on it any more; ask for it again")
        return job


def _is_current(job: ExportJob, now_ms: int, result: Result | None) -> bool:
    if job.result_version != _version(result):
        return False
    if job.state is ExportState.DONE:
        return (result is not None and job.object_key.startswith(KEPT)) or now_ms - job.beat_at_ms < FRESH_MS
    return job.is_alive(now_ms)


def _version(result: Result | None) -> int:
    return 0 if result is None else result.final.version


def _new_job(
    leaderboard: Leaderboard, request: ExportRequest, result: Result | None, before: ExportJob | None, now_ms: int
) -> ExportJob:
    name = f"{request.window_id}-{request.digest}-{now_ms}"
    of_window = f"{leaderboard.id}/{request.window_id}"
    folder = f"{PASSING}{of_window}" if result is None else f"{KEPT}{of_window}/exports"
    job = ExportJob(
        id=name,
        leaderboard_id=leaderboard.id,
        request=request,
        object_key=f"{folder}/{name}.{extension(request)}",
        created_at_ms=now_ms,
        beat_at_ms=now_ms,
        final=result is not None,
        result_version=_version(result),
        abandoned=() if before is None or before.state is ExportState.DONE else before.with_abandoned,
    )
    if result is None or request != ExportRequest(request.window_id):
        return job
    final = result.final  # the file is there already: it is the result itself
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
