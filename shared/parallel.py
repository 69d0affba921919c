"""Runs calls, and reads sources, in parallel on threads, with a bounded part of what sources yield in memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition, Thread
from typing import Final, Generic, Protocol, TypeVar

T = TypeVar("T")

AHEAD_MAX: Final = 16
"""Items that wait in memory for the consumer, besides the one that each source is yielding."""


class RunParallel(Protocol):
    """Runs calls that don't depend on each other; returns their results in the order of the calls."""

    def __call__(self, calls: Sequence[Callable[[], T]], /) -> list[T]: ...


class ThreadPool:
    """Runs calls on a pool of threads that lives as long as the process. Raises what the first failing call raised."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="calls")

    def __call__(self, calls: Sequence[Callable[[], T]], /) -> list[T]:
        if len(calls) == 1:
            return [calls[0]()]
        return list(self._pool.map(lambda call: call(), calls))


class SourceReader(Protocol):
    """Reads sources that don't depend on each other; yields their items in no particular order.

    Raises what a source raises. Closing the generator ends the reading.
    """

    def __call__(self, sources: Sequence[Iterable[T]], /) -> Generator[T, None, None]: ...


def read_sequentially(sources: Sequence[Iterable[T]]) -> Generator[T, None, None]:
    """Read one source after the other on the consumer's thread: the same order at every run."""
    for source in sources:
        yield from source


class ParallelReader:
    """Reads each source on a thread of its own, up to `threads` at once; threads end with the generator."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __call__(self, sources: Sequence[Iterable[T]], /) -> Generator[T, None, None]:
        if len(sources) < 2:
            yield from read_sequentially(sources)
            return
        threads = min(self._threads, len(sources))
        buffer = _BoundedBuffer(iter(sources), threads)
        for _ in range(threads):
            Thread(target=buffer.fill, name="source", daemon=True).start()
        try:
            yield from buffer.take()
        finally:
            buffer.close()


class _BoundedBuffer(Generic[T]):
    """Passes items from the threads that read to the consumer."""

    def __init__(self, sources: Iterator[Iterable[T]], threads: int) -> None:
        self._sources = sources
        self._filling = threads
        self._waiting: deque[T] = deque()
        self._error: BaseException | None = None
        self._closed = False
        self._changed = Condition()

    def fill(self) -> None:
        """Read one source after the other until there is none left, one fails, or the buffer is closed."""
        error: BaseException | None = None
        try:
            while (source := self._next()) is not None:
                for item in source:
                    if not self._put(item):
                        return
        except BaseException as raised:  # noqa: BLE001 - take() raises it again
            error = raised
        finally:
            with self._changed:
                self._filling -= 1
                self._error = self._error or error
                self._changed.notify_all()

    def take(self) -> Iterator[T]:
        """Yield items until all sources are read. Raises what a source raised, as soon as it is known."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._error or not self._filling)
                if self._error is not None:
                    raise self._error
                if not self._waiting:
                    return
                item = self._waiting.popleft()
                self._changed.notify_all()
            yield item

    def close(self) -> None:
        """Drop what waits and end the threads: the consumer is gone."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _next(self) -> Iterable[T] | None:
        with self._changed:
            return None if self._closed or self._error else next(self._sources, None)

    def _put(self, item: T) -> bool:
        """Wait for room and append; False once the buffer is closed or a source failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._error or len(self._waiting) < AHEAD_MAX)
            if self._closed or self._error:
                return False
            self._waiting.append(item)
            self._changed.notify_all()
            return True
