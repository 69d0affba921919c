"""Several sources read as one: nothing missing, little in memory, and nothing that goes on once nobody takes."""

import threading
from collections.abc import Iterator
from threading import Event

import pytest

from shared.parallel import AHEAD_MAX, ParallelReader, SourceReader, read_sequentially

PATIENCE_S = 30
"""After which a test that waits for a thread has failed."""


def readers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "source"]


def ended() -> bool:
    """Whether the reading threads end, as they do once nobody takes any more."""
    for thread in readers():
        thread.join(PATIENCE_S)
    return not readers()


@pytest.mark.parametrize("merge", [read_sequentially, ParallelReader(1), ParallelReader(4), ParallelReader(99)])
@pytest.mark.parametrize("sizes", [[], [0], [3], [0, 0], [1, 0, 5], [7] * 40])
def test_all_that_the_sources_give_comes_once_and_in_order_within_each(merge: SourceReader, sizes: list[int]) -> None:
    sources = [[(source, number) for number in range(size)] for source, size in enumerate(sizes)]

    found = list(merge(sources))

    assert sorted(found) == [one for source in sources for one in source]
    for source in range(len(sizes)):
        assert [number for one, number in found if one == source] == list(range(sizes[source]))
    assert ended()


def test_in_turn_is_the_same_order_every_time_and_no_thread() -> None:
    def source(name: str) -> Iterator[tuple[str, int]]:
        for _ in range(2):
            yield name, threading.get_ident()

    here = threading.get_ident()
    assert list(read_sequentially([source("a"), source("b")])) == [("a", here), ("a", here), ("b", here), ("b", here)]


def test_sources_are_read_side_by_side() -> None:
    """Each gives its second part only after the other one has given its first."""
    first = [Event(), Event()]

    def source(own: int) -> Iterator[int]:
        first[own].set()
        yield own
        assert first[1 - own].wait(PATIENCE_S)
        yield own

    assert sorted(ParallelReader(2)([source(0), source(1)])) == [0, 0, 1, 1]


def test_sources_do_not_run_ahead_of_who_takes() -> None:
    """However long the sources, no more of them stands in memory than fits between."""
    threads, given, full = 4, [0] * 4, Event()

    def source(own: int) -> Iterator[int]:
        for number in range(10_000):
            given[own] = number + 1
            if sum(given) >= AHEAD_MAX + threads:
                full.set()
            yield number

    merged = ParallelReader(threads)([source(own) for own in range(threads)])
    taken = 0
    for _ in merged:
        taken += 1
        assert full.wait(PATIENCE_S)
        assert sum(given) <= taken + AHEAD_MAX + threads
        if taken == 100:
            break
    merged.close()
    assert ended()
    assert sum(given) <= taken + AHEAD_MAX + threads


@pytest.mark.parametrize("merge", [read_sequentially, ParallelReader(3)])
def test_what_a_source_raises_is_raised_to_who_takes_and_the_others_end(merge: SourceReader) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    def failing() -> Iterator[int]:
        yield 1
        raise LookupError("this source is broken")

    with pytest.raises(LookupError, match="this source is broken"):
        for _ in merge([failing(), endless(), endless()]):
            pass
    assert ended()


def test_who_stops_early_ends_the_reading() -> None:
    """Without waiting for what is just being read: that may take as long as a request's timeout."""
    read, held = Event(), Event()
    started = []

    def source(own: int) -> Iterator[int]:
        started.append(own)
        yield own
        read.set()
        held.wait(PATIENCE_S)
        yield own

    merged = ParallelReader(2)([source(own) for own in range(50)])
    next(merged)
    assert read.wait(PATIENCE_S)

    merged.close()

    held.set()
    assert ended()
    assert len(started) <= 2
    assert list(merged) == []
