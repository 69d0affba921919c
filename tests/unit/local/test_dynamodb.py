"""Which engine stands in for DynamoDB, and that tables never seem empty because another one made them."""

from pathlib import Path

import pytest

from infra.local.config import InvalidConfiguration
from infra.local.dynamodb import (
    FORMAT_FILE,
    STATE,
    Engine,
    check_format,
    chosen,
    dynamodb_server,
    dynoxide_binary,
    engine_of,
)


def _built(packages: Path) -> Path:
    binary = dynoxide_binary(packages)
    binary.parent.mkdir(parents=True)
    binary.touch()
    return packages


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked for."""
    monkeypatch.delenv("DYNAMODB_ENGINE", raising=False)


def test_dynoxide_is_the_engine_where_it_is_there_else_dynamodb_local(tmp_path: Path) -> None:
    assert engine_of(tmp_path, tmp_path / "none") is Engine.LOCAL
    assert engine_of(tmp_path, _built(tmp_path / "packages")) is Engine.DYNOXIDE


@pytest.mark.parametrize("engine", Engine)
def test_the_engine_that_made_the_state_goes_on_with_it(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / STATE[engine]).touch()

    assert engine_of(tmp_path, _built(tmp_path / "packages")) is engine


def test_state_of_one_engine_is_not_taken_for_empty_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / STATE[Engine.LOCAL]).touch()
    monkeypatch.setenv("DYNAMODB_ENGINE", "dynoxide")

    with pytest.raises(InvalidConfiguration, match="holds tables of dynamodb-local, which dynoxide can't read: set"):
        dynamodb_server(tmp_path, 8000, _built(tmp_path / "packages"))


def test_an_engine_that_does_not_exist_is_told_in_one_line() -> None:
    with pytest.raises(
        InvalidConfiguration, match=r"^DYNAMODB_ENGINE must be dynoxide or dynamodb-local, not 'mysql'$"
    ):
        chosen({"DYNAMODB_ENGINE": "mysql"})


@pytest.mark.parametrize("engine", Engine)
def test_tables_of_an_older_version_are_not_opened(tmp_path: Path, engine: Engine) -> None:
    check_format(tmp_path)
    (tmp_path / STATE[engine]).touch()
    check_format(tmp_path)

    (tmp_path / FORMAT_FILE).unlink()

    with pytest.raises(InvalidConfiguration, match=r"older version.*make clean"):
        check_format(tmp_path)
