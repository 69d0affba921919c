"""Windows that are built because somebody asks for them: at once if that is quick, else by functions/repair."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from shared.domain.rules import Leaderboard
from shared.domain.windows import Window
from shared.live.leases import BuildLeases, BuildProgress, Grant
from shared.live.windows import CacheUnavailable
from shared.pipeline.rebuild import Rebuild
from shared.queues import Queue, RepairRequest

AT_ONCE_MS: Final = 1_000
"""How long a reader waits for the window he asks for; what takes longer is done behind his back."""


class Building(Exception):
    """The window is being built from the truth; who asks again after a moment finds it further."""

    def __init__(self, leaderboard_id: str, window: Window, progress: BuildProgress) -> None:
        super().__init__(f"{window.id} of {leaderboard_id} is being built")
        self.leaderboard_id = leaderboard_id
        self.window = window
        self.progress = progress


class _TooSlow(Exception):
    """A build that takes longer than a reader waits."""

    def __init__(self, progress: BuildProgress) -> None:
        self.progress = progress


class _Overtaken(Exception):
    """Somebody else builds the window, or has built it."""


class WindowBuilds:
    """Builds of custom ranges, and of days and weeks past their time in the cache. One at a time for each window."""

    def __init__(
        self,
        *,
        rebuild: Rebuild,
        leases: BuildLeases,
        repairs: Queue,
        now_ms: Callable[[], int],
        new_token: Callable[[], str],
    ) -> None:
        self._rebuild = rebuild
        self._leases = leases
        self._repairs = repairs
        self._now_ms = now_ms
        self._new_token = new_token

    def build(self, leaderboard: Leaderboard, window: Window) -> None:
        """Build a window that nobody vouches for. If the cache is flushed meanwhile, nobody does afterwards either.

        Raises:
            Building: if somebody else builds it, or it takes more than AT_ONCE_MS: then functions/repair goes on.
            QueueUnavailable: if that could not be ordered.
            Unavailable: if the truth is out of reach.
            CacheUnavailable: if Redis fails.
        """
        token = self._new_token()
        deadline_ms = self._now_ms() + AT_ONCE_MS

        def check_time(progress: BuildProgress) -> None:
            if self._now_ms() >= deadline_ms and progress.days < len(window.buckets):
                raise _TooSlow(progress)

        grant, progress = self._leases.take(leaderboard.id, window, token)
        if grant is Grant.HELD:
            raise Building(leaderboard.id, window, progress)
        if grant is Grant.BUILT:
            return
        handed_over = False
        try:
            self._rebuild.window(leaderboard, window, token=token, progressed=check_time)
        except _TooSlow as slow:
            self._leases.take(leaderboard.id, window, token, slow.progress)
            self._order(leaderboard, window, token)
            handed_over = True
            raise Building(leaderboard.id, window, slow.progress) from None
        finally:
            if not handed_over:
                with suppress(CacheUnavailable):  # it lapses by itself
                    self._leases.give_back(leaderboard.id, window, token)

    def resume(self, leaderboard: Leaderboard, window: Window, token: str) -> bool:
        """Build a window that a reader has left to us, from the start: applying is idempotent.

        Returns:
            False if the cache was flushed meanwhile.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """

        def renew(progress: BuildProgress) -> None:
            if self._leases.take(leaderboard.id, window, token, progress)[0] is not Grant.GRANTED:
                raise _Overtaken

        try:
            renew(BuildProgress())
            is_vouched_for = self._rebuild.window(leaderboard, window, token=token, progressed=renew)
        except _Overtaken:
            return True
        self._leases.give_back(leaderboard.id, window, token)
        return is_vouched_for

    def _order(self, leaderboard: Leaderboard, window: Window, token: str) -> None:
        request = RepairRequest(leaderboard_id=leaderboard.id, window=window.id, token=token)
        self._repairs.send([msgspec.json.encode(request)])
