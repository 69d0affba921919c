"""The same system in containers, as far as the targets of the Makefile reach into it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from infra.local.config import InvalidConfiguration

ROOT: Final = Path(__file__).parents[2]
TIMEOUT_S: Final = 60


def flush_cache() -> None:
    """Empty the cache of the system that `docker compose up` started.

    Raises:
        InvalidConfiguration: if no such system runs, or its cache does not answer.
    """
    if shutil.which("docker") is None or not _compose("ps", "--quiet", "--status", "running", "cache").stdout.strip():
        raise InvalidConfiguration(
            "the cache of this stack does not run, nor one in containers: `make up` starts the stack"
        )
    done = _compose("exec", "-T", "cache", "valkey-cli", "flushall")
    if done.returncode or done.stdout.strip() != "OK":
        raise InvalidConfiguration(
            f"the cache in its container does not answer: {(done.stderr or done.stdout).strip()[-300:]}"
        )


def _compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose", *arguments]
    environment = {"CODE_VERSION": "any"} | dict(os.environ)  # the file asks for one whatever the command
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise InvalidConfiguration(f"`{' '.join(command)}` did not answer within {TIMEOUT_S} s") from None
