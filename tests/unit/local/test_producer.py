"""The demo's producer: nothing is sent before its leaderboard is there."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.local import producer
from infra.local.producer import DEMO, DEMO_LEADERBOARD

happened: list[str] = []


class Api(BaseHTTPRequestHandler):
    """Takes the leaderboard the third time."""

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert (self.path, body) == (f"/leaderboards/{DEMO}", DEMO_LEADERBOARD)
        status = 201 if happened.count("503") == 2 else 503
        happened.append(str(status))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class Producer:
    """Ends the producer's process, which is this one, after three events."""

    def __init__(self, _settings: Any) -> None:
        pass

    def produce(self, _topic: str, **record: str) -> None:
        happened.append(json.loads(record["value"])["leaderboardId"])
        if happened.count(DEMO) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    def poll(self, _timeout_s: float) -> None:
        pass

    def flush(self, _timeout_s: float) -> None:
        happened.append("flushed")


@pytest.fixture
def api_url() -> Iterator[str]:
    happened.clear()
    before = signal.getsignal(signal.SIGTERM)
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
    signal.signal(signal.SIGTERM, before)


def test_the_leaderboard_is_there_before_the_first_event(api_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "Producer", Producer)
    monkeypatch.setattr(producer, "RETRY_EVERY_S", 0)
    for name, value in {"API_URL": api_url, "KAFKA_BOOTSTRAP_SERVERS": "nowhere", "EVENTS_PER_SECOND": "1000"}.items():
        monkeypatch.setenv(name, value)

    producer.main()

    assert happened[:6] == ["503", "503", "201", DEMO, DEMO, DEMO]
    assert happened[-1] == "flushed"
