"""How much memory and reading the windows take that are built because a caller requests them, over all leaderboards.

Every such range stands in one sorted set by when it was read last, and in a hash with its bytes. Both have a hash tag
of their own. What a range takes is a guess until it is built; what it turned out to take counts for the next one.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

from shared.cache import keys
from shared.cache.windows import WindowCache
from shared.domain.calendar import Window, daily, parse_id

READ: Final = "{ranges}:read"
BYTES: Final = "{ranges}:bytes"
ENTRY_BYTES: Final = 160
"""What one player of a window is expected to take (docs/scale.md); a range that is built is measured."""
PROTECTED_MS: Final = 120_000
"""A range that was read since is not evicted: readers who take turns would build for ever. Each function notes a read
once a minute."""
ACCOUNT_MS: Final = 600_000
"""In how long a caller gets their whole budget again."""
EVICTIONS_MAX: Final = 3
"""Times that room is made for one range; others may take it."""
FULL_RETRY_S: Final = 60


class RangeLimits(Struct, frozen=True):
    """What ranges that are built on demand may take."""

    memory_bytes: int
    """All of them together."""
    cache_percent: int
    """Of maxmemory of the leaderboard's server: past it no range is added there."""
    caller_reads: int
    """Partitions of standings - days with events by write shards - that one caller may have read in ACCOUNT_MS."""


class RangeRefused(Exception):
    """A range is not built now. `retry_after_s`: when to ask again."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class NoRoomForRanges(RangeRefused):
    """Redis has no memory to spare for one more range."""


class RangeBudgetSpent(RangeRefused):
    """The caller has had as much built as they may."""


class Admission(Struct, frozen=True):
    """What became of a wish for a range."""

    is_granted: bool
    victims: Sequence[tuple[str, str]] = ()
    """Scores ids and windows of the ranges that have to go first."""


class RangeBudget:
    """Admits ranges, and knows which of them go first.

    Methods raise CacheUnavailable if Redis fails.
    """

    def __init__(self, cache: WindowCache, limits: RangeLimits, idle_ms: int) -> None:
        """`idle_ms`: how long a range stays after it was read last."""
        self._cache = cache
        self._limits = limits
        self._idle_ms = idle_ms
        names = ("admit_range", "size_range", "evict_range", "touch_range", "release_range", "settle_range")
        self._admit, self._size, self._evict, self._touch, self._release, self._settle = (
            cache.register(f"{name}.lua") for name in names
        )

    def admit(self, scores_id: str, window: Window, caller: str, reads: int, now_ms: int) -> Admission:
        """Count a range in, if there is room. One that is in already costs nothing.

        Args:
            scores_id: whose, see `Leaderboard.scores_id`.
            window: the range.
            caller: who asks.
            reads: partitions of standings that the build reads.
            now_ms: the time.

        Raises:
            NoRoomForRanges, RangeBudgetSpent: if it is refused.
        """
        _, expected, used, most = self._sizes(scores_id, window)
        limits = self._limits
        has_room = not most or used * 100 < most * limits.cache_percent
        args = (
            _member(scores_id, window.id),
            now_ms,
            now_ms - self._idle_ms,
            now_ms - PROTECTED_MS,
            expected,
            limits.memory_bytes,
            int(has_room),
            reads * ACCOUNT_MS / limits.caller_reads,
            ACCOUNT_MS,
        )
        account = f"{{ranges}}:of:{sha256(caller.encode()).hexdigest()}"
        answer, *more = self._cache.call(self._admit, (READ, BYTES, account), args)
        match answer:
            case b"full":
                raise NoRoomForRanges("Redis has no memory to spare for one more range", FULL_RETRY_S)
            case b"crowded":
                raise NoRoomForRanges("ranges that were just read take all the memory that ranges may", FULL_RETRY_S)
            case b"spent":
                raise RangeBudgetSpent("you have had as many new ranges built as one caller may", -(-more[0] // 1000))
        places = (victim.decode().partition(" ") for victim in more)
        return Admission(answer != b"evict", [(place[0], place[2]) for place in places])

    def evict(self, scores_id: str, window_id: str) -> None:
        """Forget a range; a build of it that is under way is lost."""
        gone = keys.ranges(scores_id), *keys.own(scores_id, parse_id(window_id))
        self._cache.call(self._evict, gone, (window_id,))
        self.release(scores_id, window_id)

    def release(self, scores_id: str, window_id: str) -> None:
        """Count a range no longer: it is gone, or is a registered period."""
        self._cache.call(self._release, (READ, BYTES), (_member(scores_id, window_id),))

    def touch(self, scores_id: str, window_id: str, now_ms: int) -> None:
        """Note that a range is read, if it is counted."""
        self._cache.call(self._touch, (READ,), (_member(scores_id, window_id), now_ms))

    def settle(self, scores_id: str, window: Window, now_ms: int) -> None:
        """Count what a range takes that was built."""
        taken = self._sizes(scores_id, window)[0]
        self._cache.call(self._settle, (READ, BYTES), (_member(scores_id, window.id), now_ms, taken))

    def _sizes(self, scores_id: str, window: Window) -> tuple[int, int, int, int]:
        """Bytes that a range takes, those that it can be expected to take by what is in the cache of its days, those
        that the leaderboard's server uses, and those that it may use; 0 if it may all.
        """
        own = keys.own(scores_id, window)
        days = [keys.ranking(scores_id, daily(day).id) for day in window.days]
        sized = (*own, keys.ranking(scores_id, "all-time"), *days)
        taken, expected, used, most = self._cache.call(self._size, sized, (len(own), ENTRY_BYTES))
        return taken, expected, used, most


def _member(scores_id: str, window_id: str) -> str:
    return f"{scores_id} {window_id}"
