"""What is sent to SQS."""

import re
from types import SimpleNamespace
from typing import Any

import msgspec

from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Aggregation, Leaderboard
from shared.messaging.dead_letters import DeadLetterQueue, RejectedRecord
from shared.messaging.queues import BATCH_BYTES_MAX, Queue
from shared.rebuild.requests import repair_messages

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
TAKEN = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
TEXT = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x10000), 0x1FFFE, 0x1FFFF, 0x10FFFF]))


class Sqs:
    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        bodies = [entry["MessageBody"] for entry in Entries]
        assert all(TAKEN.fullmatch(body) for body in bodies), "InvalidMessageContents"
        assert sum(len(body.encode()) for body in bodies) <= BATCH_BYTES_MAX
        self.bodies += bodies
        return {}


def test_whatever_a_name_holds_a_repair_message_is_taken_and_says_the_same() -> None:
    client: Any = Sqs()
    names = [TEXT[start : start + 40] for start in range(0, len(TEXT), 40)]

    Queue(client, "url").send(repair_messages(BOARD, {name: [1] for name in names}))

    players = [name for body in client.bodies for name in msgspec.json.decode(body)["players"]]
    assert players == names


def test_whatever_a_rejection_says_its_dead_letter_is_taken() -> None:
    client: Any = Sqs()
    details = [TEXT[start : start + 100] for start in range(0, len(TEXT), 100)]
    record = Record(Source("score-events", 0, 0, 0), b"key", b"value")
    s3: Any = SimpleNamespace()

    letters = [RejectedRecord(record, Rejection(Reason.CONFLICTING_DUPLICATE, detail), "cup") for detail in details]
    DeadLetterQueue(Queue(client, "url"), s3, "bucket").send(letters)

    assert [msgspec.json.decode(body)["detail"] for body in client.bodies] == details


def test_messages_that_grow_by_escapes_still_fit_their_request() -> None:
    client: Any = Sqs()

    Queue(client, "url").send([msgspec.json.encode("\uffff" * 20_000)] * 5)

    assert [msgspec.json.decode(body) for body in client.bodies] == ["\uffff" * 20_000] * 5
