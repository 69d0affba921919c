"""The triggers around the mapping: what they commit, pause, delete and leave."""

from types import SimpleNamespace
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, TopicPartition

from infra.local.mapping import EventSourceMapping, Policy
from infra.local.queue_trigger import QueueTrigger
from infra.local.trigger import READY_S, Trigger

TOPIC = "score-events"


class Consumer:
    """A consumer that brings what it was given and notes what is asked of it."""

    def __init__(self, *batches: list[Any]) -> None:
        self.batches = list(batches)
        self.committed: list[tuple[int, int]] = []
        self.paused: set[int] = set()
        self.refuses = False
        self.asked: list[tuple[int, float]] = []

    def consume(self, number: int, timeout: float) -> list[Any]:
        self.asked.append((number, timeout))
        return self.batches.pop(0) if self.batches else []

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        if self.refuses:
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))
        self.committed += [(one.partition, one.offset) for one in offsets]

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]

    def pause(self, places: list[TopicPartition]) -> None:
        self.paused |= {place.partition for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self.paused -= {place.partition for place in places}


def record(partition: int, offset: int, error: Any = None) -> Any:
    return SimpleNamespace(
        error=lambda: error,
        timestamp=lambda: (TIMESTAMP_LOG_APPEND_TIME, 5),
        topic=lambda: TOPIC,
        partition=lambda: partition,
        offset=lambda: offset,
        key=lambda: b"k",
        value=lambda: b"v",
        headers=lambda: None,
    )


def trigger(consumer: Any, invoke: Any) -> Trigger:
    policy = Policy()

    def never(*_: Any) -> None:
        raise AssertionError

    return Trigger(consumer, EventSourceMapping(policy, invoke, never, max), policy, 0.1)


def test_offsets_are_committed_only_after_the_function_succeeded() -> None:
    consumer = Consumer([record(0, 7), record(1, 3)])
    seen: list[Any] = []

    def invoke(event: Any) -> None:
        seen.append(list(consumer.committed))

    trigger(consumer, invoke).step(0)

    assert seen == [[]]
    assert sorted(consumer.committed) == [(0, 8), (1, 4)]


def test_a_failing_partition_is_paused_until_it_is_through_and_the_other_goes_on() -> None:
    failure = {"itemIdentifier": {"partition": f"{TOPIC}-0", "offset": 7}}
    answers = iter([{"batchItemFailures": [failure]}, None, None])
    consumer = Consumer([record(0, 7), record(1, 3)], [], [record(1, 4)])
    poller = trigger(consumer, lambda _: next(answers))

    poller.step(0)
    assert (consumer.committed, consumer.paused) == ([(1, 4)], {0})
    poller.step(1)
    assert (consumer.committed, consumer.paused) == ([(1, 4), (1, 5)], {0})
    poller.step(60_000)
    assert (consumer.committed, consumer.paused) == ([(1, 4), (1, 5), (0, 8)], set())


def test_an_error_of_the_broker_is_no_record() -> None:
    consumer = Consumer([record(0, 0, error="all brokers are down"), record(0, 1)])
    offsets: list[int] = []

    trigger(consumer, lambda event: offsets.extend(one["offset"] for one in event["records"][f"{TOPIC}-0"])).step(0)

    assert offsets == [1]


def test_a_commit_that_the_broker_refuses_ends_nothing() -> None:
    consumer = Consumer([record(0, 7)], [record(0, 8)])
    poller = trigger(consumer, lambda _: None)
    consumer.refuses = True
    poller.step(0)
    consumer.refuses = False

    poller.step(1)

    assert consumer.committed == [(0, 9)]


class Sqs:
    def __init__(self, *bodies: str) -> None:
        self.messages = [{"MessageId": body, "ReceiptHandle": f"handle-{body}", "Body": body} for body in bodies]
        self.deleted: list[str] = []

    def receive_message(self, **_: Any) -> Any:
        return {"Messages": self.messages}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> None:
        self.deleted += [entry["ReceiptHandle"] for entry in Entries]


def test_what_the_function_reports_as_failed_stays_in_the_queue() -> None:
    sqs = Sqs("a", "b")
    function: Any = lambda _: {"batchItemFailures": [{"itemIdentifier": "a"}]}  # noqa: E731

    QueueTrigger(sqs, "http://queue/cache-repair", function).step()

    assert sqs.deleted == ["handle-b"]


def test_a_function_that_raises_leaves_the_whole_batch_in_the_queue() -> None:
    sqs = Sqs("a", "b")
    function: Any = lambda _: 1 / 0  # noqa: E731

    QueueTrigger(sqs, "http://queue/cache-repair", function).step()

    assert sqs.deleted == []


def test_messages_have_the_shape_that_lambda_gives_them() -> None:
    events: list[Any] = []
    function: Any = events.append

    QueueTrigger(Sqs("a"), "http://queue/000000000000/cache-repair", function).step()

    (sent,) = events[0]["Records"]
    assert (sent["messageId"], sent["body"], sent["eventSource"]) == ("a", "a", "aws:sqs")
    assert sent["eventSourceARN"].endswith(":cache-repair")


def test_a_batch_goes_once_nothing_more_is_ready() -> None:
    consumer = Consumer([record(0, 7)], [record(0, 8), record(1, 3)])
    handed: list[Any] = []

    trigger(consumer, handed.append).step(0)

    assert [sum(map(len, event["records"].values())) for event in handed] == [3]
    assert consumer.asked == [(1, 0.1), (499, READY_S), (497, READY_S)]


def test_records_that_keep_coming_are_not_waited_for_past_the_window() -> None:
    consumer = Consumer(*([record(0, offset)] for offset in range(400)))
    handed: list[Any] = []

    trigger(consumer, handed.append).step(0)

    (event,) = handed
    waited_s = sum(timeout for _, timeout in consumer.asked[1:])
    assert len(event["records"]["score-events-0"]) < 400
    assert waited_s <= 0.1 + READY_S


def test_a_full_batch_is_not_waited_for() -> None:
    consumer = Consumer([record(0, 0)], [record(0, offset) for offset in range(1, 500)], [record(0, 500)])

    trigger(consumer, lambda _: None).step(0)

    assert consumer.batches
    assert consumer.committed == [(0, 500)]
