"""The Kafka trigger around rebalances and refused commits; its settings; its on-failure destination."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, TopicPartition

from infra.local.config import InvalidConfiguration
from infra.local.destination import MESSAGE_BYTES_MAX, Destination, NoDestination, nowhere
from infra.local.mapping import EventSourceMapping, Message, Policy
from infra.local.trigger import Trigger, policy_from

TOPIC = "score-events"


def record(partition: int, offset: int) -> Any:
    return SimpleNamespace(
        error=lambda: None,
        timestamp=lambda: (TIMESTAMP_LOG_APPEND_TIME, 5),
        topic=lambda: TOPIC,
        partition=lambda: partition,
        offset=lambda: offset,
        key=lambda: b"k",
        value=lambda: None,
        headers=lambda: None,
    )


class Consumer:
    """Brings what it was given; `on_consume` happens inside the call, as a rebalance does."""

    def __init__(self, *batches: list[Any]) -> None:
        self.batches = list(batches)
        self.committed_offsets: list[tuple[int, int]] = []
        self.refused: set[int] = set()
        self.away = False
        self.on_consume: Any = lambda: None
        self.closed = False

    def subscribe(self, _topics: list[str], on_revoke: Any, on_lost: Any) -> None:
        self.on_revoke = on_revoke
        assert on_lost == on_revoke

    def consume(self, number: int, _timeout: float) -> list[Any]:
        assert number > 0
        self.on_consume()
        return self.batches.pop(0) if self.batches else []

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[Any]:
        assert not asynchronous
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        for one in offsets:
            if one.partition not in self.refused:
                self.committed_offsets.append((one.partition, one.offset))
        error = KafkaError(KafkaError.UNKNOWN_MEMBER_ID)
        return [
            SimpleNamespace(
                topic=one.topic, partition=one.partition, error=error if one.partition in self.refused else None
            )
            for one in offsets
        ]

    def committed(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return [SimpleNamespace(offset=-1001) for _ in places]

    def get_watermark_offsets(self, _place: TopicPartition, cached: bool) -> tuple[int, int]:
        assert cached
        return 0, 10

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]

    def pause(self, _places: list[TopicPartition]) -> None:
        pass

    def resume(self, _places: list[TopicPartition]) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def trigger(consumer: Any, invoke: Any = lambda _: None) -> Trigger:
    poller = Trigger(consumer, EventSourceMapping(Policy(), invoke, nowhere, max), Policy(), 0.1)
    poller.subscribe(TOPIC)
    return poller


def test_what_the_broker_did_not_take_is_committed_with_the_next_step() -> None:
    consumer = Consumer([record(0, 7), record(1, 3)])
    poller = trigger(consumer)
    consumer.away = True
    poller.step(0)
    consumer.away = False

    poller.step(1)

    assert sorted(consumer.committed_offsets) == [(0, 8), (1, 4)]


def test_an_offset_that_is_refused_alone_is_committed_again_alone() -> None:
    consumer = Consumer([record(0, 7), record(1, 3)])
    consumer.refused = {0}
    poller = trigger(consumer)
    poller.step(0)
    consumer.refused = set()

    poller.step(1)

    assert consumer.committed_offsets == [(1, 4), (0, 8)]


def test_nothing_is_committed_for_a_partition_that_was_taken_away() -> None:
    failure = {"itemIdentifier": {"partition": f"{TOPIC}-0", "offset": 7}}
    answers = iter([{"batchItemFailures": [failure]}])
    consumer = Consumer([record(0, 7), record(1, 3)])
    consumer.refused = {1}
    poller = trigger(consumer, lambda _: next(answers))
    poller.step(0)
    consumer.refused = set()
    consumer.on_consume = lambda: consumer.on_revoke(consumer, consumer.assignment())

    poller.step(60_000)

    assert consumer.committed_offsets == []


def test_it_reports_how_far_each_partition_is(tmp_path: Path) -> None:
    consumer = Consumer([record(0, 7)])
    poller = trigger(consumer)
    consumer.on_consume = poller.stop
    poller.run(report := tmp_path / "trigger.json")

    written = json.loads(report.read_text())
    assert (written["processed"], written["appended"], written["lag"]) == (1, 20, {"0": 2, "1": 10})
    assert set(written["rate"]) == {"0", "1"}
    assert consumer.closed


def test_a_broker_that_is_away_ends_neither_the_report_nor_the_trigger(tmp_path: Path) -> None:
    consumer = Consumer()
    consumer.away = True
    poller = trigger(consumer)
    consumer.on_consume = poller.stop
    poller.run(report := tmp_path / "trigger.json")

    written = json.loads(report.read_text())
    assert (written["appended"], written["lag"]) == (None, {})


def test_the_settings_are_those_of_lambda_with_its_limits() -> None:
    assert policy_from({}) == Policy(500, -1, -1, True)
    assert policy_from({"BATCH_SIZE": "10000", "MAXIMUM_RECORD_AGE_S": "604800"}).batch_size == 10_000
    assert not policy_from({"BISECT_BATCH_ON_FUNCTION_ERROR": "False"}).bisect_batch_on_function_error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATCH_SIZE", "0"),
        ("BATCH_SIZE", "10001"),
        ("BATCH_SIZE", "many"),
        ("MAXIMUM_RETRY_ATTEMPTS", "10001"),
        ("MAXIMUM_RETRY_ATTEMPTS", "-2"),
        ("MAXIMUM_RECORD_AGE_S", "59"),
        ("MAXIMUM_RECORD_AGE_S", "604801"),
        ("BISECT_BATCH_ON_FUNCTION_ERROR", "yes"),
    ],
)
def test_a_setting_outside_the_limits_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidConfiguration, match=f"^{name} must be .* not '{value}'"):
        policy_from({name: value})


def test_infinite_retries_with_a_destination_are_ten_as_on_lambda() -> None:
    assert policy_from({"ON_FAILURE_QUEUE_URL": "http://queue"}).maximum_retry_attempts == 10
    settings = {"ON_FAILURE_QUEUE_URL": "http://queue", "MAXIMUM_RETRY_ATTEMPTS": "3"}
    assert policy_from(settings).maximum_retry_attempts == 3


class Sqs:
    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:
        assert QueueUrl == "http://queue"
        assert len(MessageBody) <= MESSAGE_BYTES_MAX
        self.bodies.append(json.loads(MessageBody))


def test_given_up_records_are_told_in_the_shape_of_lambdas_invocation_records() -> None:
    sqs = Sqs()
    send = Destination(sqs, "http://queue", "ingest", "b:9092")
    send(
        [
            Message(TOPIC, 3, 7, 1_000, "LOG_APPEND_TIME", b"k", b"v"),
            Message(TOPIC, 3, 8, 2_000, "LOG_APPEND_TIME", None, bytes(MESSAGE_BYTES_MAX)),
        ],
        "RetryAttemptsExhausted: RuntimeError: poison",
    )

    first, large = sqs.bodies
    assert first["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert first["responseContext"]["functionError"] == "RuntimeError: poison"
    assert first["KafkaBatchInfo"]["recordsInfo"] == {
        f"{TOPIC}-3": {
            "firstRecordOffset": "7",
            "lastRecordOffset": "7",
            "firstRecordTimestamp": "1970-01-01T00:00:01.000+00:00",
            "lastRecordTimestamp": "1970-01-01T00:00:01.000+00:00",
        }
    }
    assert (first["payload"]["offset"], first["payload"]["value"]) == (7, "dg==")
    assert large["KafkaBatchInfo"]["recordsInfo"][f"{TOPIC}-3"]["firstRecordOffset"] == "8"
    assert "payload" not in large


def test_without_a_destination_nothing_is_given_up() -> None:
    with pytest.raises(NoDestination):
        nowhere([], "RetryAttemptsExhausted")
