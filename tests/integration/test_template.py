"""template.yaml as AWS's own tool takes it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_sam_takes_the_template(sam: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(sam), "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}
    command = [sys.executable, "-m", "samcli", "validate", "--lint"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert "is a valid SAM Template" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
