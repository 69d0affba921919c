"""The supervisor restarts what dies, with patience and a limit."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.config import InvalidConfiguration
from infra.local.supervisor import DEATHS_MAX, DEATHS_WITHIN_S, Supervisor


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
    return Process("redis")


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
    assert news == ["redis died (killed by SIGKILL); again in 0.5 s", "redis was started again"]


def test_what_dies_again_and_again_ends_the_stack_with_its_cause(supervisor: Supervisor, process: Process) -> None:
    def die_and_look(now_s: int) -> None:
        process.alive = False
        supervisor.look(now_s)
        supervisor.look(now_s + 9)

    for number in range(DEATHS_MAX - 1):
        die_and_look(10 * number)

    with pytest.raises(InvalidConfiguration, match=f"redis died {DEATHS_MAX} times .* killed by SIGKILL"):
        die_and_look(10 * (DEATHS_MAX - 1))
    assert process.launches == DEATHS_MAX - 1


def test_deaths_long_ago_do_not_count(supervisor: Supervisor, process: Process) -> None:
    for number in range(3 * DEATHS_MAX):
        process.alive = False
        supervisor.look(number * DEATHS_WITHIN_S)
        supervisor.look(number * DEATHS_WITHIN_S + 30)

    assert process.launches == 3 * DEATHS_MAX
