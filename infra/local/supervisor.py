"""Keeps a stack alive: restarts what dies, with patience and a limit, and says so."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.local.config import Config, InvalidConfiguration
from infra.local.servers import Server, started_at
from infra.local.stack import Stack

LOOK_EVERY_S: Final = 0.5
DEATHS_MAX: Final = 5
DEATHS_WITHIN_S: Final = 60
STARTED_WITHIN_S: Final = 120
STOPPED_WITHIN_S: Final = 60

Say = Callable[[str], None]


class Supervisor:
    """Watches the processes of a started stack."""

    def __init__(self, stack: Stack, say: Say) -> None:
        self._stack = stack
        self._say = say
        self._deaths: dict[str, deque[float]] = {process.name: deque() for process in stack.processes}
        self._restart_at: dict[str, float] = {}

    def look(self, now_s: float) -> None:
        """One look at every process.

        Raises:
            InvalidConfiguration: if a process died DEATHS_MAX times within DEATHS_WITHIN_S.
        """
        for process in self._stack.processes:
            if process.is_alive():
                continue
            if process.name not in self._restart_at:
                self._mourn(process, now_s)
            elif now_s >= self._restart_at[process.name]:
                del self._restart_at[process.name]
                process.launch()
                self._say(f"{process.name} was started again")

    def _mourn(self, process: Server, now_s: float) -> None:
        deaths = self._deaths[process.name]
        deaths.append(now_s)
        while deaths[0] < now_s - DEATHS_WITHIN_S:
            deaths.popleft()
        if len(deaths) >= DEATHS_MAX:
            raise InvalidConfiguration(
                f"{process.name} died {len(deaths)} times in {DEATHS_WITHIN_S} s; at last {process.cause_of_death()}"
            )
        wait_s = 0.5 * 2 ** (len(deaths) - 1)
        self._restart_at[process.name] = now_s + wait_s
        self._say(f"{process.name} died ({process.cause_of_death()}); again in {wait_s:.1f} s")


def supervise(stack: Stack, say: Say, every_look: Callable[[], None] = lambda: None) -> None:
    """Start a stack, keep it alive until SIGINT or SIGTERM, stop it in order.

    Raises:
        InvalidConfiguration: if it can't be started or kept alive.
    """
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True

    pid_file = _pid_file(stack.config)
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    if (running := _running(stack.config)) is not None:
        raise InvalidConfiguration(f"this stack is already running (process {running}): `make down` stops it")
    pid_file.write_text(str(os.getpid()))
    try:
        stack.start(lambda name: say(f"starting {name} …"))
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        supervisor = Supervisor(stack, say)
        say(f"ready: {stack.url}")
        while not stopping:
            supervisor.look(time.monotonic())
            every_look()
            time.sleep(LOOK_EVERY_S)
    finally:
        say("stopping …")
        stack.stop()
        pid_file.unlink(missing_ok=True)


def up(config: Config) -> None:
    """Start a supervisor in the background and wait until its stack answers.

    Raises:
        InvalidConfiguration: if it runs already or does not come up.
    """
    if (running := _running(config)) is not None:
        raise InvalidConfiguration(f"this stack is already running (process {running}): `make down` stops it")
    config.directory.mkdir(parents=True, exist_ok=True)
    log = config.directory / "supervisor.log"
    command = [sys.executable, "-m", "infra.local", "supervise"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + STARTED_WITHIN_S
    while "ready: " not in log.read_text():
        if process.poll() is not None:
            raise InvalidConfiguration(log.read_text().strip().splitlines()[-1])
        if time.monotonic() > deadline:
            process.terminate()
            raise InvalidConfiguration(f"the stack did not come up within {STARTED_WITHIN_S} s; see {log}")
        time.sleep(0.1)


def down(config: Config) -> bool:
    """Stop the supervisor of a stack, and so the stack. False if none runs.

    Raises:
        InvalidConfiguration: if it does not end in time.
    """
    running = _running(config)
    if running is None:
        return False
    os.kill(running, signal.SIGTERM)
    deadline = time.monotonic() + STOPPED_WITHIN_S
    while _running(config) is not None:
        if time.monotonic() > deadline:
            raise InvalidConfiguration(f"process {running} did not stop within {STOPPED_WITHIN_S} s")
        time.sleep(0.1)
    return True


def _pid_file(config: Config) -> Path:
    return config.directory / "supervisor.pid"


def _running(config: Config) -> int | None:
    """Process id of the stack's supervisor, if it lives."""
    try:
        pid = int(_pid_file(config).read_text())
    except (OSError, ValueError):
        return None
    return None if pid == os.getpid() or started_at(pid) == "gone" else pid
