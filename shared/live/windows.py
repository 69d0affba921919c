"""Windows in Redis: apply standings, read pages and positions. One round trip each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from circuitbreaker import CircuitBreaker
from msgspec import Struct
from msgspec.structs import replace
from redis import Redis
from redis.exceptions import RedisError

from shared.domain.acts import Disqualified
from shared.domain.rules import Leaderboard, Order
from shared.domain.snapshots import SAMPLES, TOP_ENTRIES, Sample, Snapshot
from shared.domain.standings import Score, Standing
from shared.domain.tiers import TierRule
from shared.domain.windows import ALL_TIME, ALL_TIME_BUCKET, Day, Window, WindowKind, daily, weekly
from shared.live import keys
from shared.live.builds import Build, vouches
from shared.live.labels import tokens_of

RETENTION_MS: Final = 35 * 86_400_000
"""How long a daily or weekly window stays after its last record may count; read later, it is built from the truth."""
EXPIRY_MARGIN_MS: Final = 3_600_000
"""How much longer Redis has a window than anybody takes it for kept: functions' clocks differ from its own."""
APPLY_PLAYERS: Final = 250
"""Players in one call of the apply script: up to 15 ms of Redis, after which readers get their turn. What goes on is no
slower than in longer calls (docs/benchmarks.md)."""

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


def kept_until_ms(leaderboard: Leaderboard, window: Window) -> int | None:
    """Until when a window is among those that ingest always feeds; None for ever."""
    cutoff_ms = leaderboard.window_cutoff_ms(window)
    return None if cutoff_ms is None else cutoff_ms + RETENTION_MS


def expires_ms(leaderboard: Leaderboard, window: Window) -> int:
    """When a window that is kept for everybody goes; 0 for never."""
    until_ms = kept_until_ms(leaderboard, window)
    return 0 if until_ms is None else until_ms + EXPIRY_MARGIN_MS


def is_kept(leaderboard: Leaderboard, window: Window, now_ms: int) -> bool:
    """Whether a window is among those that ingest always feeds; any other is built from the truth when asked for."""
    if window.kind is WindowKind.CUSTOM:
        return False
    until_ms = kept_until_ms(leaderboard, window)
    return until_ms is None or now_ms < until_ms


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
        self._disqualified = self.register("disqualified.lua")

    def register(self, name: str) -> Any:
        """A script of this package, for `call`."""
        return self._redis.register_script(_script(name))

    def apply(self, leaderboard: Leaderboard, standings: Standings, now_ms: int, build: Build | None = None) -> int:
        """Bring every window that the standings feed up to them. Harmless twice, late or out of order.

        Args:
            leaderboard: whose windows.
            standings: of any number of players; of no more than APPLY_PLAYERS for a build.
            now_ms: the time.
            build: the rebuild that this is part of.

        Returns:
            How many players' parts of windows were older than what was applied.

        Raises:
            BuildLost: if the build is another's, or some of what it filled in is gone.
            CacheUnavailable: if Redis fails; some windows may have been brought up.
        """

        def windows_of(bucket: Day) -> list[tuple[str, int]]:
            windows = (ALL_TIME,) if bucket == ALL_TIME_BUCKET else (daily(bucket), weekly(bucket))
            return [(window.id, expires_ms(leaderboard, window)) for window in windows]

        chunks = _chunks(standings)
        calls = [self._to_apply(leaderboard, chunk, now_ms, windows_of, feed_ranges=True) for chunk in chunks]
        return self._apply_all(leaderboard, calls, build)

    def fill(self, leaderboard: Leaderboard, window: Window, standings: Standings, now_ms: int, *, build: Build) -> int:
        """Apply standings to one window only, while it is being built from the truth.

        Raises:
            BuildLost, CacheUnavailable: as above.
        """
        windows = [(window.id, build.expires_ms)]
        payload = self._to_apply(leaderboard, standings, now_ms, lambda _: windows, feed_ranges=False)
        return self._apply_all(leaderboard, [payload], build)

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
        return to_page(leaderboard, window, now_ms, answer, offset)

    def labels(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int, now_ms: int) -> Labels:
        """Members `offset` to `offset + limit` of a window's label set.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        marker, hash_key, _ = self.read_keys(leaderboard, window)
        read = (marker, hash_key, keys.labels(leaderboard.id, window.id))
        answer = self.call(self._page, read, (offset, offset + limit - 1))
        page = to_page(leaderboard, window, now_ms, (*answer[:4], ()), offset)
        return Labels(page.complete, page.total, answer[4][::2])

    def player(self, leaderboard: Leaderboard, window: Window, user_id: str, context: int, now_ms: int) -> Position:
        """Where a player stands, with up to `context` entries above him and below.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        by_rank = [tier for tier in leaderboard.tiers if tier.rule in (TierRule.TOP_N, TierRule.TOP_PERCENT)]
        rules = [part for tier in by_rank for part in (tier.rule, tier.value)]
        answer = self.call(self._player, self.read_keys(leaderboard, window), (user_id, context, *rules))
        page = to_page(leaderboard, window, now_ms, answer, answer[6])
        scores = zip(by_rank, answer[7], strict=False)  # none are looked up for a player who is not there
        cutoffs = {tier.name: to_points(leaderboard, score) for tier, score in scores if score is not None}
        return Position(page, answer[5], cutoffs, answer[8])

    def snapshot(self, leaderboard: Leaderboard, window: Window, now_ms: int) -> tuple[bool, Snapshot]:
        """The top of a window and samples of the rest; and whether the cache vouches for it.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        answer = self.call(self._snapshot, self.read_keys(leaderboard, window), (TOP_ENTRIES, SAMPLES))
        page = to_page(leaderboard, window, now_ms, answer, 0)
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

    def ranges(self, leaderboard_id: str, now_ms: int) -> set[str]:
        """Ids of the windows that were built on demand and are fed.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching():
            found: Any = self._redis.hgetall(keys.ranges(leaderboard_id))
        expiries = {name.decode(): int(value.rpartition(b" ")[2]) for name, value in found.items()}
        return {name for name, expires_ms in expiries.items() if not 0 < expires_ms <= now_ms}

    def withdraw(self, leaderboard: Leaderboard, window: Window, now_ms: int) -> None:
        """Forget a window that holds what it should not; nobody vouches for it until it is built anew.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        forgotten = keys.of_window(leaderboard, window)
        if is_kept(leaderboard, window, now_ms):  # a rebuild that is under way may have filled it already
            forgotten += [keys.complete(leaderboard.id), keys.rebuild(leaderboard.id)]
        with self._reaching(), self._redis.pipeline(transaction=True) as pipe:
            pipe.unlink(*forgotten)
            pipe.hdel(keys.ranges(leaderboard.id), window.id)
            pipe.execute()

    def is_complete(self, leaderboard: Leaderboard) -> bool:
        """Whether daily, weekly and all-time windows hold all of the truth.

        Raises:
            CacheUnavailable: if Redis fails.
        """
        with self._reaching():
            marker: Any = self._redis.get(keys.complete(leaderboard.id))
        return vouches(leaderboard, marker)

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

    def _to_apply(
        self,
        leaderboard: Leaderboard,
        standings: Standings,
        now_ms: int,
        windows_of: Callable[[Day], list[tuple[str, int]]],
        *,
        feed_ranges: bool,
    ) -> bytes:
        """What one call of the apply script is told."""
        by_bucket = _by_bucket(leaderboard, standings)
        groups = [(bucket, updates, windows_of(bucket)) for bucket, updates in by_bucket.items()]
        rules = leaderboard.aggregation, leaderboard.order is Order.DESC
        told = (*rules, now_ms, feed_ranges, leaderboard.lateness_ms, groups)
        return msgspec.msgpack.encode((*told, len(leaderboard.filters)) if leaderboard.filters else told)

    def _apply_all(self, leaderboard: Leaderboard, payloads: Sequence[bytes], build: Build | None) -> int:
        """Call the script for each, all in one round trip, with others let in between."""
        script_keys = [keys.ranges(leaderboard.id), keys.disqualified(leaderboard.id), *([build.key] if build else ())]
        prefix, token = keys.prefix(leaderboard.id), [build.token] if build else []
        calls = [(prefix, payload, *token) for payload in payloads]
        if len(calls) == 1:
            answers = [self.call(self._apply, script_keys, calls[0])]
        else:
            with self._reaching(), self._redis.pipeline(transaction=False) as pipe:
                for args in calls:
                    self._apply(keys=script_keys, args=args, client=pipe)
                answers = pipe.execute()
        for answer in answers:
            if build is not None:
                build.filled(answer[1])
        return sum(answer[0] for answer in answers)

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


def _chunks(standings: Standings) -> Iterator[Standings]:
    players = iter(standings.items())
    while chunk := dict(islice(players, APPLY_PLAYERS)):
        yield chunk


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


def to_page(leaderboard: Leaderboard, window: Window, now_ms: int, answer: Sequence[Any], first: int) -> Page:
    """The page of an answer that begins as page.lua's."""
    marker, built, revision, total, flat = answer[:5]
    complete = _is_complete(leaderboard, window, now_ms, marker, built)
    return Page(complete, int(revision or 0), total, first, to_lines(leaderboard, flat[::2], flat[1::2]))


def _is_complete(
    leaderboard: Leaderboard, window: Window, now_ms: int, marker: bytes | None, built: bytes | None
) -> bool:
    """Whether a window holds all of the truth.

    The leaderboard's marker vouches for what is kept by the lateness that it names. What a longer one keeps besides may
    have gone before.
    """
    if not is_kept(leaderboard, window, now_ms):
        return bool(built)
    return marker is not None and is_kept(replace(leaderboard, lateness_ms=int(marker)), window, now_ms)


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
