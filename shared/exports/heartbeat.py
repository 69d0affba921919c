"""An export job in the hands of this process, which says for it that it lives."""

from collections.abc import Callable
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from shared.exports.table import Lines
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import ExportJob, ExportJobs, JobTaken

BEAT_EVERY_S: Final = 15
"""How often a running job says that it lives: three times before it counts as dead (DEAD_AFTER_MS)."""
LOOK_EVERY_LINES: Final = 1_000
"""How often who reads looks whether the job is still his."""


class JobHeartbeat:
    """Writes of a job; each fails once the job is another process's, or another job has taken its place.

    Used as a context manager: inside it a thread says every BEAT_EVERY_S that the job lives, however long one step of
    it takes.
    """

    def __init__(self, jobs: ExportJobs, job: ExportJob, now_ms: Callable[[], int]) -> None:
        self._jobs = jobs
        self.job = job
        self._now_ms = now_ms
        self._lock = Lock()
        self._ended = Event()
        self._taken = Event()
        self._thread = Thread(target=self._beat_on, name="beat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def write(self, **changes: object) -> ExportJob:
        """Change the job, and say that it lives.

        Raises:
            JobTaken: if it is somebody else's.
            Unavailable: if the registry is out of reach; it may have been written.
        """
        with self._lock:
            job = replace(self.job, beat_at_ms=self._now_ms(), **changes)
            try:
                self._jobs.update(job, self.job)
            except JobTaken:
                self._write_over_own(job)
            self.job = job
            return job

    def check(self) -> None:
        """Raises JobTaken if it is known that the job is somebody else's; asks nobody."""
        if self._taken.is_set():
            raise JobTaken(self.job.id)

    def living(self, lines: Lines) -> Lines:
        """The lines, as long as the job is this process's. Raises JobTaken once it is not."""
        for number, line in enumerate(lines):
            if number % LOOK_EVERY_LINES == 0:
                self.check()
            yield line

    def _write_over_own(self, job: ExportJob) -> None:
        """The job is not as it was read: an earlier write of ours may have been taken though its answer was lost."""
        stored = self._jobs.job(job.leaderboard_id, job.id)
        if stored is None or stored.runner != job.runner:
            self._taken.set()
            raise JobTaken(job.id)
        if stored != job:
            self._jobs.update(job, stored)

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_EVERY_S):
            try:
                self.write()
            except JobTaken:
                self._taken.set()
                return
            except Unavailable:
                continue  # for as long as it lasts; then it counts as dead, as it should
            except Exception:  # noqa: BLE001 - what is wrong here is wrong for the next write, too, which tells of it
                return
