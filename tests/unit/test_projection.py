"""What happens to standings that the cache did not take."""

from typing import Any

import pytest

from shared.cache.errors import CacheRefused, CacheUnavailable
from shared.domain.calendar import ALL_TIME_DAY, Day
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.ingest.projector import Projector
from shared.messaging.queues import QueueUnavailable
from shared.rebuild.requests import RepairPlayers, RepairRequest, decode_request

CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
RACE = Leaderboard(id="race", name="Race", aggregation=Aggregation.BEST)
BOARDS = {"cup": CUP, "race": RACE}
DAY = Day(20_780)
ONE = Standing(1, 5, 1, version=1)
STANDINGS = {("cup", "ann"): {DAY: ONE, ALL_TIME_DAY: ONE}, ("race", "bob"): {ALL_TIME_DAY: ONE}}


class Live:
    def __init__(self, *away: str, error: type[CacheUnavailable] = CacheUnavailable, withdrawn: bool = False) -> None:
        self.away = away
        self.error, self.withdrawn = error, withdrawn
        self.applied: list[str] = []

    def apply(self, leaderboard: Leaderboard, _standings: Any, _now_ms: int) -> int:
        if leaderboard.id in self.away:
            error = self.error("away")
            if isinstance(error, CacheRefused):
                error.withdrawn = self.withdrawn
            raise error
        self.applied.append(leaderboard.id)
        return 0


class Repairs:
    def __init__(self, *, up: bool = True) -> None:
        self.up = up
        self.requests: list[RepairRequest] = []

    def send(self, bodies: list[bytes]) -> None:
        if not self.up:
            raise QueueUnavailable("away")
        self.requests += [decode_request(body) for body in bodies]


def projector(cache: Any, repairs: Any) -> Projector:
    return Projector(cache, repairs, lambda calls: [call() for call in calls], lambda: 0)


def project(cache: Any, repairs: Any) -> set[str]:
    return projector(cache, repairs).project(BOARDS, STANDINGS)


def test_what_the_cache_takes_needs_no_repair() -> None:
    cache, repairs = Live(), Repairs()

    assert project(cache, repairs) == set()

    assert cache.applied == ["cup", "race"]
    assert repairs.requests == []


def test_players_whose_cache_write_failed_are_queued_and_the_others_go_on() -> None:
    cache, repairs = Live("cup"), Repairs()

    assert project(cache, repairs) == set()

    assert cache.applied == ["race"]
    assert repairs.requests == [RepairPlayers(leaderboard_id="cup", players={"ann": [DAY, ALL_TIME_DAY]})]


@pytest.mark.parametrize("away", [("cup",), ("cup", "race")])
def test_a_leaderboard_that_neither_cache_nor_queue_took_is_handed_back(away: tuple[str, ...]) -> None:
    assert project(Live(*away), Repairs(up=False)) == set(away)


def test_a_leaderboard_whose_cache_rejects_standings_is_withdrawn_and_fails_no_event() -> None:
    cache, repairs = Live("cup", error=CacheRefused, withdrawn=True), Repairs(up=False)
    projecting = projector(cache, repairs)

    assert projecting.project(BOARDS, STANDINGS) == set()

    assert cache.applied == ["race"]
    assert (projecting.take_refusals(), projecting.take_refusals()) == (1, 0)


def test_what_could_not_be_withdrawn_either_is_queued_for_repair() -> None:
    cache, repairs = Live("cup", error=CacheRefused), Repairs()
    projecting = projector(cache, repairs)

    assert projecting.project(BOARDS, STANDINGS) == set()

    assert [request.leaderboard_id for request in repairs.requests] == ["cup"]
    assert projecting.take_refusals() == 1
