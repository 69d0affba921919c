"""The SQS triggers and the schedule: hand messages of the repair and export queues, and ticks, to their functions."""

import logging
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.config import ACCOUNT, REGION
from infra.local.function import Function

BATCH_SIZE: Final = 10
WAIT_S: Final = 2
FUNCTION_TIMEOUT_MS: Final = 900_000
PAUSE_S: Final = 1.0
ANTI_ENTROPY_EVERY_S: Final = 300

log = logging.getLogger("queue-trigger")


class QueueTrigger:
    """Long-polls one queue; deletes what its function has done, leaves the rest to the visibility timeout."""

    def __init__(self, sqs: Any, url: str, function: Function) -> None:
        self._sqs = sqs
        self._url = url
        self._function = function
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Finish the batch that is under way, then end."""
        self._stopping.set()

    def run(self) -> None:
        """Poll until stopped."""
        while not self._stopping.is_set():
            try:
                self.step()
            except (BotoCoreError, ClientError) as error:
                log.warning("%s: %s", self._url, error)
                self._stopping.wait(PAUSE_S)

    def step(self) -> None:
        """One poll and, if it brought something, one invocation."""
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH_SIZE,
            WaitTimeSeconds=WAIT_S,
            MessageSystemAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return
        try:
            response = self._function({"Records": [self._record(message) for message in messages]})
        except Exception:
            log.exception("%s: the function failed", self._url)
            return
        failed = {item["itemIdentifier"] for item in (response or {}).get("batchItemFailures", [])}
        done = [message for message in messages if message["MessageId"] not in failed]
        if done:
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(done)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        name = self._url.rpartition("/")[2]
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {},
            "md5OfBody": message.get("MD5OfBody", ""),
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            "awsRegion": REGION,
        }


class Schedule:
    """Invokes a function at a rate, as EventBridge does."""

    def __init__(self, every_s: float, function: Function) -> None:
        self._every_s = every_s
        self._function = function
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End after the invocation that is under way."""
        self._stopping.set()

    def run(self) -> None:
        """Tick until stopped."""
        while not self._stopping.wait(self._every_s):
            try:
                self._function({"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {}})
            except Exception:
                log.exception("the scheduled function failed")


def main() -> None:
    """Run all of them until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    repair = Function("functions.repair.handler.handler", FUNCTION_TIMEOUT_MS)
    export = Function("functions.export.handler.handler", FUNCTION_TIMEOUT_MS)
    functions = {os.environ["REPAIR_QUEUE_URL"]: repair, os.environ["EXPORT_QUEUE_URL"]: export}
    config = ClientConfig(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=WAIT_S + 10)
    triggers: list[QueueTrigger | Schedule] = [
        QueueTrigger(boto3.client("sqs", config=config), url, function) for url, function in functions.items()
    ]
    triggers.append(Schedule(float(os.environ.get("ANTI_ENTROPY_EVERY_S", ANTI_ENTROPY_EVERY_S)), repair))

    def stop(_number: int, _frame: FrameType | None) -> None:
        for trigger in triggers:
            trigger.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threads = [threading.Thread(target=trigger.run) for trigger in triggers]
    for thread in threads:
        thread.start()
    Path(os.environ["QUEUE_TRIGGER_READY"]).touch()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
