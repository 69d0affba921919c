"""Definitions in the memory of a function, on a registry that is a variable."""

from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from shared.domain.calendar import Day
from shared.domain.rules import Aggregation, Leaderboard
from shared.lookups.leaderboards import KEEP_MS, Leaderboards

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
REFUSING = replace(BOARD, has_events=True, sealing_through=Day(20_000))


class Scene:
    """A registry's answer, and the time."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.answer = BOARD
        registry: Any = SimpleNamespace(
            leaderboard=lambda _: self.answer, lock_rules=lambda leaderboard: replace(leaderboard, has_events=True)
        )
        self.leaderboards = Leaderboards(registry, lambda: self.now_ms)


def test_a_definition_is_read_again_when_it_was_kept_long_enough() -> None:
    scene = Scene()
    scene.leaderboards.find("cup")
    scene.answer = REFUSING

    scene.now_ms = KEEP_MS - 1
    assert scene.leaderboards.find("cup") == BOARD
    scene.now_ms += 1
    assert scene.leaderboards.find("cup") == REFUSING


def test_sealing_keeps_a_definition_no_longer() -> None:
    """Closing counts on that: see `LAST_CALLS_MS`."""
    scene = Scene()
    kept = scene.leaderboards.find("cup")
    assert kept is not None
    scene.answer = REFUSING
    scene.now_ms = KEEP_MS - 1
    assert scene.leaderboards.lock_rules(kept) == replace(BOARD, has_events=True)
    assert scene.leaderboards.find("cup") == replace(BOARD, has_events=True)

    scene.now_ms += 1
    assert scene.leaderboards.find("cup") == REFUSING
