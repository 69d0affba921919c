"""README's commands on the system that runs already, by whatever it was started: `make up` or `docker compose up`.

ON_RUNNING=yes make test ARGS=tests/e2e/test_running_system.py
"""

import os
import subprocess
from pathlib import Path

import pytest

from infra.local.config import from_environment
from tests.support.runnable import ROOT, script
from tests.support.try_it import PRELUDE, at_ports, linked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(420),
    pytest.mark.skipif(os.environ.get("ON_RUNNING") != "yes", reason="only where a system is said to run"),
]


def test_readme_works_on_the_system_that_runs(tmp_path: Path) -> None:
    commands = PRELUDE + at_ports(script(ROOT / "README.md"), from_environment().ports)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", commands],
        cwd=linked(tmp_path),
        env=os.environ | {"no_proxy": "*", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2_000:]}\n{done.stderr[-2_000:]}"
