"""A window that is over keeps the rules of its end, and they are looked up only if they have changed since."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.calendar import ALL_TIME, DAY_MS, Day, Window, WindowKind, daily, weekly
from shared.domain.rules import Aggregation, Leaderboard, revise
from shared.domain.tiers import Tier, TierRule
from shared.lookups.window_rules import WindowRules
from shared.truth.failures import Unavailable

DAY = Day(20_000)
FIRST = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, has_events=True)


def versions(*changes: tuple[int, int]) -> list[Leaderboard]:
    """The first version, and one for each change: when it was made, and how many are paid from then on."""
    found = [FIRST]
    for at_ms, paid in changes:
        tiers = (Tier("gold", TierRule.TOP_N, paid), Tier("w", TierRule.TOP_N, 9, windows=(WindowKind.WEEKLY,)))
        found.append(revise(found[-1], replace(FIRST, tiers=tiers, updated_at_ms=at_ms))[0])
    return found


class Registry:
    """Has these versions, and counts the requests."""

    def __init__(self, history: list[Leaderboard]) -> None:
        self.history = history
        self.asked: list[str] = []
        self.is_away = False

    def rules_for(self, leaderboard: Leaderboard, window: Window) -> Leaderboard | None:
        self.asked.append(window.id)
        if self.is_away:
            raise Unavailable
        earlier = reversed(self.history[: leaderboard.version - 1])
        return next((one for one in earlier if one.counts_for(window)), None)

    def rules(self, _leaderboard_id: str, version: int) -> Leaderboard | None:
        return self.history[version - 1] if version <= len(self.history) else None


def in_force(history: list[Leaderboard], window: Window) -> Leaderboard:
    registry: Any = Registry(history)
    return WindowRules(registry).in_force(history[-1], window)


@pytest.mark.parametrize(
    ("day", "version"), [(DAY - 2, 1), (DAY - 1, 1), (DAY, 3), (DAY + 1, 4), (DAY + 2, 4), (DAY + 3, 5)]
)
def test_of_several_changes_the_last_one_before_the_end_counts(day: int, version: int) -> None:
    noon = DAY * DAY_MS + DAY_MS // 2
    history = versions((noon, 2), (noon + 1, 3), (noon + DAY_MS, 4), (noon + 3 * DAY_MS, 5))

    found = in_force(history, daily(Day(day)))

    assert (found.version, found.tiers) == (version, history[version - 1].for_kind(WindowKind.DAILY).tiers)


def test_only_tiers_for_its_kind_rank_a_window() -> None:
    history = versions((DAY * DAY_MS, 2), ((DAY + 9) * DAY_MS, 3))

    assert [one.name for one in in_force(history, daily(DAY)).tiers] == ["gold"]
    assert [one.name for one in in_force(history, weekly(DAY)).tiers] == ["gold", "w"]
    assert [one.name for one in in_force(history, daily(Day(DAY + 9))).tiers] == ["gold"]
    assert in_force(history, ALL_TIME).tiers == history[-1].tiers[:1]


def test_rules_that_have_not_changed_since_the_end_are_not_looked_up_others_once() -> None:
    registry: Any = Registry(versions((DAY * DAY_MS, 2)))
    rules, board = WindowRules(registry), registry.history[-1]
    for window in (ALL_TIME, daily(DAY), weekly(DAY), daily(Day(DAY + 1))):
        rules.in_force(board, window)
    assert registry.asked == []

    before = daily(Day(DAY - 1))
    assert {rules.in_force(board, before).version for _ in range(3)} == {1}
    assert registry.asked == [before.id]


def test_another_version_of_the_leaderboard_is_looked_up_anew() -> None:
    registry: Any = Registry(versions((DAY * DAY_MS, 2), ((DAY + 1) * DAY_MS, 3)))
    rules, window = WindowRules(registry), daily(Day(DAY - 1))
    by_second, by_third = (rules.in_force(board, window) for board in registry.history[1:])

    assert (by_second.version, by_third.version) == (1, 1)
    assert registry.asked == [window.id] * 2


def test_rules_that_can_not_be_looked_up_are_not_made_up() -> None:
    registry: Any = Registry(versions((DAY * DAY_MS, 2)))
    rules, board = WindowRules(registry), registry.history[-1]
    registry.is_away = True
    with pytest.raises(Unavailable):
        rules.in_force(board, daily(Day(DAY - 1)))

    gone: Any = SimpleNamespace(rules_for=lambda *_: None, rules=lambda *_: None)
    with pytest.raises(RuntimeError, match="gone"):
        WindowRules(gone).in_force(board, daily(Day(DAY - 1)))
    with pytest.raises(RuntimeError, match="version 3 of the rules of cup is gone"):
        WindowRules(gone).of_result(board, daily(DAY), 3)


def test_a_result_keeps_the_version_that_it_names_and_follows_the_state_of_now() -> None:
    registry: Any = Registry(versions((DAY * DAY_MS, 2), (DAY * DAY_MS + 1, 3)))
    board = replace(registry.history[-1], sealed_through=Day(DAY + 5), lateness_ms=7)

    found = WindowRules(registry).of_result(board, daily(DAY), 2)

    assert (found.version, [one.value for one in found.tiers]) == (2, [2])
    assert (found.sealed_through, found.lateness_ms) == (DAY + 5, 7)
