"""The whole system as a list of processes that start in order and stop in reverse."""

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from infra.local import packages, resources
from infra.local.cache import form_cluster, servers_of
from infra.local.config import HOST, Config, free_ports
from infra.local.dynamodb import dynamodb_server
from infra.local.servers import PACKAGES, Server, kafka, ministack

FRESH_S: Final = 15

Say = Callable[[str], None]


class Stack:
    """Servers first, then their resources, then our own processes."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._servers = _servers(config)
        self._functions = _functions(config)

    @classmethod
    def for_test(cls, directory: Path, cache_nodes: int = 1) -> Self:
        """A stack of its own: free ports, its own state, the shared packages."""
        durable = packages.prepare(PACKAGES)
        return cls(Config(directory, PACKAGES, free_ports(), cache_nodes, durable))

    @property
    def processes(self) -> list[Server]:
        """All of them in the order of their start."""
        return [*self._servers, *self._functions]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the functions."""
        return self.config.environment()

    @property
    def url(self) -> str:
        """Where the HTTP API is."""
        return self.config.api_url

    def start(self, starting: Say = lambda _: None, waiting: Say = lambda _: None) -> None:
        """Start everything; `starting` is called with the name of each process, `waiting` with that of a slow one.

        Raises:
            InvalidConfiguration: if a port is taken or a server does not come up; what was started is stopped again.
        """
        for process in reversed(self.processes):
            process.end_left_over()
        try:
            for server in self._servers:
                server.launch()  # they don't need one another: their start-up times overlap
            for server in self._servers:
                starting(server.name)
                server.wait_ready(waiting=waiting)
            if self.config.cache_nodes > 1:
                form_cluster(self.config.cache_ports)
            starting("resources")
            resources.create(self.environment, topic=self.config.kafka_is_durable)
            for function in self._functions:
                function.launch()
            for function in self._functions:
                starting(function.name)
                function.wait_ready(waiting=waiting)
        except BaseException:
            self.stop()
            raise

    def welcome(self, process: Server) -> None:
        """Give back to a server that was started again what a kill makes it forget.

        Raises:
            BotoCoreError: if it does not answer after all.
            ClientError: if it answers with an error.
        """
        if process.name == "aws":
            resources.create_queues_and_bucket(self.environment)

    def stop(self) -> None:
        """Stop everything, triggers and API first."""
        for group in (self._functions, self._servers):
            for process in reversed(group):
                process.terminate()
            for process in reversed(group):
                process.wait_stopped()

    def process(self, name: str) -> Server:
        """One of the processes: kafka, dynamodb, cache, aws, trigger, queues or api."""
        return next(process for process in self.processes if process.name == name)

    def kill(self, name: str) -> None:
        """Kill a process at once."""
        self.process(name).kill()

    def restart(self, name: str) -> None:
        """Start a process again after it was killed."""
        self.process(name).start()

    def add(self, process: Server) -> None:
        """One more process of ours, started last and stopped first."""
        self._functions.append(process)

    def replace(self, server: Server) -> None:
        """Run a server in place of the one that has its name."""
        self._servers = [server if one.name == server.name else one for one in self._servers]

    def processed(self) -> int | None:
        """Records that the trigger took since it started; None if it has not said lately."""
        report = _fresh_report(self.config)
        return None if report is None else int(report["processed"])

    def appended(self) -> int | None:
        """Records that the topic ever took; None if the trigger has not said lately, or does not know."""
        report = _fresh_report(self.config)
        return None if report is None or report["appended"] is None else int(report["appended"])

    def lag(self) -> dict[str, int] | None:
        """Records that are not yet committed, by partition, as the trigger said last; None if that is old."""
        report = _fresh_report(self.config)
        return None if report is None else dict(report["lag"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _servers(config: Config) -> list[Server]:
    directory, ports = config.directory, config.ports
    broker = (
        kafka(directory / "kafka", ports.kafka, ports.kafka_controller, config.packages)
        if config.kafka_is_durable
        else _mock_kafka(config)
    )
    return [
        broker,
        dynamodb_server(directory / "dynamodb", ports.dynamodb, config.packages),
        *servers_of(directory, config.cache_ports),
        ministack(directory / "aws", ports.aws, config.packages),
    ]


def _mock_kafka(config: Config) -> Server:
    ready = config.directory / "mock-kafka.ready"
    return Server(
        "kafka",
        [sys.executable, "-m", "infra.local.mock_kafka", str(config.ports.kafka), str(ready)],
        log=config.logs / "kafka.log",
        ready=ready.exists,
        port=config.ports.kafka,
        prepare=lambda: ready.unlink(missing_ok=True),
    )


def _functions(config: Config) -> list[Server]:
    environment = config.environment()
    report, ready = _trigger_report(config), config.directory / "queue-trigger.ready"

    trigger = Server(
        "trigger",
        [sys.executable, "-m", "infra.local.trigger"],
        log=config.logs / "trigger.log",
        ready=lambda: _fresh_report(config) is not None,
        environment=environment | {"TRIGGER_REPORT": str(report), "POWERTOOLS_SERVICE_NAME": "ingest"},
        prepare=lambda: report.unlink(missing_ok=True),
    )
    queues = Server(
        "queues",
        [sys.executable, "-m", "infra.local.queue_trigger"],
        log=config.logs / "queues.log",
        ready=ready.exists,
        environment=environment | {"QUEUE_TRIGGER_READY": str(ready), "POWERTOOLS_SERVICE_NAME": "repair"},
        prepare=lambda: ready.unlink(missing_ok=True),
    )
    api = Server(
        "api",
        [sys.executable, "-m", "infra.local.gateway"],
        log=config.logs / "api.log",
        ready=lambda: _answers(f"http://{HOST}:{config.ports.api}/health/live"),
        port=config.ports.api,
        environment=environment | {"API_PORT": str(config.ports.api), "POWERTOOLS_SERVICE_NAME": "api"},
    )
    return [trigger, queues, api]


def _trigger_report(config: Config) -> Path:
    return config.directory / "trigger.json"


def _fresh_report(config: Config) -> dict[str, Any] | None:
    """What the trigger said last, unless that is old."""
    try:
        report: dict[str, Any] = json.loads(_trigger_report(config).read_text())
    except (OSError, ValueError):
        return None
    return report if time.time() - report["at"] < FRESH_S else None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own http URL
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False
