"""The whole local stack for the tests that need it, behind the few things that they do with it."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import requests
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from infra.local.config import PARTITIONS, TOPIC
from infra.local.resources import client
from infra.local.stack import Stack
from infra.local.trigger import GROUP
from shared.truth.keys import LEADERBOARDS

T = TypeVar("T")
POLL_S = 0.1
ACCEPTED = 202
TIMEOUT_S = 120
HTTP_TIMEOUT_S = 30
EMPTY_POLLS = 3
"""Polls in a row that must bring nothing until a queue counts as drained."""
BUSY_TRIES: Final = 30
"""Of a request that a busy machine leaves without an answer from the database."""


@dataclass(frozen=True)
class TopicRecord:
    """A record as the broker has it."""

    partition: int
    offset: int
    appended_at_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Letter:
    """A message of the dead-letter queue with its original."""

    reason: str
    detail: str
    key: bytes | None
    value: bytes | None


def until(
    condition: Callable[[], T | None], what: str, timeout_s: float = TIMEOUT_S,
    progress: Callable[[], object] = lambda: None,
) -> T:  # fmt: skip
    """Ask until the condition says something, at most for `timeout_s` in which `progress` says the same."""
    deadline, before = time.monotonic() + timeout_s, progress()
    while True:
        answer = condition()
        if answer:
            return answer
        if (now := progress()) != before:
            deadline, before = time.monotonic() + timeout_s, now
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(POLL_S)


def pass_the_last_calls(stack: Stack, board: str) -> None:
    """As if the time were over in which ingest calls of before may still commit to a leaderboard's day: here are none.

    tests/e2e/test_amendments.py and test_archived.py wait until it is over.
    """
    dynamodb = client(stack.environment, "dynamodb")
    with suppress(dynamodb.exceptions.ConditionalCheckFailedException):  # a run has not noted it yet
        dynamodb.update_item(
            TableName=stack.environment["REGISTRY_TABLE"],
            Key={"pk": {"S": LEADERBOARDS}, "sk": {"S": board}},
            UpdateExpression="SET seals_at = :now",
            ConditionExpression="attribute_exists(seals_at)",
            ExpressionAttributeValues={":now": {"N": "0"}},
        )


def command(stack: Stack, name: str, **chosen: str) -> list[str]:
    """The lines that a command says which the Makefile has for a running stack, such as `make redrive`."""
    ports = {
        f"{port.upper()}_PORT": str(getattr(stack.config.ports, port)) for port in stack.config.ports.__struct_fields__
    }
    environment = os.environ | ports | chosen | {"LOCAL_DIR": str(stack.config.directory)}
    asked = [sys.executable, "-m", "infra.local", name]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()


class System:
    """What the tests do with a running stack, and all they know of it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._environment = stack.environment
        self._sqs = client(self._environment, "sqs")
        self._s3 = client(self._environment, "s3")
        self._dynamodb = client(self._environment, "dynamodb")
        self._servers = self._environment["KAFKA_BOOTSTRAP_SERVERS"]
        self._group = self._consumer(GROUP)
        self._letters: dict[tuple[int, int], Letter] = {}
        self.session = requests.Session()

    def close(self) -> None:
        """Let go of connections."""
        self.session.close()
        self._group.close()

    @property
    def url(self) -> str:
        """Where the HTTP API is."""
        return self._stack.url

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """One HTTP request; the path is sent as it stands."""
        url = path if path.startswith("http") else self._stack.url + path
        return self.session.request(method, url, timeout=HTTP_TIMEOUT_S, allow_redirects=False, **more)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET that has to succeed; a window that is being built is waited for, as a client would."""

        def answered() -> requests.Response | None:
            answer = self.request("GET", path, params=query)
            return None if answer.status_code == ACCEPTED else answer

        answer = until(answered, f"200 from {path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """A PUT that has to succeed; as any client, it asks again after the seconds of a 503."""
        answer = self.request("PUT", path, json=body)
        for _ in range(BUSY_TRIES):
            if answer.status_code != 503:
                break
            time.sleep(int(answer.headers["retry-after"]))
            answer = self.request("PUT", path, json=body)
        assert answer.status_code in (200, 201), answer.text

    def produce(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Send (key, value) pairs in their order and wait until the broker has all of them."""
        settings: dict[str, Any] = {"linger.ms": 20, "enable.idempotence": True, "log_level": 3}
        producer = Producer({"bootstrap.servers": self._servers, **settings})
        failed: list[KafkaError] = []

        def note_failure(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        for key, value in records:
            producer.produce(TOPIC, value=value, key=key, on_delivery=note_failure)
            producer.poll(0)
        assert producer.flush(TIMEOUT_S) == 0
        assert not failed

    def records(self) -> list[TopicRecord]:
        """Every record of the topic with its place and the time at which the broker appended it."""
        ends = self._ends()
        consumer = self._consumer("reader")
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in ends])
        found: list[TopicRecord] = []

        def read() -> bool:
            for message in consumer.consume(5_000, 0.2):
                assert message.error() is None
                _, appended_at_ms = message.timestamp()
                partition, offset = message.partition(), message.offset()
                assert partition is not None
                assert offset is not None
                found.append(TopicRecord(partition, offset, appended_at_ms, message.key(), message.value()))
            return len(found) == sum(ends.values())

        until(read, "the topic is read to its end")
        consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def committed(self) -> int:
        """Records that the trigger is done with, in all partitions."""
        return sum(self._committed().values())

    def settle(self) -> None:
        """Wait until the trigger has committed every partition up to its end."""
        until(self.is_sealed, "every partition is committed up to its end")

    def is_sealed(self) -> bool:
        """Whether the trigger has committed every partition up to its end.

        Raises:
            KafkaException: if the broker does not answer.
        """
        return self._committed() == self._ends()

    def queued(self, name: str) -> int:
        """Messages of a queue, also those that somebody is at work on."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = self._stack.config.queue_url(name)
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(count) for count in answer["Attributes"].values())

    def items(self, table: str) -> list[dict[str, Any]]:
        """Every item of a table, by the environment variable that names it, in DynamoDB's JSON."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._environment[table], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def object(self, key: str) -> bytes:
        """An object of the bucket."""
        content: bytes = self._s3.get_object(Bucket=self._environment["EXPORT_BUCKET"], Key=key)["Body"].read()
        return content

    def kill_trigger(self) -> None:
        """End the trigger at once, as a crash does."""
        self._stack.kill("trigger")

    def restart_trigger(self) -> None:
        """Start it again."""
        self._stack.restart("trigger")

    def letters(self) -> dict[tuple[int, int], Letter]:
        """All that ever was on the dead-letter queue, by partition and offset; a place has one letter's content."""
        url = self._environment["DLQ_QUEUE_URL"]
        empty = 0
        while empty < EMPTY_POLLS:
            answer = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            messages = answer.get("Messages", [])
            empty = 0 if messages else empty + 1
            for message in messages:
                place, letter = self._to_letter(message["Body"])
                assert self._letters.setdefault(place, letter) == letter
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return dict(self._letters)

    def _to_letter(self, body: str) -> tuple[tuple[int, int], Letter]:
        letter = json.loads(body)
        assert letter["topic"] == TOPIC
        place = (letter["partition"], letter["offset"])
        return place, Letter(letter["reason"], letter["detail"], self._part(letter, "key"), self._part(letter, "value"))

    def _part(self, letter: Mapping[str, Any], name: str) -> bytes | None:
        """The original key or value, which stands in S3 where it is too large for a message."""
        kept = letter.get(f"{name}Object")
        if kept is None:
            return None if letter[name] is None else base64.b64decode(letter[name])
        return self.object(kept)

    def _consumer(self, group: str) -> Consumer:
        settings: dict[str, Any] = {"group.id": group, "enable.auto.commit": False, "log_level": 2}
        return Consumer({"bootstrap.servers": self._servers, "auto.offset.reset": "error", **settings})

    def _ends(self) -> dict[int, int]:
        partitions = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
        return {one.partition: self._group.get_watermark_offsets(one, timeout=10)[1] for one in partitions}

    def _committed(self) -> dict[int, int]:
        partitions: Sequence[TopicPartition] = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
        return {one.partition: max(one.offset, 0) for one in self._group.committed(list(partitions), timeout=10)}
