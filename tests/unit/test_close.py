"""The edge of the closing function, on a closing that answers as the tests say."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from shared.closing.coverage import Missing
from shared.closing.runs import Blocked, Cause, ClosingRun
from shared.truth.failures import Unavailable

EVENTS = Path(__file__).parents[2] / "events"
NAMES = ("STAGE", "LEDGER_TABLE", "STANDINGS_TABLE", "REGISTRY_TABLE", "EXPORT_BUCKET", "KAFKA_TOPIC")
QUEUES = ("DLQ_QUEUE_URL", "REPAIR_QUEUE_URL", "RANGE_QUEUE_URL", "EXPORT_QUEUE_URL")
ENVIRONMENT = {
    **dict.fromkeys(NAMES, "name"),
    **dict.fromkeys(QUEUES, "http://127.0.0.1:1/queue"),
    "AWS_REGION": "eu-central-1",
    "CACHE_URL": "redis://127.0.0.1:1",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "POWERTOOLS_METRICS_NAMESPACE": "Leaderboards",
    "POWERTOOLS_SERVICE_NAME": "close",
    "POWERTOOLS_TRACE_DISABLED": "true",
}
CONTEXT = SimpleNamespace(
    function_name="close",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 900_000,
)


class Recorder:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.recorded: list[ClosingRun] = []
        self.off: list[str] = []

    def record(self, run: ClosingRun, _started_ms: int) -> None:
        self.recorded.append(run)

    def record_off(self, why: str, _started_ms: int) -> None:
        self.off.append(why)


@pytest.fixture
def module() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        sys.modules.pop("functions.close.handler", None)
        loaded = importlib.import_module("functions.close.handler")
        loaded.assembly.telemetry = SimpleNamespace(
            record_archived_owing=lambda count: None,
            counting_errors=lambda _: nullcontext(),
            record_run=lambda *_: None,
        )
        loaded.assembly.report_recorder = Recorder()
        yield loaded
        sys.modules.pop("functions.close.handler", None)


def test_a_run_with_an_error_fails_once_all_is_measured(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = ClosingRun()
    run.unchecked = 3
    run.errors.append(RuntimeError("its rules are gone"))
    run.blocked.append(Blocked("cup", "all", Cause.ERROR, "its rules are gone"))

    def finished(_has_time: Callable[[], bool]) -> ClosingRun:
        return run

    module.assembly.lag = SimpleNamespace(record=lambda: None, check_settings=list)
    module.assembly.closing = SimpleNamespace(run=finished)
    with pytest.raises(ExceptionGroup):
        module.handler(msgspec.json.decode((EVENTS / "close-schedule.json").read_bytes()), CONTEXT)

    assert module.assembly.report_recorder.recorded == [run]
    (metrics,) = [one for one in map(json.loads, capsys.readouterr().out.splitlines()) if "Blocked_error" in one]
    assert metrics["Blocked_error"] == [1.0]
    assert metrics["Lost"] == [0.0]
    assert metrics["BoardsUnchecked"] == [3.0]


@pytest.mark.parametrize("fails", [False, True])
def test_archived_leaderboards_that_owe_something_are_counted_and_named(
    module: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    run, recorded = ClosingRun(), list[int]()
    run.archived_owing |= {"cup", "autumn"}

    def record(count: int) -> None:
        recorded.append(count)
        if fails:
            raise Unavailable("throttled")

    module.assembly.telemetry.record_archived_owing = record
    module.assembly.lag = SimpleNamespace(record=lambda: None, check_settings=list)
    module.assembly.closing = SimpleNamespace(run=lambda _: run)

    module.handler(msgspec.json.decode((EVENTS / "close-schedule.json").read_bytes()), CONTEXT)

    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ArchivedOwing"] for line in written if "ArchivedOwing" in line] == [[2.0]]
    told = [vars(one)["leaderboards"] for one in caplog.records if one.message == "archived leaderboards owe something"]
    assert told == [["autumn", "cup"]]
    assert recorded == [2]


def test_what_is_lost_is_told_though_it_blocks_nothing_yet(
    module: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = ClosingRun()
    run.lost = Missing(True, "partition 3 of score-events lost the records from 8 to 10")
    module.assembly.lag = SimpleNamespace(record=lambda: None, check_settings=list)
    module.assembly.closing = SimpleNamespace(run=lambda _: run)

    module.handler(msgspec.json.decode((EVENTS / "close-schedule.json").read_bytes()), CONTEXT)

    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["Lost"] for line in written if "Lost" in line] == [[1.0]]
    assert [vars(one)["detail"] for one in caplog.records if one.message == "records lost"] == [run.lost.detail]


def test_wrong_settings_of_the_topic_are_measured_and_told(
    module: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = ["cleanup.policy must be delete, not compact: compaction removes events"]
    module.assembly.lag = SimpleNamespace(record=lambda: None, check_settings=lambda: wrong)
    module.assembly.closing = SimpleNamespace(run=lambda _: ClosingRun())

    module.handler(msgspec.json.decode((EVENTS / "close-schedule.json").read_bytes()), CONTEXT)

    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["TopicMisconfigured"] for line in written if "TopicMisconfigured" in line] == [[1.0]]
    told = [vars(one)["wrong"] for one in caplog.records if one.message == "settings of the topic are wrong"]
    assert told == [wrong]


def test_a_run_that_seals_nothing_for_its_timestamps_is_reported_so(module: Any) -> None:
    module.assembly.lag = SimpleNamespace(record=lambda: None)
    module.assembly.settings = SimpleNamespace(kafka_timestamp_type="CREATE_TIME")

    done = module.handler(msgspec.json.decode((EVENTS / "close-schedule.json").read_bytes()), CONTEXT)

    assert done == {"final": 0, "blocked": 0}
    assert module.assembly.report_recorder.off == ["no day is sealed: records carry producers' timestamps"]


def test_what_is_acknowledged_as_lost_is_named_by_partition_and_offset(module: Any) -> None:
    acknowledged: list[tuple[int, int, int | None]] = []
    module.assembly.coverage = SimpleNamespace(acknowledge=lambda *place: acknowledged.append(place))

    module.handler(msgspec.json.decode((EVENTS / "close-acknowledge.json").read_bytes()), CONTEXT)

    assert acknowledged == [(3, 1200, None)]


@pytest.mark.parametrize("lost", [{}, {"partition": 3}, {"partition": -1, "until": 5}, {"partition": "3", "until": 5}])
def test_an_acknowledgement_that_does_not_name_them_is_refused(module: Any, lost: dict[str, Any]) -> None:
    module.assembly.coverage = SimpleNamespace()

    with pytest.raises(msgspec.ValidationError):
        module.handler({"acknowledge": lost}, CONTEXT)
