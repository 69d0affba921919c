"""The event source mapping: what is retried, in which order, and which offsets are done."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.mapping import BACKOFF_CAP_MS, PAYLOAD_BYTES_MAX, EventSourceMapping, Message, Policy

TOPIC = "score-events"
OK: dict[str, Any] = {"batchItemFailures": []}


def message(offset: int, partition: int = 0, value: bytes | None = b"v", at_ms: int = 0) -> Message:
    return Message(TOPIC, partition, offset, at_ms, "LOG_APPEND_TIME", b"k", value)


def failure(offset: Any, partition: int = 0) -> dict[str, Any]:
    return {"itemIdentifier": {"partition": f"{TOPIC}-{partition}", "offset": offset}}


class Function:
    """Notes what it was invoked with; answers or raises what `behave` says."""

    def __init__(self, behave: Callable[[list[int]], Any] = lambda _: OK) -> None:
        self.behave = behave
        self.invocations: list[dict[str, list[int]]] = []

    def __call__(self, event: dict[str, Any]) -> Any:
        offsets = {place: [record["offset"] for record in records] for place, records in event["records"].items()}
        self.invocations.append(offsets)
        return self.behave([offset for records in offsets.values() for offset in records])


class Destination:
    def __init__(self) -> None:
        self.received: list[int] = []
        self.up = True

    def __call__(self, messages: Sequence[Message], reason: str) -> None:
        if not self.up:
            raise ConnectionError(reason)
        self.received += [one.offset for one in messages]


def mapping(function: Any, destination: Any = None, **policy: Any) -> EventSourceMapping:
    return EventSourceMapping(Policy(**policy), function, destination or Destination(), lambda low, high: high)


def test_one_invocation_takes_records_of_all_partitions_and_commits_on_success() -> None:
    function = Function()
    trigger = mapping(function)
    trigger.add([message(4), message(5), message(9, partition=1)])

    assert trigger.run(0) == {(TOPIC, 0): 6, (TOPIC, 1): 10}
    assert function.invocations == [{f"{TOPIC}-0": [4, 5], f"{TOPIC}-1": [9]}]
    assert trigger.backlog() == set()


def test_records_have_the_shape_that_lambda_gives_them() -> None:
    events: list[dict[str, Any]] = []

    def function(event: dict[str, Any]) -> Any:
        events.append(event)
        return OK

    trigger = EventSourceMapping(Policy(), function, Destination(), max, bootstrap_servers="b:9092")
    trigger.add([Message(TOPIC, 2, 7, 1234, "LOG_APPEND_TIME", b"key", b"\x00\xff", [("trace", b"\x01\x02")])])
    trigger.add([Message(TOPIC, 2, 8, 1235, "LOG_APPEND_TIME", None, None)])
    trigger.run(0)

    first, tombstone = events[0]["records"][f"{TOPIC}-2"]
    assert (events[0]["eventSource"], events[0]["bootstrapServers"]) == ("SelfManagedKafka", "b:9092")
    assert first == {
        "topic": TOPIC,
        "partition": 2,
        "offset": 7,
        "timestamp": 1234,
        "timestampType": "LOG_APPEND_TIME",
        "key": base64.b64encode(b"key").decode(),
        "value": base64.b64encode(b"\x00\xff").decode(),
        "headers": [{"trace": [1, 2]}],
    }
    assert "value" not in tombstone
    assert "key" not in tombstone


def test_a_partition_is_retried_from_its_lowest_failed_offset_and_no_other_is() -> None:
    function = Function(lambda _: {"batchItemFailures": [failure(6), failure(5)]})
    trigger = mapping(function)
    trigger.add([message(4), message(5), message(6), message(7), message(1, partition=1)])

    assert trigger.run(0) == {(TOPIC, 0): 5, (TOPIC, 1): 2}
    assert trigger.backlog() == {(TOPIC, 0)}

    function.behave = lambda _: OK
    assert trigger.run(BACKOFF_CAP_MS) == {(TOPIC, 0): 8}
    assert function.invocations[-1] == {f"{TOPIC}-0": [5, 6, 7]}


def test_a_retry_waits_longer_each_time_while_other_partitions_go_on() -> None:
    function = Function(lambda offsets: {"batchItemFailures": [failure(4)]} if 4 in offsets else OK)
    trigger = mapping(function)
    trigger.add([message(4)])
    waits = []
    now_ms = 0
    for _ in range(5):
        trigger.run(now_ms)
        later = next(wait for wait in range(100_000) if _is_due(trigger, now_ms + wait))
        waits.append(later)
        now_ms += later

    assert waits == [200, 400, 800, 1600, 3200]
    trigger.run(now_ms)
    trigger.add([message(1, partition=1)])
    assert trigger.run(now_ms) == {(TOPIC, 1): 2}


def _is_due(trigger: EventSourceMapping, now_ms: int) -> bool:
    return trigger._chunks[TOPIC, 0][0].not_before_ms <= now_ms


def test_a_function_error_bisects_in_order_until_the_poison_record_stands_alone() -> None:
    def behave(offsets: list[int]) -> Any:
        if 5 in offsets:
            raise RuntimeError("poison")
        return OK

    function, destination = Function(behave), Destination()
    trigger = mapping(function, destination, maximum_retry_attempts=4)
    trigger.add([message(offset) for offset in range(8)])
    committed = [done[TOPIC, 0] for step in range(40) if (done := trigger.run(step * BACKOFF_CAP_MS))]

    assert destination.received == [5]
    assert committed == sorted(committed)
    assert committed[-1] == 8
    assert trigger.backlog() == set()
    succeeded = [
        offset for call in function.invocations if 5 not in call[f"{TOPIC}-0"] for offset in call[f"{TOPIC}-0"]
    ]
    assert succeeded == [0, 1, 2, 3, 4, 6, 7]


def test_without_bisecting_the_whole_batch_is_given_up_after_the_last_retry() -> None:
    function, destination = Function(lambda _: 1 / 0), Destination()
    trigger = mapping(function, destination, maximum_retry_attempts=2, bisect_batch_on_function_error=False)
    trigger.add([message(0), message(1)])

    committed = [trigger.run(step * BACKOFF_CAP_MS) for step in range(3)]

    assert committed == [{}, {}, {(TOPIC, 0): 2}]
    assert destination.received == [0, 1]
    assert len(function.invocations) == 3


def test_nothing_is_given_up_while_its_destination_is_out_of_reach() -> None:
    function, destination = Function(lambda _: 1 / 0), Destination()
    destination.up = False
    trigger = mapping(function, destination, maximum_retry_attempts=0)
    trigger.add([message(0)])

    assert trigger.run(0) == {}
    assert trigger.backlog() == {(TOPIC, 0)}
    destination.up = True
    assert trigger.run(BACKOFF_CAP_MS) == {(TOPIC, 0): 1}
    assert destination.received == [0]


def test_by_default_a_record_is_retried_for_ever() -> None:
    trigger = mapping(Function(lambda _: 1 / 0))
    trigger.add([message(0)])

    assert all(trigger.run(step * BACKOFF_CAP_MS) == {} for step in range(200))
    assert trigger.backlog() == {(TOPIC, 0)}


def test_a_record_past_its_age_is_given_up_without_an_invocation() -> None:
    function, destination = Function(), Destination()
    trigger = mapping(function, destination, maximum_record_age_s=60)
    trigger.add([message(0, at_ms=0), message(0, partition=1, at_ms=1)])

    assert trigger.run(60_001) == {(TOPIC, 0): 1, (TOPIC, 1): 1}
    assert destination.received == [0]
    assert function.invocations == [{f"{TOPIC}-1": [0]}]


@pytest.mark.parametrize(
    "response",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [failure(99)]},
        {"batchItemFailures": [failure(4, partition=9)]},
        {"batchItemFailures": [{"wrong": 1}]},
        "done",
    ],
)
def test_a_response_that_is_none_fails_the_whole_batch(response: Any) -> None:
    trigger = mapping(Function(lambda _: response), bisect_batch_on_function_error=False)
    trigger.add([message(4), message(5)])

    assert trigger.run(0) == {}
    assert trigger.backlog() == {(TOPIC, 0)}


@pytest.mark.parametrize("response", [None, {}, {"batchItemFailures": None}, OK])
def test_an_empty_response_is_a_success(response: Any) -> None:
    trigger = mapping(Function(lambda _: response))
    trigger.add([message(4)])

    assert trigger.run(0) == {(TOPIC, 0): 5}


def test_a_revoked_partition_is_neither_invoked_nor_committed_again() -> None:
    function = Function(lambda _: {"batchItemFailures": [failure(4)]})
    trigger = mapping(function)
    trigger.add([message(4)])
    trigger.run(0)

    trigger.revoke((TOPIC, 0))

    assert trigger.run(BACKOFF_CAP_MS) == {}
    assert len(function.invocations) == 1


def test_an_invocation_never_takes_more_than_the_batch_size_or_the_payload() -> None:
    function = Function()
    trigger = mapping(function, batch_size=3)
    trigger.add([message(offset) for offset in range(7)])
    committed = [trigger.run(0)[TOPIC, 0] for _ in range(3)]
    assert committed == [3, 6, 7]

    large = mapping(function)
    large.add([message(offset, value=bytes(PAYLOAD_BYTES_MAX // 4)) for offset in range(4)])
    assert large.run(0) == {(TOPIC, 0): 2}
    assert large.run(0) == {(TOPIC, 0): 4}


@given(
    poisons=st.sets(st.integers(0, 11), max_size=4),
    flaky=st.lists(st.sampled_from(["ok", "raise", "fail"]), max_size=30),
    batch_size=st.integers(1, 12),
)
def test_whatever_fails_all_records_are_committed_in_order_and_poison_is_sent_away(
    poisons: set[int], flaky: list[str], batch_size: int
) -> None:
    moods = iter(flaky)

    def behave(offsets: list[int]) -> Any:
        mood = next(moods, "ok")
        if mood == "raise" or poisons & set(offsets):
            raise RuntimeError(mood)
        if mood == "fail":
            return {"batchItemFailures": [failure(offsets[-1])]}
        return OK

    destination = Destination()
    trigger = mapping(Function(behave), destination, maximum_retry_attempts=60, batch_size=batch_size)
    trigger.add([message(offset) for offset in range(12)])
    committed = [done[TOPIC, 0] for step in range(2_000) if (done := trigger.run(step * BACKOFF_CAP_MS))]

    assert committed == sorted(set(committed))
    assert committed[-1] == 12
    assert set(destination.received) == poisons
