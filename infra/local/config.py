"""Where the local stack lives: directories, ports, and the environment that its functions get."""

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from infra.revision import revision
from shared.version import VARIABLE

HOST: Final = "127.0.0.1"
TOPIC: Final = "score-events"
PARTITIONS: Final = 6
REGION: Final = "eu-central-1"
ACCOUNT: Final = "000000000000"
CREDENTIAL: Final = "local"
"""Access key and secret of the local stack: any will do, as long as all agree."""
BUCKET: Final = "leaderboard-exports"
DLQ: Final = "score-events-dlq"
REPAIRS: Final = "cache-repair"
RANGES: Final = "range-builds"
EXPORTS: Final = "export-jobs"
RESULTS: Final = "leaderboard-results"
"""SNS topic of results; a queue of the same name is subscribed to it."""
POWERTOOLS: Final = {"POWERTOOLS_METRICS_NAMESPACE": "Leaderboards", "POWERTOOLS_TRACE_DISABLED": "true"}
"""What Powertools reads when a function's module is first imported."""
CACHE_NODES_MAX: Final = 16
POSITIVE: Final = {"EVENTS_PER_SECOND": 50, "ANTI_ENTROPY_EVERY_S": 300, "SNAPSHOTS_EVERY_S": 15, "CLOSE_EVERY_S": 60}
"""Numbers that can be set, and what they are otherwise: for the demo's producer and for the schedules."""
API_WORKERS_MAX: Final = 64
API_WORKERS_ABOVE_CORES: Final = 2
"""So many more worker processes than cores by default: requests that wait for a change hold some of them, idle."""
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
FIRST_FREE_PORT: Final = 10_000
"""Where to look for free ports: above what well-known servers listen on."""
EPHEMERAL_PORTS_BY_DEFAULT: Final = 32_768
PORTS_TRIED_MAX: Final = 1_000


class InvalidConfiguration(Exception):
    """What the stack can't start with; the message is one line that says what to do."""


class Ports(Struct, frozen=True):
    """TCP ports on 127.0.0.1, each settable by the environment variable of its name in upper case plus `_PORT`."""

    api: int = 8080
    kafka: int = 9092
    kafka_controller: int = 9093
    cache: int = 6379
    dynamodb: int = 8000
    aws: int = 4566


class Config(Struct, frozen=True):
    """One local stack. Two of them can live side by side if neither directory nor ports are shared."""

    directory: Path
    """State and logs; survives a restart."""
    packages: Path
    """Downloaded servers; may be shared."""
    ports: Ports
    cache_nodes: int = 1
    """Servers of the cache; several of them are a cluster."""
    kafka_is_durable: bool = True
    """False where librdkafka's mock cluster stands in for Apache Kafka."""

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.directory / "logs"

    @property
    def aws_url(self) -> str:
        """S3, SNS and SQS."""
        return f"http://{HOST}:{self.ports.aws}"

    @property
    def api_url(self) -> str:
        """The HTTP API."""
        return f"http://{HOST}:{self.ports.api}"

    @property
    def cache_ports(self) -> range:
        """Those of the cache's servers, one after the other."""
        return range(self.ports.cache, self.ports.cache + self.cache_nodes)

    @property
    def kafka_bootstrap(self) -> str:
        """`host:port` of the broker."""
        return f"{HOST}:{self.ports.kafka}"

    def queue_url(self, name: str) -> str:
        """URL of a queue."""
        return f"{self.aws_url}/{ACCOUNT}/{name}"

    def environment(self) -> dict[str, str]:
        """What the functions run with, here as on AWS; only the endpoints and the stage are local."""
        return {
            "STAGE": "local",
            VARIABLE: revision(),
            "AUTHORIZATION": "off",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{HOST}:{self.ports.dynamodb}",
            "LEDGER_TABLE": "leaderboard-ledger",
            "STANDINGS_TABLE": "leaderboard-standings",
            "REGISTRY_TABLE": "leaderboard-registry",
            "CACHE_URL": f"redis://{HOST}:{self.ports.cache}",
            "DLQ_QUEUE_URL": self.queue_url(DLQ),
            "REPAIR_QUEUE_URL": self.queue_url(REPAIRS),
            "RANGE_QUEUE_URL": self.queue_url(RANGES),
            "EXPORT_QUEUE_URL": self.queue_url(EXPORTS),
            "EXPORT_BUCKET": BUCKET,
            "RESULT_TOPIC_ARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:{RESULTS}",
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap,
            "KAFKA_TOPIC": TOPIC,
            "KAFKA_TIMESTAMP_TYPE": "LOG_APPEND_TIME" if self.kafka_is_durable else "CREATE_TIME",
            "WAITS_MAX": str(api_workers() // 2),  # the other processes serve who does not wait
            "POWERTOOLS_LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
            **POWERTOOLS,
        }


def from_environment(environment: Mapping[str, str] | None = None) -> Config:
    """Read the configuration.

    Raises:
        InvalidConfiguration: if a port is none, or one is named twice; or if another variable is none that it can be.
    """
    values = os.environ if environment is None else environment
    for name in POSITIVE:
        positive(name, values)
    api_workers(values)
    if values.get("LOG_LEVEL", LOG_LEVELS[0]) not in LOG_LEVELS:
        raise InvalidConfiguration(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {values['LOG_LEVEL']!r}")
    chosen = {name: _port(values, name) for name in Ports.__struct_fields__ if f"{name.upper()}_PORT" in values}
    ports = structs.replace(Ports(), **chosen)
    directory = Path(values.get("LOCAL_DIR", ".local/state")).absolute()
    packages = Path(values.get("LOCAL_PACKAGES_DIR", ".local/packages")).absolute()
    config = Config(directory, packages, ports, cache_nodes=_whole("CACHE_NODES", CACHE_NODES_MAX, "1", values))
    taken = [*structs.astuple(ports), *config.cache_ports[1:]]
    if len(set(taken)) < len(taken):
        raise InvalidConfiguration(f"two servers share a port: {structs.asdict(ports)}; set each *_PORT to its own")
    return config


def positive(name: str, environment: Mapping[str, str] | None = None) -> float:
    """One of the numbers of POSITIVE as it is set.

    Raises:
        InvalidConfiguration: unless it is a number above 0.
    """
    values = os.environ if environment is None else environment
    text = values.get(name, str(POSITIVE[name]))
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < inf:
        raise InvalidConfiguration(f"{name} must be a number above 0, not {text!r}")
    return number


def api_workers(environment: Mapping[str, str] | None = None) -> int:
    """How many processes serve the API, each one request at a time.

    Raises:
        InvalidConfiguration: unless it is a whole number within limits.
    """
    values = os.environ if environment is None else environment
    return _whole("API_WORKERS", API_WORKERS_MAX, str((os.cpu_count() or 1) + API_WORKERS_ABOVE_CORES), values)


def _whole(name: str, most: int, default: str, values: Mapping[str, str]) -> int:
    text = values.get(name, default)
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= most:
        raise InvalidConfiguration(f"{name} must be from 1 to {most}, not {text!r}")
    return int(text)


def free_ports() -> Ports:
    """Ports without a listener now, for a stack of a test's own."""
    chosen: set[int] = set()
    while len(chosen) < len(Ports.__struct_fields__):
        chosen.add(free_port())
    return Ports(*chosen)


def free_port() -> int:
    """A port without a listener now, outside the range of outgoing connections.

    A server that is killed gets such a port back. One of the kernel's own choice may meanwhile have become the local
    end of a client, even of one that waits for that very server and so is connected to itself.
    """
    candidates = range(FIRST_FREE_PORT, _first_ephemeral_port())
    for _ in range(PORTS_TRIED_MAX):
        port = secrets.choice(candidates)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise InvalidConfiguration(f"no port from {candidates.start} to {candidates.stop - 1} is free")


def _first_ephemeral_port() -> int:
    """The first of the ports that the kernel gives to outgoing connections (man 7 ip, ip_local_port_range)."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_PORTS_BY_DEFAULT
    return first if first > FIRST_FREE_PORT else EPHEMERAL_PORTS_BY_DEFAULT


def _port(values: Mapping[str, str], name: str) -> int:
    variable = f"{name.upper()}_PORT"
    try:
        port = int(values[variable])
    except ValueError:
        port = 0
    if not 1 <= port <= 65_535:
        raise InvalidConfiguration(f"{variable} must be a port from 1 to 65535, not {values[variable]!r}")
    return port
