"""The AsyncAPI document: checked in, in step with the code, and true of the messages themselves."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from infra.contract import asyncapi, tools
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.messaging.dead_letters import DeadLetter, DeadLetterQueue, RejectedRecord
from shared.messaging.notifications import WindowFinal

DOCUMENT = asyncapi.asyncapi()


def check(name: str, message: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(message)


def test_the_checked_in_document_is_that_of_the_code() -> None:
    assert asyncapi.DOCUMENT.read_text(encoding="utf-8") == asyncapi.text(), "make openapi writes it anew"


@pytest.mark.parametrize(("name", "kind"), [("DeadLetter", DeadLetter), ("WindowFinal", WindowFinal)])
def test_the_example_of_a_message_is_one(name: str, kind: type) -> None:
    example = asyncapi.EXAMPLES[name]
    check(name, example)
    assert msgspec.to_builtins(msgspec.convert(example, kind)) == example


@pytest.mark.parametrize("reason", Reason)
def test_every_dead_letter_is_one_of_the_document(reason: Reason) -> None:
    sent: list[bytes] = []
    queue: Any = type("Queue", (), {"send": staticmethod(sent.extend)})
    record = Record(Source("score-events", 1, 2, 3), None, b"{")
    s3: Any = None
    DeadLetterQueue(queue, s3, "bucket").send([RejectedRecord(record, Rejection(reason, "x"), None)])
    check("DeadLetter", msgspec.json.decode(sent[0]))


def test_a_message_without_what_it_has_to_have_is_none_of_the_document() -> None:
    for name in ("DeadLetter", "WindowFinal"):
        for field in DOCUMENT["components"]["schemas"][name]["required"]:
            lacking = {key: value for key, value in asyncapi.EXAMPLES[name].items() if key != field}
            with pytest.raises(Exception, match="required"):
                check(name, lacking)


def test_a_key_is_a_leaderboard_and_a_player() -> None:
    (binding,) = DOCUMENT["components"]["messages"]["scoreEvent"]["bindings"].values()
    pattern = Draft202012Validator(binding["key"])
    assert pattern.is_valid("autumn-cup:u:42")
    assert not any(pattern.is_valid(key) for key in ("autumn-cup", ":u-42", "autumn-cup:", "Cup:u"))


def test_without_node_the_linters_are_skipped_with_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.installed(tmp_path) is None
    assert "skipped: there is no Node.js" in capsys.readouterr().out


def test_packages_that_cannot_be_had_are_skipped_with_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, script in (("node", "exit 0"), ("npm", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.installed(tmp_path / "node_of_here") is None
    assert "skipped: npm could not install them" in capsys.readouterr().out


def test_what_a_linter_finds_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> Any:
        return subprocess.CompletedProcess([], 1, "an error", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert not tools.lint(Path())


def test_the_lock_file_names_no_registry() -> None:
    lock = msgspec.json.decode((tools.PINNED / "package-lock.json").read_bytes())
    assert lock["packages"]
    for name, package in lock["packages"].items():
        assert "resolved" not in package
        assert name == "" or package["integrity"].startswith("sha512-")
