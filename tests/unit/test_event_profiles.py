"""Which profiles of a batch are kept, and what becomes of their events."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from shared.cache.errors import CacheUnavailable
from shared.domain.profiles import FENCE, KeptProfile, Profile, profile_text
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.ingest.outcomes import Applied, Candidate, Duplicate, Outcome, OutcomeKind, Rejected, Retry, read
from shared.ingest.profiles import EventProfiles
from shared.truth.failures import Unavailable

ADA, BOB = ({"name": name} for name in ("Ada", "Bob"))


def candidate(profile: Any, second: int = 0, user: str = "ann", outcome: Outcome | None = None) -> Candidate:
    event = {"eventId": "e", "leaderboardId": "cup", "userId": user, "points": 1, "profile": profile}
    value = json.dumps(event | {"occurredAt": f"1970-01-01T00:00:{second:02}Z"}).encode()
    (found,) = read([Record(Source("t", 0, 0, 0), None, value)])
    assert found.outcome is None
    found.outcome = outcome or Applied()
    return found


def text(profile: dict[str, Any]) -> str:
    return profile_text(Profile(**profile)) if profile else ""


class Scene:
    """What the truth and the cache were given."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, KeptProfile]] = []
        self.shown: list[tuple[str, dict[str, str]]] = []
        self.failing: set[str] = set()
        self.answer: KeptProfile | None = None
        self.cache_failure: Exception | None = None
        parts: Any = SimpleNamespace(write=self._write, keep=self._keep)
        self.profiles = EventProfiles(parts, lambda: parts, lambda calls: [call() for call in calls])

    def _write(self, scores_id: str, user_id: str, kept: KeptProfile) -> KeptProfile:
        if user_id in self.failing:
            raise Unavailable("throttled")
        self.written.append((scores_id, user_id, kept))
        return self.answer or kept

    def _keep(self, scores_id: str, values: dict[str, str]) -> None:
        if self.cache_failure is not None:
            raise self.cache_failure
        self.shown.append((scores_id, values))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_of_a_batch_the_newest_of_each_player_is_written_once(scene: Scene) -> None:
    batch = [candidate(ADA, 2), candidate(BOB, 3), candidate(ADA, 1), candidate({}, 5, "bob"), candidate(None, 9)]
    scene.profiles.keep(batch)
    expected = [("cup", "ann", KeptProfile(3_000, text(BOB))), ("cup", "bob", KeptProfile(5_000, ""))]
    assert scene.written == expected
    assert scene.shown == [("cup", {user_id: kept.value for _, user_id, kept in expected})]


@pytest.mark.parametrize("order", [(ADA, BOB), (BOB, ADA)])
def test_of_one_time_every_order_keeps_the_same(scene: Scene, order: tuple[Any, Any]) -> None:
    scene.profiles.keep([candidate(one, 1) for one in order])
    assert [kept.text for _, _, kept in scene.written] == [text(BOB)]


def test_a_duplicate_brings_its_profile_again_and_what_does_not_count_brings_none(scene: Scene) -> None:
    rejected = Rejected(Rejection(Reason.TOO_LATE, "late"))
    scene.profiles.keep([candidate(ADA, 9, "a", rejected), candidate(ADA, 9, "b", Retry("x"))])
    assert not scene.written
    scene.profiles.keep([candidate(ADA, 1, "c", Duplicate())])
    assert [user_id for _, user_id, _ in scene.written] == ["c"]


@pytest.mark.parametrize(
    "profile",
    [7, "x", [], {"name": ""}, {"name": "a\u0000"}, {"avatar": "a b"}, {"metadata": {"a": "x" * 600}}, {"name": 1}],
)
def test_an_invalid_profile_is_dropped_and_counted_and_its_event_counts(scene: Scene, profile: Any) -> None:
    batch = [candidate(profile, 3), candidate(ADA, 1)]
    scene.profiles.keep(batch)
    assert [one.kind for one in batch] == [OutcomeKind.APPLIED] * 2
    assert [kept.text for _, _, kept in scene.written] == [text(ADA)]
    assert (scene.profiles.take_dropped(), scene.profiles.take_dropped()) == (1, 0)


def test_where_the_truth_does_not_take_one_the_records_of_that_player_come_again(scene: Scene) -> None:
    scene.failing = {"ann"}
    batch = [candidate(ADA, 1), candidate(BOB, 2), candidate(ADA, 1, "bob"), candidate(None, 3)]
    scene.profiles.keep(batch)
    assert [one.kind for one in batch] == [OutcomeKind.RETRY] * 2 + [OutcomeKind.APPLIED] * 2
    assert [values.keys() for _, values in scene.shown] == [{"bob"}]


def test_a_cache_that_fails_costs_no_event(scene: Scene) -> None:
    scene.cache_failure = CacheUnavailable("away")
    one = candidate(ADA)
    scene.profiles.keep([one])
    assert one.kind is OutcomeKind.APPLIED


def test_a_fence_is_shown_in_place_of_what_came_too_late(scene: Scene) -> None:
    scene.answer = FENCE
    scene.profiles.keep([candidate(ADA)])
    assert scene.shown == [("cup", {"ann": FENCE.value})]


def test_who_gets_a_pseudonym_brings_no_profile(scene: Scene) -> None:
    one = candidate(ADA)
    one.name("p-1")
    scene.profiles.keep([one])
    assert not scene.written


def test_a_profile_is_no_part_of_what_an_event_says() -> None:
    assert candidate(ADA).event == candidate(BOB).event == candidate(None).event
