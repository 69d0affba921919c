"""Requests to functions/repair: the messages of the cache-repair and range-builds queues."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from shared.cache.windows import WindowCache
from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.messaging.queues import Queue

REPAIR_PLAYERS_MAX: Final = 500
"""Players in one message: at 128 bytes a name, 256 with what is escaped, well within a message."""


class RepairPlayers(Struct, frozen=True, rename="camel", tag_field="type", tag="repairPlayers", kw_only=True):
    """Apply the standings of some players to the windows again."""

    leaderboard_id: str
    since_ms: int = 0
    """Of which of its scores, see `Leaderboard.since_ms`."""
    players: Mapping[str, Sequence[int]]
    """User id → days."""


class RebuildLeaderboard(Struct, frozen=True, rename="camel", tag_field="type", tag="rebuildLeaderboard", kw_only=True):
    """Rebuild the windows of a leaderboard that the cache does not hold completely."""

    leaderboard_id: str
    force: bool = False
    """Apply all standings again even if the cache is complete."""


class BuildWindow(Struct, frozen=True, rename="camel", tag_field="type", tag="buildWindow", kw_only=True):
    """Build one window that a reader asked for."""

    leaderboard_id: str
    window: str
    """Window id."""
    token: str
    """The reader's process holds the lease with it, and hands it over."""


RepairRequest = RepairPlayers | RebuildLeaderboard | BuildWindow
_DECODER: Final = msgspec.json.Decoder(RepairRequest)


def decode_request(body: bytes | str) -> RepairRequest:
    """Decode a message.

    Raises:
        msgspec.DecodeError: if it is not a request.
    """
    request: RepairRequest = _DECODER.decode(body)
    return request


def repair_messages(leaderboard: Leaderboard, players: Mapping[str, Sequence[int]]) -> list[bytes]:
    """Encode requests to repair players, REPAIR_PLAYERS_MAX in each."""
    items = list(players.items())
    parts = [dict(items[start : start + REPAIR_PLAYERS_MAX]) for start in range(0, len(items), REPAIR_PLAYERS_MAX)]
    request = RepairPlayers(leaderboard_id=leaderboard.id, since_ms=leaderboard.since_ms, players={})
    return [msgspec.json.encode(msgspec.structs.replace(request, players=part)) for part in parts]


class RebuildRequests:
    """Requests rebuilds for an operator."""

    def __init__(self, cache: WindowCache, queue: Queue, now_ms: Callable[[], int]) -> None:
        self._cache = cache
        self._queue = queue
        self._now_ms = now_ms

    def request(self, leaderboard: Leaderboard, window: Window | None) -> None:
        """Forget all windows of a leaderboard, or one, and request that all standings are applied again.

        The versions that the cache has seen are forgotten, too: the tables may have been set back to earlier ones.
        Until the rebuild is done no forgotten window is complete, and reads answer from its snapshot.

        Raises:
            QueueUnavailable: if SQS does not take the request.
            CacheUnavailable: if the cache fails.
        """
        if window is not None:
            self._cache.withdraw(leaderboard, window, self._now_ms())
        else:
            self._cache.forget(leaderboard, self._now_ms())
        request = RebuildLeaderboard(leaderboard_id=leaderboard.id, force=True)
        self._queue.send([msgspec.json.encode(request)])
