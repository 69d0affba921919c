#!/usr/bin/env bash
# librdkafka's mock broker drops acknowledged records once a partition holds some 5 MB, and nothing tells of it.
#
# Expected: what was acknowledged can be consumed, as topics keep records for seven days by default (Kafka 4,
# log.retention.hours, https://kafka.apache.org/documentation/#brokerconfigs_log.retention.hours); the mock
# cluster's own description lists what it supports and names no bound (librdkafka, src/rdkafka_mock.h). Found: each
# partition keeps its newest record sets up to 5 MiB and 100,000 records, as src/rdkafka_mock.c has it and no setting
# changes; the low watermark moves up, and a consumer that starts at "earliest" reads what is left without an error. So a
# test that produces more and then counts what came through blames the code under test.
#
# Seen with confluent-kafka 2.16.1 (librdkafka 2.16.0): "20000 acknowledged, 5010 left from offset 14990, no errors"
# (the second and third number vary a little with how records are batched).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet confluent-kafka==2.16.1

"$work/venv/bin/python" - <<'PYTHON'
from confluent_kafka import Consumer, Producer, TopicPartition

PARTITION = TopicPartition("scores", 0)
acknowledged, failed, errors = [], [], []
producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "acks": "all", "log_level": 2})
for number in range(20_000):  # 1,000 bytes each: 20 MB in all
    producer.produce(
        PARTITION.topic,
        value=str(number).zfill(1_000),
        partition=PARTITION.partition,
        on_delivery=lambda error, message: (acknowledged if error is None else failed).append(message.offset()),
    )
    if number % 1_000 == 999:
        producer.flush(30)
assert not failed and sorted(acknowledged) == list(range(20_000))

brokers = producer.list_topics(timeout=30).brokers.values()
consumer = Consumer({
    "bootstrap.servers": ",".join(f"{one.host}:{one.port}" for one in brokers),
    "group.id": "reader",
    "auto.offset.reset": "earliest",
    "log_level": 2,
})
consumer.subscribe([PARTITION.topic])
offsets = []
while not offsets or offsets[-1] != 19_999:
    for message in consumer.consume(1_000, timeout=30):
        (offsets if message.error() is None else errors).append(message.offset())
print(f"{len(acknowledged)} acknowledged, {len(offsets)} left from offset {offsets[0]}, {'some' if errors else 'no'} errors")
assert not errors
assert 4_500 < len(offsets) < 6_000 and offsets[0] == 20_000 - len(offsets)
PYTHON
