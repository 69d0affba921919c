"""What goes in and out by messages, as an AsyncAPI document: score events, dead letters and notifications of results.

`python -m infra.contract` writes it to docs/asyncapi.json.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from infra.contract.document import LICENSE, in_plain_words, project_version
from shared.domain.events import LEADERBOARD_ID_PATTERN
from shared.domain.rejections import Reason
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.notifications import WindowFinal

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = ROOT / "docs" / "asyncapi.json"
EVENT_SCHEMA: Final = ROOT / "events" / "score-event.schema.json"
MESSAGES: Final = (DeadLetter, WindowFinal)
_REF: Final = "#/components/schemas/{name}"
_NAMES: Final = {"scoreEvent": "ScoreEvent", "deadLetter": "DeadLetter", "windowFinal": "WindowFinal"}
"""Message → schema of its payload."""
_KEY: Final = {
    "type": "string",
    "pattern": LEADERBOARD_ID_PATTERN.removesuffix(r"\Z") + ":.+$",
    "description": "`<leaderboardId>:<userId>`, so that one player's events stay in one partition, in order. "
    "An event with another key counts all the same; ingest counts its record as a key mismatch, and an alarm says so",
}
_CHANNELS: Final[dict[str, dict[str, Any]]] = {
    "scoreEvents": {
        "address": "score-events",
        "title": "The topic",
        "description": "`KAFKA_TOPIC`, with `message.timestamp.type=LogAppendTime`: the broker's time decides what is "
        "late. Produce with acknowledgements of all replicas and idempotently.",
        "servers": ["kafka"],
        "message": "scoreEvent",
    },
    "deadLetters": {
        "address": "dead-letters",
        "title": "The queue of records that were rejected",
        "description": "`DLQ_QUEUE_URL`. A record may come more than once; topic, partition and offset tell. Once its "
        "cause is gone, `redriveDeadLetters` sends it again.",
        "servers": ["sqs"],
        "message": "deadLetter",
    },
    "results": {
        "address": "results",
        "title": "Notifications of results",
        "description": "`RESULT_TOPIC_ARN`. Subscribers may filter by the attributes `type` and `leaderboardId`. A "
        "notification may come more than once; leaderboard, window and version tell.",
        "servers": ["sns"],
        "message": "windowFinal",
    },
}
_SERVERS: Final = {
    "kafka": {
        "host": "localhost:9092",
        "protocol": "kafka",
        "description": "The brokers; here those of the local stack",
    },
    "sqs": {"host": "localhost:4566", "protocol": "sqs", "description": "SQS; here that of the local stack"},
    "sns": {"host": "localhost:4566", "protocol": "sns", "description": "SNS; here that of the local stack"},
}
_OPERATIONS: Final = {
    "receiveScoreEvent": ("receive", "scoreEvents", "Takes score events into ledger, standings and rankings"),
    "sendDeadLetter": ("send", "deadLetters", "Keeps what it rejects, with the reason and the original bytes"),
    "sendWindowFinal": ("send", "results", "Tells that a window has its result, or another version of it"),
}

EXAMPLES: Final[dict[str, Any]] = {
    "DeadLetter": {
        "reason": "unknown_leaderboard",
        "detail": "no leaderboard is called 'autum-cup'",
        "topic": "score-events",
        "partition": 3,
        "offset": 88412,
        "appendedAtMs": 1795431600240,
        "key": "YXV0dW0tY3VwOnUtNDI=",
        "value": "eyJldmVudElkIjogInJ1bi03NyIsIOKApn0=",
        "keyObject": None,
        "valueObject": None,
        "leaderboardId": "autum-cup",
    },
    "WindowFinal": {
        "leaderboardId": "autumn-cup",
        "windowId": "2026-W48",
        "version": 1,
        "players": 200,
        "awardCount": 100,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "awardsSha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
        "type": "WindowFinal",
    },
}
"""Message → example."""


def message_schemas() -> dict[str, Any]:
    """Dead letters and notifications by the names of their schemas."""
    _, found = msgspec.json.schema_components(MESSAGES, ref_template=_REF.format(name="{name}"))
    found = in_plain_words(found)
    found["DeadLetter"]["properties"]["reason"] = {"enum": sorted(Reason), "type": "string"}
    found["WindowFinal"]["properties"]["type"] = {"const": WindowFinal.__struct_defaults__[0], "type": "string"}
    found["WindowFinal"]["required"].append("type")  # it is always sent
    for name in ("DeadLetter", "WindowFinal"):
        found[name]["examples"] = [EXAMPLES[name]]
    return found


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document."""
    event = json.loads(EVENT_SCHEMA.read_text(encoding="utf-8"))
    event.pop("$schema")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Leaderboards",
            "version": project_version(),
            "description": "Messages that exact leaderboards take and send. What is asked over HTTP: openapi.json.",
            "tags": [{"name": "leaderboards", "description": "All of it"}],
            "license": {"name": LICENSE["name"], "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": {name: _channel(**declared) for name, declared in _CHANNELS.items()},
        "operations": {name: _operation(*declared) for name, declared in _OPERATIONS.items()},
        "components": {
            "messages": {name: _message(name, schema) for name, schema in _NAMES.items()},
            "schemas": {"ScoreEvent": event, **message_schemas()},
        },
    }


def text() -> str:
    """The document as it is checked in."""
    return json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n"


def _channel(*, message: str, servers: list[str], **declared: Any) -> dict[str, Any]:
    return declared | {
        "servers": [{"$ref": f"#/servers/{name}"} for name in servers],
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(action: str, channel: str, description: str) -> dict[str, Any]:
    message = _CHANNELS[channel]["message"]
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "description": description,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _message(name: str, schema: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": schema,
        "contentType": "application/json",
        "payload": {"$ref": _REF.format(name=schema)},
    }
    if name == "scoreEvent":
        message["bindings"] = {"kafka": {"key": _KEY, "bindingVersion": "0.5.0"}}
    return message
