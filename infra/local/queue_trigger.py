"""The SQS triggers and the schedules: hand messages of the repair, range and export queues, and ticks, to functions."""

import base64
import logging
import os
import signal
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import FrameType
from typing import Any, Final, cast

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.config import ACCOUNT, REGION, positive
from infra.local.worker import FunctionError, ProcessFunction
from shared import clients as aws

REPAIRS_AT_ONCE: Final = 10
RANGES_AT_ONCE: Final = 1
EXPORTS_AT_ONCE: Final = 1
"""Batch sizes, as in template.yaml."""
WAIT_S: Final = 2
FUNCTION_TIMEOUT_MS: Final = 900_000
PAUSE_S: Final = 1.0
LIMITS: Final = aws.Limits(connect_s=5, read_s=WAIT_S + 10, tries=1)
"""Whoever polls tries again by polling."""

log = logging.getLogger("queue-trigger")


class QueueTrigger:
    """Long-polls one queue; deletes what its function has done, leaves the rest to the visibility timeout."""

    def __init__(self, sqs: Any, url: str, function: Callable[[Any], Any], batch_size: int = REPAIRS_AT_ONCE) -> None:
        self._sqs = sqs
        self._url = url
        self._function = function
        self._batch_size = batch_size
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
            except Exception:
                log.exception("%s: the poll failed", self._url)
                self._stopping.wait(PAUSE_S)

    def step(self) -> None:
        """One poll and, if it brought something, one invocation."""
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=self._batch_size,
            WaitTimeSeconds=WAIT_S,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return
        try:
            response = self._function({"Records": [self._record(message) for message in messages]})
            failed = failures(response, {message["MessageId"] for message in messages})
        except Exception:
            log.exception("%s: the function failed", self._url)
            return
        self._delete([message for message in messages if message["MessageId"] not in failed])

    def _delete(self, messages: list[dict[str, Any]]) -> None:
        if not messages:
            return
        entries = [{"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]} for number, one in enumerate(messages)]
        answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries) or {}
        for one in answer.get("Failed", []):
            log.warning("%s: a message that was done comes again: %s", self._url, one.get("Message") or one["Code"])

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        name = self._url.rpartition("/")[2]
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: _attribute(attribute) for name, attribute in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message.get("MD5OfBody", ""),
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            "awsRegion": REGION,
        }


def failures(response: Any, known: AbstractSet[str]) -> set[str]:
    """Ids of the messages that have to come again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Raises:
        ValueError: if the response is none of a partial batch response; the whole batch has failed then.
    """
    if response is not None and not isinstance(response, dict):
        raise ValueError(f"not a partial batch response: {str(response)[:200]}")
    items = (response or {}).get("batchItemFailures") or []
    try:
        failed = {cast(str, item["itemIdentifier"]) for item in items}
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a partial batch response: {str(response)[:200]}") from error
    if not failed <= known:
        raise ValueError(f"failures of messages that are none of the batch: {failed - known}")
    return failed


def _attribute(attribute: dict[str, Any]) -> dict[str, Any]:
    """A message attribute as Lambda spells it; bytes in base64."""
    fields: dict[str, Any] = {"dataType": attribute["DataType"], "stringListValues": [], "binaryListValues": []}
    if "StringValue" in attribute:
        fields["stringValue"] = attribute["StringValue"]
    if "BinaryValue" in attribute:
        fields["binaryValue"] = base64.b64encode(attribute["BinaryValue"]).decode()
    return fields


class Schedule:
    """Invokes a function at a rate, as EventBridge does."""

    def __init__(self, every_s: float, function: Callable[[Any], Any], task: str = "") -> None:
        self._every_s = every_s
        self._function = function
        self._event = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {}}
        if task:  # what template.yaml gives as the schedule's input
            self._event = {"task": task}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End after the invocation that is under way."""
        self._stopping.set()

    def run(self) -> None:
        """Tick until stopped."""
        while not self._stopping.wait(self._every_s):
            try:
                self._function(self._event)
            except Exception:
                log.exception("the scheduled function failed")


def _function(name: str) -> ProcessFunction:
    """A function for one trigger alone: what is counted of two invocations in one process would be mixed up."""
    handler = f"functions.{name}.handler.handler"
    return ProcessFunction(handler, FUNCTION_TIMEOUT_MS, {"POWERTOOLS_SERVICE_NAME": name})


def _run(trigger: QueueTrigger | Schedule, function: ProcessFunction | None) -> None:
    """Run a trigger; a function whose callers wait is started before its first message."""
    if function is not None:
        try:
            function.start()
        except FunctionError:
            log.exception("the function does not start")
    trigger.run()


def main() -> None:
    """Run all of them until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    repair, ranges, export = _function("repair"), _function("repair"), _function("export")
    repairs, exports = os.environ["REPAIR_QUEUE_URL"], os.environ["EXPORT_QUEUE_URL"]
    config = LIMITS.config()
    awaited: dict[QueueTrigger | Schedule, ProcessFunction] = {
        QueueTrigger(aws.client("sqs", config), repairs, repair, REPAIRS_AT_ONCE): repair,
        # apart from repairs, which no range keeps waiting
        QueueTrigger(aws.client("sqs", config), os.environ["RANGE_QUEUE_URL"], ranges, RANGES_AT_ONCE): ranges,
        QueueTrigger(aws.client("sqs", config), exports, export, EXPORTS_AT_ONCE): export,
    }
    triggers: list[QueueTrigger | Schedule] = [*awaited]
    triggers.append(Schedule(positive("ANTI_ENTROPY_EVERY_S"), _function("repair")))
    triggers.append(Schedule(positive("SNAPSHOTS_EVERY_S"), _function("repair"), "snapshots"))
    triggers.append(Schedule(positive("CLOSE_EVERY_S"), _function("close")))

    def stop(_number: int, _frame: FrameType | None) -> None:
        for trigger in triggers:
            trigger.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threads = [threading.Thread(target=_run, args=(trigger, awaited.get(trigger))) for trigger in triggers]
    for thread in threads:
        thread.start()
    Path(os.environ["QUEUE_TRIGGER_READY"]).touch()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
