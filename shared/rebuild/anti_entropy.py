"""Bring the cache up to the truth where ingest could not, or where all of it is gone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shared.cache.windows import CacheRefused, CacheUnavailable, WindowCache
from shared.domain.calendar import Day, parse_id
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.lookups.leaderboards import Leaderboards
from shared.rebuild.builder import Outcome, Rebuild
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.requests import BuildWindow, RebuildLeaderboard, RepairPlayers, RepairRequest
from shared.rebuild.snapshots import WindowSnapshots
from shared.rotation import HasTime, Rotation, always, pages
from shared.truth.commits import Unavailable
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.rounds import Rounds

ANTI_ENTROPY: Final = "anti-entropy"
SNAPSHOTS: Final = "snapshots"
"""Names of its rounds."""


class Interrupted(Exception):
    """The cache was flushed again, or somebody else rebuilt it, while it was being rebuilt."""


Failed = Callable[[str, Exception], None]


def _raise(_leaderboard_id: str, error: Exception) -> None:
    raise error


class Repair:
    """Carries out repair requests. Any of them may come twice: applying is idempotent."""

    def __init__(
        self,
        *,
        registry: Registry,
        leaderboards: Leaderboards,
        reads: Reads,
        cache: WindowCache,
        rebuild: Rebuild,
        builds: OnDemandBuilds,
        snapshots: WindowSnapshots,
        rounds: Rounds,
        now_ms: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._leaderboards = leaderboards
        self._reads = reads
        self._cache = cache
        self._rebuild = rebuild
        self._builds = builds
        self._snapshots = snapshots
        self._rotations = {name: Rotation(registry, rounds, name) for name in (ANTI_ENTROPY, SNAPSHOTS)}
        self._now_ms = now_ms

    def anti_entropy(self, failed: Failed = _raise, has_time: HasTime = always) -> tuple[dict[str, int], int]:
        """Bring the live windows of every leaderboard up to the truth; rebuild those that nobody vouches for.

        Args:
            failed: is told what nobody expected of a leaderboard, or what the cache refused of it; the others go on if
                it doesn't raise that.
            has_time: asked before each leaderboard; the next run begins with those for which it says no.

        Returns:
            How many parts of windows had to be mended, by leaderboard id; a rebuild does not count. And for how many
            leaderboards there was no time.

        Raises:
            Unavailable, CacheUnavailable: as below; leaderboards before it are done.
        """
        mended: dict[str, int] = {}

        def bring_up(leaderboard: Leaderboard) -> None:
            if self._cache.is_complete(leaderboard):
                mended[leaderboard.id] = self._rebuild.reapply(leaderboard)
            else:
                self._rebuild.leaderboard(leaderboard)
            self._builds.keep_periods(leaderboard)

        return mended, self._each(ANTI_ENTROPY, bring_up, failed, has_time)

    def take_snapshots(self, failed: Failed = _raise, has_time: HasTime = always) -> tuple[int, int]:
        """Write snapshots of every leaderboard's windows that have changed.

        Args:
            failed, has_time: as above.

        Returns:
            How many it has written, and for how many leaderboards there was no time.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        taken: list[int] = []
        left = self._each(SNAPSHOTS, lambda one: taken.append(self._snapshots.take(one)), failed, has_time)
        return sum(taken), left

    def _each(self, name: str, work: Callable[[Leaderboard], None], failed: Failed, has_time: HasTime) -> int:
        def look_after(leaderboard: Leaderboard) -> None:
            try:
                work(leaderboard)
            except CacheRefused as refused:  # whatever is the matter, it is with this one; or Redis takes no writes,
                failed(leaderboard.id, refused)  # and each that needs one has to say itself that it is not complete
            except (Unavailable, CacheUnavailable):
                raise  # it is out of reach for all of them
            except Exception as error:  # noqa: BLE001 - one leaderboard keeps no other waiting
                failed(leaderboard.id, error)

        return self._rotations[name].go(look_after, has_time)

    def forget(self) -> int:
        """Forget what the cache holds of every leaderboard, so that all of it is built anew; returns of how many.

        Raises:
            Unavailable, CacheUnavailable: as above.
        """
        forgotten = 0
        for leaderboard in pages(self._registry):
            self._cache.forget(leaderboard, self._now_ms())
            forgotten += 1
        return forgotten

    def repair(self, request: RepairRequest) -> int:
        """Carry out one request.

        Returns:
            How many parts of windows had to be mended; 0 for a rebuild or a window that was built.

        Raises:
            Unavailable: if the truth is out of reach.
            CacheRefused: if Redis answers with an error.
            CacheUnavailable: if Redis fails.
            Interrupted: if a rebuild has to be done again.
        """
        leaderboard = self._leaderboards.find(request.leaderboard_id)
        if leaderboard is not None and not leaderboard.has_events:  # its rules may have changed since they were read
            leaderboard = self._leaderboards.read(request.leaderboard_id)
        if leaderboard is None:
            return 0
        match request:
            case RepairPlayers():
                return self._repair_players(leaderboard, request.players)
            case RebuildLeaderboard():
                return self._rebuild_leaderboard(leaderboard, force=request.force)
            case BuildWindow():
                if not self._builds.resume(leaderboard, parse_id(request.window), request.token):
                    raise Interrupted(f"the cache was flushed while {request.window} of {leaderboard.id} was built")
                return 0

    def _repair_players(self, leaderboard: Leaderboard, players: Mapping[str, Sequence[int]]) -> int:
        requested = [(leaderboard, user_id, Day(bucket)) for user_id, buckets in players.items() for bucket in buckets]
        standings: dict[str, dict[Day, Standing]] = {}
        for (_, user_id, bucket), standing in self._reads.standings(requested).items():
            standings.setdefault(user_id, {})[bucket] = standing
        return self._cache.apply(leaderboard, standings, self._now_ms())

    def _rebuild_leaderboard(self, leaderboard: Leaderboard, *, force: bool) -> int:
        if self._cache.is_complete(leaderboard):
            return self._rebuild.reapply(leaderboard, everything=True) if force else 0
        if self._rebuild.leaderboard(leaderboard) is Outcome.LOST:
            raise Interrupted(f"the cache was flushed or failed over while {leaderboard.id} was rebuilt")
        self._builds.keep_periods(leaderboard)
        return 0
