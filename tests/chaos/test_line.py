"""What a client sees of a server behind a line."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from infra.local.config import HOST
from infra.local.servers import free_port
from tests.chaos.line import Line


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


@pytest.fixture
def target() -> Iterator[int]:
    with socketserver.ThreadingTCPServer((HOST, 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def line(target: int) -> Iterator[tuple[Line, int]]:
    port = free_port()
    with Line(port, target) as line:
        yield line, port


def ask(connection: socket.socket, question: bytes) -> bytes:
    connection.sendall(question)
    with connection.makefile("rb") as answers:
        return answers.readline()


def answer(connection: socket.socket) -> bytes | None:
    """None if the connection is reset, or closed without a word."""
    with suppress(OSError):
        return ask(connection, b"anybody?\n") or None
    return None


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=10)


def test_all_is_carried_both_ways(line: tuple[Line, int]) -> None:
    long = b"x" * 1_000_000 + b"\n"
    with connect(line[1]) as one, connect(line[1]) as other:
        assert ask(one, b"first\n") == b"first\n"
        assert ask(other, long) == long
        assert ask(one, b"second\n") == b"second\n"


def test_a_cut_ends_every_connection_and_each_new_one_until_it_is_restored(line: tuple[Line, int]) -> None:
    cable, port = line
    with connect(port) as before:
        assert ask(before, b"before\n") == b"before\n"
        cable.cut()
        assert answer(before) is None
    with connect(port) as during:
        assert answer(during) is None
    cable.mend()
    with connect(port) as after:
        assert ask(after, b"after\n") == b"after\n"


def test_a_server_that_is_away_looks_so_through_the_line() -> None:
    port = free_port()
    with Line(port, free_port()), connect(port) as connection:
        assert answer(connection) is None
