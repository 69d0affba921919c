"""A server that can be made to accept whatever it is sent and never answer, in front of one that answers."""

import socket
from contextlib import suppress
from threading import Event, Thread
from typing import Self

BYTES_AT_ONCE = 65_536


class Silence:
    """A TCP proxy. While `hangs`, requests are counted and go nowhere."""

    def __init__(self, port: int) -> None:
        """`port`: of the server that answers, on this machine."""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.hangs = Event()
        self.swallowed = 0
        """Requests that were not answered."""

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                Thread(target=self._forward, args=(client, server, True), daemon=True).start()
                Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(BYTES_AT_ONCE):
                if self.hangs.is_set():
                    self.swallowed += counts and data.startswith(b"POST ")
                else:
                    target.sendall(data)
