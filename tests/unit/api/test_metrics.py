"""The bounds of a scrape."""

from threading import Event
from types import SimpleNamespace
from typing import Any

from functions.api.routes.metrics import Bounded
from shared.domain.rules import Aggregation, Leaderboard
from shared.pipeline.gauges import LEADERBOARDS_MAX, Gauges


def gauges(leaderboards: int) -> Gauges:
    boards = [Leaderboard(id=f"b-{n:03}", name="B", aggregation=Aggregation.SUM) for n in range(leaderboards)]
    parts: Any = SimpleNamespace(
        positions=lambda topic: [], leaderboards=lambda limit: boards[:limit], due=lambda leaderboard_id: []
    )
    return Gauges(
        topic="t",
        progress=parts,
        registry=parts,
        finals=parts,
        live=parts,
        dead_letters=parts,
        run_all=lambda calls: [one() for one in calls],
        now_ms=lambda: 0,
    )


def test_a_scrape_shows_the_first_100_leaderboards_and_says_if_there_are_more() -> None:
    at_the_limit, past_it = gauges(LEADERBOARDS_MAX).truth(), gauges(LEADERBOARDS_MAX + 1).truth()

    assert (len(at_the_limit.leaderboards), at_the_limit.truncated) == (100, False)
    assert (len(past_it.leaderboards), past_it.truncated) == (100, True)
    assert set(past_it.due) == {f"b-{n:03}" for n in range(100)}


def test_what_hangs_or_fails_is_left_out_and_not_asked_again_until_it_has_answered() -> None:
    go_on, done, asked = Event(), Event(), []

    def hang() -> int:
        asked.append("hang")
        go_on.wait()
        done.set()
        return 1

    runs = Bounded(timeout_ms=50)
    assert runs.run({"a": hang, "b": lambda: 2, "c": lambda: 1 // 0}) == {"b": 2}
    assert runs.run({"a": hang}) == {}
    assert asked == ["hang"]

    go_on.set()
    assert done.wait(10)
