"""The heartbeat of an export job that this process runs."""

from collections.abc import Callable
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from shared.exports.table import Lines
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import ExportJob, ExportJobs, JobTaken

HEARTBEAT_EVERY_S: Final = 15
"""How often a running job sends a heartbeat: three times before it counts as dead (DEAD_AFTER_MS)."""
CHECK_EVERY_LINES: Final = 1_000
"""After how many lines that are read it is checked that the job still belongs to this process."""


class JobHeartbeat:
    """Writes a job's state; each write fails once another process has the job, or another job has replaced it.

    Used as a context manager: inside it a thread sends a heartbeat every HEARTBEAT_EVERY_S, however long a step takes.
    """

    def __init__(self, jobs: ExportJobs, job: ExportJob, now_ms: Callable[[], int]) -> None:
        self._jobs = jobs
        self.job = job
        self._now_ms = now_ms
        self._lock = Lock()
        self._ended = Event()
        self._taken = Event()
        self._thread = Thread(target=self._send_heartbeats, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def write(self, **changes: object) -> ExportJob:
        """Change the job, and send a heartbeat.

        Raises:
            JobTaken: if another process has the job, or another job has replaced it.
            Unavailable: if DynamoDB throttles or is out of reach; it may have been written.
        """
        with self._lock:
            job = replace(self.job, heartbeat_at_ms=self._now_ms(), **changes)
            try:
                self._jobs.update(job, self.job)
            except JobTaken:
                self._write_over_own(job)
            self.job = job
            return job

    def check(self) -> None:
        """Raises JobTaken if a heartbeat has found that another process has the job; reads nothing."""
        if self._taken.is_set():
            raise JobTaken(self.job.id)

    def while_owned(self, lines: Lines) -> Lines:
        """The lines, for as long as the job belongs to this process. Raises JobTaken once it does not."""
        for number, line in enumerate(lines):
            if number % CHECK_EVERY_LINES == 0:
                self.check()
            yield line

    def _write_over_own(self, job: ExportJob) -> None:
        """The job is not as it was read: an earlier write of ours may have been stored though its answer was lost."""
        stored = self._jobs.job(job.leaderboard_id, job.id)
        if stored is None or stored.runner != job.runner:
            self._taken.set()
            raise JobTaken(job.id)
        if stored != job:
            self._jobs.update(job, stored)

    def _send_heartbeats(self) -> None:
        while not self._ended.wait(HEARTBEAT_EVERY_S):
            try:
                self.write()
            except JobTaken:
                self._taken.set()
                return
            except Unavailable:
                continue  # if it lasts, the job counts as dead, as it should
            except Exception:  # noqa: BLE001 - the next write of the job fails in the same way and raises it
                return
