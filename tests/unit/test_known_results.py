"""What a function knows of results is kept for a while, unless somebody asks for what is so now."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.calendar import Day, daily
from shared.domain.rules import Aggregation, Leaderboard
from shared.lookups.results import READ_AGAIN_MS, Results
from shared.truth.commits import Unavailable
from shared.truth.final_results import FinalResult

DAY = Day(20_000)
BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, sealed_through=DAY)
WINDOW = daily(DAY)


class Scene:
    """Results over a registry that says what the test says."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000
        self.version = 1
        self.away = False
        final_results: Any = SimpleNamespace(final=self._final)
        registry: Any = SimpleNamespace(rules=lambda *_: BOARD)
        self.results = Results(final_results, registry, lambda: self.now_ms)

    def _final(self, leaderboard_id: str, window_id: str) -> FinalResult:
        if self.away:
            raise Unavailable
        return FinalResult(
            leaderboard_id=leaderboard_id,
            window_id=window_id,
            rules_version=1,
            version=self.version,
            players=0,
            sum_of_points="0",
            object_key="",
            bytes=0,
            sha256="",
            awards_key="",
            awards_sha256="",
            code_version="",
            finalised_at_ms=0,
        )

    def found(self) -> int:
        result = self.results.find(BOARD, WINDOW)
        assert result is not None
        return result.final.version


def test_a_result_is_the_latest_for_a_while_and_then_looked_up_again() -> None:
    scene = Scene()
    assert scene.found() == 1
    scene.version = 2

    scene.now_ms += READ_AGAIN_MS - 1
    assert scene.found() == 1
    scene.now_ms += 1
    assert scene.found() == 2


def test_the_latest_is_looked_up_at_once_and_known_from_then_on() -> None:
    scene = Scene()
    assert scene.found() == 1
    scene.version = 2

    latest = scene.results.latest(BOARD, WINDOW)

    assert latest is not None
    assert (latest.final.version, scene.found()) == (2, 2)


def test_while_the_registry_is_away_what_was_known_will_do_but_is_not_the_latest() -> None:
    scene = Scene()
    assert scene.found() == 1
    scene.away = True
    scene.now_ms += READ_AGAIN_MS

    assert scene.found() == 1
    with pytest.raises(Unavailable):
        scene.results.latest(BOARD, WINDOW)
