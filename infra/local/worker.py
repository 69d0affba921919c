"""One execution environment of a function: a process that runs one invocation at a time, as on Lambda.

`python -m infra.local.worker <handler> <timeout in ms> <file descriptor> <process id of the parent>`

Both sides write messages to the connection: four bytes of length, then JSON. The process first says whether it is
ready, then answers one event after the other. It ends with its connection, and at once with its parent.
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedRWPair
from typing import Any, Final

import msgspec

from infra.local.function import Function

LENGTH_BYTES: Final = 4
_PR_SET_PDEATHSIG: Final = 1
"""man 2 prctl: the signal that this process gets when the thread that started it ends."""

log = logging.getLogger("worker")


class Outcome(msgspec.Struct, omit_defaults=True):
    """What a worker writes: first whether the function could be loaded, then of each event what came of it."""

    answer: Any = None
    error: str | None = None
    """What the function, or loading it, raised."""


class FunctionError(Exception):
    """The function raised; the message is the name and text of what it raised."""


class WorkerDied(Exception):
    """The process ended before it had answered."""


def launch(
    handler: str, timeout_s: float, environment: Mapping[str, str]
) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """Start a worker.

    Returns:
        Its process, and this side of the connection to it.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        arguments = [handler, str(round(timeout_s * 1000)), str(number), str(os.getpid())]
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.worker", *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            pass_fds=[number],
        )
    return process, ours


def frame(content: bytes) -> bytes:
    """A message as it goes over the connection."""
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def outcome_of(content: bytes) -> Outcome:
    """What a worker wrote."""
    return msgspec.json.decode(content, type=Outcome)


class ProcessFunction:
    """A function in a process of its own, which is started when it is first needed or before, and again after its end.

    Powertools keeps the metrics of an invocation in its module, so two invocations side by side in one process would
    mix theirs. Each thread has one of its own; the process ends with the thread that first called.
    """

    def __init__(self, handler: str, timeout_ms: int, environment: Mapping[str, str] | None = None) -> None:
        self._handler = handler
        self._timeout_s = timeout_ms / 1000
        self._environment = environment or {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def __call__(self, event: Any) -> Any:
        """Invoke it.

        Raises:
            FunctionError: if the function raises, or can't be loaded.
            WorkerDied: if its process ends, or is ended because its time is up.
        """
        with self._lock:
            connection = self._connected()
            try:
                connection.sendall(frame(msgspec.json.encode(event)))
                return self._received(connection)
            except OSError as error:
                self._end()
                cause = f"no answer within {self._timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
                raise WorkerDied(cause) from error

    def start(self) -> None:
        """Start its process now, so that the first invocation does not wait for it.

        Raises:
            FunctionError: if the function can't be loaded.
        """
        with self._lock:
            self._connected()

    def close(self) -> None:
        """End its process, if it has one."""
        with self._lock:
            self._end()

    def _connected(self) -> socket.socket:
        if self._connection is not None and self._process is not None and self._process.poll() is None:
            return self._connection
        self._end()
        self._process, self._connection = launch(self._handler, self._timeout_s, self._environment)
        self._connection.settimeout(self._timeout_s)
        try:
            self._received(self._connection)
        except (OSError, FunctionError) as error:
            self._end()
            raise FunctionError(str(error)) from error
        return self._connection

    def _received(self, connection: socket.socket) -> Any:
        length = int.from_bytes(_read(connection, LENGTH_BYTES), "big")
        outcome = outcome_of(_read(connection, length))
        if outcome.error is not None:
            raise FunctionError(outcome.error)
        return outcome.answer

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None


def _read(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes.

    Raises:
        ConnectionError: if the other side has closed.
        TimeoutError: if they don't come in time.
    """
    content = bytearray()
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise ConnectionError("the process has ended")
        content += part
    return bytes(content)


def _end_with(parent: int) -> None:
    """End at once when the parent ends, whatever is under way: a kill of the parent is a crash of everything."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _serve(function: Function, connection: BufferedRWPair) -> None:
    while len(head := connection.read(LENGTH_BYTES)) == LENGTH_BYTES:
        event = msgspec.json.decode(connection.read(int.from_bytes(head, "big")))
        try:
            outcome = msgspec.json.encode(Outcome(function(event)))
        except Exception as error:
            log.exception("the function failed")
            outcome = msgspec.json.encode(Outcome(error=_told(error)))
        _write(connection, outcome)


def _write(connection: BufferedRWPair, content: bytes) -> None:
    connection.write(frame(content))
    connection.flush()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def main() -> int:
    """Serve until the connection is closed."""
    handler, timeout_ms, number, parent = sys.argv[1:]
    _end_with(int(parent))
    for ignored in (signal.SIGTERM, signal.SIGINT):  # the parent finishes what is under way, then closes the connection
        signal.signal(ignored, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.set_event_loop(asyncio.new_event_loop())  # Mangum runs the application on the loop of its thread
    # a parent that is gone breaks also the flush at the end
    with (
        suppress(ConnectionError),
        socket.socket(fileno=int(number)) as connection,
        connection.makefile("rwb") as stream,
    ):
        try:
            function = Function(handler, int(timeout_ms))
        except Exception as error:
            log.exception("%s can't be loaded", handler)
            _write(stream, msgspec.json.encode(Outcome(error=_told(error))))
            return 1
        _write(stream, msgspec.json.encode(Outcome()))
        _serve(function, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main())
