"""What an answer says of its time: nothing that it could not know."""

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from shared.cache.pages import Page, PlayerPage
from shared.cache.searches import Found, Players, Slice
from shared.domain.calendar import ALL_TIME
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.selections import Selection
from shared.domain.standings import Score
from shared.reads.corrections import ResultState
from shared.reads.players import Players as PlayerReads
from shared.reads.rankings import Rankings
from shared.truth.failures import Unavailable

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
LINE = ("ann", Score(5, 1))


class Cache:
    """Answers with the time at which it is read as its revision; any look at the clock is a tick later."""

    def __init__(self) -> None:
        self._ticks = count(1_000)

    def now_ms(self) -> int:
        return next(self._ticks)

    def page(self) -> Page:
        return Page(complete=True, revision=self.now_ms(), total=1, first=0, lines=[LINE])

    def select(self, *_: Any) -> Slice:
        return Slice(self.page(), 0, 1, 0)

    def player(self, *_: Any, **__: Any) -> PlayerPage:
        return PlayerPage(self.page(), 0, {})

    def players(self, *_: Any, **__: Any) -> Players:
        return Players(self.page(), [Found(0, 0, *LINE)])

    def player_windows(self, _: Any, windows: Any, *__: Any) -> list[Players]:
        return [self.players() for _ in windows]


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def rankings(cache: Cache) -> Rankings:
    parts: Any = SimpleNamespace(find=lambda *_: None, rules_in_force=lambda board, _: board)
    stub: Any = cache
    return Rankings(
        cache=stub,
        searches=stub,
        on_demand=parts,
        repairs=parts,
        results=parts,
        corrections=parts,
        fallback=parts,
        now_ms=cache.now_ms,
    )


def test_as_of_is_never_later_than_what_was_read(cache: Cache, rankings: Rankings) -> None:
    """An event between the read and the answer is not in it, so that the answer must not claim its instant."""
    registry: Any = SimpleNamespace(periods=lambda _: [])
    none: Any = None
    results: Any = SimpleNamespace(rules_in_force=lambda board, _: board)
    searches: Any = cache
    players = PlayerReads(
        rankings=rankings,
        searches=searches,
        reads=none,
        registry=registry,
        results=results,
        disqualified_players=none,
        now_ms=cache.now_ms,
    )
    player = rankings.player(BOARD, ALL_TIME, "ann", 1)
    assert player is not None
    found = [
        rankings.page(BOARD, ALL_TIME, 0, 1),
        rankings.select(BOARD, ALL_TIME, Selection(limit=1)),
        rankings.players(BOARD, ALL_TIME, ["ann"]),
        player.ranking,
        *(one.ranking for one in players.windows(BOARD, "ann").windows),
    ]

    assert len(found) == 7
    assert all(one.as_of_ms < one.revision for one in found)


class Versions:
    """Results of which the next version is written while a window is read."""

    def __init__(self, *written: int) -> None:
        self.known, self.written = 1, list(written)

    def find(self, *_: Any) -> Any:
        return SimpleNamespace(final=SimpleNamespace(version=self.known), rules=BOARD)

    def state(self, *_: Any) -> ResultState:
        self.known = self.written.pop(0)
        return ResultState(self.known, is_pending=False)


@pytest.mark.parametrize(
    ("written", "shown"),
    [((1,), ("final", 1)), ((2, 2), ("final", 2)), ((2, 3, 3), ("final", 3)), ((2, 3, 4), ("live", 4))],
)
def test_a_version_that_is_written_during_a_read_has_the_window_read_again(
    cache: Cache, written: tuple[int, ...], shown: tuple[str, int]
) -> None:
    stub: Any = cache
    versions: Any = Versions(*written)
    rankings = Rankings(
        cache=stub, searches=stub, on_demand=stub, repairs=stub, results=versions, corrections=versions, fallback=stub,
        now_ms=cache.now_ms,
    )  # fmt: skip

    page = rankings.page(BOARD, ALL_TIME, 0, 1)

    assert (page.source, page.result_version, versions.written) == (*shown, [])


def test_a_final_window_that_can_not_be_checked_is_live(cache: Cache) -> None:
    stub: Any = cache
    versions: Any = Versions(1)

    def away(*_: Any) -> ResultState:
        raise Unavailable("away")

    versions.state = away
    rankings = Rankings(
        cache=stub, searches=stub, on_demand=stub, repairs=stub, results=versions, corrections=versions, fallback=stub,
        now_ms=cache.now_ms,
    )  # fmt: skip

    page = rankings.page(BOARD, ALL_TIME, 0, 1)

    assert (page.source, page.result_version, page.pending_version) == ("live", 1, None)
