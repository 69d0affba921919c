"""Records of the topic, as the broker numbered and stamped them."""

from msgspec import Struct


class Source(Struct, frozen=True, gc=False):
    """Where a record stands in the topic, and since when."""

    topic: str
    partition: int
    offset: int
    appended_at_ms: int
    """When the broker appended it (LogAppendTime)."""


class Record(Struct, frozen=True, gc=False):
    """One record with its original bytes."""

    source: Source
    key: bytes | None
    value: bytes | None
    is_stamped: bool = True
    """Whether `appended_at_ms` is the broker's time. Otherwise it is the producer's, and lateness can't be judged."""
