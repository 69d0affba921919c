"""The SQS triggers and answers of the function that are none."""

from typing import Any

import pytest

from infra.local.queue_trigger import QueueTrigger, failures


class Sqs:
    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.asked: list[dict[str, Any]] = []
        self.deleted: list[str] = []

    def receive_message(self, **request: Any) -> Any:
        self.asked.append(request)
        return {"Messages": self.messages}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> Any:
        self.deleted += [entry["ReceiptHandle"] for entry in Entries]
        return {"Failed": []}


def message(name: str, **more: Any) -> dict[str, Any]:
    return {"MessageId": name, "ReceiptHandle": f"handle-{name}", "Body": name} | more


@pytest.mark.parametrize(
    "response",
    [
        "done",
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": "another"}]},
        {"batchItemFailures": [{"wrong": "a"}]},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": 1},
    ],
)
def test_an_answer_of_another_shape_leaves_the_whole_batch_in_the_queue(response: Any) -> None:
    sqs = Sqs(message("a"), message("b"))

    QueueTrigger(sqs, "http://queue/cache-repair", lambda _: response).step()

    assert sqs.deleted == []


@pytest.mark.parametrize("response", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}])
def test_an_empty_answer_is_a_success(response: Any) -> None:
    assert failures(response, {"a"}) == set()


def test_it_asks_for_no_more_than_its_batch_and_hands_attributes_over() -> None:
    sqs = Sqs(
        message(
            "a", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}}, Attributes={"SentTimestamp": "5"}
        )
    )
    events: list[Any] = []
    QueueTrigger(sqs, "http://queue/export-jobs", events.append, batch_size=1).step()

    (sent,) = events[0]["Records"]
    assert sqs.asked[0]["MaxNumberOfMessages"] == 1
    assert sent["attributes"] == {"SentTimestamp": "5"}
    assert sent["messageAttributes"]["n"]["stringValue"] == "1"


def test_a_poll_that_fails_in_any_way_does_not_end_the_trigger() -> None:
    polls = 0

    class Broken:
        def receive_message(self, **_: Any) -> Any:
            nonlocal polls
            polls += 1
            poller.stop()
            raise RuntimeError("no answer that a client knows")

    poller = QueueTrigger(Broken(), "http://queue/cache-repair", lambda _: None)
    poller.run()

    assert polls == 1
