"""One player: all his windows at once, his events, and why he stands where he stands."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Score, Standing, add, combine
from shared.domain.tiers import TierRule, points_to_tiers
from shared.domain.windows import ALL_TIME, Day, Window, WindowKind, daily, day_of, weekly
from shared.live.queries import LiveQueries
from shared.pipeline.answers import CountedEvent, Explanation, PlayerRanking, PlayerWindow, TierMatch
from shared.pipeline.rankings import Rankings
from shared.pipeline.results import Results
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.registry import Registry

WINDOWS_MAX: Final = 50
"""Windows of one answer, some five commands of Redis each; of more open periods those that begin first are shown."""
EXPLAINED_EVENTS_READ_MAX: Final = 5_000
"""Ledger items that one explanation reads, some 300 bytes each: two or three pages of DynamoDB."""
EXPLAINED_EVENTS_MAX: Final = 100
"""Events that it shows."""
EXPLAIN_TRIES_MAX: Final = 3
"""How often cache and truth are read until they agree: events that arrive meanwhile stand in one before the other."""


class Players:
    """Reads of one player."""

    def __init__(
        self,
        *,
        rankings: Rankings,
        queries: LiveQueries,
        reads: Reads,
        registry: Registry,
        results: Results,
        now_ms: Callable[[], int],
    ) -> None:
        self._rankings = rankings
        self._queries = queries
        self._reads = reads
        self._registry = registry
        self._results = results
        self._now_ms = now_ms

    def windows(self, leaderboard: Leaderboard, user_id: str) -> list[PlayerWindow]:
        """Where a player stands today, this week, in all time and in every registered period that is going on.

        Raises:
            Rebuilding: if the cache can't vouch for one of them.
            Building: if one has to be built and takes a while.
            CacheUnavailable: if Redis fails.
            Unavailable: if the registry is out of reach, or a window has to be built and the truth is.
        """
        today = day_of(self._now_ms())
        period_ids: dict[Window, list[str]] = {daily(today): [], weekly(today): [], ALL_TIME: []}
        open_periods = [one for one in self._registry.periods(leaderboard.id) if one.first <= today <= one.last]
        for period in sorted(open_periods, key=lambda one: (one.first, one.last, one.id)):
            if period.window in period_ids or len(period_ids) < WINDOWS_MAX:
                period_ids.setdefault(period.window, []).append(period.id)
        windows = list(period_ids)
        found = self._queries.player_windows(leaderboard, windows, user_id, self._now_ms())
        return [
            PlayerWindow(
                self._rankings.ranking_of(leaderboard, window, players, final=False)
                if players.page.complete
                else self._rankings.players(leaderboard, window, [user_id]),
                period_ids[window],
            )
            for window, players in zip(windows, found, strict=True)
        ]

    def events(self, leaderboard: Leaderboard, user_id: str, after: str | None, limit: int) -> list[LedgerEntry]:
        """Up to `limit` of a player's accepted events, by event id, from the one that follows `after`.

        Raises:
            Unavailable: if the truth is out of reach.
        """
        return list(islice(self._reads.ledger(leaderboard.id, user_id, after), limit))

    def explain(self, leaderboard: Leaderboard, window: Window, user_id: str) -> Explanation | None:
        """Why a player stands where he stands; None if he is not in the window.

        Raises:
            Rebuilding, Building, CacheUnavailable: as for a player's entry.
            Unavailable: if the truth is out of reach.
        """
        rules = self._results.rules(leaderboard, window) or leaderboard
        for _ in range(EXPLAIN_TRIES_MAX):
            found = self._rankings.player(leaderboard, window, user_id, 1)
            if found is None:
                return None
            explanation = self._explain(rules, window, found)
            if explanation.agrees:
                break
        return explanation

    def _explain(self, rules: Leaderboard, window: Window, found: PlayerRanking) -> Explanation:
        user_id = found.player.user_id
        standings = self._reads.standings((rules, user_id, Day(bucket)) for bucket in window.buckets)
        buckets = sorted((bucket, standing) for (_, _, bucket), standing in standings.items())
        ledger = self._reads.ledger(rules.id, user_id)
        read = list(islice(ledger, EXPLAINED_EVENTS_READ_MAX + 1))
        all_read = len(read) <= EXPLAINED_EVENTS_READ_MAX
        events = [one for one in read if _is_in(window, one)]
        score = Score(found.player.score, found.player.reached_at_ms)
        sums = [_fold_buckets(rules, buckets), *([_fold_events(rules, events)] if all_read else [])]
        counted = _counted(rules, score, events)
        return Explanation(
            found,
            rules,
            buckets,
            counted[:EXPLAINED_EVENTS_MAX],
            all_read and len(counted) <= EXPLAINED_EVENTS_MAX,
            all(one == score for one in sums),
            _tiers(rules, found),
        )


def _is_in(window: Window, entry: LedgerEntry) -> bool:
    day = day_of(entry.event.occurred_at_ms)
    return window.kind is WindowKind.ALL_TIME or window.first <= day <= window.last


def _fold_buckets(rules: Leaderboard, buckets: Sequence[tuple[Day, Standing]]) -> Score | None:
    parts = [Score(standing.points, standing.reached_at_ms) for _, standing in buckets]
    return combine(rules.aggregation, rules.order, parts) if parts else None


def _fold_events(rules: Leaderboard, events: Iterable[LedgerEntry]) -> Score | None:
    standing: Standing | None = None
    for entry in events:
        standing = add(rules.aggregation, rules.order, standing, entry.event)
    return None if standing is None else Score(standing.points, standing.reached_at_ms)


def _counted(rules: Leaderboard, score: Score, events: Sequence[LedgerEntry]) -> list[CountedEvent]:
    """The events, those that are in the score first, then the latest."""
    latest = max(((one.event.occurred_at_ms, one.event.event_id) for one in events), default=None)

    def counts(entry: LedgerEntry) -> bool:
        event = entry.event
        match rules.aggregation:
            case Aggregation.SUM:
                return True
            case Aggregation.BEST:
                return (event.points, event.occurred_at_ms) == (score.points, score.reached_at_ms)
            case Aggregation.LATEST:
                return (event.occurred_at_ms, event.event_id) == latest

    counted = [CountedEvent(entry, counts(entry)) for entry in events]
    counted.sort(key=lambda one: (not one.counts, -one.entry.event.occurred_at_ms, one.entry.event.event_id))
    return counted


def _tiers(rules: Leaderboard, found: PlayerRanking) -> list[TierMatch]:
    player, total = found.player, found.ranking.total
    descending = rules.order is Order.DESC
    gaps = points_to_tiers(rules.tiers, player.tier, player.score, found.cutoffs, descending=descending)
    by_score = (TierRule.MIN_SCORE, TierRule.MAX_SCORE)
    return [
        TierMatch(
            tier,
            tier.takes(player.rank, player.score, total),
            tier.cutoff_rank(total),
            tier.value if tier.rule in by_score else found.cutoffs.get(tier.name),
            gaps.get(tier.name),
        )
        for tier in rules.tiers
    ]
