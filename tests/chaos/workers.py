"""Threads of a run."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from infra.local.stack import Stack
from infra.local.supervisor import LOOK_EVERY_S, PROBE_EVERY_S, Supervisor

JOIN_S: Final = 120
"""No step takes longer; the longest is a read that waits for its answer."""


class Worker:
    """Does one step again and again, in a thread of its own, until it is stopped."""

    def __init__(self, name: str, step: Callable[[], None], pause_s: float) -> None:
        self._name = name
        self._step = step
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is under way; raises what a step raised."""
        self.end()
        if self._thread.is_alive():
            raise TimeoutError(f"{self._name} does not end")
        self.check()

    def end(self) -> None:
        """End likewise, whatever came of it."""
        self._ended.set()
        self._thread.join(JOIN_S)

    def check(self) -> None:
        """Raise what a step raised, after which there are no more."""
        if self._error is not None:
            raise RuntimeError(f"{self._name} failed: {self._error}") from self._error

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._pause_s):
                self._step()
        except BaseException as error:  # noqa: BLE001 - raised again where it is looked for
            self._error = error


class Keeper:
    """The real supervisor, looking after a stack from threads of this process."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self._supervisor = Supervisor(stack, say)
        self._lock = threading.Lock()
        self.workers = [
            Worker("supervisor", self._look, LOOK_EVERY_S),
            Worker("supervisor's probe", lambda: self._supervisor.probe(time.monotonic()), PROBE_EVERY_S),
        ]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While this is held nothing is started again."""
        with self._lock:
            yield

    def _look(self) -> None:
        with self._lock:
            self._supervisor.look(time.monotonic())
