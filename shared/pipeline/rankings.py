"""Reads of rankings: from the live windows, in one round trip; a window that is not kept is built first."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from shared.domain.ranking import Entry, points_to_pass, to_entry
from shared.domain.rules import Leaderboard, Order
from shared.domain.tiers import points_to_next_tier
from shared.domain.windows import Window, WindowStatus
from shared.live.windows import LiveWindows, Page, is_kept
from shared.pipeline.rebuild import Rebuild
from shared.queues import Queue, QueueUnavailable, RepairRequest

T = TypeVar("T")

ASK_AGAIN_MS: Final = 10_000
"""How often one function asks for the rebuild of a leaderboard; one that is done or under way is not started twice."""


class Rebuilding(Exception):
    """The cache can't vouch for the window: it was flushed and is being filled again."""


class Ranking(Struct, frozen=True):
    """A run of entries, as of one instant."""

    window: Window
    status: WindowStatus
    revision: int
    total: int
    as_of_ms: int
    entries: Sequence[Entry]


class PlayerRanking(Struct, frozen=True):
    """A player's entry with the entries around it."""

    ranking: Ranking
    """Without entries."""
    player: Entry
    points_to_next_rank: int | None
    """Points to gain (to lose where the lowest ranks first) to pass the entry above; None at rank 1."""
    points_to_next_tier: int | None
    """Likewise to a better tier, as things stand; None if there is none."""
    above: Sequence[Entry]
    below: Sequence[Entry]


class Rankings:
    """Ranks, percentiles and tiers of live windows."""

    def __init__(self, live: LiveWindows, rebuild: Rebuild, repairs: Queue, now_ms: Callable[[], int]) -> None:
        self._live = live
        self._rebuild = rebuild
        self._repairs = repairs
        self._now_ms = now_ms
        self._asked_ms: dict[str, int] = {}

    def page(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int) -> Ranking:
        """Entries at ranks `offset + 1` to `offset + limit`.

        Raises:
            Rebuilding: if the cache can't vouch for the window.
            CacheUnavailable: if Redis fails.
            Unavailable: if the window has to be built and the truth is out of reach.
        """

        def read() -> Page:
            return self._live.page(leaderboard, window, offset, limit, self._now_ms())

        page = self._vouched(leaderboard, window, read, lambda page: page)
        return self._ranking(leaderboard, window, page)

    def player(self, leaderboard: Leaderboard, window: Window, user_id: str, context: int) -> PlayerRanking | None:
        """A player's entry with up to `context` entries above and below; None if he is not in the window.

        Raises:
            Rebuilding, CacheUnavailable, Unavailable: as above.
        """
        found = self._vouched(
            leaderboard,
            window,
            # the entry above is needed, asked for or not
            lambda: self._live.player(leaderboard, window, user_id, max(context, 1), self._now_ms()),
            lambda position: position.page,
        )
        if found.position is None:
            return None
        ranking = self._ranking(leaderboard, window, found.page)
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

    def _ranking(self, leaderboard: Leaderboard, window: Window, page: Page) -> Ranking:
        now_ms = self._now_ms()
        entries = [
            to_entry(leaderboard.tiers, page.total, rank, user_id, score)
            for rank, (user_id, score) in enumerate(page.lines, start=page.first + 1)
        ]
        return Ranking(window, window.status(now_ms), page.revision, page.total, now_ms, entries)
