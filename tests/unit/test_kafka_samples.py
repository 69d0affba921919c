"""Every sample event of the topic under events/, through the real handler: what becomes of each of its records.

To read or change a sample: keys and values are base64.
"""

import base64
import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.calendar import Day
from shared.domain.rules import Aggregation, Leaderboard
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate, Retry
from shared.ingest.service import Ingest
from shared.messaging.dead_letters import DeadLetterQueue
from shared.parallel import read_sequentially
from shared.retries import Backoff
from shared.tracing import TracedRecord
from shared.truth.commits import Commits, PlayerKey
from shared.truth.progress import Position
from shared.truth.reads import Reads
from shared.truth.receipts import Receipts
from shared.truth.tables import Tables
from tests.property.memory import Database
from tests.support import oracle
from tests.support.pseudonyms import NO_PROFILES, NO_PSEUDONYMS

SAMPLES = Path("events")
APPLIED, DUPLICATE = "applied", "duplicate"
OUTCOMES = {
    "accepted": [APPLIED] * 4,
    "in-batch-duplicate": [APPLIED, APPLIED, DUPLICATE, DUPLICATE],
    "malformed": ["malformed"] * 6,
    "invalid": ["invalid"] * 16,
    "unknown-leaderboard": ["unknown_leaderboard"],
    "conflicting-duplicate": [APPLIED, "conflicting_duplicate", "conflicting_duplicate", APPLIED],
    "key-mismatch": [APPLIED] * 4,
    "too-late": [APPLIED, "too_late"],
    "from-the-future": [APPLIED, "from_the_future"],
    "leaderboard-archived": ["leaderboard_archived"],
    "untrusted-timestamp": [APPLIED, "untrusted_timestamp", APPLIED],
    "score-overflow": [APPLIED, "score_overflow", APPLIED],
}
INVALID_FIELDS = [
    *("eventId", "leaderboardId", "userId", "userId", "points", "points", "points", "occurredAt", "occurredAt"),
    *("attributes", "attributes", "eventId", "leaderboardId", "userId", "points", "occurredAt"),
]
ENVIRONMENT = {
    "STAGE": "test",
    "AWS_REGION": "eu-central-1",
    "LEDGER_TABLE": "ledger",
    "STANDINGS_TABLE": "standings",
    "REGISTRY_TABLE": "registry",
    "CACHE_URL": "redis://127.0.0.1:1",
    "DLQ_QUEUE_URL": "http://127.0.0.1:1/dlq",
    "REPAIR_QUEUE_URL": "http://127.0.0.1:1/repair",
    "RANGE_QUEUE_URL": "http://127.0.0.1:1/ranges",
    "EXPORT_QUEUE_URL": "http://127.0.0.1:1/export",
    "EXPORT_BUCKET": "exports",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "KAFKA_TOPIC": "score-events",
    "POWERTOOLS_METRICS_NAMESPACE": "leaderboards",
    "POWERTOOLS_SERVICE_NAME": "ingest",
    "POWERTOOLS_TRACE_DISABLED": "true",
}
CONTEXT = SimpleNamespace(
    function_name="ingest",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 60_000,
)


def in_a_row(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [call() for call in calls]


class Registry:
    """Two leaderboards, one of them deleted."""

    def __init__(self) -> None:
        cup = Leaderboard(id="autumn-cup", name="Autumn", aggregation=Aggregation.SUM)
        self.boards = {"autumn-cup": cup, "spring-cup": replace(cup, id="spring-cup", archived=True)}

    def find(self, leaderboard_id: str) -> Leaderboard | None:
        return self.boards.get(leaderboard_id)

    read = find

    def lock_rules(self, leaderboard: Leaderboard) -> Leaderboard:
        return replace(leaderboard, has_events=True)


class Service:
    """The handler's ingest on a truth in memory; keeps what it sends and shows."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []
        self.shown: dict[PlayerKey, Mapping[Day, Any]] = {}
        self.positions: dict[int, int] = {}
        self.counted: list[str] = []
        self.mismatched: list[int] = []
        self.candidates: list[Candidate] = []
        database = Database()
        client: Any = database.client()
        parts: Any = self
        reads = Reads(client, Tables(), read_sequentially, Backoff())
        committer = Committer(Commits(client, Tables()), reads, in_a_row, Backoff())
        letters = DeadLetterQueue(parts, parts, "letters")
        self.registry = Registry()
        leaderboards: Any = self.registry
        self._ingest = Ingest(
            leaderboards=leaderboards,
            committer=committer,
            projector=parts,
            dead_letters=letters,
            letters=parts,
            profiles=NO_PROFILES,
            receipts=Receipts(client, Tables().registry, Backoff()),
            pseudonyms=NO_PSEUDONYMS,
            progress=parts,
            run_parallel=in_a_row,
            now_ms=lambda: 0,
        )

    def ingest(self, records: Sequence[Any], has_time: Callable[[], bool]) -> list[Candidate]:
        assert has_time()
        self.candidates = self._ingest.ingest(records, has_time)
        return self.candidates

    def register(self, _letters: Sequence[Any]) -> None:
        pass

    def take_unregistered(self) -> int:
        return 0

    def send(self, bodies: Sequence[bytes]) -> None:
        self.letters += [json.loads(body) for body in bodies]

    def project(self, _boards: Any, standings: Mapping[PlayerKey, Mapping[Day, Any]]) -> set[str]:
        self.shown |= standings
        return set()

    def take_refusals(self) -> int:
        return 0

    def advance(self, position: Position, _now_ms: int, outcomes: Mapping[int, str], mismatched: Sequence[int]) -> None:
        self.mismatched += mismatched
        self.positions[position.partition] = position.next_offset
        self.counted += outcomes.values()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def handle(service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    for name, setting in ENVIRONMENT.items():
        monkeypatch.setenv(name, setting)
    module = importlib.import_module("functions.ingest.handler")
    monkeypatch.setitem(vars(module.assembly), "ingest", service)
    return lambda event: module.handler(event, CONTEXT)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"kafka-{name}.json").read_text())


def records_of(event: Any) -> list[dict[str, Any]]:
    return [record for partition in event["records"].values() for record in partition]


def written(capsys: pytest.CaptureFixture[str], metric: str) -> list[float]:
    """The values of a metric that were written since the last look."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [sum(line[metric]) for line in lines if metric in line]


def found(candidate: Candidate) -> str:
    return str(candidate.rejection.reason if candidate.rejection else candidate.kind)


def test_there_is_a_sample_for_every_kind_of_record_and_an_outcome_for_every_sample() -> None:
    assert {path.stem.removeprefix("kafka-") for path in SAMPLES.glob("kafka-*.json")} == set(OUTCOMES)


@pytest.mark.parametrize(("name", "outcomes"), OUTCOMES.items(), ids=list(OUTCOMES))
def test_every_record_of_a_sample_ends_as_its_name_says(
    name: str, outcomes: list[str], handle: Callable[[Any], Any], service: Service
) -> None:
    event = sample(name)

    answer = handle(event)

    assert answer == {"batchItemFailures": []}
    assert [found(candidate) for candidate in service.candidates] == outcomes
    ends = {record["partition"]: record["offset"] + 1 for record in records_of(event)}
    assert service.positions == ends
    counters = [one if one in (APPLIED, DUPLICATE) else f"rejected_{one}" for one in outcomes]
    assert service.counted == counters


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_is_not_applied_is_kept_with_its_reason_place_and_original_bytes(
    name: str, handle: Callable[[Any], Any], service: Service
) -> None:
    event = sample(name)

    handle(event)

    assert [
        (
            letter["reason"],
            letter["topic"],
            letter["partition"],
            letter["offset"],
            letter["appendedAtMs"],
            letter["key"],
            letter["value"],
        )
        for letter in service.letters
    ] == [
        (
            outcome,
            "score-events",
            record["partition"],
            record["offset"],
            record["timestamp"],
            record.get("key"),
            record.get("value"),
        )
        for outcome, record in zip(OUTCOMES[name], records_of(event), strict=True)
        if outcome not in (APPLIED, DUPLICATE)
    ]
    assert all(letter["detail"] for letter in service.letters)


def test_the_detail_of_an_invalid_record_names_its_field(handle: Callable[[Any], Any], service: Service) -> None:
    handle(sample("invalid"))

    for field, letter in zip(INVALID_FIELDS, service.letters, strict=True):
        assert field in letter["detail"]


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_oracle_says_the_same_of_every_sample(name: str) -> None:
    reference = oracle.Oracle(
        {"autumn-cup": {"aggregation": "sum"}, "spring-cup": {"aggregation": "sum"}}, archived=["spring-cup"]
    )
    records = records_of(sample(name))

    reference.take(
        oracle.Produced(
            record["partition"],
            record["offset"],
            record["timestamp"],
            base64.b64decode(record["value"]) if "value" in record else None,
            record["timestampType"] == "LOG_APPEND_TIME",
        )
        for record in records
    )

    assert [reference.outcomes[record["partition"], record["offset"]] for record in records] == OUTCOMES[name]


def test_a_sample_handed_over_again_changes_nothing(handle: Callable[[Any], Any], service: Service) -> None:
    event = sample("accepted")
    handle(event)
    shown = dict(service.shown)

    handle(event)

    assert {found(candidate) for candidate in service.candidates} == {DUPLICATE}
    assert service.shown == shown


@pytest.mark.parametrize(("trusted", "outcome"), [("LOG_APPEND_TIME", "untrusted_timestamp"), ("CREATE_TIME", APPLIED)])
def test_a_producers_time_is_trusted_only_where_the_setting_says_so(
    trusted: str, outcome: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, setting in ENVIRONMENT.items():
        monkeypatch.setenv(name, setting)
    module = importlib.import_module("functions.ingest.handler")
    settings = replace(module.assembly.settings, kafka_timestamp_type=trusted)
    monkeypatch.setattr(
        module,
        "assembly",
        SimpleNamespace(
            ingest=service,
            letters=service,
            settings=settings,
            projector=service,
            event_profiles=NO_PROFILES,
            commits=module.assembly.commits,
            telemetry=module.assembly.telemetry,
        ),
    )

    module.handler(sample("untrusted-timestamp"), CONTEXT)

    assert [found(candidate) for candidate in service.candidates] == [APPLIED, outcome, APPLIED]


def test_the_letter_of_a_producers_time_names_the_leaderboard_and_what_to_set(
    handle: Callable[[Any], Any], service: Service
) -> None:
    handle(sample("untrusted-timestamp"))

    (letter,) = service.letters
    assert letter["leaderboardId"] == "autumn-cup", "by which it can be sent back"
    assert "message.timestamp.type of the topic must be LogAppendTime" in letter["detail"]


def test_a_record_that_has_to_come_again_is_not_on_the_dead_letter_queue_yet(
    handle: Callable[[Any], Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.registry, "lock_rules", lambda _: None)
    event = sample("too-late")

    answer = handle(event)

    offsets = {item["itemIdentifier"]["offset"] for item in answer["batchItemFailures"]}
    assert offsets == {record["offset"] for record in records_of(event)}
    assert service.letters == [], "by the rules that have just changed it may count"
    assert service.positions == {}


def test_of_a_partition_all_from_the_first_that_failed_on_comes_again(
    handle: Callable[[Any], Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest = service.ingest

    def fail_one(*args: Any) -> list[Candidate]:
        candidates = ingest(*args)
        next(one for one in candidates if one.record.source.offset == 100).outcome = Retry("away")
        return candidates

    monkeypatch.setattr(service, "ingest", fail_one)
    event = sample("accepted")
    assert [(one["partition"], one["offset"]) for one in records_of(event)] == [(3, 100), (3, 101), (0, 7), (5, 55)]

    assert [item["itemIdentifier"]["offset"] for item in handle(event)["batchItemFailures"]] == [100, 101]


def test_no_record_is_refused_on_the_word_of_a_kept_definition(
    handle: Callable[[Any], Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kept in (None, service.registry.boards["spring-cup"]):
        monkeypatch.setattr(service.registry, "find", lambda _, kept=kept: kept)

        handle(sample("accepted"))

        assert service.letters == []


LARGEST_MESSAGE = 256 * 1024
LARGE = {
    "a large key": (b"k" * 300_000, b"x"),
    "a large value": (b"k", b"x" * 900_000),
    "a key and a value just small enough to be kept in the message": (b"k" * 100_000, b"x" * 128 * 1024),
}


@pytest.mark.parametrize(("key", "content"), LARGE.values(), ids=list(LARGE))
def test_a_rejected_record_of_any_size_makes_a_message_that_the_queue_takes(
    key: bytes, content: bytes, handle: Callable[[Any], Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(service, "put_object", lambda **put: kept.update({put["Key"]: put["Body"]}), raising=False)
    event = sample("unknown-leaderboard")
    records_of(event)[0] |= {"key": base64.b64encode(key).decode(), "value": base64.b64encode(content).decode()}

    assert handle(event) == {"batchItemFailures": []}

    (letter,) = service.letters
    assert len(json.dumps(letter)) <= LARGEST_MESSAGE
    values = [base64.b64decode(letter["value"])] if letter["value"] else list(kept.values())
    assert content in values


KEYS = {
    "of another player": b"autumn-cup:u-43",
    "of the leaderboard alone": b"autumn-cup",
    "in another case": b"Autumn-cup:u-42",
    "with more behind it": b"autumn-cup:u-42 ",
    "in no UTF-8": b"\xff",
    "empty": b"",
}


def test_events_whose_key_is_not_their_players_count_and_are_counted(
    handle: Callable[[Any], Any], service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    handle(sample("key-mismatch"))

    assert service.mismatched == [401, 402, 403]
    assert written(capsys, "KeyMismatch") == [3]
    handle(sample("accepted"))

    assert service.mismatched == [401, 402, 403]
    assert written(capsys, "KeyMismatch") == [0]


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
def test_a_key_is_compared_byte_by_byte(key: bytes, handle: Callable[[Any], Any], service: Service) -> None:
    event = sample("accepted")
    records_of(event)[0]["key"] = base64.b64encode(key).decode()

    handle(event)

    assert service.mismatched == [100]
    assert {found(candidate) for candidate in service.candidates} == {APPLIED}


def test_of_what_is_refused_or_comes_again_too_each_event_is_counted_once(
    handle: Callable[[Any], Any],
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = sample("too-late")
    for record in records_of(event):
        del record["key"]
    with monkeypatch.context() as away:
        away.setattr(service.registry, "lock_rules", lambda _: None)
        handle(event)
        assert (service.mismatched, written(capsys, "KeyMismatch")) == ([], [0])

    handle(event)

    assert service.mismatched == [700, 701]
    assert written(capsys, "KeyMismatch") == [2]


def test_what_is_no_event_has_no_key_to_be_compared_with(
    handle: Callable[[Any], Any], service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    handle(sample("malformed"))
    handle(sample("invalid"))

    assert service.mismatched == []
    assert written(capsys, "KeyMismatch") == [0, 0]


class Followed:
    """Takes the records that carry a trace, in place of OpenTelemetry."""

    def __init__(self) -> None:
        self.records: list[TracedRecord] = []

    def processed(self, records: Iterable[TracedRecord], start_ns: int) -> None:
        assert start_ns > 0
        self.records += records


def test_records_with_a_trace_are_told_apart_whatever_their_headers_hold(
    handle: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Followed()
    monkeypatch.setattr("functions.ingest.handler.traces", followed)
    event = sample("accepted")
    records = records_of(event)
    odd: list[Any] = [[], [{"traceparent": []}], [{"traceparent": None}, {"other": None}], [{"traceparent": [48, -61]}]]
    for record, headers in zip(records, odd, strict=True):
        record["headers"] = headers

    answer = handle(event)

    assert answer == {"batchItemFailures": []}
    last = records[-1]
    place = (last["topic"], last["partition"], last["offset"])
    assert followed.records == [TracedRecord(*place, "0\ufffd", "applied")]


def test_a_record_without_headers_has_no_trace(handle: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    followed = Followed()
    monkeypatch.setattr("functions.ingest.handler.traces", followed)
    event = sample("accepted")
    for record in records_of(event):
        record.pop("headers", None)

    assert handle(event) == {"batchItemFailures": []}
    assert followed.records == []
