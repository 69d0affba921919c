"""What closing and redrive ask of the broker, on a real one."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from infra.local import packages
from infra.local.servers import PACKAGES, free_port, kafka
from shared.messaging.topic import SETTINGS, Outgoing, Reach, Topic, TopicUnavailable, wrong_settings
from tests.support.stack import until

PARTITIONS = 2
TYPES = {"CreateTime": TIMESTAMP_CREATE_TIME, "LogAppendTime": TIMESTAMP_LOG_APPEND_TIME}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not packages.prepare(PACKAGES):
        pytest.skip("Apache Kafka could not be fetched")
    port = free_port()
    with kafka(Path(tmp_path_factory.mktemp("kafka")), port, free_port()):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def topic(servers: str, request: pytest.FixtureRequest) -> Topic:
    name = f"topic-{request.node.name[:100]}"
    new = NewTopic(name, PARTITIONS, 1, config={"message.timestamp.type": "LogAppendTime"})
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([new])[name].result(30)
    return Topic({"bootstrap.servers": servers}, name)


def produce(servers: str, topic: Topic, partition: int, count: int, timestamp_ms: int = 0) -> None:
    producer = Producer({"bootstrap.servers": servers})
    errors: list[Any] = []
    for number in range(count):
        producer.produce(
            topic.name,
            str(number).encode(),
            partition=partition,
            timestamp=timestamp_ms,
            on_delivery=lambda error, _: errors.append(error),
        )
    assert producer.flush(30) == 0
    assert errors == [None] * count


def in_transaction(servers: str, topic: Topic, end: Callable[[Producer], Any]) -> Producer:
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic.name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic.name, b"in a transaction", partition=0)
    producer.flush(30)
    end(producer)
    return producer


def appended_at(servers: str, topic: Topic, partition: int, offset: int) -> int:
    return timestamp_of(servers, topic, partition, offset)[1]


def timestamp_of(servers: str, topic: Topic, partition: int, offset: int) -> tuple[int, int]:
    """Whose time a record carries, and which."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic.name, partition, offset)])
    message = consumer.poll(30)
    assert message is not None
    consumer.close()
    return message.timestamp()


def test_a_partition_reaches_to_the_first_record_that_was_appended_after_the_moment(servers: str, topic: Topic) -> None:
    produce(servers, topic, 0, 3)
    moment_ms = appended_at(servers, topic, 0, 2)
    while time.time() * 1000 <= moment_ms + 1:
        time.sleep(0.001)
    produce(servers, topic, 0, 2)

    assert topic.reach(moment_ms) == [Reach(0, 0, 3, 5), Reach(1, 0, 0, 0)]
    assert topic.reach(moment_ms + 3_600_000) == [Reach(0, 0, 5, 5), Reach(1, 0, 0, 0)]
    assert topic.reach(appended_at(servers, topic, 0, 0) - 1)[0] == Reach(0, 0, 0, 5)


def test_offsets_without_records_hold_nothing(servers: str, topic: Topic) -> None:
    produce(servers, topic, 0, 1)
    in_transaction(servers, topic, lambda producer: producer.commit_transaction(30))

    (reach, _) = topic.reach(2**41)

    assert reach == Reach(0, 0, 3, 3)  # a record, one in a transaction, and the transaction's mark
    assert topic.holds_records(0, 1, 3)
    assert not topic.holds_records(0, 2, 3)


def test_an_aborted_transaction_holds_nothing(servers: str, topic: Topic) -> None:
    produce(servers, topic, 0, 1)
    in_transaction(servers, topic, lambda producer: producer.abort_transaction(30))

    assert not topic.holds_records(0, 1, topic.reach(2**41)[0].end)


def test_a_transaction_that_is_still_open_may_come_to_count(servers: str, topic: Topic) -> None:
    produce(servers, topic, 0, 1)
    producer = in_transaction(servers, topic, lambda _: None)

    (reach, _) = topic.reach(2**41)

    assert reach.end == 2
    assert topic.holds_records(0, 1, reach.end)
    producer.abort_transaction(30)


def delete_before(servers: str, topic: Topic, partition: int, offset: int) -> None:
    """What a retention does, at once."""
    place = TopicPartition(topic.name, partition, offset)
    admin = AdminClient({"bootstrap.servers": servers})  # answers nothing once it is gone
    admin.delete_records([place])[place].result(30)


def test_what_the_retention_has_removed_is_never_taken_for_no_records(servers: str, topic: Topic) -> None:
    produce(servers, topic, 0, 100)
    assert topic.holds_records(0, 40, 100)

    delete_before(servers, topic, 0, 60)

    with pytest.raises(TopicUnavailable, match=r"[Oo]ffset"):
        topic.holds_records(0, 40, 100)
    assert topic.holds_records(0, 60, 100)
    assert topic.reach(2**41)[0] == Reach(0, 60, 100, 100)


def test_records_removed_while_a_partition_is_read_are_never_taken_for_none(
    servers: str, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a fetch may just have been answered: the watermarks tell."""
    produce(servers, topic, 0, 3)
    in_transaction(servers, topic, lambda producer: producer.abort_transaction(30))
    records = topic._records

    def read_and_remove(*place: Any) -> Any:
        message = next(records(*place))
        delete_before(servers, topic, 0, 4)
        yield message

    until(lambda: not topic.holds_records(0, 3, 4), "the mark of the abortion is written")
    monkeypatch.setattr(topic, "_records", read_and_remove)

    with pytest.raises(TopicUnavailable, match="lost the records from 3 to 4"):
        topic.holds_records(0, 3, 4)


def test_records_that_carry_a_producers_time_do_not_say_where_a_day_ends(servers: str, topic: Topic) -> None:
    stamp(servers, topic, "CreateTime")
    produce(servers, topic, 0, 2, timestamp_ms=int(time.time() * 1000) + 1_800_000)
    stamp(servers, topic, "LogAppendTime")
    produce(servers, topic, 0, 3)
    moment_ms = appended_at(servers, topic, 0, 4)
    while time.time() * 1000 <= moment_ms + 1:
        time.sleep(0.001)

    assert topic.reach(moment_ms)[0] == Reach(0, 0, 5, 5)
    produce(servers, topic, 0, 40)
    assert topic.reach(moment_ms)[0] == Reach(0, 0, 5, 45)
    assert topic.reach(appended_at(servers, topic, 0, 2) - 1)[0].end == 2


def stamp(servers: str, topic: Topic, timestamp_type: str) -> None:
    """Set whose time the records of a topic carry from now on, and wait until the broker goes by it."""
    admin = AdminClient({"bootstrap.servers": servers})
    entry = ConfigEntry("message.timestamp.type", timestamp_type, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=[entry])
    for outcome in admin.incremental_alter_configs([resource]).values():
        outcome.result(30)
    before = topic.reach(2**41)[1].newest

    def is_so() -> bool:
        nonlocal before
        produce(servers, topic, 1, 1)
        before += 1
        return timestamp_of(servers, topic, 1, before - 1)[0] == TYPES[timestamp_type]

    until(is_so, f"records carry {timestamp_type}")


def test_the_broker_tells_the_settings_that_exactness_depends_on(servers: str, topic: Topic) -> None:
    assert wrong_settings(topic.settings()) == []

    stamp(servers, topic, "CreateTime")

    assert set(topic.settings()) == set(SETTINGS)
    assert wrong_settings(topic.settings()) == ["message.timestamp.type must be LogAppendTime, not CreateTime"]


def test_the_settings_of_a_topic_that_is_not_there_are_not_had(servers: str) -> None:
    with pytest.raises(TopicUnavailable):
        Topic({"bootstrap.servers": servers}, "nobody-made-it").settings()


def test_sent_records_are_in_the_topic_with_their_keys(servers: str, topic: Topic) -> None:
    outcomes = topic.send([Outgoing(b"a", b"1"), Outgoing(None, b"2"), Outgoing(b"a", None)])

    assert outcomes == [None, None, None]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic.name, one, 0) for one in range(PARTITIONS)])
    found: list[Any] = []
    while len(found) < 3:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        found.append((message.key(), message.value()))
    consumer.close()
    assert sorted(found, key=str) == [(None, b"2"), (b"a", None), (b"a", b"1")]


def test_a_record_that_is_too_large_for_the_broker_is_named(topic: Topic) -> None:
    outcomes = topic.send([Outgoing(None, b"small"), Outgoing(None, b"x" * 2_000_000)])

    assert outcomes[0] is None
    assert "large" in (outcomes[1] or "").lower()


def test_a_broker_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.messaging.topic.TIMEOUT_S", 0.5)

    with pytest.raises(TopicUnavailable):
        Topic({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, "topic").reach(0)
