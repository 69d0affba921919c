"""Who builds a window that is not kept for everybody, and how far he is: one at a time, the others wait."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.domain.windows import Window
from shared.live import keys
from shared.live.windows import LiveWindows

LEASE_MS: Final = 60_000
"""A builder who has not got on for so long has died; the next one who asks begins anew. It takes some seconds to read
the write shards of one day of a million players, which is the longest step."""


class Grant(StrEnum):
    """What became of somebody's wish to build a window."""

    BUILT = "built"
    """Nothing is left to do."""
    GRANTED = "granted"
    HELD = "held"
    """Somebody else builds it."""


class BuildProgress(Struct, frozen=True):
    """How much of the truth a build has read."""

    days: int = 0
    """Of the window's days, oldest first, those that are read to their end."""
    standings: int = 0


class BuildLeases:
    """Leases on the building of windows. They keep work from being done twice; only the builder's token in the window
    itself, which a flush takes away, decides who may vouch for it.
    """

    def __init__(self, live: LiveWindows) -> None:
        self._live = live
        self._lease = live.register("lease.lua")

    def take(
        self, leaderboard_id: str, window: Window, token: str, progress: BuildProgress | None = None
    ) -> tuple[Grant, BuildProgress]:
        """Take the lease, or renew one's own; and how far its holder is.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        return self._call(leaderboard_id, window, token, LEASE_MS, progress or BuildProgress())

    def give_back(self, leaderboard_id: str, window: Window, token: str) -> None:
        """Let somebody else build the window, unless somebody else does already.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        self._call(leaderboard_id, window, token, 0, BuildProgress())

    def _call(
        self, leaderboard_id: str, window: Window, token: str, lease_ms: int, progress: BuildProgress
    ) -> tuple[Grant, BuildProgress]:
        lease_keys = keys.lease(leaderboard_id, window.id), keys.parts(leaderboard_id, window.id)
        args = (token, lease_ms, progress.days, progress.standings)
        grant, *read = self._live.call(self._lease, lease_keys, args)
        return Grant(grant.decode()), BuildProgress(*read)
