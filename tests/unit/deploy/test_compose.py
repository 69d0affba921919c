"""docker-compose.yml: by the schema of compose files, and complete."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.config import Config, Ports
from shared.settings import load

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"
SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
ONCE = "resources"
"""Ends by itself."""


def test_it_is_what_compose_takes() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["restart"] == ("no" if name == ONCE else "unless-stopped")
    assert ("healthcheck" in service) is (name != ONCE)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "reachable from here alone"
    if "image" in service and name not in OURS:
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]


@pytest.mark.parametrize("name", OURS)
def test_a_process_of_ours_is_a_module_of_the_local_stack_with_the_settings_that_it_has_there(name: str) -> None:
    service = SERVICES[name]
    assert importlib.util.find_spec(service["command"]) is not None
    assert service["build"]["target"] == "local"
    settings = load(service["environment"])
    here = load(Config(Path(), Path(), Ports()).environment())
    for field in ("stage", "authorization", "ledger_table", "standings_table", "registry_table", "export_bucket"):
        assert getattr(settings, field) == getattr(here, field)
    assert settings.result_topic_arn == here.result_topic_arn


def test_what_keeps_something_keeps_it_in_a_volume() -> None:
    kept = {name for name, service in SERVICES.items() if service.get("volumes")}
    assert kept == SERVICES.keys() - set(OURS)


def test_nobody_starts_before_what_he_needs() -> None:
    servers = set(SERVICES) - set(OURS)
    assert {one["condition"] for one in SERVICES[ONCE]["depends_on"].values()} == {"service_healthy"}
    assert SERVICES[ONCE]["depends_on"].keys() == servers
    for name in set(OURS) - {ONCE}:
        assert SERVICES[name]["depends_on"] == {ONCE: {"condition": "service_completed_successfully"}}
