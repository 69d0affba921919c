"""SQS queues."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH_MESSAGES_MAX: Final = 10
BATCH_BYTES_MAX: Final = 256 * 1024
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html; the newer limit
of 1 MiB is not had everywhere."""
VISIBILITY_TIMEOUT_S: Final = 900
"""How long a message that was received is kept from others: as long as a function may run."""
_POLICY: Final = "RedrivePolicy"
_REFUSED: Final = {"\ufffe".encode(): rb"\ufffe", "\uffff".encode(): rb"\uffff"}
"""In UTF-8, and as JSON escapes them."""


class QueueUnavailable(Exception):
    """SQS, or the S3 behind it, did not take a message."""


class Received(Struct, frozen=True):
    """A received message."""

    body: str
    receipt: str
    sent_at_ms: int
    """When the queue took it."""


class Depth(Struct, frozen=True):
    """About how many messages a queue holds."""

    waiting: int
    """Visible ones, and those that are held back for a while."""
    in_flight: int
    """Those that somebody is at work on."""
    dead_letter_url: str | None = None
    """The queue that takes what was handed out too often; None without one."""


class Queue:
    """One queue.

    Methods raise QueueUnavailable if it does not answer.
    """

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
            with reaching_queue():
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            if answer.get("Failed"):
                raise QueueUnavailable(
                    f"{len(answer['Failed'])} messages refused: {answer['Failed'][0].get('Message')}"
                )

    def receive(self) -> list[Received]:
        """Up to BATCH_MESSAGES_MAX messages, which no other consumer gets for VISIBILITY_TIMEOUT_S."""
        with reaching_queue():
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
        """Delete messages; one that can't be deleted comes again."""
        for start in range(0, len(received), BATCH_MESSAGES_MAX):
            entries: list[Any] = [
                {"Id": str(number), "ReceiptHandle": one.receipt}
                for number, one in enumerate(received[start : start + BATCH_MESSAGES_MAX])
            ]
            with reaching_queue():
                self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def release(self, received: Sequence[Received]) -> None:
        """Make messages visible again at once; where that fails, they are visible after VISIBILITY_TIMEOUT_S."""
        for start in range(0, len(received), BATCH_MESSAGES_MAX):
            entries: list[Any] = [
                {"Id": str(number), "ReceiptHandle": one.receipt, "VisibilityTimeout": 0}
                for number, one in enumerate(received[start : start + BATCH_MESSAGES_MAX])
            ]
            with reaching_queue():
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def _dead_letter_url(self, policy: str | None) -> str | None:
        """Of a queue beside this one, in the same account and region: nothing else takes what it gives up."""
        if not policy:
            return None
        arn = msgspec.json.decode(policy)["deadLetterTargetArn"]
        return f"{self._url.rpartition('/')[0]}/{arn.rpartition(':')[2]}"

    def beside(self, url: str) -> "Queue":
        """Another queue of the same account."""
        return Queue(self._client, url)

    def depth(self) -> Depth:
        """How many there are, and where what is given up goes. What SQS doesn't tell, such as an age, only
        CloudWatch knows.
        """
        waiting, in_flight, delayed = (f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed"))
        names: Any = [waiting, in_flight, delayed, _POLICY]
        with reaching_queue():
            found: Any = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        messages = int(found[waiting]) + int(found.get(delayed, 0)), int(found.get(in_flight, 0))
        return Depth(*messages, self._dead_letter_url(found.get(_POLICY)))


@contextmanager
def reaching_queue() -> Iterator[None]:
    """Turns the errors of SQS and S3 into QueueUnavailable."""
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
