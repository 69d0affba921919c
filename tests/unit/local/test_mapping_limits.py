"""The event source mapping at its limits: how old, how often, how split."""

from collections.abc import Sequence
from typing import Any

import pytest

from infra.local.mapping import BACKOFF_CAP_MS, EventSourceMapping, Message, Policy

TOPIC = "score-events"


def message(offset: int, partition: int = 0, at_ms: int = 0) -> Message:
    return Message(TOPIC, partition, offset, at_ms, "LOG_APPEND_TIME", b"k", b"v")


class Run:
    """A mapping with a function that can't take some offsets, run until nothing moves any more."""

    def __init__(self, poisons: set[tuple[int, int]], **policy: Any) -> None:
        self.poisons = poisons
        self.calls: list[dict[str, list[int]]] = []
        self.given_up: list[tuple[int, int, str]] = []
        self.committed: dict[int, int] = {}
        self.mapping = EventSourceMapping(Policy(**policy), self.invoke, self.give_up, lambda _, high: high)

    def invoke(self, event: dict[str, Any]) -> None:
        self.calls.append({place: [one["offset"] for one in records] for place, records in event["records"].items()})
        places = {(one["partition"], one["offset"]) for records in event["records"].values() for one in records}
        if places & self.poisons:
            raise RuntimeError("poison")

    def give_up(self, messages: Sequence[Message], reason: str) -> None:
        self.given_up += [(one.partition, one.offset, reason.partition(":")[0]) for one in messages]

    def settle(self, now_ms: int = 0) -> None:
        for _ in range(1_000):
            for (_, partition), offset in self.mapping.run(now_ms).items():
                assert offset > self.committed.get(partition, -1)
                self.committed[partition] = offset
            if not self.mapping.backlog():
                return
            now_ms += BACKOFF_CAP_MS


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_splitting_a_batch_is_no_retry_so_only_the_poison_is_given_up(retries: int) -> None:
    run = Run({(0, 137)}, maximum_retry_attempts=retries)
    run.mapping.add(message(offset) for offset in range(500))
    run.settle()

    assert run.given_up == [(0, 137, "RetryAttemptsExhausted")]
    assert run.committed == {0: 500}
    assert [call[f"{TOPIC}-0"] for call in run.calls].count([137]) == 1 + retries


def test_a_poison_in_one_partition_costs_the_others_no_record_even_without_retries() -> None:
    run = Run({(1, 0)}, maximum_retry_attempts=0)
    run.mapping.add([message(0), message(0, partition=1), message(1, partition=1), message(0, partition=2)])
    run.settle()

    assert run.given_up == [(1, 0, "RetryAttemptsExhausted")]
    assert run.committed == {0: 1, 1: 2, 2: 1}


def test_without_splitting_a_batch_of_many_partitions_uses_up_its_retries_together() -> None:
    run = Run({(1, 0)}, maximum_retry_attempts=0, bisect_batch_on_function_error=False)
    run.mapping.add([message(0), message(0, partition=1)])
    run.settle()

    assert sorted(run.given_up) == [(0, 0, "RetryAttemptsExhausted"), (1, 0, "RetryAttemptsExhausted")]


def test_only_records_past_their_age_are_given_up_not_younger_ones_behind_them() -> None:
    run = Run(set(), maximum_record_age_s=60)
    run.mapping.add([message(0, at_ms=0), message(1, at_ms=4_999), message(2, at_ms=5_000), message(3, at_ms=64_000)])

    committed = [run.mapping.run(65_000) for _ in range(2)]

    assert run.given_up == [(0, 0, "RecordAgeExceeded"), (0, 1, "RecordAgeExceeded")]
    assert run.calls == [{f"{TOPIC}-0": [2, 3]}]
    assert committed == [{(TOPIC, 0): 2}, {(TOPIC, 0): 4}]


def test_a_partition_that_is_retried_takes_no_room_in_the_batch_of_the_others() -> None:
    run = Run({(0, 0)}, batch_size=4)
    run.mapping.add([message(0), message(1), message(2)])
    run.mapping.run(0)
    run.poisons.clear()
    run.mapping.add([*(message(offset, partition=1) for offset in range(2)), message(0, partition=2)])

    run.mapping.run(BACKOFF_CAP_MS)

    assert {f"{TOPIC}-1": [0, 1], f"{TOPIC}-2": [0]} in run.calls


@pytest.mark.parametrize("response", ["", 0, [], {"batchItemFailures": 5}, {"batchItemFailures": "x"}])
def test_a_response_of_another_shape_fails_the_whole_batch(response: Any) -> None:
    mapping = EventSourceMapping(Policy(), lambda _: response, lambda *_: None, max)
    mapping.add([message(4)])

    assert mapping.run(0) == {}
    assert mapping.backlog() == {(TOPIC, 0)}
