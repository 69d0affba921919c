"""Where ingest records up to where partitions are committed."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.records import Record, Source
from shared.ingest.outcomes import OutcomeKind
from shared.ingest.service import Ingest
from shared.parallel import ThreadPool
from shared.truth.commits import Unavailable
from shared.truth.progress import Position
from tests.support.pseudonyms import NO_PROFILES, NO_PSEUDONYMS

PARTITIONS = 3
WAIT_S = 60


class Recorder:
    """Progress that takes positions only once all partitions have come with one."""

    def __init__(self, broken: int | None = None) -> None:
        self._all = threading.Barrier(PARTITIONS)
        self._broken = broken
        self.recorded: dict[int, int] = {}

    def advance(self, position: Position, *_: Any) -> None:
        self._all.wait(WAIT_S)
        if position.partition == self._broken:
            raise Unavailable("throttled")
        self.recorded[position.partition] = position.next_offset


def ingest(progress: Any) -> Ingest:
    parts: Any = SimpleNamespace(
        commit=lambda *_: {},
        settle_refused=lambda *_: {},
        project=lambda *_: set(),
        send=lambda *_: None,
        register=lambda *_: None,
    )
    return Ingest(
        leaderboards=parts,
        committer=parts,
        projector=parts,
        dead_letters=parts,
        letters=parts,
        profiles=NO_PROFILES,
        receipts=parts,
        pseudonyms=NO_PSEUDONYMS,
        progress=progress,
        run_parallel=ThreadPool(PARTITIONS),
        now_ms=lambda: 0,
    )


def records() -> list[Record]:
    return [Record(Source("t", number % PARTITIONS, number, 0), None, None) for number in range(2 * PARTITIONS)]


def test_positions_of_partitions_are_recorded_side_by_side() -> None:
    progress = Recorder()

    ingest(progress).ingest(records())

    assert progress.recorded == {0: 4, 1: 5, 2: 6}


@pytest.mark.parametrize("broken", range(PARTITIONS))
def test_a_position_that_can_t_be_recorded_has_its_partition_alone_come_again(broken: int) -> None:
    progress = Recorder(broken)

    candidates = ingest(progress).ingest(records())

    assert progress.recorded == {number: number + 4 for number in range(PARTITIONS) if number != broken}
    failed = [one.record.source.offset for one in candidates if one.kind is OutcomeKind.RETRY]
    assert failed == [broken], "its first record: those behind it come with it"
