"""The supervisor restarts what dies, with patience."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.supervisor import DEATHS_WITHIN_S, PAUSE_MAX_S, SILENT_MAX_S, Supervisor


class Process:
    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.launches = 0

    def is_alive(self) -> bool:
        return self.alive

    def launch(self) -> None:
        self.launches += 1
        self.alive = True

    def cause_of_death(self) -> str:
        return "killed by SIGKILL"


@pytest.fixture
def process() -> Process:
    return Process("cache")


@pytest.fixture
def news() -> list[str]:
    return []


@pytest.fixture
def supervisor(process: Process, news: list[str]) -> Supervisor:
    stack: Any = SimpleNamespace(processes=[process, Process("api")])
    return Supervisor(stack, news.append)


def test_what_lives_is_left_alone(supervisor: Supervisor, process: Process, news: list[str]) -> None:
    supervisor.look(0)

    assert process.launches == 0
    assert news == []


def test_what_dies_is_reported_and_started_again_after_a_wait(
    supervisor: Supervisor, process: Process, news: list[str]
) -> None:
    process.alive = False
    supervisor.look(10.0)
    supervisor.look(10.4)
    assert process.launches == 0

    supervisor.look(10.5)

    assert process.launches == 1
    assert news == ["cache died (killed by SIGKILL); again in 0.5 s", "cache was started again"]


def test_a_process_that_keeps_dying_restarts_after_pauses_that_grow_up_to_a_bound(
    supervisor: Supervisor, process: Process, news: list[str]
) -> None:
    now_s = 0.0
    while now_s < SILENT_MAX_S - 60:
        process.alive = False
        launches = process.launches
        while process.launches == launches:
            supervisor.look(now_s)
            now_s += 0.5

    pauses = [float(line.rpartition(" in ")[2].removesuffix(" s")) for line in news if "died" in line]
    assert pauses[:5] == [0.5, 1, 2, 4, 8]
    assert max(pauses) <= PAUSE_MAX_S
    assert len(pauses) == process.launches > 10, "it is never given up"
    assert "cache died 5 times in 60 s (killed by SIGKILL); again in 8.0 s" in news


def test_deaths_long_ago_do_not_count(supervisor: Supervisor, process: Process, news: list[str]) -> None:
    for number in range(15):
        process.alive = False
        supervisor.look(number * (DEATHS_WITHIN_S + 1))
        supervisor.look(number * (DEATHS_WITHIN_S + 1) + 30)

    assert process.launches == 15
    assert {line for line in news if "again in" in line} == {"cache died (killed by SIGKILL); again in 0.5 s"}
