"""Where records go that a mapping gives up: an SQS queue, in the shape of Lambda's invocation records.

https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from infra.local.config import ACCOUNT, REGION
from infra.local.mapping import Message, record

MESSAGE_BYTES_MAX: Final = 256 * 1024
"""What a queue takes of one message, by its default."""


class Destination:
    """Sends one message a record, so that none is too large because of its neighbours."""

    def __init__(self, sqs: Any, url: str, function_name: str, bootstrap_servers: str) -> None:
        self._sqs = sqs
        self._url = url
        self._function_name = function_name
        self._bootstrap_servers = bootstrap_servers

    def __call__(self, messages: Sequence[Message], reason: str) -> None:
        """Send records that were given up. Raises what the queue's client raises; the records are kept then."""
        for message in messages:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=self._body(message, reason))

    def _body(self, message: Message, reason: str) -> str:
        condition, _, error = reason.partition(": ")
        at = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
        place = {"firstRecordOffset": str(message.offset), "lastRecordOffset": str(message.offset)}
        place |= {"firstRecordTimestamp": at, "lastRecordTimestamp": at}
        body: dict[str, Any] = {
            "requestContext": {
                "requestId": str(uuid4()),
                "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self._function_name}",
                "condition": condition,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": error or None},
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "KafkaBatchInfo": {
                "batchSize": 1,
                "bootstrapServers": self._bootstrap_servers,
                "payloadSize": message.bytes,
                "recordsInfo": {f"{message.topic}-{message.partition}": place},
            },
        }
        # Lambda tells a queue only where the record was; the record itself goes along here while there is room
        whole = json.dumps(body | {"payload": record(message)})
        return whole if len(whole) <= MESSAGE_BYTES_MAX else json.dumps(body)


def nowhere(_messages: Sequence[Message], reason: str) -> None:
    """No destination: records stay in the topic, uncommitted, however often that takes."""
    raise NoDestination(reason)


class NoDestination(Exception):
    """There is nowhere to put records that are given up."""
