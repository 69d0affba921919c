"""Explains a player's rank by their standings, their events and the leaderboard's tiers. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from shared.domain.audit import Disqualified
from shared.domain.calendar import Day, Window, WindowKind
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Score, Standing, add, combine
from shared.domain.tiers import TierRule, points_to_tiers
from shared.reads.answers import CountedEvent, Explanation, PlayerRanking, TierMatch
from shared.truth.items import LedgerEntry

EXPLAINED_EVENTS_MAX: Final = 100
"""Events in one explanation."""


def explain(
    rules: Leaderboard,
    window: Window,
    found: PlayerRanking,
    days: Sequence[tuple[Day, Standing]],
    entries: Sequence[LedgerEntry],
    *,
    out: Disqualified,
    all_read: bool,
) -> Explanation:
    """Explain a player's rank.

    Args:
        rules: that the window is ranked by.
        window: which one.
        found: the player as the ranking shows them.
        days: the player's standings of the window's days that count, oldest first.
        entries: the player's ledger.
        out: who is disqualified; events of such days are shown and don't count.
        all_read: whether `entries` are all of it.
    """
    user_id = found.player.user_id
    events = [one for one in entries if _is_in(rules, window, one)]

    def is_eligible(one: LedgerEntry) -> bool:
        return out.counts(user_id, _day(rules, one))

    score = Score(found.player.score, found.player.reached_at_ms)
    agrees: bool | None = _fold_days(rules, days) == score
    if agrees:
        agrees = _fold_events(rules, filter(is_eligible, events)) == score if all_read else None
    counted = _counted(rules, score, days, events, is_eligible)
    complete = all_read and len(counted) <= EXPLAINED_EVENTS_MAX
    shown = counted[:EXPLAINED_EVENTS_MAX]
    runs = out.days.get(user_id, ())
    return Explanation(found, rules, days, runs, shown, complete, agrees, _tiers(rules, found))


def _is_in(rules: Leaderboard, window: Window, entry: LedgerEntry) -> bool:
    return window.kind is WindowKind.ALL_TIME or window.first <= _day(rules, entry) <= window.last


def _day(rules: Leaderboard, entry: LedgerEntry) -> Day:
    return rules.calendar.day_of(entry.event.occurred_at_ms)


def _fold_days(rules: Leaderboard, days: Sequence[tuple[Day, Standing]]) -> Score | None:
    return combine(rules.aggregation, rules.order, [standing for _, standing in days]) if days else None


def _fold_events(rules: Leaderboard, events: Iterable[LedgerEntry]) -> Score | None:
    """The score of events, whatever their order: a partial sum may leave the range of scores."""
    counting = (one.event for one in events if one.counts())
    ordered = sorted(counting, key=lambda event: (event.occurred_at_ms, event.event_id))
    alone = [add(rules.aggregation, rules.order, None, event) for event in ordered]
    return combine(rules.aggregation, rules.order, alone) if alone else None


def _counted(
    rules: Leaderboard,
    score: Score,
    days: Sequence[tuple[Day, Standing]],
    events: Sequence[LedgerEntry],
    is_eligible: Callable[[LedgerEntry], bool],
) -> list[CountedEvent]:
    """The events, those that are in the score first, then by time, the latest first."""
    latest_id = days[-1][1].last_event_id if days else ""

    def counts(entry: LedgerEntry) -> bool:
        event = entry.event
        if not entry.counts():
            return False
        decides = (event.points, event.occurred_at_ms) == (score.points, score.reached_at_ms)
        match rules.aggregation:
            case Aggregation.SUM:
                return True
            case Aggregation.BEST:
                return decides
            case Aggregation.LATEST:
                return decides and event.event_id == latest_id

    counted = [CountedEvent(entry, is_eligible(entry) and counts(entry)) for entry in events]
    counted.sort(key=lambda one: (not one.counts, -one.entry.event.occurred_at_ms, one.entry.event.event_id))
    return counted


def _tiers(rules: Leaderboard, found: PlayerRanking) -> list[TierMatch]:
    player, qualified = found.player, found.ranking.qualified_or_all
    descending = rules.order is Order.DESC
    gaps = points_to_tiers(
        rules.tiers,
        player.tier,
        player.score,
        found.cutoffs,
        descending=descending,
        qualifying=found.qualifying,
    )
    by_score = (TierRule.MIN_SCORE, TierRule.MAX_SCORE)
    return [
        TierMatch(
            tier,
            tier.takes(player.rank, player.competition_rank, player.score, qualified),
            tier.cutoff_rank(qualified),
            tier.value if tier.rule in by_score else found.cutoffs.get(tier.name),
            gaps.get(tier.name),
        )
        for tier in rules.tiers
    ]
