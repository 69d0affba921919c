"""Redrive of dead letters on real SQS and S3; the topic's answers are given."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from infra.local.servers import free_port, ministack
from shared.admin.redrive import Redrive, Redriven
from shared.assembly import now_ms
from shared.domain.calendar import Day
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Aggregation, Leaderboard
from shared.messaging.dead_letters import INLINE_BYTES_MAX, DeadLetterQueue, RedriveFilter, RejectedRecord
from shared.messaging.queues import Queue, QueueUnavailable
from shared.messaging.topic import Outgoing
from shared.retries import Backoff
from shared.truth.failures import Unavailable
from shared.truth.reads import EventKey
from shared.truth.receipts import Receipts
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BUCKET = "exports"
_numbers = count()


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    port = free_port()
    with ministack(Path(tmp_path_factory.mktemp("aws")), port):
        settings: Any = {
            "region_name": "eu-central-1",
            "endpoint_url": f"http://127.0.0.1:{port}",
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }
        s3, sqs = boto3.client("s3", **settings), boto3.client("sqs", **settings)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield SimpleNamespace(s3=s3, sqs=sqs)


class Scene:
    """A dead-letter queue of the test's own, and a topic that remembers."""

    def __init__(self, aws: Any) -> None:
        self.sqs = aws.sqs
        self.url = aws.sqs.create_queue(QueueName=f"dlq-{next(_numbers)}")["QueueUrl"]
        self.queue = DeadLetterQueue(Queue(aws.sqs, self.url), aws.s3, BUCKET)
        self.records: list[Outgoing] = []
        self.refuses: Sequence[bytes | None] = ()
        self.offsets = count()
        self.boards: dict[str, Leaderboard] = {}
        self.receipts: dict[bytes, list[int]] = {}
        self.ledger: set[str] = set()
        """Event ids."""

    def redrive(self, clock: Callable[[], int] = lambda: now_ms() + 1_000) -> Redrive:
        parts: Any = SimpleNamespace(send=self.send, find=self.boards.get, held=self.held, write=self.write)
        return Redrive(
            dead_letters=self.queue,
            topic=parts,
            leaderboards=parts,
            reads=parts,
            receipts=parts,
            run_parallel=lambda calls: [call() for call in calls],
            now_ms=clock,
        )

    def write(self, value: bytes, appended_at_ms: int) -> None:
        assert Outgoing(b"key", value) not in self.records, "a receipt is there before its record"
        self.receipts.setdefault(value, []).append(appended_at_ms)

    def held(self, events: Iterable[EventKey]) -> set[EventKey]:
        return {one for one in events if one[2] in self.ledger}

    def reject(
        self,
        reason: Reason,
        board: str | None,
        value: bytes | None,
        offset: int | None = None,
        key: bytes | None = b"key",
    ) -> None:
        source = Source("score-events", 0, next(self.offsets) if offset is None else offset, 1)
        record = Record(source, key, value)
        self.queue.send([RejectedRecord(record, Rejection(reason, "detail"), board)])

    def send(self, records: list[Outgoing]) -> list[str | None]:
        self.records += [one for one in records if one.value not in self.refuses]
        return ["refused" if one.value in self.refuses else None for one in records]

    def run(self, **choice: Any) -> Redriven:
        return self.redrive().run(RedriveFilter(**choice))

    def waiting(self) -> list[str]:
        """The reasons of all letters that can be received now."""
        found: list[str] = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=600
        ).get("Messages"):
            found += [one["Body"].split('"reason":"')[1].split('"')[0] for one in messages]
        return sorted(found)


@pytest.fixture
def scene(aws: Any) -> Scene:
    return Scene(aws)


def test_everything_goes_back_as_it_was(scene: Scene) -> None:
    values = [b"1", None, b"", b"\xff" * 10, b"x" * (INLINE_BYTES_MAX + 1), *(b"%d" % number for number in range(30))]
    for value in values:
        scene.reject(Reason.INVALID, "cup", value)

    assert scene.run() == Redriven(sent=len(values), complete=True)

    assert sorted(scene.records, key=str) == sorted((Outgoing(b"key", value) for value in values), key=str)
    assert scene.waiting() == []


def test_only_what_is_chosen_goes_back_and_the_rest_can_be_had_at_once(scene: Scene) -> None:
    for number in range(12):
        scene.reject(Reason.UNKNOWN_LEADERBOARD, "cup", b"cup %d" % number)
        scene.reject(Reason.UNKNOWN_LEADERBOARD, "other", b"other")
        scene.reject(Reason.MALFORMED, None, b"[")

    assert scene.run(reason=Reason.UNKNOWN_LEADERBOARD, leaderboard_id="cup") == Redriven(sent=12, complete=True)
    assert len(scene.records) == 12
    assert scene.run(leaderboard_id="other") == Redriven(sent=12, complete=True)
    assert scene.waiting() == ["malformed"] * 12


@pytest.mark.parametrize("reason", [Reason.MALFORMED, Reason.INVALID])
def test_what_names_no_board_goes_back_by_its_reason(scene: Scene, reason: Reason) -> None:
    keys = (b"cup:ann", b"key", None, b"", b"\xff\x00", b"x" * (INLINE_BYTES_MAX + 1))
    for key in keys:
        scene.reject(reason, None, b"[", key=key)
    for key in (b"other:ann", b"cup2:ann", b":ann"):
        scene.reject(reason, None, b"not ours", key=key)
    scene.reject(reason, "other", b"not ours", key=b"cup:ann")
    scene.reject(Reason.TOO_LATE, None, b"not ours", key=b"cup:ann")

    assert scene.run(leaderboard_id="cup").sent == 0, "without a reason, only what names the leaderboard"
    assert scene.run(leaderboard_id="cup", reason=Reason.TOO_LATE).sent == 0, "such a record could be read"
    assert scene.run(leaderboard_id="cup", reason=reason) == Redriven(sent=len(keys), complete=True)
    assert {(one.key, one.value) for one in scene.records} == {(key, b"[") for key in keys}


def test_a_record_with_several_letters_goes_back_once(scene: Scene) -> None:
    for _ in range(25):
        scene.reject(Reason.INVALID, "cup", b"value", offset=7)

    assert scene.run().sent == 1

    assert scene.records == [Outgoing(b"key", b"value")]
    assert scene.waiting() == []


def test_what_the_broker_does_not_take_stays(scene: Scene) -> None:
    scene.reject(Reason.INVALID, "cup", b"good")
    scene.reject(Reason.INVALID, "cup", b"bad")
    scene.refuses = [b"bad"]

    assert scene.run() == Redriven(sent=1, failed=1, complete=True)

    assert scene.waiting() == ["invalid"]


def test_what_comes_back_meanwhile_does_not_go_round(scene: Scene) -> None:
    scene.reject(Reason.INVALID, "cup", b"value")
    send = scene.send

    def refused_again(records: list[Outgoing]) -> list[str | None]:
        outcome = send(records)
        for one in records:
            scene.reject(Reason.INVALID, "cup", one.value)
        return outcome

    scene.send = refused_again  # type: ignore[method-assign]
    started = now_ms() + 20
    while now_ms() <= started:
        pass
    done = scene.redrive(lambda: started).run(RedriveFilter())

    assert (done.sent, done.left) == (1, 1)
    assert scene.waiting() == ["invalid"]


def test_a_run_that_ends_before_the_queue_does_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        scene.reject(Reason.INVALID, "cup", b"%d" % number)
        scene.reject(Reason.INVALID, "other", b"other")
    redrive = scene.redrive()
    choice = RedriveFilter(leaderboard_id="cup")

    looks = iter([True, True])
    timely = redrive.run(choice, lambda: next(looks, False))
    monkeypatch.setattr("shared.admin.redrive.LIMIT_MAX", 1)
    limited = redrive.run(choice)
    monkeypatch.undo()
    rest = redrive.run(choice)

    assert [one.complete for one in (timely, limited, rest)] == [False, False, True]
    assert timely.sent + limited.sent + rest.sent == 25
    assert scene.waiting() == ["invalid"] * 25


def test_a_message_of_somebody_else_stays(scene: Scene) -> None:
    scene.sqs.send_message(QueueUrl=scene.url, MessageBody='{"reason":"not a letter"}')

    assert scene.run() == Redriven(complete=True)

    assert scene.waiting() == ["not a letter"]


def test_a_crash_before_the_letters_are_struck_sends_them_again_and_loses_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.reject(Reason.INVALID, "cup", b"value")

    def away(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url=scene.url)

    with monkeypatch.context() as patch:
        patch.setattr(scene.sqs, "delete_message_batch", away)
        with pytest.raises(QueueUnavailable):
            scene.run()
    messages = scene.sqs.get_queue_attributes(QueueUrl=scene.url, AttributeNames=["All"])["Attributes"]

    assert scene.records == [Outgoing(b"key", b"value")]
    assert int(messages["ApproximateNumberOfMessagesNotVisible"]) == 1


MONDAY = Day(20_780)


def event(event_id: str, board: str = "cup") -> bytes:
    fields = {"eventId": event_id, "leaderboardId": board, "userId": "ann", "points": 1}
    return json.dumps(fields | {"occurredAt": "2026-11-23T12:00:00Z"}).encode()


def cup(sealing_through: int | None = None) -> Leaderboard:
    through = None if sealing_through is None else Day(sealing_through)
    return Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, sealing_through=through)


def test_a_receipt_says_when_the_broker_appended_a_record_at_first(scene: Scene) -> None:
    for reason in (Reason.UNKNOWN_LEADERBOARD, Reason.LEADERBOARD_ARCHIVED, Reason.TOO_LATE, Reason.SCORE_OVERFLOW):
        scene.reject(reason, "cup", event(reason))
    for reason in (Reason.INVALID, Reason.UNTRUSTED_TIMESTAMP, Reason.CONFLICTING_DUPLICATE):
        scene.reject(reason, "cup", event(reason))
    scene.reject(Reason.MALFORMED, None, b"[")
    scene.boards["cup"] = cup(MONDAY - 1)

    assert scene.run() == Redriven(sent=8, complete=True)

    proven = ("unknown_leaderboard", "leaderboard_archived", "too_late", "score_overflow")
    assert scene.receipts == {event(reason): [1] for reason in proven}


def test_what_is_too_late_for_its_day_is_told_and_stays(scene: Scene) -> None:
    scene.boards["cup"] = cup(MONDAY)
    scene.ledger = {"counted"}
    scene.reject(Reason.TOO_LATE, "cup", event("late"))
    scene.reject(Reason.TOO_LATE, "cup", event("late"), offset=0)
    scene.reject(Reason.TOO_LATE, "cup", event("counted"), offset=7)
    scene.reject(Reason.UNKNOWN_LEADERBOARD, "other", event("other", "other"), offset=8)

    assert scene.run() == Redriven(sent=2, too_late=2, complete=True)

    assert {one.value for one in scene.records} == {event("counted"), event("other", "other")}
    assert scene.waiting() == ["too_late", "too_late"]
    assert event("late") not in scene.receipts


def test_nothing_is_sent_whose_receipt_is_not_written(scene: Scene) -> None:
    def away(*_: Any) -> None:
        raise Unavailable("throttled")

    scene.write = away  # type: ignore[assignment,method-assign]
    scene.reject(Reason.UNKNOWN_LEADERBOARD, "cup", event("e"))

    with pytest.raises(Unavailable):
        scene.run()

    assert not scene.records


@pytest.mark.parametrize("times", [(5, 9), (9, 5)])
def test_a_real_table_keeps_the_earliest_time(dynamodb: "DynamoDBClient", times: tuple[int, int]) -> None:
    receipts = Receipts(dynamodb, Tables().registry, Backoff(base_ms=1))
    value = b"appended at %d and %d" % times

    for appended_at_ms in times:
        receipts.write(value, appended_at_ms)

    assert receipts.appended_at_ms([value, b"never redriven"]) == {value: 5}
