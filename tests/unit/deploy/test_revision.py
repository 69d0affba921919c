"""Results name the git revision that made them: no image without one, none by another way, no default."""

import subprocess
from pathlib import Path

import pytest

from infra import revision as of
from infra.image.__main__ import build
from infra.local.config import Config, Ports
from infra.revision import UnknownRevision, revision
from shared.settings import InvalidSettings, load
from shared.version import VARIABLE, UnknownVersion, code_version
from tests.support.template import ROOT


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(of, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    of._of_git.cache_clear()
    return tmp_path


def git(directory: Path, *arguments: str) -> str:
    who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    done = subprocess.run(["git", *who, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_code_version_is_the_git_revision_and_says_whether_files_had_changed(repository: Path) -> None:
    git(repository, "init", "--quiet")
    (repository / "file").write_text("1")
    git(repository, "add", "file")
    git(repository, "commit", "--quiet", "--message", "one")
    head = git(repository, "rev-parse", "HEAD")

    assert revision() == head
    assert Config(Path(), Path(), Ports()).environment()[VARIABLE] == head

    (repository / "file").write_text("2")
    of._of_git.cache_clear()
    assert revision() == f"{head}+dirty"


def test_where_git_does_not_know_the_environment_has_to_say(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownRevision, match=VARIABLE):
        revision()
    with pytest.raises(UnknownRevision, match=VARIABLE):
        build("image", "functions")

    monkeypatch.setenv(VARIABLE, "3f2c9a7be0d1")
    assert revision() == "3f2c9a7be0d1"


def test_code_without_a_version_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Config(Path(), Path(), Ports()).environment()
    monkeypatch.delenv(VARIABLE)

    with pytest.raises(UnknownVersion, match=VARIABLE):
        code_version()
    with pytest.raises(InvalidSettings, match=VARIABLE):
        load(environment | {VARIABLE: ""})


def test_an_image_cannot_be_built_without_a_revision_and_sets_it_for_its_functions() -> None:
    dockerfile = (ROOT / "infra" / "Dockerfile").read_text()

    assert "ARG REVISION\n" in dockerfile
    assert "ARG REVISION=" not in dockerfile
    assert f"ENV {VARIABLE}=${{REVISION}}" in dockerfile
    assert "sys.exit('' if os.environ.get('REVISION')" in dockerfile
