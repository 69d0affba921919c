"""Reads of rankings: from the cache in one round trip, or from a snapshot while the cache is away or incomplete.

Each read goes through the same steps:

1. Find the rules that the window is ranked by: those of its result, or those that it will be ranked by.
2. Read the cache. If the window is complete there, the answer is `live` or `final`.
3. Otherwise request a rebuild; a window that the cache does not keep is built at once, and read again.
4. While that is under way, answer from a snapshot and the player's standings: the answer is `snapshot`.
5. Of a final window, check the result after the read: while a correction of it is pending, the answer is `live`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from shared.cache.errors import CacheUnavailable
from shared.cache.pages import Page, PlayerPage
from shared.cache.searches import Players, Slice, WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.calendar import Window
from shared.domain.ranking import points_to_pass, to_entries, to_entry
from shared.domain.rules import Leaderboard, Order, qualifying
from shared.domain.selections import Selection
from shared.domain.tiers import points_to_next_tier
from shared.lookups.results import Results
from shared.messaging.queues import Queue, QueueUnavailable
from shared.reads.answers import PlayerRanking, Ranking, RankingSource
from shared.reads.corrections import Corrections
from shared.reads.fallback import Fallback
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.requests import RebuildLeaderboard
from shared.truth.failures import Unavailable

T = TypeVar("T")
A = TypeVar("A", Ranking, PlayerRanking | None)

REQUEST_EVERY_MS: Final = 10_000
"""How often one function requests the rebuild of a leaderboard; one that is done or under way is not started again."""


READS_MAX: Final = 3
"""How often a final window is read again because another version of its result was written meanwhile."""


class Rebuilding(Exception):
    """The window is incomplete in the cache, which was flushed and is being rebuilt."""


class UnknownTier(ValueError):
    """The leaderboard has no tier of this name for the window."""

    field = "tier"


class UnknownFilter(ValueError):
    """The leaderboard does not declare an attribute as a filter. `field` is the parameter."""

    def __init__(self, name: str, filters: Sequence[str]) -> None:
        declared = f"its filters are {', '.join(filters)}" if filters else "it has none"
        super().__init__(f"is not a filter of this leaderboard: {declared}")
        self.field = f"attr.{name}"


class Rankings:
    """Reads pages, players and their neighbours."""

    def __init__(
        self,
        *,
        cache: WindowCache,
        searches: WindowSearches,
        on_demand: OnDemandBuilds,
        repairs: Queue,
        results: Results,
        corrections: Corrections,
        fallback: Fallback,
        now_ms: Callable[[], int],
    ) -> None:
        self._cache = cache
        self._searches = searches
        self._on_demand = on_demand
        self._repairs = repairs
        self._results = results
        self._corrections = corrections
        self._fallback = fallback
        self._now_ms = now_ms
        self._requested_ms: dict[str, int] = {}

    def page(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int) -> Ranking:
        """Entries at ranks `offset + 1` to `offset + limit`; raises what `select` raises."""
        return self.select(leaderboard, window, Selection(offset=offset, limit=limit))

    def select(self, leaderboard: Leaderboard, window: Window, selection: Selection) -> Ranking:
        """A page of the entries that a selection takes.

        Raises:
            UnknownTier: if the leaderboard has no such tier.
            UnknownFilter: if it does not declare such a filter.
            Rebuilding: if the window is incomplete in the cache, and no snapshot has the page; none has labels.
            CacheUnavailable: if the cache fails, and no snapshot has the page.
            Building: if the window is built on demand, and that takes a while.
            TooManyRanges: if the window would have to be built, and there is no room.
            Unavailable: if DynamoDB is needed and out of reach.
        """
        return self._by_result(leaderboard, window, partial(self._select, window, selection))

    def _select(self, window: Window, selection: Selection, rules: Leaderboard, *, final: bool) -> Ranking:
        now_ms = self._now_ms()
        check_tier(rules, selection.tier)
        check_label(rules, selection.label)

        def read() -> Slice:
            return self._searches.select(rules, window, selection, now_ms)

        try:
            found = self._read_if_complete(rules, window, now_ms, read, lambda found: found.page)
        except (Rebuilding, CacheUnavailable):
            ranking = self._fallback.select(rules, window, selection, final=final)  # 4
            if ranking is None:
                raise
            return ranking
        if selection.label is None:
            ranking = self._ranking(rules, window, now_ms, found.page, found.players_ahead, final=final)
        else:
            ranking = self.ranking_of(rules, window, now_ms, Players(found.page, found.found), final=final)
        begin, end = found.page.first, found.page.first + len(ranking.entries)
        return replace(
            ranking,
            matched=found.stop - found.first,
            has_previous=begin < end and begin > found.first,
            has_next=begin < end < found.stop,
        )

    def players(
        self,
        leaderboard: Leaderboard,
        window: Window,
        user_ids: Sequence[str],
        *,
        wait_ms: int | None = None,
        profiles: bool = False,
    ) -> Ranking:
        """The entries of some players, best first, without those who have no points in the window.

        Args:
            leaderboard: whose window.
            window: which one.
            user_ids: of the players.
            wait_ms: how long to wait for the window if it has to be built; BUILD_WAIT_MS by default.
            profiles: whether to read the profiles that the cache has of them.

        Raises:
            Rebuilding: if the window is incomplete in the cache, and there is no snapshot or too much to read.
            CacheUnavailable: if the cache fails, and there is no snapshot or too much to read.
            Building: if the window is built on demand, and that takes a while.
            Unavailable: if DynamoDB is needed and out of reach.
        """
        return self._by_result(leaderboard, window, partial(self._players, window, user_ids, wait_ms, profiles))

    def _players(
        self,
        window: Window,
        user_ids: Sequence[str],
        wait_ms: int | None,
        profiles: bool,
        rules: Leaderboard,
        *,
        final: bool,
    ) -> Ranking:
        now_ms = self._now_ms()

        def read() -> Players:
            return self._searches.players(rules, window, user_ids, now_ms, profiles=profiles)

        try:
            players = self._read_if_complete(rules, window, now_ms, read, lambda players: players.page, wait_ms=wait_ms)
        except (Rebuilding, CacheUnavailable):
            ranking = self._fallback.players(rules, window, user_ids, final=final)  # 4
            if ranking is None:
                raise
            return ranking
        return self.ranking_of(rules, window, now_ms, players, final=final)

    def players_without_cache(
        self, leaderboard: Leaderboard, window: Window, user_ids: Sequence[str]
    ) -> Ranking | None:
        """The entries of some players of an open window, from a snapshot and their standings; None without a snapshot.

        Raises:
            Unavailable: if DynamoDB is out of reach.
        """
        rules = self._results.rules_in_force(leaderboard, window)
        return self._fallback.players(rules, window, user_ids, final=False)

    def ranking_of(
        self, rules: Leaderboard, window: Window, as_of_ms: int, players: Players, *, final: bool
    ) -> Ranking:
        """The entries of players who were found in a window, which was read at `as_of_ms` or later, by its rules."""
        total = players.page.total
        entries = [
            to_entry(
                rules.tiers,
                total,
                one.index + 1,
                one.user_id,
                one.score,
                competition_rank=one.players_ahead + 1,
                qualified=players.page.qualified,
            )
            for one in players.found
        ]
        ranking = self._ranking(rules, window, as_of_ms, players.page, 0, final=final)
        return replace(ranking, entries=entries, matched=len(entries))

    def player(
        self, leaderboard: Leaderboard, window: Window, user_id: str, context: int, *, profiles: bool = False
    ) -> PlayerRanking | None:
        """A player's entry with up to `context` entries above and below; None if the player is not in the window.

        With `profiles`, the ranking has those that the cache knows of all of them.

        Raises:
            Rebuilding: if the window is incomplete in the cache, and there is no snapshot of it.
            CacheUnavailable: if the cache fails, and there is no snapshot of the window.
            Building: if the window is built on demand, and that takes a while.
            Unavailable: if DynamoDB is needed and out of reach.
        """
        return self._by_result(leaderboard, window, partial(self._player, window, user_id, context, profiles))

    def _player(
        self,
        window: Window,
        user_id: str,
        context: int,
        profiles: bool,
        rules: Leaderboard,
        *,
        final: bool,
    ) -> PlayerRanking | None:
        now_ms = self._now_ms()

        def read() -> PlayerPage:
            at_least_one = max(context, 1)  # the points to the next rank need the entry above
            return self._cache.player(rules, window, user_id, at_least_one, now_ms, profiles=profiles)

        try:
            found = self._read_if_complete(rules, window, now_ms, read, lambda found: found.page)
        except (Rebuilding, CacheUnavailable):
            known, player = self._fallback.player(rules, window, user_id, context, final=final)  # 4
            if not known:
                raise
            return player
        if found.index is None:
            return None
        ranking = self._ranking(rules, window, now_ms, found.page, found.players_ahead, final=final)
        return _around(rules, ranking, found, context)

    def _by_result(self, leaderboard: Leaderboard, window: Window, read: Callable[..., A]) -> A:
        """Read by the rules of the window's result, if it is final, and say which version of the result that shows."""
        for _ in range(READS_MAX):
            result = self._results.find(leaderboard, window)  # 1
            if result is None:
                return read(self._results.rules_in_force(leaderboard, window), final=False)
            answer = read(result.rules, final=True)
            try:
                state = self._corrections.state(leaderboard, window)  # 5
            except Unavailable:
                return _marked(answer, result.final.version, is_pending=False, is_checked=False)
            if state.version == result.final.version:
                return _marked(answer, state.version, is_pending=state.is_pending, is_checked=True)
        return _marked(answer, state.version, is_pending=False, is_checked=False)

    def _read_if_complete(
        self,
        leaderboard: Leaderboard,
        window: Window,
        now_ms: int,
        read: Callable[[], T],
        page_of: Callable[[T], Page],
        *,
        wait_ms: int | None = None,
    ) -> T:
        answer = read()  # 2
        kept = leaderboard.keeps(window, now_ms)
        if page_of(answer).complete:
            if not kept:
                self._on_demand.extend(leaderboard, window)
            return answer
        if kept:  # 3
            self._request_rebuild(leaderboard.id)
            raise Rebuilding(f"{leaderboard.id} is being rebuilt")
        self._on_demand.build_for_reader(leaderboard, window, wait_ms)
        answer = read()
        if not page_of(answer).complete:
            raise Rebuilding(f"{window.id} of {leaderboard.id} was removed from the cache while it was read")
        return answer

    def _request_rebuild(self, leaderboard_id: str) -> None:
        now_ms = self._now_ms()
        if now_ms - self._requested_ms.get(leaderboard_id, 0) < REQUEST_EVERY_MS:
            return
        self._requested_ms[leaderboard_id] = now_ms
        request = RebuildLeaderboard(leaderboard_id=leaderboard_id)
        with suppress(QueueUnavailable):  # the next read requests it again
            self._repairs.send([msgspec.json.encode(request)])

    def _ranking(
        self, leaderboard: Leaderboard, window: Window, as_of_ms: int, page: Page, players_ahead: int, *, final: bool
    ) -> Ranking:
        """`as_of_ms` is before the page was read: an answer that took long lacks no event that was applied by then."""
        entries = list(
            to_entries(leaderboard.tiers, page.total, page.first, players_ahead, page.lines, qualified=page.qualified)
        )
        status = leaderboard.calendar.status(window, as_of_ms, final=final)
        source = RankingSource.FINAL if final else RankingSource.LIVE
        return Ranking(
            window,
            status,
            page.revision,
            page.total,
            as_of_ms,
            entries,
            source,
            qualified=page.qualified,
            rules_version=leaderboard.version,
            profiles=page.profiles,
        )


def _marked(answer: A, version: int, *, is_pending: bool, is_checked: bool) -> A:
    """An answer with the result's version; it is `final` only if it is known to show that version."""
    if isinstance(answer, PlayerRanking):
        ranking = _marked(answer.ranking, version, is_pending=is_pending, is_checked=is_checked)
        return replace(answer, ranking=ranking)
    if not isinstance(answer, Ranking):
        return answer
    is_ahead = answer.source is RankingSource.FINAL and (is_pending or not is_checked)
    return replace(
        answer,
        source=RankingSource.LIVE if is_ahead else answer.source,
        result_version=version,
        pending_version=version + 1 if is_pending else None,
    )


def _around(leaderboard: Leaderboard, ranking: Ranking, found: PlayerPage, context: int) -> PlayerRanking:
    """The player's entry of a page, with up to `context` entries above and below."""
    at = (found.index or 0) - found.page.first
    above, player, below = ranking.entries[:at], ranking.entries[at], ranking.entries[at + 1 :]
    descending = leaderboard.order is Order.DESC
    needed = qualifying(leaderboard, player.score, ranking.qualified_or_all, found.targets)
    return PlayerRanking(
        replace(ranking, entries=()),
        player,
        points_to_pass(above[-1].score, player.score, descending=descending) if above else None,
        points_to_next_tier(
            leaderboard.tiers,
            player.tier,
            player.score,
            found.cutoffs,
            descending=descending,
            qualifying=needed,
        ),
        above[-context:] if context else (),
        below[:context],
        cutoffs=found.cutoffs,
        qualifying=needed,
    )


def check_tier(leaderboard: Leaderboard, name: str | None) -> None:
    """Raise UnknownTier if a tier is named that the rules of a window do not have."""
    if name is not None and name not in {tier.name for tier in leaderboard.tiers}:
        raise UnknownTier(f"{leaderboard.id} has no such tier for this window")


def check_label(leaderboard: Leaderboard, label: tuple[str, str] | None) -> None:
    """Raise UnknownFilter if a label is given whose filter the leaderboard does not declare."""
    if label is not None and label[0] not in leaderboard.filters:
        raise UnknownFilter(label[0], leaderboard.filters)
