"""The line to a server, which is cut before the server is killed.

DynamoDB answers what it has replicated, and dynoxide what SQLite has. DynamoDB Local, the second engine, answers a
transaction some milliseconds before SQLite has it: if killed within 10 ms of the answer it loses what it answered (8 of
8 tries right after it, 0 of 8 at 10 ms). So that a kill leaves what a failure of DynamoDB leaves, whatever is answered
shortly before it gets no further than the line: to the client the outcome is unknown.
"""

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from infra.local.config import HOST

CUT_S: Final = 0.1
"""Between the cut and the kill: ten times what the server is late by."""
CHUNK_BYTES: Final = 65_536


class Line:
    """Hands connections on to a port of this machine, in a thread of its own."""

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"line to {target}", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False

    def cut(self) -> None:
        """Drop every connection in the middle of what it carries, and each new one at once."""
        self._is_cut = True
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result()

    def mend(self) -> None:
        """Take connections again."""
        self._is_cut = False

    def __enter__(self) -> Self:
        self._thread.start()
        serve = asyncio.start_server(self._serve, HOST, self._port)
        self._server = asyncio.run_coroutine_threadsafe(serve, self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._is_cut:
                await self._carry(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_target, to_target = await asyncio.open_connection(HOST, self._target)
        except OSError:
            return  # the server is away: so is the line's other end
        self._writers.add(to_target)
        ways = [asyncio.create_task(_pass_on(reader, to_target)), asyncio.create_task(_pass_on(from_target, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._writers.discard(to_target)
            to_target.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.close()
