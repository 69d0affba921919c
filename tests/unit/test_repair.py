"""Scheduled runs of repair over leaderboards of which one fails."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.rules import Aggregation, Leaderboard
from shared.rebuild.anti_entropy import Repair
from shared.truth.failures import Unavailable
from tests.support.closing import KeptRounds

BOARDS = [Leaderboard(id=name, name=name, aggregation=Aggregation.SUM) for name in ("a", "broken", "c")]


def repairing(error: Exception, kept: list[str] | None = None) -> Repair:
    def work(leaderboard: Leaderboard) -> int:
        if leaderboard.id == "broken":
            raise error
        return 1

    parts: dict[str, Any] = {
        "registry": SimpleNamespace(
            leaderboards=lambda limit, after, **_: [one for one in BOARDS if after is None or one.id > after][:limit]
        ),
        "leaderboards": None,
        "reads": None,
        "cache": SimpleNamespace(is_complete=lambda _leaderboard: True),
        "builder": SimpleNamespace(reapply=work),
        "on_demand": SimpleNamespace(
            build_periods=lambda leaderboard: [] if kept is None else kept.append(leaderboard.id)
        ),
        "snapshots": SimpleNamespace(take=work),
        "rounds": KeptRounds(),
        "now_ms": lambda: 0,
    }
    return Repair(**parts)


def test_a_leaderboard_that_fails_unexpectedly_does_not_stop_the_others() -> None:
    error = RuntimeError("its standings can't be read")
    repair = repairing(error)
    failed: list[tuple[str, Exception]] = []

    assert repair.anti_entropy(lambda *what: failed.append(what)) == ({"a": 1, "c": 1}, 0)
    assert repair.take_snapshots(lambda *what: failed.append(what)) == (2, 0)

    assert failed == [("broken", error)] * 2


def test_a_scheduled_run_has_the_registered_periods_built_that_are_missing() -> None:
    kept: list[str] = []

    repairing(RuntimeError("x"), kept).anti_entropy(lambda *_: None)

    assert kept == ["a", "c"]


def test_the_leaderboards_for_which_a_run_had_no_time_come_first_in_the_next() -> None:
    seen: list[str] = []
    repair = repairing(RuntimeError("x"), seen)
    time = iter([True])

    assert repair.anti_entropy(lambda *_: None, lambda: next(time, False))[1] == 2
    repair.anti_entropy(lambda *_: None)

    assert seen == ["a", "c", "a"]


def test_what_is_out_of_reach_ends_a_run() -> None:
    failed: list[tuple[str, Exception]] = []

    with pytest.raises(Unavailable):
        repairing(Unavailable("away")).anti_entropy(lambda *what: failed.append(what))

    assert not failed
