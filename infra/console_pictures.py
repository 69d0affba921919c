"""Takes the console's pictures in docs/console anew, from a system of its own with demo traffic (with Chromium)."""

import io
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer
from PIL import Image
from playwright.sync_api import Page

from infra.browser import chromium
from infra.local.config import TOPIC
from infra.local.producer import DEMO
from infra.local.servers import Server
from infra.local.stack import Stack

PICTURES: Final = Path(__file__).parents[1] / "docs" / "console"
BYTES_MAX: Final = 150_000
WIDTH: Final = 1400
COLOURS: Final = 96
TRAFFIC_S: Final = 25
"""How long the demo plays before the first picture is taken."""
LAST_MOVING: Final = "pipeline"
"""The last picture with traffic."""
HTTP_TIMEOUT_S: Final = 10
BAD: Final = {"eventId": "bad-1", "leaderboardId": DEMO, "userId": "ann", "points": "many"}


def _ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as response:  # noqa: S310 - our own http URL
        return json.load(response)


def _play(stack: Stack) -> str:
    """Have something of everything to see; returns who stands at rank 2."""
    producer = Producer({"bootstrap.servers": stack.config.kafka_bootstrap})
    producer.produce(TOPIC, json.dumps(BAD), f"{DEMO}:ann")
    producer.flush(HTTP_TIMEOUT_S)
    time.sleep(TRAFFIC_S)
    board = f"{stack.url}/leaderboards/{DEMO}"
    entries = _ask(f"{board}/rankings?window=daily&limit=10")["entries"]
    _ask(f"{board}/players/{entries[9]['userId']}/disqualify", {"reason": "two accounts"})
    today = datetime.now(UTC).date().isoformat()
    _ask(f"{board}/players/{entries[8]['userId']}/disqualify", {"reason": "shared device", "from": today, "to": today})
    return str(entries[1]["userId"])


def _settled(selector: str) -> Callable[[Page], None]:
    return lambda page: page.locator(selector).first.wait_for()


def _views(player: str) -> dict[str, tuple[str, Callable[[Page], None], int]]:
    """Picture → view, when it is all there, and its height, px."""
    board = f"#/leaderboards/{DEMO}"
    return {
        "board": (board, _settled(".rows .who"), 900),
        "pipeline": ("#/pipeline", _settled(".arrow.moving"), 800),
        "player": (f"{board}/players/{player}?window=daily", _settled(".story .big"), 1_150),
        "results": (f"{board}/results", _settled("main table"), 800),
        "audit-log": (f"{board}/audit-log", _settled("main table"), 420),
        "dead-letters": ("#/pipeline/dead-letters", _settled(".letters > li"), 820),
    }


def _save(picture: bytes, path: Path) -> int:
    """Write it with few colours: a page of text has no more."""
    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    return path.stat().st_size


def _take(stack: Stack, player: str) -> int:
    large = 0
    with chromium() as browser:
        for name, (view, wait, height) in _views(player).items():
            page = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme="light")
            page.goto(f"{stack.url}/console/{view}")
            wait(page)
            page.wait_for_timeout(2_500)  # charts are drawn, and rates are of some seconds
            size = _save(page.screenshot(), PICTURES / f"{name}.png")
            print(f"{name}.png: {size:,} bytes")
            large += size > BYTES_MAX
            page.close()
            if name == LAST_MOVING:
                stack.kill("producer")  # so that what a view puts together is of one moment
    return large


def main() -> int:
    """Take all of them; the exit status is 1 if one is too large for a document."""
    os.environ["CLOSE_EVERY_S"] = "2"
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack.for_test(Path(directory))
        stack.add(
            Server(
                "producer",
                [sys.executable, "-m", "infra.local.producer"],
                log=stack.config.logs / "producer.log",
                ready=lambda: True,
                environment=stack.environment | {"API_URL": stack.url},
            )
        )
        with stack:
            return int(_take(stack, _play(stack)) > 0)


if __name__ == "__main__":
    sys.exit(main())
