"""What closing and redrive ask of the broker, on a real one."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.local import packages
from infra.local.servers import PACKAGES, free_port, kafka
from shared.topic import Outgoing, Reach, Topic, TopicUnavailable

PARTITIONS = 2


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


def produce(servers: str, topic: Topic, partition: int, count: int) -> None:
    producer = Producer({"bootstrap.servers": servers})
    for number in range(count):
        producer.produce(topic.name, str(number).encode(), partition=partition)
    assert producer.flush(30) == 0


def in_transaction(servers: str, topic: Topic, end: Callable[[Producer], Any]) -> Producer:
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic.name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic.name, b"in a transaction", partition=0)
    producer.flush(30)
    end(producer)
    return producer


def appended_at(servers: str, topic: Topic, partition: int, offset: int) -> int:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test"})
    consumer.assign([TopicPartition(topic.name, partition, offset)])
    message = consumer.poll(30)
    assert message is not None
    consumer.close()
    return message.timestamp()[1]


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


def test_sent_records_are_in_the_topic_with_their_keys(servers: str, topic: Topic) -> None:
    outcomes = topic.send([Outgoing(b"a", b"1"), Outgoing(None, b"2"), Outgoing(b"a", None)])

    assert outcomes == [None, None, None]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test"})
    consumer.assign([TopicPartition(topic.name, one, 0) for one in range(PARTITIONS)])
    found = []
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
    monkeypatch.setattr("shared.topic.TIMEOUT_S", 0.5)

    with pytest.raises(TopicUnavailable):
        Topic({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, "topic").reach(0)
