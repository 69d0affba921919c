"""Which windows get a new snapshot."""

from types import SimpleNamespace
from typing import Any

from shared.domain.calendar import DAY_MS, Day, daily, day_of
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.snapshots import Snapshot
from shared.rebuild.snapshots import WindowSnapshots

NOW_MS = 20_003 * DAY_MS
BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, sealed_through=Day(20_002))
YESTERDAY = daily(Day(20_002))


def test_a_sealed_window_that_was_amended_gets_a_new_snapshot() -> None:
    assert day_of(NOW_MS) == YESTERDAY.first + 1
    revisions = dict.fromkeys([YESTERDAY.id], 7)
    written: list[tuple[str, int]] = []
    parts: dict[str, Any] = {
        "cache": SimpleNamespace(
            snapshot=lambda board, window, now_ms: (True, Snapshot(revisions.get(window.id, 1), 0, NOW_MS, [])),
            revision=lambda board, window: revisions.get(window.id, 1),
        ),
        "store": SimpleNamespace(
            write=lambda board_id, window_id, snapshot, until_ms: written.append((window_id, snapshot.revision)),
            confirm=lambda board_id, confirmation: None,
        ),
        "registry": SimpleNamespace(periods=lambda _: []),
        "reads": None,
        "disqualified_players": None,
    }
    snapshots = WindowSnapshots(**parts, now_ms=lambda: NOW_MS)

    def of_yesterday() -> list[int]:
        written.clear()
        snapshots.take(BOARD)
        return [revision for window_id, revision in written if window_id == YESTERDAY.id]

    assert of_yesterday() == [7]
    assert of_yesterday() == []
    revisions[YESTERDAY.id] = 8
    assert of_yesterday() == [8]
    revisions[YESTERDAY.id] = 0
    assert of_yesterday() == [], "the cache has it no more"
