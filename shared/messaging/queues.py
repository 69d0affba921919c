"""SQS: queues, and the dead letters of records that are rejected."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from shared.domain.events import LeaderboardId
from shared.domain.records import Record
from shared.domain.rejections import Reason, Rejection

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

BATCH_MESSAGES_MAX: Final = 10
BATCH_BYTES_MAX: Final = 256 * 1024
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html; the newer limit
of 1 MiB is not had everywhere."""
INLINE_BYTES_MAX: Final = 64 * 1024
"""Largest key and largest value that are kept in their message; base64 makes four bytes of three. Larger ones go to
S3."""
VISIBILITY_TIMEOUT_S: Final = 900
"""How long a message that was received is kept from others: as long as a function may run."""
_REFUSED: Final = {"\ufffe".encode(): rb"\ufffe", "\uffff".encode(): rb"\uffff"}
"""In UTF-8, and as JSON escapes them."""


class QueueUnavailable(Exception):
    """SQS, or the S3 behind it, did not take a message."""


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


class Rejected(Struct, frozen=True):
    """A record that is not applied."""

    record: Record
    rejection: Rejection
    leaderboard_id: str | None
    """Where the value could be read that far."""


class RedriveFilter(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which dead letters to send back to the topic; all of them if nothing is said."""

    reason: Reason | None = None
    leaderboard_id: LeaderboardId | None = None


class Received(Struct, frozen=True):
    """A received message."""

    body: str
    receipt: str
    sent_at_ms: int
    """When the queue took it."""


class Queue:
    """One queue."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, bodies: Sequence[bytes]) -> None:
        """Send messages, as few requests as they fit into.

        Args:
            bodies: JSON.

        Raises:
            QueueUnavailable: if any of them was not taken.
        """
        for batch in _batches([_acceptable(body) for body in bodies]):
            entries: list[Any] = [
                {"Id": str(number), "MessageBody": body.decode()} for number, body in enumerate(batch)
            ]
            with _reaching():
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            if answer.get("Failed"):
                raise QueueUnavailable(
                    f"{len(answer['Failed'])} messages refused: {answer['Failed'][0].get('Message')}"
                )

    def receive(self) -> list[Received]:
        """Up to BATCH_MESSAGES_MAX messages, which nobody else gets for VISIBILITY_TIMEOUT_S.

        Raises:
            QueueUnavailable: if the queue does not answer.
        """
        with _reaching():
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH_MESSAGES_MAX,
                VisibilityTimeout=VISIBILITY_TIMEOUT_S,
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [
            Received(one["Body"], one["ReceiptHandle"], int(one["Attributes"]["SentTimestamp"]))
            for one in answer.get("Messages", [])
        ]

    def delete(self, received: Sequence[Received]) -> None:
        """Strike messages; one that can't be struck comes again.

        Raises:
            QueueUnavailable: if the queue does not answer.
        """
        for start in range(0, len(received), BATCH_MESSAGES_MAX):
            entries: list[Any] = [
                {"Id": str(number), "ReceiptHandle": one.receipt}
                for number, one in enumerate(received[start : start + BATCH_MESSAGES_MAX])
            ]
            with _reaching():
                self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def release(self, received: Sequence[Received]) -> None:
        """Make messages visible again at once; where that fails, they are visible after VISIBILITY_TIMEOUT_S.

        Raises:
            QueueUnavailable: if the queue does not answer.
        """
        for start in range(0, len(received), BATCH_MESSAGES_MAX):
            entries: list[Any] = [
                {"Id": str(number), "ReceiptHandle": one.receipt, "VisibilityTimeout": 0}
                for number, one in enumerate(received[start : start + BATCH_MESSAGES_MAX])
            ]
            with _reaching():
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def waiting(self) -> int:
        """About how many messages are visible.

        Raises:
            QueueUnavailable: if the queue does not answer.
        """
        with _reaching():
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def ping(self) -> None:
        """Raises QueueUnavailable unless the queue answers."""
        with _reaching():
            self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])


class DeadLetterQueue:
    """Keeps rejected records, whatever their size."""

    def __init__(self, queue: Queue, s3: "S3Client", bucket: str) -> None:
        self.queue = queue
        self._s3 = s3
        self._bucket = bucket

    def send(self, rejected: Sequence[Rejected]) -> None:
        """Keep rejected records with their reasons.

        Raises:
            QueueUnavailable: if any of them was not kept.
        """
        self.queue.send([msgspec.json.encode(self._letter(one)) for one in rejected])

    def original(self, letter: DeadLetter) -> tuple[bytes | None, bytes | None]:
        """Key and value of the record.

        Raises:
            QueueUnavailable: if S3 has one of them and fails.
        """
        return self._outline(letter.key, letter.key_object), self._outline(letter.value, letter.value_object)

    def _outline(self, inline: str | None, name: str | None) -> bytes | None:
        if name is None:
            return None if inline is None else base64.b64decode(inline)
        with _reaching():
            return self._s3.get_object(Bucket=self._bucket, Key=name)["Body"].read()

    def _letter(self, rejected: Rejected) -> DeadLetter:
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
        with _reaching():
            self._s3.put_object(Bucket=self._bucket, Key=name, Body=original)
        return None, name


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise QueueUnavailable(str(error)) from error


def _acceptable(body: bytes) -> bytes:
    """The same JSON without the two characters that SQS refuses and an encoder does not escape by itself.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    for character, escaped in _REFUSED.items():
        body = body.replace(character, escaped)
    return body


def _batches(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for body in bodies:
        if batch and (len(batch) == BATCH_MESSAGES_MAX or size + len(body) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += len(body)
    if batch:
        yield batch
