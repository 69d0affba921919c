"""Reads of one player: all current windows at once, the events, and the explanation of a rank."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from shared.admin.disqualifications import DisqualifiedPlayers
from shared.admin.eligible import eligible_of
from shared.cache.errors import CacheUnavailable
from shared.cache.leases import BuildProgress
from shared.cache.searches import Players as FoundPlayers
from shared.cache.searches import WindowSearches
from shared.domain.calendar import Window
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.lookups.remembered import Lookup, Remembered, at_once
from shared.lookups.results import Results
from shared.messaging.queues import QueueUnavailable
from shared.reads.answers import Explanation, PendingWindow, PlayerRanking, PlayerWindow, PlayerWindows, Ranking
from shared.reads.explain import explain
from shared.reads.rankings import Rankings, Rebuilding
from shared.rebuild.on_demand import BUILD_WAIT_MS, Building
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.registry import Registry

UNREADABLE: Final = (Rebuilding, Building, CacheUnavailable, QueueUnavailable)
"""Why a window can't be read yet."""
WINDOWS_MAX: Final = 50
"""Windows of one answer, some five commands each. Of more open periods, those that begin first are shown."""
EXPLAINED_EVENTS_READ_MAX: Final = 5_000
"""Ledger items that one explanation reads, some 300 bytes each: two or three pages of DynamoDB."""
PERIODS_KEPT_MAX: Final = 100
"""Leaderboards whose periods one function remembers, up to 100 KB each; with one more it forgets them all."""
EXPLAIN_TRIES_MAX: Final = 3
"""How often cache and truth are read until they agree: an event that arrives meanwhile is in the truth first."""


class Players:
    """Reads of one player.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(
        self,
        *,
        rankings: Rankings,
        searches: WindowSearches,
        reads: Reads,
        registry: Registry,
        results: Results,
        disqualified_players: DisqualifiedPlayers,
        now_ms: Callable[[], int],
        lookup: Lookup = at_once,
    ) -> None:
        self._rankings = rankings
        self._searches = searches
        self._reads = reads
        self._registry = registry
        self._results = results
        self._disqualified_players = disqualified_players
        self._now_ms = now_ms
        self._periods: Remembered[str, list[Period]] = Remembered(0, PERIODS_KEPT_MAX, now_ms, lookup)
        """Looked up each time; the last answer serves while the registry is out of reach."""

    def windows(self, leaderboard: Leaderboard, user_id: str) -> PlayerWindows:
        """A player's entry in the windows of today, this week and all time, and in every open registered period.

        A window that can't be read yet is pending; the others are answered.

        Raises:
            Rebuilding, Building, CacheUnavailable, QueueUnavailable: why the first window can't be read, if none can.
        """
        now_ms = self._now_ms()
        period_ids = self._open_windows(leaderboard, now_ms)
        found: list[PlayerWindow] = []
        pending: dict[Window, Exception] = {}
        for window, read in self._readers(leaderboard, list(period_ids), user_id, now_ms):
            try:
                found.append(PlayerWindow(read(), period_ids[window]))
            except UNREADABLE as error:
                pending[window] = error
        if not found:
            raise next(iter(pending.values()))
        return PlayerWindows(found, _to_pending(pending, period_ids))

    def windows_of(self, leaderboard: Leaderboard, user_ids: Sequence[str]) -> dict[str, PlayerWindows]:
        """The same of several players: one round trip to the cache for each window, whose ranks are of one instant.

        Windows that can't be read yet are pending, all of them if need be: nothing is raised for them.
        """
        period_ids = self._open_windows(leaderboard, self._now_ms())
        deadline_ms = self._now_ms() + BUILD_WAIT_MS
        found: dict[str, list[PlayerWindow]] = {user_id: [] for user_id in user_ids}
        pending: dict[Window, Exception] = {}
        for window, ids in period_ids.items():
            left_ms = max(0, deadline_ms - self._now_ms())
            try:
                ranking = self._rankings.players(leaderboard, window, user_ids, wait_ms=left_ms)
            except UNREADABLE as error:
                pending[window] = error
                continue
            entries = {entry.user_id: entry for entry in ranking.entries}
            for user_id, windows in found.items():
                own = [entries[user_id]] if user_id in entries else []
                windows.append(PlayerWindow(replace(ranking, entries=own, matched=len(own)), ids))
        return {user_id: PlayerWindows(windows, _to_pending(pending, period_ids)) for user_id, windows in found.items()}

    def _open_windows(self, leaderboard: Leaderboard, now_ms: int) -> dict[Window, list[str]]:
        """The windows that are going on, with the ids of the registered periods that each is."""
        today = leaderboard.calendar.day_of(now_ms)
        period_ids: dict[Window, list[str]] = {window: [] for window in leaderboard.current_windows(today)}
        periods = self._periods.get(leaderboard.id, lambda: self._registry.periods(leaderboard.id))
        open_periods = [one for one in periods if one.first <= today <= one.last]
        for period in sorted(open_periods, key=lambda one: (one.first, one.last, one.id)):
            if period.window in period_ids or len(period_ids) < WINDOWS_MAX:
                period_ids.setdefault(period.window, []).append(period.id)
        return period_ids

    def _readers(
        self, leaderboard: Leaderboard, windows: Sequence[Window], user_id: str, now_ms: int
    ) -> Iterator[tuple[Window, Callable[[], Ranking]]]:
        """How to read each window, after one read of the cache for all of them.

        The windows that have to be built share the time that a reader waits for one.
        """
        try:
            found = self._searches.player_windows(leaderboard, windows, user_id, now_ms)
        except CacheUnavailable as error:
            for window in windows:
                yield window, partial(self._without_cache, leaderboard, window, user_id, error)
            return
        deadline_ms = self._now_ms() + BUILD_WAIT_MS
        for window, players in zip(windows, found, strict=True):
            if players.page.complete:
                yield window, partial(self._ranking_of, leaderboard, window, now_ms, players)
            else:
                left_ms = max(0, deadline_ms - self._now_ms())
                yield window, partial(self._rankings.players, leaderboard, window, (user_id,), wait_ms=left_ms)

    def _ranking_of(self, leaderboard: Leaderboard, window: Window, as_of_ms: int, players: FoundPlayers) -> Ranking:
        rules = self._results.rules_in_force(leaderboard, window)
        return self._rankings.ranking_of(rules, window, as_of_ms, players, final=False)

    def _without_cache(
        self, leaderboard: Leaderboard, window: Window, user_id: str, error: CacheUnavailable
    ) -> Ranking:
        ranking = self._rankings.players_without_cache(leaderboard, window, (user_id,))
        if ranking is None:
            raise error
        return ranking

    def events(self, leaderboard: Leaderboard, user_id: str, after: str | None, limit: int) -> list[LedgerEntry]:
        """Up to `limit` of a player's accepted events, by event id, from the one that follows `after`."""
        return list(self._reads.ledger(leaderboard.scores_id, user_id, after, limit))

    def explain(self, leaderboard: Leaderboard, window: Window, user_id: str) -> Explanation | None:
        """Explain a player's rank; None if the player is not in the window.

        Raises:
            Rebuilding, Building, CacheUnavailable: if `Rankings.player` raises it.
        """
        rules = self._results.rules(leaderboard, window)
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
        out = self._disqualified_players.hidden(rules.id)
        counted = eligible_of(
            (user_id,), reads=self._reads, leaderboard=rules, window=window, disqualified=out, now_ms=self._now_ms()
        )
        days = list(counted.get(user_id, {}).items())
        entries = list(self._reads.ledger(rules.scores_id, user_id, limit=EXPLAINED_EVENTS_READ_MAX + 1))
        all_read = len(entries) <= EXPLAINED_EVENTS_READ_MAX
        return explain(rules, window, found, days, entries, out=out, all_read=all_read)


def _to_pending(pending: Mapping[Window, Exception], period_ids: Mapping[Window, Sequence[str]]) -> list[PendingWindow]:
    return [PendingWindow(window, period_ids[window], _progress(error)) for window, error in pending.items()]


def _progress(error: Exception) -> BuildProgress:
    return error.progress if isinstance(error, Building) else BuildProgress()
