"""The API's worker processes: one request at a time each, a bounded queue in front, and another after a death."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local.worker import FunctionError, ProcessFunction, WorkerDied
from infra.local.workers import Overloaded, Pool

FUNCTION = """
import os, time
from pathlib import Path

calls = 0
inside = 0

def handler(event, context):
    global calls, inside
    calls += 1
    inside += 1
    try:
        assert inside == 1, "two at a time"
        if event.get("raise"):
            raise RuntimeError(event["raise"])
        if event.get("die"):
            os._exit(3)
        if event.get("until"):
            Path(event["until"] + ".begun").touch()
            while not os.path.exists(event["until"]):
                time.sleep(0.01)
        return {"pid": os.getpid(), "calls": calls, "remaining": context.get_remaining_time_in_millis(), **event}
    finally:
        inside -= 1
"""
HANDLER = "played.handler.handler"


@pytest.fixture(autouse=True)
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function to play with, where the workers find it."""
    (tmp_path / "played").mkdir()
    (tmp_path / "played" / "__init__.py").touch()
    (tmp_path / "played" / "handler.py").write_text(FUNCTION)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))


@asynccontextmanager
async def pool(size: int = 2, timeout_s: float = 60, **more: Any) -> AsyncIterator[Pool]:
    running = Pool(HANDLER, size, timeout_s, **more)
    try:
        await running.start()
        yield running
    finally:
        await running.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 120))


async def appears(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.01)


def test_each_process_runs_one_request_at_a_time_and_all_processes_run() -> None:
    async def test() -> None:
        async with pool(3) as workers:
            answers: list[dict[str, int]] = []
            while len({one["pid"] for one in answers}) < 3:
                answers += await asyncio.gather(*(workers({"number": number}) for number in range(200)))
            assert {one["number"] for one in answers} == set(range(200))
            last = {one["pid"]: one["calls"] for one in answers}
            assert sum(last.values()) == len(answers), "each counted once, in one process"
            assert os.getpid() not in last

    run(test)


def test_requests_wait_for_a_worker_up_to_a_bound(tmp_path: Path) -> None:
    async def test() -> None:
        async with pool(1, waiting_max=2) as workers:
            held = asyncio.create_task(workers({"until": str(tmp_path / "go")}))
            waiting = [asyncio.create_task(workers({"number": number})) for number in range(2)]
            await appears(tmp_path / "go.begun")

            with pytest.raises(Overloaded):
                await workers({})
            (tmp_path / "go").touch()

            assert (await held)["calls"] == 1
            assert [(await one)["number"] for one in waiting] == [0, 1]

    run(test)


def test_a_worker_that_dies_is_replaced_and_only_its_request_fails() -> None:
    async def test() -> None:
        async with pool(1) as workers:
            before = (await workers({}))["pid"]
            dying, waiting = asyncio.create_task(workers({"die": True})), asyncio.create_task(workers({}))
            with pytest.raises(WorkerDied):
                await dying
            assert (await waiting)["pid"] != before

            os.kill((await workers({}))["pid"], signal.SIGKILL)
            answered = 0
            while not answered:
                try:
                    answered = (await workers({}))["calls"]
                except WorkerDied:
                    continue  # given to it before its death was seen

    run(test)


def test_a_function_that_raises_fails_its_request_and_its_worker_goes_on() -> None:
    async def test() -> None:
        async with pool(1) as workers:
            with pytest.raises(FunctionError, match="RuntimeError: no"):
                await workers({"raise": "no"})
            assert (await workers({}))["calls"] == 2

    run(test)


def test_a_function_whose_time_is_up_is_ended_as_on_lambda(tmp_path: Path) -> None:
    async def test() -> None:
        async with pool(1) as workers:
            before = (await workers({}))["pid"]
        async with pool(1, timeout_s=0.5) as workers:
            with pytest.raises(TimeoutError):
                await workers({"until": str(tmp_path / "never")})
            after = None
            while after is None:
                try:
                    after = (await workers({}))["pid"]
                except TimeoutError:
                    continue  # no worker has come up yet
            assert after != before

    run(test)


def test_a_function_that_can_not_be_loaded_stops_the_start_with_its_cause() -> None:
    async def test() -> None:
        workers = Pool("played.handler.nothing", 2, 60)
        with pytest.raises(WorkerDied, match="nothing"):
            await workers.start()
        await workers.close()

    run(test)


def test_workers_end_with_the_pool() -> None:
    async def test() -> None:
        async with pool(2) as workers:
            pids: set[int] = set()
            while len(pids) < 2:
                pids |= {one["pid"] for one in await asyncio.gather(*(workers({}) for _ in range(50)))}
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    run(test)


def test_a_function_in_a_process_of_its_own_answers_and_fails_as_one_in_this_process() -> None:
    function = ProcessFunction(HANDLER, 60_000)

    assert (first := function({"number": 1}))["number"] == 1
    with pytest.raises(FunctionError, match="RuntimeError: no"):
        function({"raise": "no"})
    assert function({})["pid"] == first["pid"] != os.getpid()
    with pytest.raises(WorkerDied):
        function({"die": True})
    assert function({})["pid"] != first["pid"], "another takes its place"
    function.close()


def test_a_function_that_can_not_be_loaded_fails_each_invocation_with_its_cause() -> None:
    with pytest.raises(FunctionError, match="nothing"):
        ProcessFunction("played.handler.nothing", 60_000)({})
