"""Metrics that are written at once are those that Powertools writes."""

import json
import time
from typing import Any

import pytest

from shared import telemetry
from shared.telemetry import Measured, Metric, measure, metrics


def written(capsys: pytest.CaptureFixture[str]) -> Any:
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert abs(found["_aws"].pop("Timestamp") - time.time() * 1000) < 60_000
    return found


VALUES = (Measured(Metric.ANSWERED, 1, "2xx"), Measured(Metric.LATENCY, 12.75), Measured(Metric.WAITED, 3))


@pytest.mark.parametrize("service", [None, "api"])
def test_a_line_says_what_powertools_would_say(
    service: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metrics.provider, "service", service)

    @metrics.log_metrics
    def handler(event: Any, context: Any) -> None:
        for one in VALUES:
            measure(one.metric, one.value, one.by)

    handler({}, None)
    theirs = written(capsys)
    telemetry.write(*VALUES)

    assert written(capsys) == theirs
    assert theirs["Answered_2xx"] == [1.0]


def test_nothing_is_written_where_metrics_are_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")

    telemetry.write(*VALUES)

    assert capsys.readouterr().out == ""
