"""Rebuilds of all that a leaderboard keeps, and the anti-entropy between them."""

from collections.abc import Generator, Sequence
from typing import Any

import pytest

from shared.cache import keys
from shared.cache.leases import LEASE_MS, BuildLeases, Grant
from shared.domain.calendar import ALL_TIME, DAY_MS, Day, daily
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.rebuild.builder import REAPPLY_EVERY_MS, RebuildOutcome
from shared.truth.commits import Unavailable
from tests.support.closing import MONDAY, Scene

OLDEST_PLAYED = Day(MONDAY - 2)


def shown(scene: Scene, window: Any) -> list[str] | None:
    """User ids of a window, if the cache holds it completely."""
    page = scene.cache.page(scene.leaderboard, window, 0, 100, scene.now_ms)
    return [user for user, _ in page.lines] if page.complete else None


def test_a_rebuild_that_died_is_gone_on_with_where_it_was(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in range(1, 30):
        scene.play("ann", 1, Day(MONDAY - days))
    scene.redis.flushall()
    asked: list[list[Day]] = []
    read = scene.reads.standings_on

    def standings_on(leaderboard: Leaderboard, some: Sequence[Day]) -> Any:
        asked.append([*some])
        if len(asked) == 3:
            raise Unavailable("throttled")
        return read(leaderboard, some)

    monkeypatch.setattr(scene.reads, "standings_on", standings_on)
    with pytest.raises(Unavailable):
        scene.builder.rebuild_leaderboard(scene.leaderboard)
    assert shown(scene, ALL_TIME) is None

    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE

    assert asked[3] == asked[2], "what was read before is not read again"
    assert len({day for some in asked for day in some}) == sum(map(len, asked)) - len(asked[2])
    assert shown(scene, ALL_TIME) == ["ann", "bob", "cat"]
    assert shown(scene, daily(MONDAY)) is not None


def test_a_second_rebuild_leaves_the_first_one_alone(scene: Scene) -> None:
    scene.redis.flushall()
    builds = BuildLeases(scene.cache)
    grant, build = builds.begin_rebuild(scene.leaderboard, "under way", scene.now_ms)
    assert grant is Grant.GRANTED

    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.HELD

    builds.renew(build, scene.now_ms)
    scene.now_ms += LEASE_MS
    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE


def test_anti_entropy_comes_to_every_day_that_is_kept(scene: Scene) -> None:
    """All time and the recent days every time, the older ones by turns."""
    asked: list[Day] = []
    read = scene.reads.standings_on

    def noted(leaderboard: Leaderboard, days: Sequence[Day]) -> Generator[tuple[Day, str, Standing], None, None]:
        asked.extend(days)
        return read(leaderboard, days)

    scene.reads.standings_on = noted  # type: ignore[method-assign]
    scene.builder.reapply(scene.leaderboard, everything=True)
    everything = set(asked)
    asked.clear()

    runs = len(everything)
    assert runs * REAPPLY_EVERY_MS < DAY_MS // 4
    for _ in range(runs):
        scene.builder.reapply(scene.leaderboard)
        scene.now_ms += REAPPLY_EVERY_MS

    assert everything <= set(asked)
    assert len(asked) <= 5 * runs


def test_a_player_whom_a_failover_lost_from_an_old_day_is_back_within_hours(scene: Scene) -> None:
    before = shown(scene, daily(MONDAY))
    scene.redis.zremrangebyrank(keys.ranking(scene.id, daily(MONDAY).id), 0, 0)
    scene.redis.hdel(keys.parts(scene.id, daily(MONDAY)), "bob")
    scene.now_ms += 10 * DAY_MS
    assert shown(scene, daily(MONDAY)) == ["cat", "ann"]

    repaired = 0
    for _ in range(60):
        repaired += scene.builder.reapply(scene.leaderboard)
        scene.now_ms += REAPPLY_EVERY_MS

    assert repaired == 2, "of the day and of its week, which share what they know of him"
    assert shown(scene, daily(MONDAY)) == before
