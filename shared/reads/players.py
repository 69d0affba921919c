"""One player: all their windows at once, their events, and why they stand where they stand."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from shared.cache.leases import BuildProgress
from shared.cache.searches import WindowSearches
from shared.cache.windows import CacheUnavailable
from shared.domain.calendar import Day, Window, WindowKind, current_windows, day_of
from shared.domain.periods import Period
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Score, Standing, combine
from shared.domain.tiers import TierRule, points_to_tiers
from shared.lookups.remembered import Lookup, Remembered, at_once
from shared.lookups.results import Results
from shared.messaging.queues import QueueUnavailable
from shared.reads.answers import (
    CountedEvent,
    Explanation,
    PendingWindow,
    PlayerRanking,
    PlayerWindow,
    PlayerWindows,
    Ranking,
    TierMatch,
)
from shared.reads.rankings import Rankings, Rebuilding
from shared.rebuild.on_demand import BUILD_WAIT_MS, Building
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.registry import Registry

WINDOWS_MAX: Final = 50
"""Windows of one answer, some five commands of Redis each; of more open periods those that begin first are shown."""
EXPLAINED_EVENTS_READ_MAX: Final = 5_000
"""Ledger items that one explanation reads, some 300 bytes each: two or three pages of DynamoDB."""
EXPLAINED_EVENTS_MAX: Final = 100
"""Events that it shows."""
PERIODS_KEPT_MAX: Final = 100
"""Leaderboards whose periods one function remembers, up to 100 KB each; past it, it forgets them all."""
EXPLAIN_TRIES_MAX: Final = 3
"""How often cache and truth are read until they agree: events that arrive meanwhile stand in one before the other."""


class Players:
    """Reads of one player."""

    def __init__(
        self,
        *,
        rankings: Rankings,
        queries: WindowSearches,
        reads: Reads,
        registry: Registry,
        results: Results,
        now_ms: Callable[[], int],
        lookup: Lookup = at_once,
    ) -> None:
        self._rankings = rankings
        self._queries = queries
        self._reads = reads
        self._registry = registry
        self._results = results
        self._now_ms = now_ms
        self._periods: Remembered[str, list[Period]] = Remembered(0, PERIODS_KEPT_MAX, now_ms, lookup)
        """Of a leaderboard: looked up each time, and known for when the registry does not answer."""

    def windows(self, leaderboard: Leaderboard, user_id: str) -> PlayerWindows:
        """Where a player stands today, this week, in all time and in every registered period that is going on.

        A window that can't be told yet is pending, and keeps none of the others back.

        Raises:
            Rebuilding, Building, CacheUnavailable, QueueUnavailable: why the first can't be told, if none can.
            Unavailable: if the registry is out of reach, or the truth where it is needed.
        """
        now_ms = self._now_ms()
        today = day_of(now_ms)
        period_ids: dict[Window, list[str]] = {window: [] for window in current_windows(today)}
        periods = self._periods.get(leaderboard.id, lambda: self._registry.periods(leaderboard.id))
        open_periods = [one for one in periods if one.first <= today <= one.last]
        for period in sorted(open_periods, key=lambda one: (one.first, one.last, one.id)):
            if period.window in period_ids or len(period_ids) < WINDOWS_MAX:
                period_ids.setdefault(period.window, []).append(period.id)
        told: list[PlayerWindow] = []
        pending: dict[Window, Exception] = {}
        for window, read in self._readers(leaderboard, list(period_ids), user_id, now_ms):
            try:
                told.append(PlayerWindow(read(), period_ids[window]))
            except (Rebuilding, Building, CacheUnavailable, QueueUnavailable) as error:
                pending[window] = error
        if not told:
            raise next(iter(pending.values()))
        return PlayerWindows(
            told, [PendingWindow(window, period_ids[window], _progress(error)) for window, error in pending.items()]
        )

    def _readers(
        self, leaderboard: Leaderboard, windows: Sequence[Window], user_id: str, now_ms: int
    ) -> Iterator[tuple[Window, Callable[[], Ranking]]]:
        """How each window is read, after one look at the cache for all of them.

        Those that have to be built share the time that a reader waits for one.
        """
        try:
            found = self._queries.player_windows(leaderboard, windows, user_id, now_ms)
        except CacheUnavailable as away:
            for window in windows:
                yield window, partial(self._without_cache, leaderboard, window, user_id, away)
            return
        deadline_ms = self._now_ms() + BUILD_WAIT_MS
        for window, players in zip(windows, found, strict=True):
            if players.page.complete:
                yield window, partial(self._rankings.ranking_of, leaderboard, window, now_ms, players, final=False)
            else:
                left_ms = max(0, deadline_ms - self._now_ms())
                yield window, partial(self._rankings.players, leaderboard, window, (user_id,), at_once_ms=left_ms)

    def _without_cache(self, leaderboard: Leaderboard, window: Window, user_id: str, away: CacheUnavailable) -> Ranking:
        ranking = self._rankings.players_without_cache(leaderboard, window, (user_id,))
        if ranking is None:
            raise away
        return ranking

    def events(self, leaderboard: Leaderboard, user_id: str, after: str | None, limit: int) -> list[LedgerEntry]:
        """Up to `limit` of a player's accepted events, by event id, from the one that follows `after`.

        Raises:
            Unavailable: if the truth is out of reach.
        """
        return list(self._reads.ledger(leaderboard.id, user_id, after, limit))

    def explain(self, leaderboard: Leaderboard, window: Window, user_id: str) -> Explanation | None:
        """Why a player stands where they stand; None if they are not in the window.

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
            if explanation.agrees is not False:
                break
        return explanation

    def _explain(self, rules: Leaderboard, window: Window, found: PlayerRanking) -> Explanation:
        user_id = found.player.user_id
        standings = self._reads.standings((rules, user_id, Day(bucket)) for bucket in window.buckets)
        buckets = sorted((bucket, standing) for (_, _, bucket), standing in standings.items())
        read = list(self._reads.ledger(rules.id, user_id, limit=EXPLAINED_EVENTS_READ_MAX + 1))
        all_read = len(read) <= EXPLAINED_EVENTS_READ_MAX
        events = [one for one in read if _is_in(window, one)]
        score = Score(found.player.score, found.player.reached_at_ms)
        agrees: bool | None = _fold_buckets(rules, buckets) == score
        if agrees:
            agrees = _fold_events(rules, events) == score if all_read else None
        counted = _counted(rules, score, buckets, events)
        return Explanation(
            found,
            rules,
            buckets,
            counted[:EXPLAINED_EVENTS_MAX],
            all_read and len(counted) <= EXPLAINED_EVENTS_MAX,
            agrees,
            _tiers(rules, found),
        )


def _progress(error: Exception) -> BuildProgress:
    return error.progress if isinstance(error, Building) else BuildProgress()


def _is_in(window: Window, entry: LedgerEntry) -> bool:
    day = day_of(entry.event.occurred_at_ms)
    return window.kind is WindowKind.ALL_TIME or window.first <= day <= window.last


def _fold_buckets(rules: Leaderboard, buckets: Sequence[tuple[Day, Standing]]) -> Score | None:
    parts = [Score(standing.points, standing.reached_at_ms) for _, standing in buckets]
    return combine(rules.aggregation, rules.order, parts) if parts else None


def _fold_events(rules: Leaderboard, events: Iterable[LedgerEntry]) -> Score | None:
    """What events add up to, in whatever order they come: on the way a sum may leave the range of scores."""
    ordered = sorted((one.event for one in events), key=lambda event: (event.occurred_at_ms, event.event_id))
    parts = [Score(event.points, event.occurred_at_ms) for event in ordered]
    return combine(rules.aggregation, rules.order, parts) if parts else None


def _counted(
    rules: Leaderboard, score: Score, buckets: Sequence[tuple[Day, Standing]], events: Sequence[LedgerEntry]
) -> list[CountedEvent]:
    """The events, those that are in the score first, then the latest."""
    latest_id = buckets[-1][1].last_event_id if buckets else ""

    def counts(entry: LedgerEntry) -> bool:
        event = entry.event
        decides = (event.points, event.occurred_at_ms) == (score.points, score.reached_at_ms)
        match rules.aggregation:
            case Aggregation.SUM:
                return True
            case Aggregation.BEST:
                return decides
            case Aggregation.LATEST:
                return decides and event.event_id == latest_id

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
