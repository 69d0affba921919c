"""Where the profiles of a page come from, and what a page says while they can't be had."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.cache.errors import CacheUnavailable
from shared.domain.calendar import ALL_TIME, WindowStatus
from shared.domain.profiles import FENCE, NO_PROFILE, KeptProfile
from shared.domain.ranking import Entry
from shared.domain.rules import Aggregation, Leaderboard
from shared.reads.answers import Ranking, RankingSource
from shared.reads.profiles import REMEMBERED_MS, PageProfiles, Painted
from shared.truth.failures import Unavailable

CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
ADA, BOB = KeptProfile(3, '{"name":"Ada"}'), KeptProfile(4, '{"name":"Bob"}')


class Scene:
    """A truth of two profiles, and what was asked and kept."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.stored = {"ada": ADA, "bob": BOB}
        self.asked: list[list[str]] = []
        self.kept: dict[str, str] = {}
        self.failure: Exception | None = None
        self.cache_failure: Exception | None = None
        parts: Any = SimpleNamespace(read=self._read, keep=self._keep)
        self.profiles = PageProfiles(parts, lambda: parts, lambda: self.now_ms)

    def _read(self, scores_id: str, user_ids: list[str]) -> dict[str, KeptProfile]:
        assert scores_id == "cup"
        self.asked.append(user_ids)
        if self.failure is not None:
            raise self.failure
        return {user_id: self.stored[user_id] for user_id in user_ids if user_id in self.stored}

    def _keep(self, scores_id: str, values: dict[str, str]) -> None:
        assert scores_id == "cup"
        if self.cache_failure is not None:
            raise self.cache_failure
        self.kept |= values

    def of(self, cached: dict[str, KeptProfile], source: RankingSource = RankingSource.LIVE, ids: str = "") -> Painted:
        profiles = {user_id: one.value.encode() for user_id, one in cached.items()}
        ranking = Ranking(ALL_TIME, WindowStatus.OPEN, 1, 3, 0, (), source, profiles=profiles)
        entries = [Entry(1, one, 5, 0, 0, None, 1) for one in (ids or "ada bob eve").split()]
        return self.profiles.of(CUP, ranking, entries)


@pytest.fixture
def scene() -> Scene:
    return Scene()


TEXTS = {"ada": ADA.text.encode(), "bob": BOB.text.encode(), "eve": b""}


def test_what_the_cache_knows_of_everybody_is_not_asked_again(scene: Scene) -> None:
    assert scene.of({"ada": ADA, "bob": BOB, "eve": NO_PROFILE}).texts == TEXTS
    assert not scene.asked


def test_what_the_cache_lacks_comes_from_the_truth_and_is_kept(scene: Scene) -> None:
    assert scene.of({"bob": BOB}).texts == TEXTS
    assert scene.asked == [["ada", "eve"]]
    assert scene.kept == {"ada": ADA.value, "eve": NO_PROFILE.value}


def test_a_fence_is_no_profile(scene: Scene) -> None:
    assert scene.of({"ada": FENCE, "bob": BOB, "eve": NO_PROFILE}).texts["ada"] == b""


def test_a_page_whose_profiles_the_cache_does_not_take_shows_them(scene: Scene) -> None:
    scene.cache_failure = CacheUnavailable("full")
    assert scene.of({}).texts == TEXTS


def test_nobody_is_said_to_have_none_while_that_is_not_known(scene: Scene) -> None:
    before = scene.of({"bob": BOB, "ada": ADA, "eve": NO_PROFILE}).state
    scene.failure = Unavailable("away")
    painted = scene.of({"bob": BOB})
    assert painted.texts == {"bob": BOB.text.encode()}
    assert not scene.kept
    assert painted.state != before


def test_snapshots_ask_the_truth_once_in_a_while_and_leave_the_cache_alone(scene: Scene) -> None:
    for _ in range(3):
        assert scene.of({}, RankingSource.SNAPSHOT).texts == TEXTS
    assert scene.asked == [["ada", "bob", "eve"]]
    scene.stored["eve"] = KeptProfile(9, "{}")
    scene.now_ms += REMEMBERED_MS
    assert scene.of({}, RankingSource.SNAPSHOT).texts["eve"] == b"{}"
    assert not scene.kept


def test_another_state_is_another_set_of_profiles(scene: Scene) -> None:
    everybody = {"ada": ADA, "bob": BOB, "eve": NO_PROFILE}
    states = [
        scene.of(everybody).state,
        scene.of(everybody | {"eve": ADA}).state,
        scene.of(everybody | {"ada": BOB, "bob": ADA}).state,
        scene.of(everybody, ids="ada bob").state,
    ]
    assert len(set(states)) == len(states)
    assert scene.of(everybody).state == states[0]
