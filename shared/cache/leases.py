"""Builds of windows from the truth: who builds, how far the build is, and whether all that it filled in is still there.

One builder at a time; one that follows another that died goes on where that one was. A build is noted in Redis beside
what it fills, so a flush takes it away with it. Every fill is counted there: a failover that takes back the last of
them takes back their count, too, and then what is left is not marked as complete.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from msgspec import Struct

from shared.cache import keys
from shared.domain.calendar import Window

if TYPE_CHECKING:
    from shared.cache.windows import WindowCache
    from shared.domain.rules import Leaderboard

LEASE_MS: Final = 60_000
"""A builder that has not got on for so long has died; the next one goes on. The longest step, to read the first page of
each write shard of some days, takes less than a second."""

ASKED_MS: Final = 60_000
"""How long a window that is built on demand goes on being built after a reader has asked for it: they are told to ask
again after a second."""


_UNASKED: Final = 2
"""What renew_build.lua answers where no reader has asked for long."""


class Grant(StrEnum):
    """What became of a worker's request to build."""

    BUILT = "built"
    """Nothing is left to do."""
    GRANTED = "granted"
    HELD = "held"
    """Another worker builds it."""


class BuildProgress(Struct, frozen=True):
    """How much of the truth a build has read."""

    position: int = 0
    """Up to where it has read everything: of a window the number of its days, oldest first; of a leaderboard see
    shared/rebuild/builder.py."""
    standings: int = 0


class RebuildState(StrEnum):
    """How the windows that a leaderboard keeps for everybody stand."""

    COMPLETE = "complete"
    """They hold all of the truth."""
    RUNNING = "running"
    """They are being rebuilt."""
    WAITING = "waiting"
    """They have to be rebuilt, and no worker is at it: the next read or schedule has it done."""


class LeaseLost(Exception):
    """A flush, a failover or another builder took the build away; what is left must not be marked as complete."""


class NoReaders(Exception):
    """No reader has asked for ASKED_MS for what is built on demand."""


class Build:
    """A build under way."""

    __slots__ = ("_grant", "ends_unasked", "expires_ms", "fills", "key", "progress", "token")

    def __init__(self, key: str, token: str, progress: BuildProgress, fills: int, expires_ms: int) -> None:
        self.key = key
        """Of the hash that it is noted in."""
        self.token = token
        self.progress = progress
        self.fills = fills
        """Calls that have filled in standings, of all its builders."""
        self.ends_unasked = False
        """Whether it ends once no reader asks for the window any more."""
        self.expires_ms = expires_ms
        """When the window goes; 0 for what a leaderboard keeps."""
        self._grant = uuid4().hex

    @property
    def next_fill(self) -> str:
        """Id of the call that is about to fill something in, by which one that is asked twice counts once.

        No other grant has it, not even one for the same token: its calls may still be on their way.
        """
        return f"{self._grant}-{self.fills + 1}"

    def filled(self, fills: int | None) -> None:
        """Count a call, which has found so many with itself; None if the build is another's.

        Raises:
            LeaseLost: if a call before is missing.
        """
        self.fills += 1
        if fills != self.fills:
            raise LeaseLost(f"{self.fills} calls filled {self.key}, {fills} are there")


def marks_complete(leaderboard: "Leaderboard", marker: bytes | None) -> bool:
    """Whether a marker stands for all windows retained by now: by a shorter lateness some of them went earlier."""
    return marker is not None and int(marker) >= leaderboard.lateness_ms


class BuildLeases:
    """Begins, renews and ends builds.

    Methods raise CacheUnavailable if Redis fails.
    """

    def __init__(self, cache: "WindowCache") -> None:
        self._cache = cache
        names = ("begin_build", "renew_build", "read_build", "mark_complete", "extend", "forget_build")
        self._begin, self._renew, self._look, self._mark_complete, self._extend, self._forget = (
            cache.register(f"{name}.lua") for name in names
        )

    def begin_window(
        self, scores_id: str, window: Window, token: str, now_ms: int, expires_ms: int, *, asked: bool = False
    ) -> tuple[Grant, Build]:
        """Take or keep the right to build a window; if granted, ingest feeds it from now on.

        `asked`: a reader asks for it, which keeps its build going, whosever it is.
        """
        build_keys = keys.state(scores_id, window.id), keys.ranges(scores_id)
        entry = f"{window.days[0]} {window.days[-1]} {expires_ms}"  # no day from before there were any
        of_build = "", keys.prefix(scores_id), window.id
        return self._take(build_keys, token, now_ms, expires_ms, *of_build, entry, expires_ms, int(asked))

    def begin_rebuild(self, leaderboard: "Leaderboard", token: str, now_ms: int) -> tuple[Grant, Build]:
        """Take or keep the right to rebuild what a leaderboard keeps; until when it is kept goes by its lateness."""
        scores_id = leaderboard.scores_id
        goes_by = leaderboard.lateness_ms, keys.prefix(scores_id)
        return self._take((keys.rebuild(scores_id),), token, now_ms, 0, *goes_by)

    def rebuild_state(self, leaderboard: "Leaderboard", now_ms: int) -> tuple[RebuildState, BuildProgress]:
        """How the windows that a leaderboard keeps stand; and how far their rebuild is, unless they are complete."""
        scores_id = leaderboard.scores_id
        looked_at = keys.rebuild(scores_id), keys.complete(scores_id), keys.keeps_former_out(scores_id)
        marker, until_ms, position, standings = self._cache.call(self._look, looked_at, ())
        if marks_complete(leaderboard, marker):
            return RebuildState.COMPLETE, BuildProgress()
        state = RebuildState.RUNNING if int(until_ms or 0) > now_ms else RebuildState.WAITING
        return state, BuildProgress(int(position or 0), int(standings or 0))

    def renew(self, build: Build, now_ms: int) -> None:
        """Say that a build gets on, and how far it is.

        Raises:
            LeaseLost: if it is another's by now, or some of what it filled in is gone.
            NoReaders: if it ends because of that.
        """
        renewed = self._note(build, now_ms + LEASE_MS, now_ms - ASKED_MS if build.ends_unasked else "")
        if renewed == _UNASKED:
            raise NoReaders(f"no reader has asked for {build.key} for {ASKED_MS} ms")
        if not renewed:
            raise LeaseLost(f"the build of {build.key} is another's, or not all there")

    def give_back(self, build: Build) -> None:
        """Let another worker resume at once, unless one has already."""
        self._note(build, 0)

    def forget(self, leaderboard: "Leaderboard", window: Window, build: Build, now_ms: int) -> bool:
        """Forget a window that no reader requests any more; False if one just has, or the build is another's by now."""
        forgotten = keys.ranges(leaderboard.scores_id), *keys.own(leaderboard.scores_id, window)
        return bool(self._cache.call(self._forget, forgotten, (build.token, window.id, now_ms - ASKED_MS)))

    def finish_window(self, leaderboard: "Leaderboard", window: Window, build: Build) -> bool:
        """Mark a window that was built as complete, until it expires; False if what was filled in is not all there."""
        args = (build.token, build.fills, "window", build.expires_ms)
        return bool(self._cache.call(self._mark_complete, keys.of_window(leaderboard, window), args))

    def finish_rebuild(self, leaderboard: "Leaderboard", build: Build) -> bool:
        """Mark all retained windows of a leaderboard as complete; False if what was filled in is not all there."""
        marked = build.key, keys.complete(leaderboard.scores_id)
        args = (build.token, build.fills, "leaderboard", leaderboard.lateness_ms)
        return bool(self._cache.call(self._mark_complete, marked, args))

    def extend(self, leaderboard: "Leaderboard", window: Window, until_ms: int) -> None:
        """Keep a window that was built on demand at least so long."""
        window_keys = keys.ranges(leaderboard.scores_id), *keys.of_window(leaderboard, window)
        self._cache.call(self._extend, window_keys, (window.id, until_ms))

    def _take(
        self, build_keys: Sequence[str], token: str, now_ms: int, expires_ms: int, *more: str | int
    ) -> tuple[Grant, Build]:
        args = (token, now_ms, LEASE_MS, *more)
        grant, position, standings, fills = self._cache.call(self._begin, build_keys, args)
        return Grant(grant.decode()), Build(build_keys[0], token, BuildProgress(position, standings), fills, expires_ms)

    def _note(self, build: Build, until_ms: int, asked_since_ms: int | str = "") -> int:
        """What the script answers."""
        args = (build.token, build.fills, until_ms, build.progress.position, build.progress.standings, asked_since_ms)
        noted: int = self._cache.call(self._renew, (build.key,), args)
        return noted
