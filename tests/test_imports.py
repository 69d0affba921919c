"""Which way imports may point: the contracts of pyproject.toml, held by every run of the tests."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path("pyproject.toml").absolute().parent
LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"

LAYERS = "Dependencies point inwards: infra, functions, assembly, use cases, stores, domain"
DOMAIN = "The domain does no I/O"
SHARED = "Nothing shared knows a function or the infrastructure"


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a directory on its own code."""
    environment = {"COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The code and its contracts, to be broken."""
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    for package in ("functions", "shared", "infra"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_imports_point_down_only() -> None:
    result = lint(PROJECT)

    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_is_there_and_none_has_exceptions() -> None:
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]

    assert configuration["root_packages"] == ["functions", "shared", "infra"]
    assert [contract["name"] for contract in configuration["contracts"]] == [LAYERS, DOMAIN, SHARED]
    assert not any("ignore_imports" in contract for contract in configuration["contracts"])


WRONG = {
    "the domain does I/O": ("shared/domain/tiers.py", "import boto3", DOMAIN),
    "the domain asks for the time": ("shared/domain/calendar.py", "import time", DOMAIN),
    "the domain reads the environment": ("shared/domain/rules.py", "import os", DOMAIN),
    "the domain knows the truth": ("shared/domain/standings.py", "import shared.truth.keys", LAYERS),
    "the truth knows a use case": ("shared/truth/keys.py", "import shared.ingest.planner", LAYERS),
    "shared code knows a function": ("shared/settings.py", "import functions.ingest.handler", SHARED),
    "shared code knows the infrastructure": ("shared/telemetry.py", "import infra.local.config", SHARED),
    "a function knows the infrastructure": ("functions/repair/handler.py", "import infra.local.config", LAYERS),
}


@pytest.mark.parametrize(("module", "statement", "contract"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_import_breaks_its_contract(copy: Path, module: str, statement: str, contract: str) -> None:
    path = copy / module
    path.write_text(f"{path.read_text()}\n{statement}\n")

    result = lint(copy)

    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout
