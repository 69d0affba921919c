"""Leaderboards of which the cache keeps some kinds of windows: others are built when they are read, and then follow."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from shared.cache import keys
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, DAY_MS, Day, Window, WindowKind, daily, monthly, weekly
from shared.domain.rules import DEFAULT_WINDOWS
from shared.domain.rules import WINDOWS as WINDOWS_OF_EVERY_KIND
from shared.domain.tiers import Tier, TierRule
from tests.support.building import Builders
from tests.support.closing import MONDAY, RANKING, Scene

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = [
    (WindowKind.ALL_TIME,),
    (WindowKind.DAILY, WindowKind.ALL_TIME),
    (WindowKind.WEEKLY, WindowKind.ALL_TIME),
    (WindowKind.MONTHLY, WindowKind.ALL_TIME),
    (WindowKind.DAILY, WindowKind.WEEKLY, WindowKind.MONTHLY, WindowKind.ALL_TIME),
    (WindowKind.DAILY,),
    (WindowKind.MONTHLY,),
]
TUESDAY = Day(MONDAY + 1)
WINDOWS = (daily(MONDAY), daily(TUESDAY), weekly(MONDAY), monthly(MONDAY), ALL_TIME)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


@pytest.fixture(params=KEPT, ids=["all-time", "daily", "weekly", "monthly", "every", "only daily", "only monthly"])
def builders(
    dynamodb: "DynamoDBClient",
    redis: Redis,
    s3: Any,
    leaderboard_id: str,
    request: pytest.FixtureRequest,
) -> Builders:
    return Builders(Scene(dynamodb, redis, s3, leaderboard_id, windows=request.param))


class Player:
    """Plays, and knows by hand what each window is to show."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.played = [("ann", 5, MONDAY), ("bob", 7, MONDAY), ("cat", 7, MONDAY)]

    def play(self, user: str, points: int, day: Day) -> None:
        self.scene.play(user, points, day)
        self.played.append((user, points, day))

    def expected(self, window: Window) -> dict[str, int]:
        days = {day for _, _, day in self.played} if window.is_all_time else set(window.days)
        sums: Counter[str] = Counter()
        for user, points, day in self.played:
            if day in days:
                sums[user] += points
        return dict(sums)


def shown(scene: Scene, window: Window) -> dict[str, int] | None:
    page = scene.cache.page(scene.leaderboard, window, 0, 100, scene.now_ms)
    return {user: score.points for user, score in page.lines} if page.complete else None


def test_each_window_shows_the_same_whichever_are_kept(builders: Builders) -> None:
    scene = builders.scene
    player = Player(scene)
    player.play("ann", 4, TUESDAY)

    kinds = scene.leaderboard.windows
    sets = {window for window in WINDOWS if scene.redis.exists(keys.ranking(scene.id, window.id))}
    assert sets == {window for window in WINDOWS if window.kind in kinds}, "no other window costs anything"
    for window in WINDOWS:
        assert shown(scene, window) == (player.expected(window) if window.kind in kinds else None), window.id
        if window.kind not in kinds:
            builders.build(window)
            assert shown(scene, window) == player.expected(window), window.id
        player.play("bob", 2, MONDAY)
        player.play("dan", 3, TUESDAY)
    for window in WINDOWS:
        assert shown(scene, window) == player.expected(window), window.id


def test_a_window_that_is_not_kept_is_gone_with_the_cache_and_built_again(builders: Builders) -> None:
    scene = builders.scene
    player = Player(scene)
    others = [window for window in WINDOWS if window.kind not in scene.leaderboard.windows]
    for window in others:
        builders.build(window)
    scene.redis.flushdb()
    player.play("cat", 1, MONDAY)
    scene.builder.rebuild_leaderboard(scene.leaderboard)

    assert [shown(scene, window) for window in others] == [None] * len(others)
    for window in others:
        builders.build(window)
    assert {window.id: shown(scene, window) for window in WINDOWS} == {
        window.id: player.expected(window) for window in WINDOWS
    }


def test_who_is_disqualified_for_a_day_leaves_windows_of_every_kind(builders: Builders) -> None:
    scene = builders.scene
    player = Player(scene)
    player.play("bob", 3, TUESDAY)
    for window in WINDOWS:
        if window.kind not in scene.leaderboard.windows:
            builders.build(window)

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "referee", "a bot", run=(MONDAY, MONDAY))
    scene.disqualifications.apply(scene.leaderboard, "bob")

    player.played.remove(("bob", 7, MONDAY))
    for window in WINDOWS:
        if shown(scene, window) is None:
            builders.build(window)
        assert shown(scene, window) == player.expected(window), window.id

    scene.play("bob", 20, MONDAY)  # doesn't count either
    player.play("bob", 30, TUESDAY)
    assert {window.id: shown(scene, window) for window in WINDOWS} == {
        window.id: player.expected(window) for window in WINDOWS
    }


def test_it_is_known_which_event_is_shown_whichever_windows_are_kept(builders: Builders) -> None:
    scene = builders.scene
    scene.play("ann", 4, TUESDAY)
    scene.play("ann", 4, TUESDAY)
    board = scene.leaderboard
    days = (ALL_TIME_DAY,) if board.keeps_all_time else (MONDAY, TUESDAY)
    truth = scene.reads.standings((board, user, day) for user in ("ann", "bob") for day in days)
    for day in days:
        wanted = [
            truth[board.id, user, day].version if (board.id, user, day) in truth else 0 for user in ("ann", "bob")
        ]
        assert wanted[0] > 0
        assert scene.cache.shown_versions(board, ["ann", "bob", "nobody"], day) == [*wanted, 0]


def test_anti_entropy_repairs_all_time_where_it_was_built_for_a_reader(builders: Builders) -> None:
    scene = builders.scene
    player = Player(scene)
    if not scene.leaderboard.keeps_all_time:
        builders.build(ALL_TIME)
    scene.redis.zrem(
        keys.ranking(scene.id, ALL_TIME.id), *scene.redis.zrange(keys.ranking(scene.id, ALL_TIME.id), 0, 0)
    )
    assert shown(scene, ALL_TIME) != player.expected(ALL_TIME)

    assert scene.builder.reapply(scene.leaderboard) == 1
    assert shown(scene, ALL_TIME) == player.expected(ALL_TIME)


def test_a_window_that_was_built_is_forgotten_with_a_store_that_nobody_shares(builders: Builders) -> None:
    scene = builders.scene
    others = [window for window in WINDOWS if window.kind not in scene.leaderboard.windows]
    for window in others:
        builders.build(window)
    scene.cache.mark_incomplete(scene.id)
    left = {window.id for window in others for name in keys.own(scene.id, window) if scene.redis.exists(name)}
    assert left == set()


def test_a_month_has_a_result_where_the_leaderboard_names_months(
    dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str
) -> None:
    gold = Tier("gold", TierRule.TOP_N, 1, windows=(WindowKind.MONTHLY,))
    last, results = monthly(MONDAY).last, []
    for kinds in (DEFAULT_WINDOWS, WINDOWS_OF_EVERY_KIND):
        name = f"{leaderboard_id}-{len(kinds)}"
        scene = Scene(dynamodb, redis, s3, name, windows=kinds, tiers=(gold,), first_day=Day(last - 1))
        scene.play("ann", 9, last)
        scene.now_ms += DAY_MS
        scene.run()
        assert scene.stored(daily(last)) == [("1", "ann", "9")]
        results.append((scene.stored(monthly(last)), scene.leaderboard.owes(monthly(last))))
    final = scene.final_results.final(name, monthly(last).id)
    assert results == [
        (None, False),
        ([("1", "ann", "14"), ("2", "bob", "7"), ("3", "cat", "7")], True),
    ]
    assert final is not None
    assert (final.award_count, final.tiers, final.window_id) == (1, ("gold",), "2099-01")
    daily_final = scene.final_results.final(name, daily(last).id)
    assert daily_final is not None
    assert (daily_final.award_count, daily_final.tiers) == (0, ())


def test_days_and_weeks_have_results_whichever_are_kept(builders: Builders) -> None:
    builders.scene.run()
    assert builders.scene.stored(daily(MONDAY)) == RANKING
