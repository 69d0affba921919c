"""Keeps a stack alive: restarts what dies or hangs, after pauses that grow, and says so."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.config import Config, InvalidConfiguration
from infra.local.servers import Server
from infra.local.stack import Stack

LOOK_EVERY_S: Final = 0.5
DEATHS_WITHIN_S: Final = 60
"""How far back deaths count: the more of them, the longer the pause before the next start."""
PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
PROBE_EVERY_S: Final = 10
SILENT_MAX_S: Final = 300
"""How long a living process may leave its probe without an answer; the trigger is silent while it invokes."""
AWAY_S: Final = 15
"""After a longer pause between two checks the supervisor itself was stopped, so no process could answer."""
STOPPED_WITHIN_S: Final = 300
"""Every process is asked to end and then killed; on a busy machine that takes its time."""

Say = Callable[[str], None]


class Supervisor:
    """Watches the processes of a started stack."""

    def __init__(self, stack: Stack, say: Say) -> None:
        self._stack = stack
        self._say = say
        self._deaths: dict[str, deque[float]] = {process.name: deque() for process in stack.processes}
        self._restart_at: dict[str, float] = {}
        self._returning: set[str] = set()
        self._answered_at: dict[str, float] = {}
        self._looked_at = 0.0

    def look(self, now_s: float) -> None:
        """One look at every process."""
        if now_s - self._looked_at > AWAY_S:
            self._answered_at.clear()
        self._looked_at = now_s
        for process in self._stack.processes:
            name = process.name
            if process.is_alive():
                self._end_if_silent(process, now_s)
                if name in self._returning and process.is_ready():
                    self._welcome(process)
            elif name not in self._restart_at:
                self._mourn(process, process.cause_of_death(), now_s)
            elif now_s >= self._restart_at[name]:
                self._restart(process, now_s)

    def probe(self, now_s: float) -> None:
        """Ask every process whether it answers. Takes its time: not for the thread that looks."""
        for process in self._stack.processes:
            if process.is_ready():
                self._answered_at[process.name] = now_s

    def _end_if_silent(self, process: Server, now_s: float) -> None:
        silent_s = now_s - self._answered_at.setdefault(process.name, now_s)
        if silent_s > SILENT_MAX_S:
            self._say(f"{process.name} has not answered for {silent_s:.0f} s and is killed")
            process.kill()

    def _restart(self, process: Server, now_s: float) -> None:
        del self._restart_at[process.name]
        self._answered_at[process.name] = now_s
        try:
            process.launch()
        except InvalidConfiguration as error:
            self._mourn(process, str(error), now_s)
        else:
            self._returning.add(process.name)
            self._say(f"{process.name} was started again")

    def _welcome(self, process: Server) -> None:
        """See to it that a server that answers again has what it may have forgotten with its memory."""
        try:
            self._stack.welcome(process)
        except (BotoCoreError, ClientError) as error:
            self._say(f"{process.name} answers, but: {error}")
            return
        self._returning.discard(process.name)
        self._say(f"{process.name} answers again")

    def _mourn(self, process: Server, cause: str, now_s: float) -> None:
        deaths = self._deaths[process.name]
        deaths.append(now_s)
        while deaths[0] < now_s - DEATHS_WITHIN_S:
            deaths.popleft()
        pause_s = min(PAUSE_MAX_S, PAUSE_S * 2 ** (len(deaths) - 1))
        self._restart_at[process.name] = now_s + pause_s
        often = f" {len(deaths)} times in {DEATHS_WITHIN_S} s" if len(deaths) > 1 else ""
        self._say(f"{process.name} died{often} ({cause}); again in {pause_s:.1f} s")


class _Signals:
    """What SIGINT and SIGTERM do: end the start, then ask for the end, then end everything at once."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.starting = True
        self.stopping = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._received)

    def _received(self, _number: int, _frame: object) -> None:
        if self.stopping:
            for process in self._stack.processes:
                if process.pid is not None:
                    os.kill(process.pid, signal.SIGKILL)
        self.stopping = True
        if self.starting:
            self.starting = False
            raise KeyboardInterrupt


def supervise(stack: Stack, say: Say, every_look: Callable[[], None] = lambda: None) -> None:
    """Start a stack, keep it alive until SIGINT or SIGTERM, stop it in order.

    Raises:
        InvalidConfiguration: if it can't be started.
    """
    with _alone(stack.config):
        signals = _Signals(stack)
        ended = threading.Event()
        try:
            stack.start(lambda name: say(f"starting {name} …"), say)
            signals.starting = False
            supervisor = Supervisor(stack, say)
            threading.Thread(target=_probe, args=(supervisor, ended), daemon=True).start()
            say(f"ready: {stack.url}, the console: {stack.url}/console/")
            while not signals.stopping:
                supervisor.look(time.monotonic())
                every_look()
                time.sleep(LOOK_EVERY_S)
        finally:
            signals.starting = False
            signals.stopping = True
            ended.set()
            say("stopping …")
            stack.stop()


def _probe(supervisor: Supervisor, ended: threading.Event) -> None:
    while not ended.wait(PROBE_EVERY_S):
        supervisor.probe(time.monotonic())


def up(config: Config, say: Say = lambda _: None) -> bool:
    """Start a supervisor in the background and wait until its stack answers. False if one runs already.

    `say` is called with each line of the supervisor: what it starts, and what it waits for.

    Raises:
        InvalidConfiguration: if it does not come up.
    """
    if running(config) is not None:
        return False
    config.directory.mkdir(parents=True, exist_ok=True)
    log = config.directory / "supervisor.log"
    command = [sys.executable, "-m", "infra.local", "supervise"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_up(process, log, say)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return True


def _wait_up(process: "subprocess.Popen[bytes]", log: Path, say: Say) -> None:
    """Wait as long as the supervisor does: it knows what lives, and ends if something does not come up."""
    printed = 0
    while True:
        has_ended = process.poll() is not None
        lines = log.read_text().splitlines(keepends=True)
        whole = [line.strip() for line in lines if line.endswith("\n")]
        for line in whole[printed:]:
            say(line)
        printed = len(whole)
        if any(line.startswith("ready: ") for line in whole):
            return
        if has_ended:
            raise InvalidConfiguration(whole[-1] if whole else f"the supervisor ended: {process.returncode}")
        time.sleep(0.1)


def down(stack: Stack) -> bool:
    """Stop the supervisor of a stack, and so the stack, and what a killed supervisor left. False if nothing ran.

    Raises:
        InvalidConfiguration: if it does not end in time.
    """
    pid = running(stack.config)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while running(stack.config) is not None:
            if time.monotonic() > deadline:
                raise InvalidConfiguration(f"process {pid} did not stop within {STOPPED_WITHIN_S} s")
            time.sleep(0.1)
    left_over = [process.end_left_over() for process in reversed(stack.processes)]
    return pid is not None or any(left_over)


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """Be the only supervisor of a stack. The lock ends with the process, however that ends."""
    config.directory.mkdir(parents=True, exist_ok=True)
    with _pid_file(config).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidConfiguration(
                f"this stack is already running (process {running(config)}): `make down` stops it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def running(config: Config) -> int | None:
    """Process id of the stack's supervisor, if it lives."""
    for _ in range(100):
        try:
            with _pid_file(config).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
        except FileNotFoundError:
            return None
        except BlockingIOError:
            if text := _pid_file(config).read_text():
                return int(text)
            time.sleep(0.01)  # it has the lock and is about to write its id
    raise InvalidConfiguration(f"another process holds {_pid_file(config)}")


def _pid_file(config: Config) -> Path:
    return config.directory / "supervisor.pid"
