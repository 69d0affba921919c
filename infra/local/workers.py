"""The worker processes behind the gateway: each runs one invocation at a time; what is above waits in one queue."""

import asyncio
import logging
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

from infra.local.worker import LENGTH_BYTES, FunctionError, WorkerDied, frame, launch, outcome_of

WAITING_MAX: Final = 1_000
"""Requests that may wait for a worker; some two seconds of work. Above it, the gateway answers as if throttled."""
START_WITHIN_S: Final = 60
PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 10.0
"""The longest pause between two attempts to start a worker that does not come up."""
STOP_S: Final = 5
POLL_S: Final = 0.02

log = logging.getLogger("workers")


class Overloaded(Exception):
    """Too many requests wait already."""


class Job:
    """One event and the future of its answer."""

    def __init__(self, event: Any) -> None:
        self.content = msgspec.json.encode(event)
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        """Tell the caller, unless it has stopped waiting."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeed(self, answer: Any) -> None:
        """Tell the caller, unless it has stopped waiting."""
        if not self.answer.done():
            self.answer.set_result(answer)


class Worker(asyncio.Protocol):
    """One process, and the connection to it."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", timeout_s: float, freed: "Callable[[Worker], None]",
        lost: "Callable[[Worker], None]",
    ) -> None:  # fmt: skip
        self.process = process
        self.is_ready = False
        self.cause = "it said nothing"
        self._timeout_s = timeout_s
        self._freed, self._lost = freed, lost
        self._buffer = bytearray()
        self._job: Job | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From now on messages come."""
        self._transport = cast(asyncio.Transport, transport)

    def invoke(self, job: Job) -> None:
        """Give it an event; only one that is ready and has none."""
        assert self._transport is not None  # noqa: S101 - it has said that it is ready
        self._job = job
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._time_is_up)
        self._transport.write(frame(job.content))

    def data_received(self, data: bytes) -> None:
        """A part of a message, or several."""
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[LENGTH_BYTES:end])
            del self._buffer[:end]
            self._receive(content)

    def _receive(self, content: bytes) -> None:
        outcome = outcome_of(content)
        job = self._release()
        if job is None and outcome.error is not None:
            self.cause = outcome.error
            return
        if job is not None and outcome.error is not None:
            job.fail(FunctionError(outcome.error))
        elif job is not None:
            job.succeed(outcome.answer)
        self.is_ready = True
        self._freed(self)

    def _release(self) -> Job | None:
        if self._timer is not None:
            self._timer.cancel()
        job, self._job, self._timer = self._job, None, None
        return job

    def _time_is_up(self) -> None:
        """Lambda ends an execution environment whose invocation takes too long."""
        job = self._release()
        if job is not None:
            job.fail(TimeoutError())
        self.process.kill()

    def connection_lost(self, _error: Exception | None) -> None:
        """The process has ended, or is about to."""
        job = self._release()
        if job is not None:
            job.fail(WorkerDied("the process has ended"))
        self._lost(self)

    def close(self) -> None:
        """Let it end: it reads the end of its input."""
        if self._transport is None:
            self.process.kill()
        else:
            self._transport.close()

    def end(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


class Pool:
    """Keeps a number of workers running and gives each request to one that is free, in the order of their coming."""

    def __init__(
        self, handler: str, size: int, timeout_s: float, *, waiting_max: int = WAITING_MAX,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.cause: str | None = None
        """Why the last worker that ended did so, as far as it said."""
        self._handler = handler
        self._size = size
        self._timeout_s = timeout_s
        self._waiting_max = waiting_max
        self._environment = environment or {}
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._jobs: deque[Job] = deque()
        self._launches: set[asyncio.Task[None]] = set()
        self._attempts = 0
        self._is_closing = False

    async def start(self) -> None:
        """Start the workers, and wait until the first one is ready.

        Raises:
            WorkerDied: if none comes up; the message says why.
        """
        self._launch_soon(0)
        deadline = time.monotonic() + START_WITHIN_S
        while not any(worker.is_ready for worker in self._workers):
            if self.cause is not None or time.monotonic() > deadline:
                raise WorkerDied(self.cause or f"not ready within {START_WITHIN_S} s")
            await asyncio.sleep(POLL_S)
        for _ in range(1, self._size):
            self._launch_soon(0)

    async def close(self) -> None:
        """End the workers; a caller that still waits for one gets an error."""
        self._is_closing = True
        for launching in self._launches:
            launching.cancel()
        workers = list(self._workers)
        for worker in workers:
            worker.close()
        deadline = time.monotonic() + STOP_S
        while any(worker.process.poll() is None for worker in workers) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        for worker in workers:
            worker.end()

    async def __call__(self, event: Any) -> Any:
        """Invoke the function.

        Raises:
            Overloaded: if too many wait for a worker already.
            TimeoutError: if there is no answer in time.
            FunctionError: if the function raises.
            WorkerDied: if the worker's process ends meanwhile.
        """
        job = Job(event)
        if self._idle:
            self._idle.pop().invoke(job)
        elif len(self._jobs) >= self._waiting_max:
            raise Overloaded
        else:
            self._jobs.append(job)
        async with asyncio.timeout(self._timeout_s):
            return await job.answer

    def _freed(self, worker: Worker) -> None:
        self._attempts = 0
        while self._jobs:
            job = self._jobs.popleft()
            if not job.answer.done():  # its caller may have stopped waiting
                worker.invoke(job)
                return
        self._idle.append(worker)

    def _lost(self, worker: Worker) -> None:
        """Take another in its place: at once, or after a pause that grows as long as none comes up."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if self._is_closing:
            return
        worker.end()
        pause_s = 0.0
        if not worker.is_ready:
            self.cause = worker.cause
            self._attempts += 1
            pause_s = min(PAUSE_MAX_S, PAUSE_S * 2**self._attempts)
            log.error("a worker did not start: %s", worker.cause)
        self._launch_soon(pause_s)

    def _launch_soon(self, pause_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._launch(pause_s))
        self._launches.add(task)
        task.add_done_callback(self._launches.discard)

    async def _launch(self, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        process, connection = launch(self._handler, self._timeout_s, self._environment)
        worker = Worker(process, self._timeout_s, self._freed, self._lost)
        self._workers.add(worker)
        await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=connection)
