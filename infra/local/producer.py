"""Demo traffic: a real Kafka producer that plays a leaderboard."""

import json
import os
import random
import signal
import time
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPException
from types import FrameType
from typing import Any, Final
from uuid import uuid4

from confluent_kafka import Producer

from infra.local.config import TOPIC, positive

DEMO: Final = "demo"
DEMO_LEADERBOARD: Final[dict[str, Any]] = {
    "name": "Demo cup",
    "aggregation": "sum",
    "tiers": [{"name": "gold", "topN": 3}, {"name": "silver", "topPercent": 10}, {"name": "bronze", "minScore": 500}],
}
DUPLICATES: Final = 0.05
"""Share of events that are sent twice, as a producer does that retries."""
HTTP_TIMEOUT_S: Final = 10
RETRY_EVERY_S: Final = 0.5
_FIRST: Final = (
    "amber",
    "brave",
    "calm",
    "dusty",
    "eager",
    "fuzzy",
    "gentle",
    "happy",
    "icy",
    "jolly",
    "keen",
    "lucky",
)
_LAST: Final = ("otter", "falcon", "badger", "lynx", "heron", "marten", "raven", "stoat", "viper", "wombat")


def players() -> list[str]:
    """The players of the demo, by name."""
    return [f"{first}-{last}" for first in _FIRST for last in _LAST]


def make_leaderboard(api_url: str) -> bool:
    """Make the leaderboard of the demo, or find it there; False if the API does not take it yet."""
    request = urllib.request.Request(  # noqa: S310 - our own http URL
        f"{api_url}/leaderboards/{DEMO}",
        method="PUT",
        data=json.dumps(DEMO_LEADERBOARD).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as response:  # noqa: S310
            return bool(response.status in (200, 201))
    except (OSError, HTTPException):
        return False


def main() -> None:
    """Make the leaderboard, then produce until SIGTERM."""
    rate = positive("EVENTS_PER_SECOND")
    producer = Producer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "linger.ms": 20,
            "log_level": 2,
        }
    )
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    while not stopping and not make_leaderboard(os.environ["API_URL"]):
        time.sleep(RETRY_EVERY_S)  # an event that came before its leaderboard would be rejected
    rng = random.Random()  # noqa: S311 - demo traffic
    names = players()
    weights = [1 / (place + 3) for place in range(len(names))]  # a few play a lot, many a little
    due = time.monotonic()
    while not stopping:
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))
        (user_id,) = rng.choices(names, weights)
        event = {
            "eventId": uuid4().hex,
            "leaderboardId": DEMO,
            "userId": user_id,
            "points": rng.choice((1, 2, 5, 10, 10, 25, -5)),
            "occurredAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        for _ in range(2 if rng.random() < DUPLICATES else 1):
            _send(producer, f"{DEMO}:{user_id}", json.dumps(event))
    producer.flush(10)


def _send(producer: Producer, key: str, value: str) -> None:
    while True:
        try:
            producer.produce(TOPIC, key=key, value=value)
        except BufferError:  # the broker is away and the queue is full: wait, lose nothing
            producer.poll(0.5)
        else:
            producer.poll(0)
            return


if __name__ == "__main__":
    main()
