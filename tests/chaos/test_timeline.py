"""What readers may be answered, and when a disturbance is over."""

import pytest

from tests.chaos.plan import Kind
from tests.chaos.timeline import CALM, LIVE, SNAPSHOT, TIMEOUT, UNREACHABLE, Read, Timeline, is_excused


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timeline(clock: Clock) -> Timeline:
    return Timeline(["one", "two"], clock)


def read(target: str, started_s: float, answer: str = LIVE, ended_s: float | None = None) -> Read:
    return Read(target, started_s, started_s + 0.1 if ended_s is None else ended_s, answer, True)


@pytest.mark.parametrize("answer", ["500 internal-error", "502", "404 unknown-player", TIMEOUT, "200 final"])
def test_some_answers_are_never_excused(answer: str) -> None:
    assert not is_excused(answer, set(Kind))


@pytest.mark.parametrize("answer", ["503 rebuilding", "503 cache-unavailable", "503 truth-unavailable", SNAPSHOT])
def test_ranks_may_be_away_only_while_the_cache_or_the_truth_is(answer: str) -> None:
    assert not is_excused(answer, set())
    assert not is_excused(answer, {Kind.BROKER, Kind.TRIGGER, Kind.QUEUES, Kind.API})
    for kind in (Kind.DYNAMODB, Kind.CACHE, Kind.CACHE_EMPTIED, Kind.FLUSH):
        assert is_excused(answer, {kind})


def test_the_api_may_be_out_of_reach_only_while_it_is_killed() -> None:
    assert is_excused(UNREACHABLE, {Kind.API})
    assert not is_excused(UNREACHABLE, set(Kind) - {Kind.API})


def test_an_answer_without_excuse_is_a_complaint(timeline: Timeline) -> None:
    timeline.saw(read("one", 1.0, "503 rebuilding"))

    assert timeline.complained == 1
    assert timeline.complaints == ["at 1.1 s, one: 503 rebuilding in phase calm"]
    assert timeline.answers == {CALM: {"503 rebuilding": 1}}


def test_a_fault_is_a_complaint_whatever_the_phase(timeline: Timeline) -> None:
    timeline.begin(Kind.FLUSH)

    timeline.saw(Read("one", 1.0, 1.1, LIVE, True, ("out of order",)))

    assert timeline.complaints == ["at 1.1 s, one: out of order"]


def test_a_disturbance_lasts_until_its_victim_is_back_and_all_targets_are_live(
    timeline: Timeline,
) -> None:
    disturbance = timeline.begin(Kind.CACHE)
    disturbance.struck_s = 1.0
    timeline.saw(read("one", 1.1))
    timeline.saw(read("two", 1.2))
    disturbance.back_s = 2.0
    timeline.saw(read("one", 1.9, ended_s=2.1))  # asked before it was back
    timeline.saw(read("one", 2.2, SNAPSHOT))
    timeline.saw(read("two", 2.3))
    assert timeline.open() == [disturbance]

    timeline.saw(read("one", 3.0))

    assert timeline.open() == []
    assert disturbance.first_s == pytest.approx(1.2)
    assert disturbance.over_s == pytest.approx(3.1)
    assert timeline.complained == 0


def test_what_is_answered_after_a_disturbance_is_not_excused_by_it(timeline: Timeline) -> None:
    disturbance = timeline.begin(Kind.CACHE)
    disturbance.struck_s = disturbance.back_s = 0.0
    timeline.saw(read("one", 1.0))
    timeline.saw(read("two", 1.0))

    timeline.saw(read("one", 1.05, "503 rebuilding"))  # asked while it lasted
    assert timeline.complained == 0

    timeline.saw(read("one", 1.2, "503 rebuilding"))
    assert timeline.complained == 1


def test_a_phase_is_named_by_all_that_is_disturbed(timeline: Timeline) -> None:
    timeline.begin(Kind.CACHE)
    timeline.begin(Kind.API)

    timeline.saw(read("one", 1.0, UNREACHABLE))

    assert timeline.answers == {"api + cache": {UNREACHABLE: 1}}
    assert timeline.totals() == {UNREACHABLE: 1}
