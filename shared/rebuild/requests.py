"""Rebuilds that somebody orders: carried out by functions/repair."""

from collections.abc import Callable

import msgspec

from shared.cache.windows import WindowCache
from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.messaging.queues import Queue, RepairRequest


class RebuildRequests:
    """Has live windows brought up to the truth, or built anew."""

    def __init__(self, cache: WindowCache, repairs: Queue, now_ms: Callable[[], int]) -> None:
        self._cache = cache
        self._repairs = repairs
        self._now_ms = now_ms

    def order(self, leaderboard: Leaderboard, window: Window | None) -> None:
        """Have all standings applied again, to windows of which nothing is left: of all of them, or of one.

        What was there is forgotten first, with the versions that it has seen: the truth may have been set back to an
        earlier one. Until that is done no window that was forgotten is complete: reads answer from its snapshot, and
        say so.

        Raises:
            QueueUnavailable: if it could not be ordered.
            CacheUnavailable: if Redis fails.
        """
        if window is not None:
            self._cache.withdraw(leaderboard, window, self._now_ms())
        else:
            self._cache.forget(leaderboard, self._now_ms())
        request = RepairRequest(leaderboard_id=leaderboard.id, rebuild=True, anyway=True)
        self._repairs.send([msgspec.json.encode(request)])
