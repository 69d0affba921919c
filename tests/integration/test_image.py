"""What is in the image, where `make image` has built it."""

import json
import subprocess

import pytest

from infra.image.__main__ import NO_ENGINE, engine_answers
from tests.emulator import TAG, image_is_there

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
    assert len(labels["revision"]) == 40


def test_it_holds_bytecode_and_nothing_that_is_not_needed_or_can_be_changed() -> None:
    found = json.loads(docker("run", "--rm", "--network", "none", "--entrypoint", "python3", TAG, "-c", LOOK))

    assert found == {"without bytecode": [], "writable": [], "stamps": 1, "tools": []}
