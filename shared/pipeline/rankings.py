"""Reads of rankings: from the live windows, in one round trip; a window that is not kept is built first.

Where the cache can't be asked or can't vouch for a window, the answer comes from what the truth knows, and says so.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from shared.domain.ranking import points_to_pass, to_entry
from shared.domain.rules import Leaderboard, Order
from shared.domain.tiers import points_to_next_tier
from shared.domain.windows import Window
from shared.live.windows import CacheUnavailable, LiveWindows, Page, Position, is_kept
from shared.pipeline.answers import PlayerRanking, Ranking, RankingSource
from shared.pipeline.fallback import Fallback
from shared.pipeline.rebuild import Rebuild
from shared.pipeline.results import Results
from shared.queues import Queue, QueueUnavailable, RepairRequest

T = TypeVar("T")

ASK_AGAIN_MS: Final = 10_000
"""How often one function asks for the rebuild of a leaderboard; one that is done or under way is not started twice."""


class Rebuilding(Exception):
    """The cache can't vouch for the window: it was flushed and is being filled again."""


class Rankings:
    """Ranks, percentiles and tiers of live windows."""

    def __init__(
        self,
        *,
        live: LiveWindows,
        rebuild: Rebuild,
        repairs: Queue,
        results: Results,
        fallback: Fallback,
        now_ms: Callable[[], int],
    ) -> None:
        self._live = live
        self._rebuild = rebuild
        self._repairs = repairs
        self._results = results
        self._fallback = fallback
        self._now_ms = now_ms
        self._asked_ms: dict[str, int] = {}

    def page(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int) -> Ranking:
        """Entries at ranks `offset + 1` to `offset + limit`.

        Raises:
            Rebuilding: if the cache can't vouch for the window, and its snapshot does not reach that deep.
            CacheUnavailable: if Redis fails, likewise.
            Unavailable: if the truth is needed and out of reach.
        """
        ranked_by = self._results.rules(leaderboard, window)
        board, final = ranked_by or leaderboard, ranked_by is not None

        def read() -> Page:
            return self._live.page(board, window, offset, limit, self._now_ms())

        try:
            page = self._vouched(board, window, read, lambda page: page)
        except (Rebuilding, CacheUnavailable):
            ranking = self._fallback.page(board, window, offset, limit, final=final)
            if ranking is None:
                raise
            return ranking
        return self._ranking(board, window, page, final=final)

    def player(self, leaderboard: Leaderboard, window: Window, user_id: str, context: int) -> PlayerRanking | None:
        """A player's entry with up to `context` entries above and below; None if he is not in the window.

        Raises:
            Rebuilding, CacheUnavailable, Unavailable: as above.
        """
        ranked_by = self._results.rules(leaderboard, window)
        board, final = ranked_by or leaderboard, ranked_by is not None
        try:
            found = self._vouched(
                board,
                window,
                # the entry above is needed, asked for or not
                lambda: self._live.player(board, window, user_id, max(context, 1), self._now_ms()),
                lambda position: position.page,
            )
        except (Rebuilding, CacheUnavailable):
            known, player = self._fallback.player(board, window, user_id, context, final=final)
            if not known:
                raise
            return player
        return None if found.position is None else self._around(board, window, found, context, final=final)

    def _around(
        self, leaderboard: Leaderboard, window: Window, found: Position, context: int, *, final: bool
    ) -> PlayerRanking:
        assert found.position is not None  # noqa: S101 - asked only of who is in the window
        ranking = self._ranking(leaderboard, window, found.page, final=final)
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
        )

    def _vouched(
        self, leaderboard: Leaderboard, window: Window, read: Callable[[], T], page_of: Callable[[T], Page]
    ) -> T:
        answer = read()
        if page_of(answer).complete:
            return answer
        if is_kept(leaderboard, window, self._now_ms()):
            self._ask_for_rebuild(leaderboard.id)
            raise Rebuilding(f"{leaderboard.id} is being rebuilt")
        self._rebuild.window(leaderboard, window)
        answer = read()
        if not page_of(answer).complete:
            raise Rebuilding(f"{window.id} of {leaderboard.id} went while it was read")
        return answer

    def _ask_for_rebuild(self, leaderboard_id: str) -> None:
        now_ms = self._now_ms()
        if now_ms - self._asked_ms.get(leaderboard_id, 0) < ASK_AGAIN_MS:
            return
        self._asked_ms[leaderboard_id] = now_ms
        request = RepairRequest(leaderboard_id=leaderboard_id, rebuild=True)
        with suppress(QueueUnavailable):  # the next read asks again
            self._repairs.send([msgspec.json.encode(request)])

    def _ranking(self, leaderboard: Leaderboard, window: Window, page: Page, *, final: bool) -> Ranking:
        now_ms = self._now_ms()
        entries = [
            to_entry(leaderboard.tiers, page.total, rank, user_id, score)
            for rank, (user_id, score) in enumerate(page.lines, start=page.first + 1)
        ]
        status = window.status(now_ms, final=final)
        source = RankingSource.FINAL if final else RankingSource.LIVE
        return Ranking(window, status, page.revision, page.total, now_ms, entries, source)
