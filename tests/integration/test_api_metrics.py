"""What the API's function counts of its answers."""

import json
from typing import Any

import pytest

from tests.integration.conftest import CONTEXT


@pytest.mark.parametrize(
    ("headers", "counted", "left_out"),
    [({}, "Latency", "Waited"), ({"preference-applied": "wait=20"}, "Waited", "Latency")],
)
def test_an_answer_that_was_asked_to_wait_does_not_count_as_slow(
    module: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    headers: dict[str, str],
    counted: str,
    left_out: str,
) -> None:
    answer = {"statusCode": 304, "headers": headers, "body": ""}
    monkeypatch.setattr(module, "_serve", lambda *_: answer)

    assert module.handler({}, CONTEXT) == answer

    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metrics["Answered_3xx"] == [1.0]
    assert counted in metrics
    assert left_out not in metrics
