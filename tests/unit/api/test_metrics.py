"""The bounds of a scrape, and its text."""

from threading import Event
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from functions.api.exposition import to_text
from functions.api.routes.metrics import _EXAMPLE, Bounded
from infra.api_series import EXAMPLE
from shared.admin.gauges import LEADERBOARDS_MAX, Gauges, TruthGauges
from shared.domain.rejections import Reason
from shared.domain.rules import Aggregation, Leaderboard
from shared.messaging.queues import Depth
from shared.truth.counters import Noted, Run, RunNote, TopicLag
from shared.truth.progress import Position


def gauges(leaderboards: int) -> Gauges:
    boards = [Leaderboard(id=f"b-{n:03}", name="B", aggregation=Aggregation.SUM) for n in range(leaderboards)]
    parts: Any = SimpleNamespace(
        positions=lambda topic: [],
        noted=lambda topic: Noted(topic, 0, None),
        leaderboards=lambda limit: boards[:limit],
        all=dict,
    )
    return Gauges(
        topic="t",
        progress=parts,
        telemetry=parts,
        registry=parts,
        work=parts,
        cache=parts,
        waits=parts,
        answers=parts,
        dead_letters=parts,
        queues={},
        now_ms=lambda: 0,
    )


def test_a_scrape_shows_the_first_100_leaderboards_and_says_if_there_are_more() -> None:
    at_the_limit, past_it = gauges(LEADERBOARDS_MAX).truth(), gauges(LEADERBOARDS_MAX + 1).truth()

    assert (len(at_the_limit.leaderboards), at_the_limit.truncated) == (100, False)
    assert (len(past_it.leaderboards), past_it.truncated) == (100, True)
    assert set(past_it.due) == {f"b-{n:03}" for n in range(100)}


def test_what_hangs_or_fails_is_left_out_and_not_asked_again_until_it_has_answered() -> None:
    go_on, done, asked = Event(), Event(), []

    def hang() -> int:
        asked.append("hang")
        go_on.wait()
        done.set()
        return 1

    runs = Bounded(timeout_ms=50)
    assert runs.run({"a": hang, "b": lambda: 2, "c": lambda: 1 // 0}) == {"b": 2}
    assert runs.run({"a": hang}) == {}
    assert asked == ["hang"]

    go_on.set()
    assert done.wait(10)


def families_of(text: str) -> list[Metric]:
    """As a Prometheus reads the text."""
    return [*text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]


def samples(truth: TruthGauges) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample name → values of its labels but the topic → value, as a Prometheus reads the text."""
    text = to_text(replace(EXAMPLE, truth=truth)).decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families_of(text):
        for one in family.samples:
            labels = tuple(value for name, value in one.labels.items() if name != "topic")
            found.setdefault(one.name, {})[labels] = one.value
    return found


def test_counters_are_shown_by_result_and_for_every_reason_from_the_start() -> None:
    assert EXAMPLE.truth is not None
    counts = {"applied": 5, "duplicate": 2, "rejected_too_late": 3, "key_mismatch": 4}
    positions = [Position("score-events", 0, 10, 1_000, 1_250, counts), Position("score-events", 1, 1, 0, 0)]

    found = samples(replace(EXAMPLE.truth, positions=positions))

    assert found["leaderboards_events_total"] == {
        ("0", "applied"): 5,
        ("0", "duplicate"): 2,
        ("1", "applied"): 0,
        ("1", "duplicate"): 0,
    }
    assert found["leaderboards_key_mismatches_total"] == {("0",): 4, ("1",): 0}
    rejected = found["leaderboards_events_rejected_total"]
    assert {reason: count for (partition, reason), count in rejected.items() if partition == "0"} == {
        reason.value: 3 if reason is Reason.TOO_LATE else 0 for reason in Reason
    }


def test_times_are_in_seconds_and_the_commit_delay_is_that_of_the_last_record() -> None:
    assert EXAMPLE.truth is not None
    positions = [
        Position("score-events", 0, 10, 1_000, 1_250),
        Position("score-events", 1, 10, 2_000, 1_999),
        Position("score-events", 2, 10, 1_000),
    ]

    found = samples(replace(EXAMPLE.truth, positions=positions))

    assert found["leaderboards_committed_timestamp_seconds"] == {("0",): 1, ("1",): 2, ("2",): 1}
    assert found["leaderboards_commit_delay_seconds"] == {("0",): 0.25, ("1",): 0}, "not below 0, nor made up"


def test_the_lag_is_shown_with_when_it_was_looked_at_and_not_before() -> None:
    assert EXAMPLE.truth is not None
    noted = Noted("score-events", 7, TopicLag(3_500, {0: 4, 1: 0}))

    found = samples(replace(EXAMPLE.truth, noted=noted))
    before = samples(replace(EXAMPLE.truth, noted=Noted("score-events", 0, None)))

    assert found["leaderboards_partition_lag_records"] == {("0",): 4, ("1",): 0}
    assert found["leaderboards_partition_lag_timestamp_seconds"] == {(): 3.5}
    assert found["leaderboards_entries_repaired_total"] == {(): 7}
    assert before["leaderboards_entries_repaired_total"] == {(): 0}
    assert not {"leaderboards_partition_lag_records", "leaderboards_partition_lag_timestamp_seconds"} & set(before)


def test_archived_leaderboards_that_owe_something_are_counted_once_closing_has_run() -> None:
    assert EXAMPLE.truth is not None

    found = samples(replace(EXAMPLE.truth, noted=Noted("score-events", 0, None, archived_owing=3)))
    before = samples(replace(EXAMPLE.truth, noted=Noted("score-events", 0, None)))

    assert found["leaderboards_archived_owing"] == {(): 3}
    assert "leaderboards_archived_owing" not in before


def test_partitions_past_the_first_100_are_shown_together_so_that_series_are_bounded() -> None:
    assert EXAMPLE.truth is not None
    positions = [
        Position("score-events", number, 10, number + 1, number + 11, {"applied": 1, "rejected_invalid": 2})
        for number in reversed(range(1_000))
    ]
    noted = Noted("score-events", 0, TopicLag(0, dict.fromkeys(range(1_000), 3)))

    found = samples(replace(EXAMPLE.truth, positions=positions, noted=noted))

    by_partition = {name: values for name, values in found.items() if ("others",) in values or ("0",) in values}
    assert {name: len(values) for name, values in by_partition.items()} == dict.fromkeys(by_partition, 101)
    assert found["leaderboards_committed_offset"]["others",] == 9_000
    assert found["leaderboards_committed_timestamp_seconds"]["others",] == 0.101, "the oldest"
    assert found["leaderboards_commit_delay_seconds"]["others",] == 0.01
    assert found["leaderboards_partition_lag_records"]["others",] == 2_700
    assert found["leaderboards_events_total"]["others", "applied"] == 900
    assert sum(found["leaderboards_events_rejected_total"].values()) == 2_000, "none is lost"
    assert sum(map(len, found.values())) < 2_000


def test_what_is_given_up_is_counted_once_however_many_queues_give_up_to_it() -> None:
    def queue(waiting: int, url: str | None = None) -> Any:
        return SimpleNamespace(depth=lambda: Depth(waiting, 1, url), beside=lambda _: queue(9))

    scraped = gauges(0)
    scraped._queues = {"repairs": queue(1, "d"), "ranges": queue(2, "d"), "exports": queue(3, "e")}
    scraped._dead_letters = SimpleNamespace(queue=queue(4))  # type: ignore[assignment]
    assert {name: depth.waiting for name, depth in scraped.queues().items()} == {
        "dead-letters": 4,
        "repairs": 1,
        "repairs-given-up": 9,
        "ranges": 2,
        "exports": 3,
        "exports-given-up": 9,
    }


def test_runs_and_failures_of_functions_are_shown_from_the_start() -> None:
    assert EXAMPLE.truth is not None
    note = RunNote(5_000, 2, 60_000, {"drift": 1}, True)
    noted = Noted("score-events", 0, None, counts={"errors_close": 3}, runs={Run.CLOSE: note})

    found = samples(replace(EXAMPLE.truth, noted=noted))

    assert found["leaderboards_run_timestamp_seconds"] == {("close",): 5}
    assert found["leaderboards_run_unchecked"] == {("close",): 2}
    assert found["leaderboards_closing_delay_seconds"] == {(): 60}
    assert found["leaderboards_closing_blocked"] == {("drift",): 1}
    assert found["leaderboards_records_lost"] == {(): 1}
    errors = {("ingest",): 0, ("export",): 0, ("repair",): 0, ("close",): 3}
    assert found["leaderboards_function_errors_total"] == errors
    assert found["leaderboards_cache_refused_total"] == {("ingest",): 0, ("repair",): 0}


def test_units_are_base_units_at_the_end_of_the_name_and_the_text_has_an_end() -> None:
    text = to_text(EXAMPLE).decode()

    families = families_of(text)
    for family in families:
        units = [unit for unit in ("seconds", "bytes", "records") if family.name.endswith(f"_{unit}")]
        assert family.unit == "".join(units)
        assert family.name.endswith(family.unit)
        assert {one.name.endswith("_total") for one in family.samples} == {family.type == "counter"}
    assert "# UNIT leaderboards_commit_delay_seconds seconds\n" in text
    assert text.endswith("# EOF\n")


def test_the_example_of_the_contract_is_what_a_scrape_may_show() -> None:
    shown = {family.name: family for family in families_of(to_text(EXAMPLE).decode())}
    for family in families_of(_EXAMPLE):
        like = shown[family.name]
        assert (family.type, family.documentation) == (like.type, like.documentation)
        assert {*family.samples[0].labels} == {*like.samples[0].labels}
