"""Windows in Redis: apply standings, read pages and positions. One round trip each."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from circuitbreaker import CircuitBreaker
from msgspec import Struct
from redis import Redis
from redis.exceptions import RedisError

from shared.domain.acts import Disqualified
from shared.domain.rules import Leaderboard, Order
from shared.domain.snapshots import SAMPLES, TOP_ENTRIES, Sample, Snapshot
from shared.domain.standings import Score, Standing
from shared.domain.tiers import TierRule
from shared.domain.windows import ALL_TIME, ALL_TIME_BUCKET, Day, Window, WindowKind, daily, weekly
from shared.live import keys
from shared.live.labels import tokens_of

RETENTION_MS: Final = 35 * 86_400_000
"""How long a daily or weekly window stays after its last record may count; read later, it is built from the truth."""
REBUILD_TOKEN_MS: Final = 3_600_000
"""A rebuild that takes longer has died."""

HEAD_BYTES: Final = 6
"""Bytes of a member before the user id: reached_at, big-endian."""

Standings = Mapping[str, Mapping[Day, Standing]]
"""User id → bucket → standing."""


class CacheUnavailable(Exception):
    """Redis did not answer, or answered with an error. The truth is not touched by this."""


class Page(Struct, frozen=True):
    """What one read of a window saw, all of it at one instant."""

    complete: bool
    """Whether the window holds all of the truth; if not, its ranks mean nothing."""
    revision: int
    """Grows with every change of the window, also across a flush; 0 while nobody is in it."""
    total: int
    first: int
    """Position of the first line, from 0."""
    lines: Sequence[tuple[str, Score]]
    """User id and score, in ranking order."""


class Labels(Struct, frozen=True):
    """What one read of a window's label set saw."""

    complete: bool
    """As of a page."""
    total: int
    members: Sequence[bytes]
    """As shared/live/labels.py makes them, in their order."""


class Position(Struct, frozen=True):
    """Where a player stands: the entries around him, and his position in the window from 0; None if he is not in it."""

    page: Page
    position: int | None
    cutoffs: Mapping[str, int]
    """Tier → score of the last entry it takes now, for the tiers that go by rank."""
    better: int = 0
    """How many players have a strictly better score than the page's first line."""


@cache
def _script(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def expires_ms(leaderboard: Leaderboard, window: Window) -> int:
    """When a window that is kept for everybody goes; 0 for never."""
    cutoff_ms = leaderboard.window_cutoff_ms(window)
    return 0 if cutoff_ms is None else cutoff_ms + RETENTION_MS


def is_kept(leaderboard: Leaderboard, window: Window, now_ms: int) -> bool:
    """Whether a window is among those that ingest always feeds; any other is built from the truth when asked for."""
    if window.kind is WindowKind.CUSTOM:
        return False
    expires = expires_ms(leaderboard, window)
    return expires == 0 or now_ms < expires


class LiveWindows:
    """All windows of all leaderboards in one Redis."""

    def __init__(self, redis: "Redis", breaker: CircuitBreaker | None = None) -> None:
        """`breaker` keeps callers from waiting for a Redis that hangs, each for itself."""
        self._redis = redis
        self._breaker = breaker
        self._apply = self.register("apply.lua")
        self._page = self.register("page.lua")
        self._snapshot = self.register("snapshot.lua")
        self._player = self.register("player.lua")
        self._vouch = self.register("vouch.lua")
        self._finish = self.register("finish_rebuild.lua")
        self._disqualified = self.register("disqualified.lua")

    def register(self, name: str) -> Any:
        """A script of this package, for `call`."""
        return self._redis.register_script(_script(name))

    def apply(self, leaderboard: Leaderboard, standings: Standings, now_ms: int) -> int:
        """Bring every window that the standings feed up to them. Harmless twice, late or out of order.

        Returns:
            How many players' parts of windows were older than what was applied.

        Raises:
            CacheUnavailable: if Redis fails; some windows may have been brought up.
        """
        groups = []
        for bucket, updates in _by_bucket(leaderboard, standings).items():
            windows = (ALL_TIME,) if bucket == ALL_TIME_BUCKET else (daily(bucket), weekly(bucket))
            groups.append((bucket, updates, [(window.id, expires_ms(leaderboard, window)) for window in windows]))
        return self._run_apply(leaderboard, groups, now_ms, feed_ranges=True)

    def fill(self, leaderboard: Leaderboard, window: Window, standings: Standings, now_ms: int, expires_ms: int) -> int:
        """Apply standings to one window only, while it is being built from the truth.

        Raises:
            CacheUnavailable: as above.
        """
        by_bucket = _by_bucket(leaderboard, standings)
        groups = [(bucket, updates, [(window.id, expires_ms)]) for bucket, updates in by_bucket.items()]
        return self._run_apply(leaderboard, groups, now_ms, feed_ranges=False)

    def show_disqualified(self, leaderboard_id: str, out: Disqualified) -> None:
        """Say who is to stand in no window, unless a later act is known here.

        A window follows when any standing of such a player is applied to it, be it one it has seen.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        args = (out.acts, msgspec.msgpack.encode(sorted(out.user_ids)))
        self.call(self._disqualified, (keys.disqualified(leaderboard_id),), args)

    def page(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int, now_ms: int) -> Page:
        """Entries `offset` to `offset + limit` of a window.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        args = (offset, offset + limit - 1)
        answer = self.call(self._page, self.read_keys(leaderboard, window), args)
        return to_page(leaderboard, answer, offset, is_kept(leaderboard, window, now_ms))

    def labels(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int, now_ms: int) -> Labels:
        """Members `offset` to `offset + limit` of a window's label set.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        marker, hash_key, _ = self.read_keys(leaderboard, window)
        read = (marker, hash_key, keys.labels(leaderboard.id, window.id))
        answer = self.call(self._page, read, (offset, offset + limit - 1))
        page = to_page(leaderboard, (*answer[:4], ()), offset, is_kept(leaderboard, window, now_ms))
        return Labels(page.complete, page.total, answer[4][::2])

    def player(self, leaderboard: Leaderboard, window: Window, user_id: str, context: int, now_ms: int) -> Position:
        """Where a player stands, with up to `context` entries above him and below.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        by_rank = [tier for tier in leaderboard.tiers if tier.rule in (TierRule.TOP_N, TierRule.TOP_PERCENT)]
        rules = [part for tier in by_rank for part in (tier.rule, tier.value)]
        answer = self.call(self._player, self.read_keys(leaderboard, window), (user_id, context, *rules))
        page = to_page(leaderboard, answer, answer[6], is_kept(leaderboard, window, now_ms))
        scores = zip(by_rank, answer[7], strict=False)  # none are looked up for a player who is not there
        cutoffs = {tier.name: to_points(leaderboard, score) for tier, score in scores if score is not None}
        return Position(page, answer[5], cutoffs, answer[8])

    def snapshot(self, leaderboard: Leaderboard, window: Window, now_ms: int) -> tuple[bool, Snapshot]:
        """The top of a window and samples of the rest; and whether the cache vouches for it.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        answer = self.call(self._snapshot, self.read_keys(leaderboard, window), (TOP_ENTRIES, SAMPLES))
        page = to_page(leaderboard, answer, 0, is_kept(leaderboard, window, now_ms))
        positions, lines = answer[5][::3], to_lines(leaderboard, answer[5][1::3], answer[5][2::3])
        samples = [Sample(position + 1, *line) for position, line in zip(positions, lines, strict=True)]
        return page.complete, Snapshot(page.revision, page.total, now_ms, page.lines, samples)

    def revision(self, leaderboard: Leaderboard, window: Window) -> int:
        """The window's revision as it is now; 0 if nobody is in it or it is not there. One cheap command.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching():
            found: Any = self._redis.hget(keys.parts(leaderboard.id, window.id), "\0revision")
        return int(found or 0)

    def begin_window(self, leaderboard_id: str, window: Window, token: str, expires_ms: int) -> None:
        """Say that a window is being built; feed it from now on, so that nothing falls between.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching(), self._redis.pipeline(transaction=True) as pipe:
            if window.kind is WindowKind.CUSTOM:
                pipe.hset(keys.ranges(leaderboard_id), window.id, f"{window.first} {window.last} {expires_ms}")
            pipe.hset(keys.parts(leaderboard_id, window.id), "\0building", token)
            pipe.execute()

    def ranges(self, leaderboard_id: str, now_ms: int) -> set[str]:
        """Ids of the custom windows that are kept live.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching():
            found: Any = self._redis.hgetall(keys.ranges(leaderboard_id))
        expiries = {name.decode(): int(value.rpartition(b" ")[2]) for name, value in found.items()}
        return {name for name, expires_ms in expiries.items() if not 0 < expires_ms <= now_ms}

    def finish_window(self, leaderboard: Leaderboard, window: Window, token: str, expires_ms: int) -> bool:
        """Vouch for a window that was built, until it expires; False if a flush or another build came between.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        return bool(self.call(self._vouch, _window_keys(leaderboard, window), (token, expires_ms)))

    def withdraw(self, leaderboard: Leaderboard, window: Window, now_ms: int) -> None:
        """Forget a window that holds what it should not; nobody vouches for it until it is built anew.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        forgotten = _window_keys(leaderboard, window)
        if is_kept(leaderboard, window, now_ms):  # a rebuild that is under way may have filled it already
            forgotten += [keys.complete(leaderboard.id), keys.rebuild(leaderboard.id)]
        with self._reaching():
            self._redis.unlink(*forgotten)

    def begin_rebuild(self, leaderboard_id: str, token: str) -> None:
        """Say that a rebuild is under way.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching():
            self._redis.set(keys.rebuild(leaderboard_id), token, px=REBUILD_TOKEN_MS)

    def finish_rebuild(self, leaderboard_id: str, token: str) -> bool:
        """Set the marker, unless a flush or another rebuild came between: then False.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        args = (keys.rebuild(leaderboard_id), keys.complete(leaderboard_id))
        return bool(self.call(self._finish, args, (token,)))

    def is_complete(self, leaderboard_id: str) -> bool:
        """Whether daily, weekly and all-time windows hold all of the truth.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching():
            return bool(self._redis.exists(keys.complete(leaderboard_id)))

    def ping(self) -> None:
        """Raises CacheUnavailable unless Redis answers; it is asked however often it failed before."""
        try:
            self._redis.ping()
        except RedisError as error:
            raise CacheUnavailable(str(error)) from error

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Around commands: their failures count, and while there were too many none is sent."""
        if self._breaker is not None and self._breaker.opened:
            raise CacheUnavailable("Redis has failed repeatedly and is left alone for a moment")
        try:
            with self._breaker or nullcontext():
                yield
        except RedisError as error:
            raise CacheUnavailable(str(error)) from error

    def _run_apply(self, leaderboard: Leaderboard, groups: Sequence[Any], now_ms: int, *, feed_ranges: bool) -> int:
        descending = leaderboard.order is Order.DESC
        told: tuple[Any, ...] = (leaderboard.aggregation, descending, now_ms, feed_ranges, groups)
        if leaderboard.filters:
            told = (*told, len(leaderboard.filters))
        payload = msgspec.msgpack.encode(told)
        args = (keys.prefix(leaderboard.id), payload)
        return cast(
            "int", self.call(self._apply, (keys.ranges(leaderboard.id), keys.disqualified(leaderboard.id)), args)
        )

    def read_keys(self, leaderboard: Leaderboard, window: Window) -> tuple[str, str, str]:
        """What every read of a window looks at: the marker, the window's hash, its sorted set."""
        return (
            keys.complete(leaderboard.id),
            keys.parts(leaderboard.id, window.id),
            keys.ranking(leaderboard.id, window.id),
        )

    def call(self, script: Any, script_keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a registered script.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching():
            return script(keys=script_keys, args=args)


def _window_keys(leaderboard: Leaderboard, window: Window) -> list[str]:
    """All keys of a window that go with it."""
    names = [keys.parts(leaderboard.id, window.id), keys.ranking(leaderboard.id, window.id)]
    return [*names, keys.labels(leaderboard.id, window.id)] if leaderboard.filters else names


def _by_bucket(leaderboard: Leaderboard, standings: Standings) -> dict[Day, list[Any]]:
    """Bucket → user, version, points, reached_at, user, …, as apply.lua reads them."""
    buckets: dict[Day, list[Any]] = {}
    for user_id, by_bucket in standings.items():
        for bucket, standing in by_bucket.items():
            updates = buckets.setdefault(bucket, [])
            updates.extend((user_id, standing.version, standing.points, standing.reached_at_ms))
            if leaderboard.filters:
                updates.append(tokens_of(leaderboard.filters, standing))
    return buckets


def to_page(leaderboard: Leaderboard, answer: Sequence[Any], first: int, kept: bool) -> Page:
    """The page of an answer that begins as page.lua's; `kept`: the leaderboard's marker vouches for the window."""
    marker, built, revision, total, flat = answer[:5]
    lines = to_lines(leaderboard, flat[::2], flat[1::2])
    return Page(bool(marker) if kept else bool(built), int(revision or 0), total, first, lines)


def to_lines(leaderboard: Leaderboard, members: Sequence[bytes], scores: Sequence[bytes]) -> list[tuple[str, Score]]:
    """User ids and scores of members of a sorted set."""
    return [
        (member[HEAD_BYTES:].decode(), Score(to_points(leaderboard, score), int.from_bytes(member[:HEAD_BYTES], "big")))
        for member, score in zip(members, scores, strict=True)
    ]


def to_points(leaderboard: Leaderboard, score: bytes) -> int:
    """The points of a sorted set's score; a double holds them exactly."""
    points = int(float(score))
    return -points if leaderboard.order is Order.DESC else points
