"""Windows in Redis: apply standings, read pages and positions. One round trip each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from circuitbreaker import CircuitBreaker

from shared.cache import keys
from shared.cache.connection import CacheConnection
from shared.cache.errors import CacheRefused, CacheUnavailable
from shared.cache.leases import Build, marks_complete
from shared.cache.pages import (
    Labels,
    Page,
    PlayerPage,
    qualifying,
    to_lines,
    to_page,
    to_points,
    with_profiles,
)
from shared.cache.payloads import (
    OUT,
    WHERE_THERE,
    FedStore,
    Standings,
    fed_store,
    in_chunks,
    packed_runs,
    to_payload,
)
from shared.domain.audit import Disqualified
from shared.domain.calendar import (
    ALL_DAYS,
    ALL_TIME,
    ALL_TIME_DAY,
    Day,
    Window,
    WindowKind,
    cached_windows,
    daily,
    expires_ms,
    monthly,
    weekly,
    windows_fed_by,
)
from shared.domain.rules import LATENESS_MAX_MS, Leaderboard
from shared.domain.snapshots import SAMPLES, TOP_ENTRIES, Sample, Snapshot
from shared.domain.tiers import TierRule

if TYPE_CHECKING:
    from redis import Redis

PROFILES: Final = "\0profiles"
"""What a script's last argument is if it is to return profiles, and its last key their hash; see profiles.lua."""


class WindowCache(CacheConnection):
    """All windows of all leaderboards in one Redis.

    Methods raise CacheUnavailable if Redis fails.
    """

    def __init__(
        self, redis: "Redis", breaker: CircuitBreaker | None = None, now_ms: Callable[[], int] | None = None
    ) -> None:
        super().__init__(redis, breaker, now_ms)
        self._apply = self.register("apply.lua")
        self._page = self.register("page.lua")
        self._snapshot = self.register("snapshot.lua")
        self._player = self.register("player.lua")
        self._disqualified = self.register("disqualified.lua")
        self._withdraw = self.register("withdraw.lua")
        self._versions = self.register("shown_versions.lua")

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
            LeaseLost: if the build is another's, or some of what it filled in is gone.
            CacheRefused: if Redis answers with an error. Unless this is part of a build, nothing of the leaderboard is
                marked as complete from then on, if the error says that it is withdrawn.
            CacheUnavailable: if Redis fails; some windows may have been brought up.
        """

        has_months = WindowKind.MONTHLY in leaderboard.windows

        def expires(window: Window) -> int:
            return expires_ms(window, leaderboard.lateness_ms) if window.kind in leaderboard.windows else WHERE_THERE

        def stores_of(day: Day) -> Sequence[FedStore]:
            if day >= ALL_DAYS:
                return [fed_store(ALL_TIME, day, expires)] if leaderboard.keeps_all_time else []
            stores = [fed_store(daily(day), day, expires)]
            return [*stores, fed_store(monthly(day), day, expires)] if has_months else stores

        chunks = in_chunks(standings)
        calls = [to_payload(leaderboard, chunk, now_ms, stores_of, feed_ranges=True) for chunk in chunks]
        if build is not None:
            return self._apply_all(leaderboard, calls, build)
        with self._withdrawing(leaderboard.scores_id):
            return self._apply_all(leaderboard, calls, None)

    def fill(self, leaderboard: Leaderboard, window: Window, standings: Standings, now_ms: int, *, build: Build) -> int:
        """Apply standings to one window only, while it is being built from the truth.

        Raises:
            LeaseLost: if the build is another's, or some of what it filled in is gone.
            CacheUnavailable: if Redis fails; some standings may have been applied.
        """

        def stores_of(day: Day) -> Sequence[FedStore]:
            return [fed_store(window, day, lambda one: build.expires_ms if one == window else WHERE_THERE)]

        payload = to_payload(leaderboard, standings, now_ms, stores_of, feed_ranges=False)
        return self._apply_all(leaderboard, [payload], build)

    def show_disqualified(self, scores_id: str, out: Disqualified, build: Build | None = None) -> None:
        """Say who is to stand in no window, and which days of whom do not count, unless a later audit entry is known.

        A window follows when any standing of such a player is applied to it, be it one it has seen. In a build it
        counts as a fill: without it, what the others fill in would show players who are out.

        Raises:
            LeaseLost: if the build is another's, or some of what it filled in is gone.
            CacheRefused: if Redis answers with an error. Nothing of the leaderboard is marked as complete from then on,
                if the error says that it is withdrawn.
        """
        users = dict.fromkeys(out.user_ids, OUT)
        users |= {user_id: packed_runs(out, user_id) for user_id in out.days}
        packed = msgspec.msgpack.encode([part for user in sorted(users.items()) for part in user])
        noted_in, counted = ((build.key,), (build.token, build.next_fill)) if build else ((), ())
        with self._withdrawing(scores_id):
            script_keys, args = (keys.disqualified(scores_id), *noted_in), (out.audit_sequence, packed, *counted)
            _, fills = self.call(self._disqualified, script_keys, args)
        if build is not None:
            build.filled(fills)

    def page(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int, now_ms: int) -> Page:
        """Entries `offset` to `offset + limit` of a window."""
        args = (offset, offset + limit - 1)
        answer = self.read(self._page, self.read_keys(leaderboard, window), args)
        return to_page(leaderboard, window, now_ms, answer, offset)

    def labels(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int, now_ms: int) -> Labels:
        """Members `offset` to `offset + limit` of a window's label set."""
        *known, _ = self.read_keys(leaderboard, window)
        read = (*known, keys.labels(leaderboard.scores_id, window.id))
        answer = self.read(self._page, read, (offset, offset + limit - 1))
        page = to_page(leaderboard, window, now_ms, (*answer[:4], ()), offset)
        return Labels(page.complete, page.total, answer[4][::2])

    def player(
        self,
        leaderboard: Leaderboard,
        window: Window,
        user_id: str,
        context: int,
        now_ms: int,
        *,
        profiles: bool = False,
    ) -> PlayerPage:
        """Where a player stands, with up to `context` entries above and below; with the `profiles` of all of them."""
        by_rank = [tier for tier in leaderboard.tiers if tier.rule in (TierRule.TOP_N, TierRule.TOP_PERCENT)]
        rules = [part for tier in by_rank for part in (tier.rule, tier.value)]
        read, place = self.player_keys(leaderboard, window)
        asked: tuple[Any, ...] = (*place, user_id, context, qualifying(leaderboard), *rules)
        if profiles:
            read, asked = (*read, keys.profiles(leaderboard.scores_id)), (*asked, PROFILES)
        answer = self.read(self._player, read, asked)
        page = to_page(leaderboard, window, now_ms, answer, answer[6], qualified=answer[9])
        if profiles:
            page = with_profiles(page, (line[0] for line in page.lines), answer[-1])
        cutoffs, targets = (
            # none are looked up for a player who is not there
            {tier.name: to_points(leaderboard, score) for tier, score in zip(by_rank, scores, strict=False) if score}
            for scores in (answer[7], answer[10])
        )
        return PlayerPage(page, answer[5], cutoffs, answer[8], targets)

    def snapshot(self, leaderboard: Leaderboard, window: Window, now_ms: int) -> tuple[bool, Snapshot]:
        """The top of a window and samples of the rest; and whether the cache holds it completely."""
        answer = self.read(
            self._snapshot, self.read_keys(leaderboard, window), (TOP_ENTRIES, SAMPLES, qualifying(leaderboard))
        )
        page = to_page(leaderboard, window, now_ms, answer, 0)
        positions, lines = answer[5][::3], to_lines(leaderboard, answer[5][1::3], answer[5][2::3])
        samples = [Sample(position + 1, *line) for position, line in zip(positions, lines, strict=True)]
        return page.complete, Snapshot(
            page.revision, page.total, now_ms, page.lines, samples, leaderboard.qualify, answer[6]
        )

    def revision(self, leaderboard: Leaderboard, window: Window) -> int:
        """The window's revision as it is now; 0 if it has no players or is not there. One cheap command."""
        key = keys.state(leaderboard.scores_id, window.id)
        return int(self.trusting(key, lambda: self.command("hget", key, "\0revision")) or 0)

    def shown_versions(self, leaderboard: Leaderboard, user_ids: Sequence[str], day: Day) -> list[int]:
        """The versions of players' standings of a day that are applied; 0 where none is. One cheap command.

        Args:
            leaderboard: whose windows.
            user_ids: of the players.
            day: one that feeds a window which the cache keeps; all time, if that is kept.
        """
        window = ALL_TIME
        if day != ALL_TIME_DAY:
            in_week = not {WindowKind.DAILY, WindowKind.WEEKLY}.isdisjoint(leaderboard.windows)
            window = weekly(day) if in_week else monthly(day)
        store_id, first, _ = keys.store_place(window)
        number = -1 if day == ALL_TIME_DAY else day - first
        asked = (number, *user_ids)
        versions: list[int] = self.call(self._versions, (keys.store(leaderboard.scores_id, store_id),), asked)
        return versions

    def ranges(self, scores_id: str, now_ms: int) -> set[str]:
        """Ids of the windows that were built on demand and are fed."""
        found: Any = self.command("hgetall", keys.ranges(scores_id))
        expiries = {name.decode(): value.rpartition(b" ")[2] for name, value in found.items()}
        known = {name: int(expiry) for name, expiry in expiries.items() if expiry.isdigit()}  # apply.lua drops others
        return {name for name, expires_ms in known.items() if not 0 < expires_ms <= now_ms}

    def withdraw(self, leaderboard: Leaderboard, window: Window, now_ms: int) -> None:
        """Forget a window that holds what it should not; it is not complete until it is built again."""
        sharing = keys.store_of(window).windows
        kept = [one for one in sharing if leaderboard.keeps(one, now_ms)]
        if kept and window not in kept:  # what the others go by stays: a build of this one goes by it, too
            gone, forgotten = [window], keys.own(leaderboard.scores_id, window)
        else:
            gone, forgotten = list(sharing), keys.of_stores(leaderboard.scores_id, [window])
        if window in kept:  # a rebuild that is under way may have filled it already
            forgotten += [keys.complete(leaderboard.scores_id), keys.rebuild(leaderboard.scores_id)]
        unfed = ("hdel", (keys.ranges(leaderboard.scores_id), *(one.id for one in gone)))
        with self.reaching(forgotten[0]):
            self._client.transaction([("unlink", tuple(forgotten)), unfed])

    def withdraw_unkept(self, leaderboard: Leaderboard, days: Iterable[Day], now_ms: int) -> None:
        """Forget the windows of days that it does not keep, and so does not feed: the next read builds them."""
        for window in dict.fromkeys([ALL_TIME, *(window for day in days for window in windows_fed_by(day))]):
            if not leaderboard.keeps(window, now_ms):
                self.withdraw(leaderboard, window, now_ms)

    def mark_incomplete(self, scores_id: str) -> None:
        """Take back that windows of a leaderboard hold all of the truth: reads say `snapshot` until they are rebuilt.

        What is kept for everybody stays and goes on being fed; what was built on demand is forgotten, and so are builds
        under way. It takes deletes alone, which Redis allows while it is full.
        """
        self._forget(scores_id, [])

    def forget(self, leaderboard: Leaderboard, now_ms: int) -> None:
        """Forget all that is known of a leaderboard, whatever it is: what is built then doesn't go by any of it."""
        windows = cached_windows(LATENESS_MAX_MS, now_ms)
        scores_id = leaderboard.scores_id
        former = keys.of_former_layout(scores_id, windows)
        gone = [keys.disqualified(scores_id), keys.profiles(scores_id)]
        self._forget(scores_id, [*gone, *keys.of_stores(scores_id, windows), *former])

    def forget_former_layout(self, leaderboard: Leaderboard, now_ms: int) -> None:
        """Free what functions before this layout kept for everybody."""
        windows = cached_windows(LATENESS_MAX_MS, now_ms)
        self.command("unlink", *keys.of_former_layout(leaderboard.scores_id, windows))

    def forget_player(self, leaderboard: Leaderboard, user_id: str, now_ms: int) -> None:
        """Forget what windows know of a player who stands in none of them."""
        scores_id = leaderboard.scores_id
        kept = {keys.parts(scores_id, window) for window in cached_windows(LATENESS_MAX_MS, now_ms)}
        named = sorted(
            kept
            | {keys.profiles(scores_id)}
            | {keys.store(scores_id, window_id) for window_id in self.ranges(scores_id, now_ms)}
        )
        with self.reaching(named[0]):
            self._client.transaction([("hdel", (key, user_id)) for key in named])

    def is_complete(self, leaderboard: Leaderboard) -> bool:
        """Whether the windows that are kept hold all of the truth."""
        scores_id = leaderboard.scores_id
        marker, is_ours = self.command("mget", keys.complete(scores_id), keys.keeps_former_out(scores_id))
        return is_ours is not None and marks_complete(leaderboard, marker)

    @contextmanager
    def _withdrawing(self, scores_id: str) -> Iterator[None]:
        """Around what windows need to stay true: if Redis refuses it, they are not marked as complete any longer."""
        try:
            yield
        except CacheRefused as refused:
            with suppress(CacheUnavailable):
                self.mark_incomplete(scores_id)
                refused.withdrawn = True
            raise

    def _forget(self, scores_id: str, names: Sequence[str]) -> None:
        self.call(self._withdraw, (keys.complete(scores_id), *names), (keys.prefix(scores_id),))

    def _apply_all(self, leaderboard: Leaderboard, payloads: Sequence[bytes], build: Build | None) -> int:
        """Call the script for each, all in one round trip, with others let in between."""
        script_keys = [
            keys.ranges(leaderboard.scores_id),
            keys.disqualified(leaderboard.scores_id),
            *([build.key] if build else ()),
        ]
        prefix, counted = keys.prefix(leaderboard.scores_id), [build.token, build.next_fill] if build else []
        calls = [(prefix, payload, *counted) for payload in payloads]
        if len(calls) == 1:
            answers = [self.call(self._apply, script_keys, calls[0])]
        else:
            answers = self.call_all(self._apply, script_keys, calls)
        for answer in answers:
            if build is not None:
                build.filled(answer[1])
        return sum(answer[0] for answer in answers)

    def read_keys(self, leaderboard: Leaderboard, window: Window) -> tuple[str, str, str, str]:
        """What every read of a window needs: the marker and what it is worth nothing without, the window's state, its
        sorted set.
        """
        return (
            keys.complete(leaderboard.scores_id),
            keys.keeps_former_out(leaderboard.scores_id),
            keys.state(leaderboard.scores_id, window.id),
            keys.ranking(leaderboard.scores_id, window.id),
        )

    def player_keys(self, leaderboard: Leaderboard, window: Window) -> tuple[tuple[str, ...], tuple[Day, int | str]]:
        """What a read of players in a window needs: its keys, its store the last; that one's first day, and which
        of its days the window is of."""
        store_id, first, day = keys.store_place(window)
        return (*self.read_keys(leaderboard, window), keys.store(leaderboard.scores_id, store_id)), (first, day)
