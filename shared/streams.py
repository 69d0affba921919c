"""Several sources read as one, with a bounded part of them in memory."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from threading import Condition, Thread
from typing import Final, Generic, Protocol, TypeVar

T = TypeVar("T")

AHEAD_MAX: Final = 16
"""What waits in memory to be taken, beside what each source is giving: sources go on while the consumer works,
and wait while the consumer is slower."""


class Merge(Protocol):
    """Reads sources that don't depend on each other; what they give, in no particular order.

    Raises what a source raises. Closing the generator ends the reading.
    """

    def __call__(self, sources: Sequence[Iterable[T]], /) -> Generator[T, None, None]: ...


def in_turn(sources: Sequence[Iterable[T]]) -> Generator[T, None, None]:
    """Each after the one before, on the thread of who takes: the same order at every run."""
    for source in sources:
        yield from source


class ParallelReader:
    """Sources side by side, each on a thread while it is read; threads end with the generator."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __call__(self, sources: Sequence[Iterable[T]], /) -> Generator[T, None, None]:
        """What the sources give, as it comes."""
        if len(sources) < 2:
            yield from in_turn(sources)
            return
        buffer = _BoundedBuffer(iter(sources), min(self._threads, len(sources)))
        for _ in range(min(self._threads, len(sources))):
            Thread(target=buffer.fill, name="source", daemon=True).start()
        try:
            yield from buffer.take()
        finally:
            buffer.close()


class _BoundedBuffer(Generic[T]):
    """Between the threads that read and the one that takes."""

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
                for one in source:
                    if not self._put(one):
                        return
        except BaseException as raised:  # noqa: BLE001 - raised again by the one who takes
            error = raised
        finally:
            with self._changed:
                self._filling -= 1
                self._error = self._error or error
                self._changed.notify_all()

    def take(self) -> Iterator[T]:
        """What comes, until all sources are read. Raises what one of them raised, as soon as it is known."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._error or not self._filling)
                if self._error is not None:
                    raise self._error
                if not self._waiting:
                    return
                one = self._waiting.popleft()
                self._changed.notify_all()
            yield one

    def close(self) -> None:
        """The consumer is gone: threads end with what they are reading."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _next(self) -> Iterable[T] | None:
        with self._changed:
            return None if self._closed or self._error else next(self._sources, None)

    def _put(self, one: T) -> bool:
        """Wait for room and append; False once the buffer is closed or a source failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._error or len(self._waiting) < AHEAD_MAX)
            if self._closed or self._error:
                return False
            self._waiting.append(one)
            self._changed.notify_all()
            return True
