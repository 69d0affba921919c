"""Reads of rankings: from the live windows, in one round trip; a window that is not kept is built first.

Where the cache can't be asked or can't vouch for a window, the answer comes from what the truth knows, and says so.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from shared.cache.searches import Players, Run, WindowSearches
from shared.cache.windows import CacheUnavailable, Page, Position, WindowCache
from shared.domain.calendar import Window, is_kept
from shared.domain.ranking import points_to_pass, to_entries, to_entry
from shared.domain.rules import Leaderboard, Order
from shared.domain.selections import Selection
from shared.domain.tiers import points_to_next_tier
from shared.lookups.results import Results
from shared.messaging.queues import Queue, QueueUnavailable
from shared.reads.answers import PlayerRanking, Ranking, RankingSource
from shared.reads.fallback import Fallback
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.requests import RebuildLeaderboard

T = TypeVar("T")

ASK_AGAIN_MS: Final = 10_000
"""How often one function asks for the rebuild of a leaderboard; one that is done or under way is not started twice."""


class Rebuilding(Exception):
    """The cache can't vouch for the window: it was flushed and is being filled again."""


class UnknownTier(ValueError):
    """The leaderboard has no tier of this name."""

    field = "tier"


class UnknownFilter(ValueError):
    """The leaderboard does not declare an attribute as a filter. `field` is the parameter."""

    def __init__(self, name: str, filters: Sequence[str]) -> None:
        declared = f"its filters are {', '.join(filters)}" if filters else "it has none"
        super().__init__(f"is no filter of this leaderboard: {declared}")
        self.field = f"attr.{name}"


class Rankings:
    """Ranks, percentiles and tiers of live windows."""

    def __init__(
        self,
        *,
        cache: WindowCache,
        queries: WindowSearches,
        on_demand: OnDemandBuilds,
        repairs: Queue,
        results: Results,
        fallback: Fallback,
        now_ms: Callable[[], int],
    ) -> None:
        self._cache = cache
        self._queries = queries
        self._on_demand = on_demand
        self._repairs = repairs
        self._results = results
        self._fallback = fallback
        self._now_ms = now_ms
        self._asked_ms: dict[str, int] = {}

    def page(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int) -> Ranking:
        """Entries at ranks `offset + 1` to `offset + limit`.

        Raises:
            Rebuilding: if the cache can't vouch for the window, and there is no snapshot of it.
            Building: if the window is not kept for everybody and takes a while to be built.
            CacheUnavailable: if Redis fails, likewise.
            Unavailable: if the truth is needed and out of reach.
        """
        return self.select(leaderboard, window, Selection(offset=offset, limit=limit))

    def select(self, leaderboard: Leaderboard, window: Window, selection: Selection) -> Ranking:
        """A page of the entries that a selection takes.

        Raises:
            UnknownTier: if the leaderboard has no such tier.
            UnknownFilter: if it is not filtered by such an attribute.
            TooManyRanges: if it would have to be built, and there is no room.
            Rebuilding, CacheUnavailable: as above; for a label whether there is a snapshot or not, since it has none.
            Building, Unavailable: as above.
        """
        now_ms = self._now_ms()
        ranked_by = self._results.rules(leaderboard, window)
        board, final = ranked_by or leaderboard, ranked_by is not None
        check_tier(board, selection.tier)
        check_label(board, selection.label)

        def read() -> Run:
            return self._queries.select(board, window, selection, now_ms)

        try:
            run = self._read_if_complete(board, window, now_ms, read, lambda run: run.page)
        except (Rebuilding, CacheUnavailable):
            ranking = self._fallback.select(board, window, selection, final=final)
            if ranking is None:
                raise
            return ranking
        if selection.label is None:
            ranking = self._ranking(board, window, now_ms, run.page, run.better, final=final)
        else:
            ranking = self.ranking_of(board, window, now_ms, Players(run.page, run.found), final=final)
        begin, end = run.page.first, run.page.first + len(ranking.entries)
        return msgspec.structs.replace(
            ranking,
            matched=run.past - run.first,
            has_previous=begin < end and begin > run.first,
            has_next=begin < end < run.past,
        )

    def players(
        self, leaderboard: Leaderboard, window: Window, user_ids: Sequence[str], *, at_once_ms: int | None = None
    ) -> Ranking:
        """The entries of some players, best first; who has no points in the window is not among them.

        Args:
            leaderboard: whose window.
            window: which one.
            user_ids: of the players.
            at_once_ms: how long to wait for the window, if it has to be built; as long as for a page for None.

        Raises:
            Rebuilding, CacheUnavailable: as above, or if more standings would have to be read than one answer may.
            Building, Unavailable: as above.
        """
        now_ms = self._now_ms()
        ranked_by = self._results.rules(leaderboard, window)
        board, final = ranked_by or leaderboard, ranked_by is not None
        try:
            players = self._read_if_complete(
                board,
                window,
                now_ms,
                lambda: self._queries.players(board, window, user_ids, now_ms),
                lambda players: players.page,
                at_once_ms=at_once_ms,
            )
        except (Rebuilding, CacheUnavailable):
            ranking = self._fallback.players(board, window, user_ids, final=final)
            if ranking is None:
                raise
            return ranking
        return self.ranking_of(board, window, now_ms, players, final=final)

    def players_without_cache(
        self, leaderboard: Leaderboard, window: Window, user_ids: Sequence[str]
    ) -> Ranking | None:
        """The same of a window that is going on, without asking the cache; None if nothing can be said.

        Raises:
            Unavailable: if the truth is out of reach.
        """
        return self._fallback.players(leaderboard, window, user_ids, final=False)

    def ranking_of(
        self, leaderboard: Leaderboard, window: Window, as_of_ms: int, players: Players, *, final: bool
    ) -> Ranking:
        """The entries of players who were found in a window, which was read at `as_of_ms` or later."""
        total = players.page.total
        tiers = leaderboard.tiers
        entries = [
            to_entry(tiers, total, one.position + 1, one.user_id, one.score, competition_rank=one.better + 1)
            for one in players.found
        ]
        ranking = self._ranking(leaderboard, window, as_of_ms, players.page, 0, final=final)
        return msgspec.structs.replace(ranking, entries=entries, matched=len(entries))

    def player(self, leaderboard: Leaderboard, window: Window, user_id: str, context: int) -> PlayerRanking | None:
        """A player's entry with up to `context` entries above and below; None if they are not in the window.

        Raises:
            Rebuilding, Building, CacheUnavailable, Unavailable: as above.
        """
        now_ms = self._now_ms()
        ranked_by = self._results.rules(leaderboard, window)
        board, final = ranked_by or leaderboard, ranked_by is not None
        try:
            found = self._read_if_complete(
                board,
                window,
                now_ms,
                # the entry above is needed, asked for or not
                lambda: self._cache.player(board, window, user_id, max(context, 1), now_ms),
                lambda position: position.page,
            )
        except (Rebuilding, CacheUnavailable):
            known, player = self._fallback.player(board, window, user_id, context, final=final)
            if not known:
                raise
            return player
        return None if found.position is None else self._around(board, window, now_ms, found, context, final=final)

    def _around(
        self, leaderboard: Leaderboard, window: Window, as_of_ms: int, found: Position, context: int, *, final: bool
    ) -> PlayerRanking:
        assert found.position is not None  # noqa: S101 - asked only of who is in the window
        ranking = self._ranking(leaderboard, window, as_of_ms, found.page, found.better, final=final)
        at = found.position - found.page.first
        above, player, below = ranking.entries[:at], ranking.entries[at], ranking.entries[at + 1 :]
        descending = leaderboard.order is Order.DESC
        return PlayerRanking(
            msgspec.structs.replace(ranking, entries=()),
            player,
            points_to_pass(above[-1].score, player.score, descending=descending) if above else None,
            points_to_next_tier(leaderboard.tiers, player.tier, player.score, found.cutoffs, descending=descending),
            above[-context:] if context else (),
            below[:context],
            cutoffs=found.cutoffs,
        )

    def _read_if_complete(
        self,
        leaderboard: Leaderboard,
        window: Window,
        now_ms: int,
        read: Callable[[], T],
        page_of: Callable[[T], Page],
        *,
        at_once_ms: int | None = None,
    ) -> T:
        answer = read()
        kept = is_kept(window, leaderboard.lateness_ms, now_ms)
        if page_of(answer).complete:
            if not kept:
                self._on_demand.extend(leaderboard, window)
            return answer
        if kept:
            self._ask_for_rebuild(leaderboard.id)
            raise Rebuilding(f"{leaderboard.id} is being rebuilt")
        self._on_demand.build_for_reader(leaderboard, window, at_once_ms)
        answer = read()
        if not page_of(answer).complete:
            raise Rebuilding(f"{window.id} of {leaderboard.id} went while it was read")
        return answer

    def _ask_for_rebuild(self, leaderboard_id: str) -> None:
        now_ms = self._now_ms()
        if now_ms - self._asked_ms.get(leaderboard_id, 0) < ASK_AGAIN_MS:
            return
        self._asked_ms[leaderboard_id] = now_ms
        request = RebuildLeaderboard(leaderboard_id=leaderboard_id)
        with suppress(QueueUnavailable):  # the next read asks again
            self._repairs.send([msgspec.json.encode(request)])

    def _ranking(
        self, leaderboard: Leaderboard, window: Window, as_of_ms: int, page: Page, better: int, *, final: bool
    ) -> Ranking:
        """`as_of_ms`: the time before the page was read. An answer that took long lacks no event of before then."""
        entries = list(to_entries(leaderboard.tiers, page.total, page.first, better, page.lines))
        status = window.status(as_of_ms, final=final)
        source = RankingSource.FINAL if final else RankingSource.LIVE
        return Ranking(window, status, page.revision, page.total, as_of_ms, entries, source)


def check_tier(leaderboard: Leaderboard, name: str | None) -> None:
    """Raises UnknownTier unless the leaderboard has a tier of that name, or none is asked for."""
    if name is not None and name not in {tier.name for tier in leaderboard.tiers}:
        raise UnknownTier(f"{leaderboard.id} has no such tier")


def check_label(leaderboard: Leaderboard, label: tuple[str, str] | None) -> None:
    """Raises UnknownFilter unless the leaderboard has the label's filter, or none is asked for."""
    if label is not None and label[0] not in leaderboard.filters:
        raise UnknownFilter(label[0], leaderboard.filters)
