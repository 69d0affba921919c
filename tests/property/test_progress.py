"""What is counted of a partition's records, whoever delivers them, in whatever order, whatever fails meanwhile."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.truth.commits import Unavailable
from shared.truth.progress import COUNTERS, KEY_MISMATCH, Position, Progress
from tests.property.memory import Database, Fault

RECORDS = 12
OUTCOMES = {offset: COUNTERS[offset % len(COUNTERS)] for offset in range(RECORDS)}
MISMATCHED = range(0, RECORDS, 3)
"""Offsets of records whose key is another than their event's."""
batches = st.tuples(st.integers(0, RECORDS - 1), st.integers(1, RECORDS)).map(lambda one: (one[0], sum(one)))
"""The first offset of a delivery and the one after it."""
faults = st.sampled_from([None, None, Fault.THROTTLED, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.UNREACHABLE])


class Partition:
    """A partition with its position on a DynamoDB in memory."""

    def __init__(self) -> None:
        self.database = Database()

    def position(self) -> Position:
        client: Any = self.database.client()
        found = Progress(client, "registry").positions("topic")
        return found[0] if found else Position("topic", 0, 0, 0)

    def deliver(self, client: Any, first: int, end: int) -> None:
        """Settle a batch that begins where the trigger may: nowhere past what is recorded."""
        first, end = min(first, self.position().next_offset), min(end, RECORDS)
        if first < end:
            outcomes = {offset: OUTCOMES[offset] for offset in range(first, end)}
            Progress(client, "registry").advance(Position("topic", 0, end, 0), 0, outcomes, MISMATCHED)

    def skip_to(self, client: Any, first: int, end: int) -> None:
        """Settle a batch that begins anywhere."""
        outcomes = {offset: OUTCOMES[offset] for offset in range(first, min(end, RECORDS))}
        Progress(client, "registry").advance(Position("topic", 0, min(end, RECORDS), 0), 0, outcomes, MISMATCHED)

    def assert_each_once_or_in_a_gap(self) -> None:
        client: Any = self.database.client()
        position = self.position()
        gaps = Progress(client, "registry").gaps("topic")
        skipped = {offset for gap in gaps for offset in range(gap.first, gap.until)}
        passed = range(position.next_offset)
        assert +Counter(position.counts) <= counts(passed)
        assert +Counter(position.counts) >= counts(offset for offset in passed if offset not in skipped)

    def assert_each_once(self) -> None:
        position = self.position()
        assert +Counter(position.counts) == counts(range(position.next_offset))


def counts(offsets: Iterable[int]) -> Counter[str]:
    found = [*offsets]
    return Counter(OUTCOMES[one] for one in found) + Counter(KEY_MISMATCH for one in found if one in MISMATCHED)


@given(st.lists(st.tuples(batches, faults), max_size=12))
def test_every_record_before_the_position_is_counted_once_however_often_it_comes(
    deliveries: list[tuple[tuple[int, int], Fault | None]],
) -> None:
    partition = Partition()
    furthest = 0

    for (first, end), fault in deliveries:
        with suppress(Unavailable):
            partition.deliver(partition.database.client([fault]), first, end)
        assert partition.position().next_offset >= furthest, "it only moves forward"
        furthest = partition.position().next_offset

    partition.assert_each_once()


@given(st.lists(batches, min_size=1, max_size=4), st.lists(batches, max_size=8))
def test_what_another_owner_records_between_two_requests_is_left_to_it(
    mine: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    partition = Partition()
    left = iter(others)

    def other_owner() -> None:
        partition.deliver(partition.database.client(), *next(left, (0, 0)))

    for first, end in mine:
        partition.deliver(partition.database.client(before=other_owner), first, end)
        assert partition.position().next_offset >= min(end, RECORDS)

    partition.assert_each_once()


@given(st.lists(st.tuples(batches, faults), min_size=1, max_size=6), st.lists(batches, max_size=8))
def test_what_is_passed_without_having_been_handed_over_is_in_a_gap_whoever_skips(
    mine: list[tuple[tuple[int, int], Fault | None]], others: list[tuple[int, int]]
) -> None:
    partition = Partition()
    left = iter(others)

    def other_owner() -> None:
        for first, end in islice(left, 1):
            partition.skip_to(partition.database.client(), first, end)

    partition.deliver(partition.database.client(), 0, 1)
    for (first, end), fault in mine:
        with suppress(Unavailable):
            partition.skip_to(partition.database.client([fault], before=other_owner), first, end)

    partition.assert_each_once_or_in_a_gap()
