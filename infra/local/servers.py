"""The servers of the local stack: how each is started, asked whether it is ready, and stopped."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.local.config import CREDENTIAL, HOST, InvalidConfiguration, free_port
from infra.local.listeners import listener

__all__ = ["Server", "free_port", "http_probe", "kafka", "ministack"]

PACKAGES: Final = Path(os.environ.get("LOCAL_PACKAGES_DIR", ".local/packages")).absolute()
READY_TIMEOUT_S: Final = 600
"""A process that lives is waited for as long as this: on a busy machine a start takes minutes."""
WAITING_SAID_EVERY_S: Final = 10
STOP_TIMEOUT_S: Final = 30


class Server:
    """One process, with a log file, a probe and a way to stop."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        port: int | None = None,
        program: str = "",
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.program = program
        """What runs, where there is a choice."""
        self._command = command
        self._log = log
        self._ready = ready
        self._environment = environment
        self._directory = directory
        self._prepare = prepare
        self._process: subprocess.Popen[bytes] | None = None

    def set_environment(self, name: str, value: str) -> None:
        """One more variable of the process, from its next start on."""
        self._environment = {**(self._environment or {}), name: value}

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start the process and wait until it answers.

        Raises:
            InvalidConfiguration: if its port is taken, or it dies or stays silent.
        """
        self.launch()
        self.wait_ready(timeout_s)

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S, waiting: Callable[[str], None] = lambda _: None) -> None:
        """Wait until a launched process answers; `waiting` is called every ten seconds until then.

        Raises:
            InvalidConfiguration: if it dies or stays silent.
        """
        start_s = time.monotonic()
        said_s = 0.0
        while not self.is_ready():
            if not self.is_alive():
                raise InvalidConfiguration(f"{self.name} ended while it started: {self.last_words()}")
            waited_s = time.monotonic() - start_s
            if waited_s > timeout_s:
                self.kill()
                raise InvalidConfiguration(f"{self.name} did not answer within {timeout_s:.0f} s; see {self._log}")
            if waited_s - said_s >= WAITING_SAID_EVERY_S:
                said_s = waited_s
                waiting(f"waiting for {self.name}, {waited_s:.0f} s so far; its log is {self._log}")
            time.sleep(0.05)

    def launch(self) -> None:
        """Start the process without waiting for it.

        Raises:
            InvalidConfiguration: if its program is missing or its port is taken.
        """
        if shutil.which(self._command[0]) is None:
            raise InvalidConfiguration(f"`{self._command[0]}` was not found: run `make setup`")
        self.end_left_over()
        if self.port is not None:
            _require_free(self.port, self.name, f"{self.name.partition('-')[0].upper()}_PORT")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        if self._prepare is not None:
            self._prepare()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=environment | dict(self._environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops the others in order
            )
        self._pid_file.write_text(f"{self._process.pid} {_started_at(self._process.pid)}")

    @property
    def _pid_file(self) -> Path:
        return self._log.with_suffix(".pid")

    def recorded_pid(self) -> int | None:
        """The process that was started last, by whomever, if it still runs."""
        try:
            pid, started_at = map(int, self._pid_file.read_text().split())
        except (OSError, ValueError):
            return None
        return pid if started_at == _started_at(pid) else None

    def end_left_over(self) -> bool:
        """End the process of a run whose supervisor was killed: it would hold the port and the data.

        Returns:
            Whether there was one.
        """
        pid = self.recorded_pid()
        if pid is None or pid == self.pid:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while self.recorded_pid() is not None and time.monotonic() < deadline:
                time.sleep(0.05)
        return True

    def is_ready(self) -> bool:
        """Whether it lives and answers."""
        return self.is_alive() and self._ready()

    def answers(self) -> bool:
        """Whether whatever process it is, of whatever supervisor, answers."""
        return self._ready()

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self.is_alive() else None

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask it to end (SIGTERM), insist after `timeout_s`."""
        self.terminate()
        self.wait_stopped(timeout_s)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None and self.is_alive():
            self._process.terminate()

    def wait_stopped(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Wait for its end, then insist."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would."""
        if self._process is not None and self.is_alive():
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def cause_of_death(self) -> str:
        """Its exit code and the end of its log."""
        status = self._process.returncode if self._process is not None else None
        if status is not None and status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}: {self.last_words()}"

    def last_words(self) -> str:
        """Last line of its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1][:300] if lines else "it said nothing"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def ministack(directory: Path, port: int, packages: Path = PACKAGES) -> Server:
    """S3, SNS and SQS; state is kept when it is stopped, not when it is killed."""
    directory.mkdir(parents=True, exist_ok=True)
    environment = {
        "PYTHONPATH": str(packages / "ministack"),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "SERVICES": "s3,sns,sqs",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(directory / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(directory / "s3"),
        "AWS_ACCESS_KEY_ID": CREDENTIAL,  # what presigned URLs are checked against
        "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
    }
    command = [sys.executable, "-m", "ministack"]
    log = directory / "ministack.log"
    return Server("aws", command, log=log, ready=http_probe(port), port=port, environment=environment)


def kafka(directory: Path, port: int, controller_port: int, packages: Path = PACKAGES) -> Server:
    """Apache Kafka as one KRaft node, broker and controller, on the loopback only."""
    directory.mkdir(parents=True, exist_ok=True)
    properties = directory / "server.properties"
    java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{packages / 'kafka'}/*"]

    def prepare() -> None:
        _require_free(controller_port, "kafka's controller", "KAFKA_CONTROLLER_PORT")
        properties.write_text(_kafka_properties(directory, port, controller_port))
        if (directory / "data" / "meta.properties").exists():
            return
        command = [*java, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InvalidConfiguration(f"Kafka's storage could not be formatted: {done.stderr.strip()[-300:]}")

    def ready() -> bool:
        if not _listens(port):  # the client would try for as long as its timeout, and block the caller
            return False
        try:
            admin = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
            return bool(admin.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    command = [*java, "kafka.Kafka", str(properties)]
    return Server("kafka", command, log=directory / "kafka.log", ready=ready, port=port, prepare=prepare)


def new_cluster_id() -> str:
    """16 random bytes in base64, as Kafka wants them; never with a hyphen first, which its tool takes for an option."""
    first, *others = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *others])).decode().rstrip("=")


def _kafka_properties(directory: Path, port: int, controller_port: int) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(directory / "data"),
        "auto.create.topics.enable": "false",
        "log.message.timestamp.type": "LogAppendTime",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def http_probe(port: int) -> Callable[[], bool]:
    """Whether an HTTP server answers at a port. Any answer will do: DynamoDB's engines refuse a bare GET."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=2):
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, HTTPException):
            return False

    return ready


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _require_free(port: int, name: str, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InvalidConfiguration(
                f"port {port} of {name} is taken by {listener(port) or 'a process that can not be seen from here'}: "
                f"stop it, or choose another port, e.g. `{variable}={port + 1} make up`"
            ) from error


def _started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with its id that names it for good. None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, threads, started_at = fields[0], int(fields[17]), int(fields[19])
    # a zombie whose threads have not all ended still holds its port
    return None if state == "Z" and threads <= 1 else started_at
