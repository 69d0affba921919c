"""README and docs as a reader follows them: every command block marked `sh` is run, top to bottom, on a real stack."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.producer import DEMO, DEMO_LEADERBOARD
from infra.local.stack import Stack
from tests.support.runnable import DOCUMENTS, script
from tests.support.stack import System, until
from tests.support.try_it import PRELUDE, at_ports, linked

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

RUNNABLE = [one for one in DOCUMENTS if script(one)]


@pytest.fixture(scope="module")
def system(quick_stack: Stack) -> Iterator[System]:
    """With the leaderboard that `make run` has."""
    running = System(quick_stack)
    running.put(f"/leaderboards/{DEMO}", DEMO_LEADERBOARD)
    yield running
    running.close()


def addresses(stack: Stack) -> dict[str, str]:
    """What tells commands of the Makefile which stack is meant."""
    config = stack.config
    ports = {f"{name.upper()}_PORT": str(getattr(config.ports, name)) for name in config.ports.__struct_fields__}
    return ports | {"LOCAL_DIR": str(config.directory)}


def test_no_document_starts_a_stack_on_top_of_the_one_that_it_is_tried_on() -> None:
    """It would go on after the test, and start again whatever a later test stops."""
    assert [one.name for one in RUNNABLE if re.search(r"\bmake (up|run)\b", script(one))] == []


@pytest.mark.parametrize("document", RUNNABLE, ids=lambda one: one.name)
def test_every_command_of_a_document_succeeds(
    quick_stack: Stack, system: System, document: Path, tmp_path: Path
) -> None:
    before = set(system.letters())
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", PRELUDE + at_ports(script(document), quick_stack.config.ports)],
        cwd=linked(tmp_path),
        env=os.environ | addresses(quick_stack) | {"no_proxy": "*", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2_000:]}\n{done.stderr[-2_000:]}"
    if document.name == "README.md":
        until(lambda: set(system.letters()) - before, "the bad event of README among the dead letters")
