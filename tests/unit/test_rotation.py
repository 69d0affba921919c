"""Who is looked after when, whatever takes a whole run."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from shared import rotation
from shared.domain.rules import Aggregation, Leaderboard
from shared.rotation import Rotation, Step, Turns
from shared.truth.rounds import Round
from tests.support.closing import KeptRounds

BOARDS = [Leaderboard(id=f"b-{n}", name="B", aggregation=Aggregation.SUM) for n in range(7)]
IDS = [one.id for one in BOARDS]


class Killed(BaseException):
    """What Lambda does to a run whose time is over."""


class Clock:
    """So many steps are in time."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def has_time(self) -> bool:
        self.left -= 1
        return self.left >= 0


@pytest.fixture
def rounds() -> Any:
    return KeptRounds()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Seven leaderboards, two on a page."""
    monkeypatch.setattr(rotation, "PAGE_LEADERBOARDS", 2)

    def leaderboards(limit: int, after: str | None = None, *, archived: bool = False) -> list[Leaderboard]:
        assert archived
        return [one for one in BOARDS if after is None or one.id > after][:limit]

    return SimpleNamespace(leaderboards=leaderboards)


def test_a_run_pages_on_until_it_has_looked_after_every_leaderboard(rounds: Any, registry: Any) -> None:
    seen: list[str] = []

    left = Rotation(registry, rounds, "days").run(lambda one: seen.append(one.id))

    assert (seen, left) == (IDS, 0)
    assert rounds.read("days") == Round()


def test_a_run_begins_where_the_last_one_had_no_time_left(rounds: Any, registry: Any) -> None:
    runs: list[list[str]] = []
    left = []
    for _ in range(3):
        runs.append([])
        left.append(Rotation(registry, rounds, "days").run(lambda one: runs[-1].append(one.id), Clock(3).has_time))

    assert runs == [["b-0", "b-1", "b-2"], ["b-3", "b-4", "b-5"], ["b-6", "b-0", "b-1"]]
    assert left == [4, 4, 4], "which the metric shows"


def test_archived_leaderboards_are_passed_over_unless_they_are_included(
    rounds: Any, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived = [replace(one, archived=True, nothing_owed=one.id == "b-6") for one in BOARDS[3:]]
    monkeypatch.setattr(f"{__name__}.BOARDS", BOARDS[:3] + archived)
    seen: list[str] = []

    Rotation(registry, rounds, "anti-entropy").run(lambda one: seen.append(one.id))
    assert seen == IDS[:3]

    rounds.record("days", "b-4", ended=True)
    owing = Rotation(registry, rounds, "days", lambda one: not one.nothing_owed)
    owing.run(lambda one: seen.append(one.id))
    assert seen[3:] == ["b-5", *IDS[:5]]


def test_a_leaderboard_at_which_every_run_is_killed_keeps_no_other_waiting(rounds: Any, registry: Any) -> None:
    looked_after: list[set[str]] = []

    def work(one: Leaderboard) -> None:
        if one.id == "b-2":
            raise Killed
        looked_after[-1].add(one.id)

    for _ in range(6):
        looked_after.append(set())
        with pytest.raises(Killed):
            Rotation(registry, rounds, "days").run(work)

    others = {*IDS} - {"b-2"}
    assert looked_after[2:] == [others] * 4, "once it is known that a run died there"


def steps_of(done: list[str], **windows: int) -> dict[str, Iterator[Step]]:
    """So many windows of each leaderboard."""

    def finish(name: str) -> Callable[[], None]:
        return lambda: done.append(name)

    return {name: iter([finish(name)] * count) for name, count in windows.items()}


def refuse(name: str, error: Exception) -> None:
    pytest.fail(f"{name}: {error}")


def test_leaderboards_take_turns_window_by_window_however_many_one_has(rounds: Any) -> None:
    done: list[str] = []

    left = Turns(rounds, "work").run(steps_of(done, a=500, b=2, c=1), lambda: True, refuse)

    assert done[:5] == ["a", "b", "c", "a", "b"]
    assert len(done) == 503
    assert left == (set(), set())


def test_the_next_run_begins_behind_the_leaderboard_that_was_served_last(rounds: Any) -> None:
    done: list[str] = []
    turns = Turns(rounds, "work")

    assert turns.run(steps_of(done, a=2, b=2, c=2), Clock(2).has_time, refuse) == ({"c"}, {"a", "b"})
    turns.run(steps_of(done, a=1, b=1, c=2), Clock(2).has_time, refuse)

    assert done == ["a", "b", "c", "a"]


@pytest.mark.parametrize("dies", [False, True])
def test_a_window_that_always_takes_the_whole_run_keeps_no_other_leaderboard_waiting(rounds: Any, dies: bool) -> None:
    todo = {"a": 3, "m": 1, "z": 40}
    runs = 0
    while todo["a"] or todo["z"]:
        runs += 1
        clock = Clock(100)

        def finish(name: str, clock: Clock = clock) -> Callable[[], None]:
            def step() -> None:
                if name != "m":
                    todo[name] -= 1
                    return
                clock.left = 0
                if dies:
                    raise Killed

            return step

        steps = {name: iter([finish(name) for _ in range(count)]) for name, count in todo.items() if count}
        try:
            Turns(rounds, "work").run(steps, clock.has_time, refuse)
        except Killed:
            assert dies

    assert runs == 2, "the second one leaves it for the end"


def test_leaderboards_that_fill_every_run_leave_a_slow_one_its_turn(rounds: Any) -> None:
    done: list[str] = []
    for _ in range(6):
        steps = steps_of(done, a=50, slow=1)
        Turns(rounds, "work").run(steps, Clock(1).has_time, refuse)

    assert done == ["a", "slow"] * 3


def test_who_fails_keeps_no_other_waiting_and_is_not_asked_again_in_that_run(rounds: Any) -> None:
    done: list[str] = []
    failed: list[tuple[str, str]] = []

    def broken() -> Iterator[Step]:
        yield lambda: done.append("first")
        raise ValueError("its rules are gone")

    steps = steps_of(done, a=2) | {"broken": broken()}
    left = Turns(rounds, "work").run(steps, lambda: True, lambda name, error: failed.append((name, str(error))))

    assert done == ["a", "first", "a"]
    assert failed == [("broken", "its rules are gone")]
    assert left == (set(), set())


def test_idle_leaderboards_cost_no_look_at_the_round() -> None:
    assert Turns(None, "work").run({}, lambda: True, refuse) == (set(), set())  # type: ignore[arg-type]
