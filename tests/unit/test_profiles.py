"""Who may have a profile set, and from when on it holds."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.admin.profiles import TRIES_MAX, PlayerProfiles
from shared.admin.pseudonyms import HasPseudonym, IsPseudonym
from shared.domain.profiles import FENCE, KeptProfile
from shared.domain.rules import Aggregation, Leaderboard
from shared.truth.failures import Unavailable
from shared.truth.profiles import Profiles
from shared.truth.tables import Tables
from tests.support.dynamodb import MemoryDynamoDB

CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
NOW_MS = 1_000


class Names:
    """What pseudonymisation says of a player."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    def check_named(self, _: Leaderboard, __: str) -> None:
        if self.failure is not None:
            raise self.failure


class Scene(PlayerProfiles):
    def __init__(self) -> None:
        self.database: Any = MemoryDynamoDB()
        self.stored = Profiles(self.database, Tables().registry, None)  # type: ignore[arg-type]
        self.names = Names()
        names: Any = self.names
        self.cached: list[tuple[str, dict[str, str]]] = []
        cache: Any = SimpleNamespace(keep=lambda *kept: self.cached.append(kept))
        super().__init__(self.stored, names, lambda: cache, lambda: NOW_MS)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_profile_is_of_now_and_is_found(scene: Scene) -> None:
    assert scene.find(CUP, "ann") is None
    assert scene.put(CUP, "ann", "a") == KeptProfile(NOW_MS, "a") == scene.find(CUP, "ann")
    assert scene.find(CUP, "bob") is None
    assert scene.cached == [("cup", {"ann": KeptProfile(NOW_MS, "a").value})]


def test_setting_wins_over_what_a_clock_ahead_has_left(scene: Scene) -> None:
    scene.stored.write("cup", "ann", KeptProfile(NOW_MS + 9, "ahead"))
    assert scene.put(CUP, "ann", "b") == KeptProfile(NOW_MS + 10, "b") == scene.find(CUP, "ann")
    assert scene.put(CUP, "ann", "") == KeptProfile(NOW_MS + 11, "")
    assert scene.stored.write("cup", "ann", KeptProfile(NOW_MS + 9, "ahead")) == KeptProfile(NOW_MS + 11, "")


def test_setting_the_same_again_leaves_it_as_it_is(scene: Scene) -> None:
    scene.stored.write("cup", "ann", KeptProfile(NOW_MS + 9, "a"))
    assert scene.put(CUP, "ann", "a") == KeptProfile(NOW_MS + 9, "a")


def test_a_purge_begins_without_profiles(scene: Scene) -> None:
    purged = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, starts_ms=(NOW_MS - 1, NOW_MS + 1))
    scene.put(CUP, "ann", "before")
    assert scene.find(purged, "ann") is None
    scene.put(purged, "ann", "since")
    assert scene.stored.read(f"cup.{NOW_MS - 1}", ["ann"]) == {"ann": KeptProfile(NOW_MS, "since")}


@pytest.mark.parametrize("failure", [HasPseudonym("x"), IsPseudonym("x")])
def test_nobody_with_a_pseudonym_gets_a_profile(scene: Scene, failure: Exception) -> None:
    scene.names.failure = failure
    with pytest.raises(type(failure)):
        scene.put(CUP, "ann", "a")
    assert not scene.database.tables[Tables().registry]


def test_a_fence_that_comes_meanwhile_refuses_too(scene: Scene) -> None:
    scene.stored.write("cup", "ann", KeptProfile(1, "a"))
    scene.stored.write("cup", "ann", FENCE)
    for text in ("a", ""):
        with pytest.raises(HasPseudonym):
            scene.put(CUP, "ann", text)
    assert scene.find(CUP, "ann") is None
    scene.stored.clear("cup", "ann")
    assert not scene.database.tables[Tables().registry]


def test_who_is_always_overtaken_hears_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def write(_: str, __: str, wanted: KeptProfile) -> KeptProfile:
        tries.append(wanted.at_ms)
        return KeptProfile(wanted.at_ms, "other")

    monkeypatch.setattr(scene.stored, "write", write)
    with pytest.raises(Unavailable):
        scene.put(CUP, "ann", "a")
    assert tries == list(range(NOW_MS, NOW_MS + TRIES_MAX))
