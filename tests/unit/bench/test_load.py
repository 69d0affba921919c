"""What the load generator says of answers that came, and of none that came."""

import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.bench.load import closed_loop, longest_gap, steady, steady_with_pause


@pytest.mark.parametrize(
    ("instants", "gap"), [([], 0.0), ([3.0], 0.0), ([1.0, 1.5, 4.0, 4.5], 2.5), ([4.0, 1.0, 1.5], 2.5)]
)
def test_the_longest_gap_is_between_answers_in_the_order_in_which_they_came(instants: list[float], gap: float) -> None:
    assert longest_gap(instants) == gap


class Stub:
    """A server that answers everything alike, but for a pause of all of it before the answer of one number."""

    def __init__(self, status: int = 200, pause_at: int = -1, pause_s: float = 0.0) -> None:
        lock, answered = threading.Lock(), itertools.count(1)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with lock:
                    if next(answered) == pause_at:
                        time.sleep(pause_s)
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def __enter__(self) -> "Stub":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub(pause_at=20, pause_s=0.3) as running:
        yield running


def test_a_server_that_stands_still_is_seen_as_a_pause_and_in_all_that_was_due(stub: Stub) -> None:
    latencies, pause_ms = steady_with_pause(stub.port, ["/a", "/b"], 100, 0.6)
    assert pause_ms >= 250
    assert sum(one > 100 for each in latencies.values() for one in each) >= 10


def test_a_closed_loop_counts_what_was_answered(stub: Stub) -> None:
    assert closed_loop(stub.port, "/a", 2, 0.5) > 0


def test_an_answer_that_is_none_ends_the_measurement() -> None:
    with Stub(503) as failing:
        with pytest.raises(RuntimeError, match="503"):
            steady(failing.port, ["/a"], 10, 0.1)
        with pytest.raises(RuntimeError, match="503"):
            closed_loop(failing.port, "/a", 1, 0.1)
