"""docker-compose.yml: by the schema of compose files, and complete."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from functions.api.conditional import WAIT_MAX_S
from infra.local import gateway
from infra.local.config import Config, Ports
from infra.local.servers import STOP_TIMEOUT_S
from shared.settings import load

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
IMAGE = "exact-leaderboards:local"
OURS = [name for name, service in SERVICES.items() if service["image"] == IMAGE]
WATCHING = {name for name, service in SERVICES.items() if "profiles" in service}
"""Nothing needs them, nor do they keep anything."""
MAKER = "resources"
"""Makes what the others use, their image among it."""
VOLUMES = {
    "dynamodb": "the truth",
    "redpanda": "the topic, and how far it was read",
    "cache": "windows that are marked as complete, which would be believed beside an empty truth",
}
"""Of what survives, all has to: offsets that are past what the truth holds would lose events."""
FORGETFUL = {"localstack"}
"""Keeps nothing when it stops: to do so is part of its paid edition."""
LOCALSTACK = "localhost.localstack.cloud"
"""Public DNS says 127.0.0.1 for it, so that a link works on the host as well."""


def test_it_is_what_compose_takes() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["start_period"] == "3m", "on a slow machine a start takes minutes"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "reachable from here alone"
    if "image" in service and name not in OURS:
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_runs_a_module_of_the_local_stack_with_its_settings(name: str) -> None:
    service = SERVICES[name]
    assert importlib.util.find_spec(service["command"]) is not None
    settings = load(service["environment"])
    here = load(Config(Path(), Path(), Ports()).environment())
    for field in ("stage", "authorization", "ledger_table", "standings_table", "registry_table", "export_bucket"):
        assert getattr(settings, field) == getattr(here, field)
    assert settings.result_topic_arn == here.result_topic_arn


def test_one_service_builds_the_image_and_nobody_pulls_it() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == [MAKER]
    assert SERVICES[MAKER]["build"]["target"] == "local"
    policies = {name: SERVICES[name]["pull_policy"] for name in OURS}
    assert policies == dict.fromkeys(OURS, "never") | {MAKER: "build"}


def test_every_server_is_on_the_host_where_the_documents_say_and_can_be_moved() -> None:
    ports = {name: str(getattr(Ports(), name)) for name in ("kafka", "dynamodb", "cache", "api")}
    services = {"kafka": "redpanda"}
    for name, port in ports.items():
        service = SERVICES[services.get(name, name)]
        assert service["ports"] == [f"127.0.0.1:${{{name.upper()}_PORT:-{port}}}:{port}"]
    command = " ".join(SERVICES["redpanda"]["command"])
    assert "external://0.0.0.0:9092" in command
    assert "external://127.0.0.1:${KAFKA_PORT:-9092}" in command, "clients go on with what the broker says of itself"
    inside = SERVICES["api"]["environment"]["KAFKA_BOOTSTRAP_SERVERS"]
    assert f"internal://{inside}" in command


def test_what_survives_a_restart_survives_together() -> None:
    kept = {name: service["volumes"] for name, service in SERVICES.items() if service.get("volumes")}
    kept = {name: volumes for name, volumes in kept.items() if name not in WATCHING}
    assert kept.keys() == VOLUMES.keys()
    assert {one.partition(":")[0] for volumes in kept.values() for one in volumes} == COMPOSE["volumes"].keys()
    assert set(SERVICES) - set(OURS) - WATCHING == VOLUMES.keys() | FORGETFUL


def test_what_watches_starts_only_when_asked_and_reads_files_that_there_are() -> None:
    by_profile = {name: SERVICES[name]["profiles"] for name in WATCHING}
    assert by_profile == {"prometheus": ["monitoring"], "grafana": ["monitoring"], "jaeger": ["tracing"]}
    for name in WATCHING:
        for volume in SERVICES[name].get("volumes", []):
            source, _, mode = volume.split(":")
            assert (ROOT / source).is_dir()
            assert mode == "ro"


def test_the_truth_is_written_to_its_volume() -> None:
    service = SERVICES["dynamodb"]
    (volume,) = service["volumes"]
    assert f"-sharedDb -dbPath {volume.partition(':')[2]}" in service["command"]
    assert "-inMemory" not in service["command"]
    assert service["user"] == "root", "whose the volume is"


@pytest.mark.parametrize("name", OURS)
def test_dynamodb_is_asked_where_it_keeps_what_it_is_told(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert environment["AWS_ENDPOINT_URL_DYNAMODB"] == "http://dynamodb:8000"
    assert "dynamodb" not in SERVICES["localstack"]["environment"]["SERVICES"]


def test_a_link_to_a_file_works_here_and_on_the_host() -> None:
    aliases = SERVICES["localstack"]["networks"]["default"]["aliases"]
    environment = SERVICES["api"]["environment"]
    urls = [value for name, value in environment.items() if name.endswith("_URL") and "4566" in value]
    assert {urlsplit(url).hostname for url in urls} == {LOCALSTACK}
    assert aliases == [LOCALSTACK]
    assert SERVICES["localstack"]["ports"] == ["127.0.0.1:4566:4566"]


def test_nobody_starts_before_what_they_need() -> None:
    servers = set(SERVICES) - set(OURS) - WATCHING
    assert SERVICES[MAKER]["depends_on"] == {server: {"condition": "service_healthy"} for server in servers}
    for name in set(OURS) - {MAKER}:
        assert SERVICES[name]["depends_on"] == {MAKER: {"condition": "service_healthy"}}


def test_who_is_asked_to_stop_has_time_for_what_is_under_way() -> None:
    for name in OURS:
        assert SERVICES[name]["stop_grace_period"] == "30s"
    assert WAIT_MAX_S < gateway.STOP_S < STOP_TIMEOUT_S <= 30
