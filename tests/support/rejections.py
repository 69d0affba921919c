"""What the oracle makes of the records that stand in the topic."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.support import oracle
from tests.support.stack import Letter, TopicRecord

Place = tuple[int, int]
"""Partition and offset of a record."""
Rejection = tuple[str, bytes | None, bytes | None]
"""The reason, and the original key and value."""


def reference_of(
    definitions: Mapping[str, Mapping[str, Any]], deleted: Iterable[str], records: Sequence[TopicRecord]
) -> oracle.Oracle:
    """An oracle that has seen all of the records; the definitions are those of deleted leaderboards, too."""
    reference = oracle.Oracle(definitions, archived=deleted)
    reference.take(oracle.Produced(one.partition, one.offset, one.appended_at_ms, one.value) for one in records)
    return reference


def expected_rejections(reference: oracle.Oracle, records: Sequence[TopicRecord]) -> dict[Place, Rejection]:
    """The records that have to be on the dead-letter queue."""
    return {
        (one.partition, one.offset): (reference.outcomes[one.partition, one.offset], one.key, one.value)
        for one in records
        if reference.outcomes[one.partition, one.offset] not in (oracle.APPLIED, oracle.DUPLICATE)
    }


def to_rejections(letters: Mapping[Place, Letter]) -> dict[Place, Rejection]:
    """Letters of the dead-letter queue, to be compared with those."""
    return {place: (letter.reason, letter.key, letter.value) for place, letter in letters.items()}
