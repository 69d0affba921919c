"""Dead letters: the queue of records that were rejected, with their reasons and original bytes."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from shared.domain.events import LeaderboardId
from shared.domain.records import Record
from shared.domain.rejections import Reason, Rejection
from shared.messaging.queues import Queue, reaching_queue

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INLINE_BYTES_MAX: Final = 64 * 1024
"""Largest key and largest value that are kept in their message; base64 makes four bytes of three. Larger ones go to
S3."""


class DeadLetter(Struct, frozen=True, rename="camel", kw_only=True):
    """A record that was not applied, with the reason and everything needed to send it again.

    Redelivery may put a record here more than once; topic, partition and offset tell.
    """

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    appended_at_ms: int
    key: str | None
    """Base64, as `value`."""
    value: str | None
    key_object: str | None = None
    """S3 object of the key, where it is too large for a message; as `value_object`."""
    value_object: str | None = None
    leaderboard_id: str | None = None


class RejectedRecord(Struct, frozen=True):
    """A record that is not applied."""

    record: Record
    rejection: Rejection
    leaderboard_id: str | None
    """Where the value could be read that far."""


class RedriveFilter(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which dead letters to send back to the topic; all of them if nothing is said."""

    reason: Reason | None = None
    leaderboard_id: LeaderboardId | None = None


class DeadLetterQueue:
    """Keeps rejected records, whatever their size."""

    def __init__(self, queue: Queue, s3: "S3Client", bucket: str) -> None:
        self.queue = queue
        self._s3 = s3
        self._bucket = bucket

    def send(self, rejected: Sequence[RejectedRecord]) -> None:
        """Keep rejected records with their reasons.

        Raises:
            QueueUnavailable: if any of them was not kept.
        """
        self.queue.send([msgspec.json.encode(self._dead_letter(one)) for one in rejected])

    def original(self, dead_letter: DeadLetter) -> tuple[bytes | None, bytes | None]:
        """Key and value of the record.

        Raises:
            QueueUnavailable: if S3 has one of them and fails.
        """
        return self._original(dead_letter.key, dead_letter.key_object), self._original(
            dead_letter.value, dead_letter.value_object
        )

    def _original(self, inline: str | None, name: str | None) -> bytes | None:
        if name is None:
            return None if inline is None else base64.b64decode(inline)
        with reaching_queue():
            return self._s3.get_object(Bucket=self._bucket, Key=name)["Body"].read()

    def _dead_letter(self, rejected: RejectedRecord) -> DeadLetter:
        record, rejection, source = rejected.record, rejected.rejection, rejected.record.source
        name = f"dead-letters/{source.topic}/{source.partition}/{source.offset}"
        key, key_object = self._inline(record.key, f"{name}.key")
        value, value_object = self._inline(record.value, f"{name}.value")
        return DeadLetter(
            reason=rejection.reason,
            detail=rejection.detail,
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
            appended_at_ms=source.appended_at_ms,
            key=key,
            value=value,
            key_object=key_object,
            value_object=value_object,
            leaderboard_id=rejected.leaderboard_id,
        )

    def _inline(self, original: bytes | None, name: str) -> tuple[str | None, str | None]:
        """The original in base64, or the S3 object it was put into."""
        if original is None or len(original) <= INLINE_BYTES_MAX:
            return None if original is None else base64.b64encode(original).decode(), None
        with reaching_queue():
            self._s3.put_object(Bucket=self._bucket, Key=name, Body=original)
        return None, name
