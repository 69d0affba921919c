"""What is in the image and what it does, where `make image` has built it."""

import json
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from infra.image.__main__ import NAME, NO_ENGINE, engine_answers
from infra.local.config import Config, Ports
from infra.local.stack import Stack
from tests.support.emulator import TAG, image_is_there
from tests.support.stack import System, until

LOOK = """
import importlib.util, json, pathlib
root = pathlib.Path("/var/task")
bytecode = {path: pathlib.Path(importlib.util.cache_from_source(path)) for path in root.rglob("*.py")}
print(json.dumps({
    "without bytecode": [str(path) for path, compiled in bytecode.items() if not compiled.exists()],
    "writable": [str(path) for path in root.rglob("*") if path.stat().st_mode & 0o022],
    "stamps": len({path.stat().st_mtime for path in root.rglob("*")}),
    "tools": [name for name in ("uv", "hatchling", "pytest", "infra", "tests", "bin") if (root / name).exists()],
}))
"""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    if not engine_answers():
        pytest.skip(NO_ENGINE)
    if not image_is_there():
        pytest.skip(f"no image {TAG}: `make image` builds it")


def test_it_runs_as_nobody_who_may_do_anything_and_says_which_code_it_is() -> None:
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", TAG))

    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["python3", "-m", "awslambdaric"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels.keys() == {"title", "description", "licenses", "version", "revision"}
    assert re.fullmatch(r"[0-9a-f]{40}(\+dirty)?", labels["revision"])
    assert f"CODE_VERSION={labels['revision']}" in config["Env"]


def test_it_holds_bytecode_and_nothing_that_is_not_needed_or_can_be_changed() -> None:
    found = json.loads(docker("run", "--rm", "--network", "none", "--entrypoint", "python3", TAG, "-c", LOOK))

    assert found == {"without bytecode": [], "writable": [], "stamps": 1, "tools": []}


class Container:
    """A process of the local stack in the image, as docker-compose.yml runs it, but for the network."""

    def __init__(self, name: str, command: str, environment: Mapping[str, str]) -> None:
        self.name = name
        options = ["--name", name, "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
        options += ["--security-opt", "no-new-privileges:true", "--stop-timeout", "30"]
        options += [part for pair in environment.items() for part in ("--env", "=".join(pair))]
        docker("run", "--detach", *options, f"{NAME}:local", command)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        docker("stop", self.name)
        status = int(docker("inspect", "--format", "{{.State.ExitCode}}", self.name))
        docker("rm", self.name)
        return status


def test_its_other_stage_runs_what_stands_in_for_the_triggers(tmp_path: Path) -> None:
    with Stack.for_test(tmp_path) as stack:
        for name in ("api", "queues", "trigger"):
            stack.process(name).stop()
        environment = {name: stack.environment[name] for name in Config(tmp_path, tmp_path, Ports()).environment()}
        environment |= {"TRIGGER_REPORT": "/tmp/report.json", "QUEUE_TRIGGER_READY": "/tmp/ready"}
        environment |= {"API_PORT": str(stack.config.ports.api)}
        number = stack.config.ports.api
        modules = {"api": "gateway", "queues": "queue_trigger", "trigger": "trigger"}
        running = [
            Container(f"leaderboards-{name}-{number}", f"infra.local.{module}", environment)
            for name, module in modules.items()
        ]
        try:
            assert_it_ranks_and_exports(stack)
        finally:
            ended = {one.name.split("-")[1]: one.stop() for one in running}

    assert ended == {"api": 0, "queues": 0, "trigger": 0}


def assert_it_ranks_and_exports(stack: Stack) -> None:
    system = System(stack)
    until(lambda: answers(system, "/health/ready"), "the API is ready")
    system.put("/leaderboards/cup", {"name": "Cup", "aggregation": "sum"})
    now = datetime.now(UTC).isoformat()
    event = {"eventId": "e", "leaderboardId": "cup", "userId": "ann", "points": 7, "occurredAt": now}
    system.produce([(b"cup:ann", json.dumps(event).encode())])
    system.settle()

    def ranked() -> list[tuple[str, int]]:
        page = system.get("/leaderboards/cup/rankings")
        return [(entry["userId"], entry["score"]) for entry in page["entries"]]

    assert until(ranked, "the event is ranked") == [("ann", 7)]
    until(lambda: system.request("GET", "/leaderboards/cup/export").status_code == 303, "the export is made")
    system.close()


def answers(system: System, path: str) -> bool:
    try:
        return system.request("GET", path).status_code == 200
    except requests.ConnectionError:
        return False
