"""`python -m infra.image`: build the image where a Docker engine answers, and say what it weighs.

The environment's BASE_IMAGE: another base; WITHOUT_ENGINE=skip: build nothing, and succeed, where no engine answers.
"""

import os
import subprocess
import sys
from importlib.metadata import version
from typing import Final

from infra.revision import UnknownRevision, revision

NAME: Final = "exact-leaderboards"
PARTS: Final = ("functions", "local")
"""Stages of the Dockerfile: what goes to AWS, and the same with what stands in for AWS's triggers."""
NO_ENGINE: Final = "no Docker engine answers here (`docker version`): the image was neither built nor run"
SKIPPED: Final = "skip"
"""What WITHOUT_ENGINE says where an image is not needed. A pipeline that is to push one must fail without it."""


def engine_answers() -> bool:
    """Whether images can be built and run."""
    try:
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def build(tag: str, part: str, base: str = "") -> None:
    """Build one stage of the Dockerfile.

    Raises:
        CalledProcessError: if it can't be built; Docker has said why.
        UnknownRevision: if neither the environment nor git has the revision.
    """
    arguments = {"VERSION": version(NAME), "REVISION": revision(), "BASE_IMAGE": base}
    command = ["docker", "build", "--quiet", "--network", "host", "--file", "infra/Dockerfile"]
    command += ["--target", part, "--tag", tag]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"] if value else []
    subprocess.run([*command, "."], check=True, stdout=subprocess.DEVNULL)


def layers(tag: str) -> list[tuple[str, str]]:
    """Size of each layer with what made it, the base's first; empty ones are left out."""
    command = ["docker", "history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", tag]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pairs = [line.split("\t", 1) for line in reversed(said.splitlines())]
    return [(size, made.strip() or "base image") for size, made in pairs if not size.startswith("0B")]


def main() -> int:
    """Build and report; the status is 1 where no engine answers, unless that is to be skipped."""
    if not engine_answers():
        print(NO_ENGINE)
        return 0 if os.environ.get("WITHOUT_ENGINE") == SKIPPED else 1
    for part in PARTS:
        tag = f"{NAME}:{part}"
        try:
            build(tag, part, os.environ.get("BASE_IMAGE", ""))
        except subprocess.CalledProcessError:
            print("the image could not be built; BASE_IMAGE= names another base with Python 3.11 or newer and pip")
            return 1
        except UnknownRevision as error:
            print(error)
            return 1
        for size, made in layers(tag):
            print(f"{size:>8}  {made[:100]}")
        print(f"built {tag}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
