"""The supervisor with what hangs, what can't be started again, and what forgets; one supervisor a stack."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from infra.local import servers
from infra.local.config import Config, InvalidConfiguration, Ports
from infra.local.supervisor import AWAY_S, LOOK_EVERY_S, SILENT_MAX_S, Supervisor, _wait_up, running


class Process:
    def __init__(self) -> None:
        self.name = "aws"
        self.alive = self.answering = True
        self.port_taken = False
        self.kills = 0

    def is_alive(self) -> bool:
        return self.alive

    def is_ready(self) -> bool:
        return self.alive and self.answering

    def launch(self) -> None:
        if self.port_taken:
            raise InvalidConfiguration("port 4566 of aws is taken")
        self.alive = True

    def kill(self) -> None:
        self.kills += 1
        self.alive = False

    def cause_of_death(self) -> str:
        return "killed by SIGKILL"


class Stack:
    def __init__(self) -> None:
        self.processes = [Process()]
        self.welcomed = 0
        self.unreachable = False

    def welcome(self, _process: Any) -> None:
        if self.unreachable:
            raise EndpointConnectionError(endpoint_url="http://aws")
        self.welcomed += 1


@pytest.fixture
def stack() -> Stack:
    return Stack()


@pytest.fixture
def news() -> list[str]:
    return []


@pytest.fixture
def supervisor(stack: Any, news: list[str]) -> Supervisor:
    return Supervisor(stack, news.append)


def look_on(supervisor: Supervisor, since_s: float, until_s: float, *, probing: bool = True) -> None:
    now_s = since_s
    while now_s <= until_s:
        if probing:
            supervisor.probe(now_s)
        supervisor.look(now_s)
        now_s += LOOK_EVERY_S


def test_what_lives_and_answers_is_left_alone_for_ever(supervisor: Supervisor, stack: Stack, news: list[str]) -> None:
    look_on(supervisor, 100, 100 + 3 * SILENT_MAX_S)

    assert stack.processes[0].kills == 0
    assert news == []


def test_what_lives_but_does_not_answer_is_killed_and_started_again(
    supervisor: Supervisor, stack: Stack, news: list[str]
) -> None:
    stack.processes[0].answering = False
    look_on(supervisor, 100, 100 + SILENT_MAX_S)
    assert stack.processes[0].kills == 0

    look_on(supervisor, 101 + SILENT_MAX_S, 103 + SILENT_MAX_S)

    assert stack.processes[0].kills == 1
    assert news == [
        "aws has not answered for 301 s and is killed",
        "aws died (killed by SIGKILL); again in 0.5 s",
        "aws was started again",
    ]


def test_when_the_supervisor_itself_was_stopped_nobody_is_blamed(supervisor: Supervisor, stack: Stack) -> None:
    look_on(supervisor, 100, 110)
    later_s = 110 + AWAY_S + 10 * SILENT_MAX_S
    look_on(supervisor, later_s, later_s + 10, probing=False)

    assert stack.processes[0].kills == 0


def test_a_server_that_forgets_gets_its_resources_back_once_it_answers(
    supervisor: Supervisor, stack: Stack, news: list[str]
) -> None:
    stack.processes[0].alive = stack.processes[0].answering = False
    look_on(supervisor, 0, 2)
    assert stack.welcomed == 0

    stack.processes[0].answering = stack.unreachable = True
    look_on(supervisor, 2.5, 2.5)
    stack.unreachable = False
    look_on(supervisor, 3, 5)

    assert stack.welcomed == 1
    assert news[-1] == "aws answers again"


def test_a_port_that_is_taken_at_a_restart_counts_as_a_death(
    supervisor: Supervisor, stack: Stack, news: list[str]
) -> None:
    stack.processes[0].alive = False
    stack.processes[0].port_taken = True

    look_on(supervisor, 0, 60)

    assert "aws died 2 times in 60 s (port 4566 of aws is taken); again in 1.0 s" in news


SLOW = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
print("starting kafka …", flush=True)
while not Path(sys.argv[1]).exists():
    print("waiting for kafka, 10 s so far", flush=True)
    time.sleep(0.05)
if len(sys.argv) > 2:
    sys.exit("kafka ended while it started: out of memory")
print("ready: http://127.0.0.1:8080", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("ends", [False, True])
def test_who_starts_a_stack_waits_as_long_as_its_supervisor_and_hears_what_for(tmp_path: Path, ends: bool) -> None:
    told: list[str] = []
    go, log = tmp_path / "go", tmp_path / "log"

    def say(line: str) -> None:
        told.append(line)
        if told.count("waiting for kafka, 10 s so far") == 3:
            go.touch()

    command = [sys.executable, "-c", SLOW, str(go), *(["ends"] if ends else [])]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process,
        pytest.raises(InvalidConfiguration, match="out of memory") if ends else nullcontext(),
    ):
        try:
            _wait_up(process, log, say)
        finally:
            process.kill()

    assert told[0] == "starting kafka …"
    assert go.exists()


def test_a_server_that_lives_is_waited_for_and_named_while_it_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "WAITING_SAID_EVERY_S", 0)
    told: list[str] = []
    slow = servers.Server(
        "kafka", [sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "kafka.log",
        ready=lambda: len(told) >= 3,
    )  # fmt: skip
    slow.launch()
    slow.wait_ready(waiting=told.append)
    slow.kill()

    assert told[0] == f"waiting for kafka, 0 s so far; its log is {tmp_path / 'kafka.log'}"


HOLD = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
from infra.local.config import Config, Ports
from infra.local.supervisor import _alone
with _alone(Config(Path(sys.argv[1]), Path("."), Ports())):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_stack_has_one_supervisor_until_that_ends_however_it_ends(tmp_path: Path) -> None:
    config = Config(tmp_path, Path(), Ports())
    assert running(config) is None

    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert running(config) == holder.pid
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f"already running (process {holder.pid})" in second.stderr
        os.kill(holder.pid, signal.SIGKILL)

    assert running(config) is None


def test_a_process_id_that_was_left_behind_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "supervisor.pid").write_text(str(os.getpid()))

    assert running(Config(tmp_path, Path(), Ports())) is None
