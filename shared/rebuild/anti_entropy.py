"""Repairs the cache: carries out requests, and compares every leaderboard with the truth on a schedule."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from shared.admin.disqualifications import whole
from shared.cache.errors import CacheRefused, CacheUnavailable
from shared.cache.windows import WindowCache
from shared.domain.calendar import DAY_MS, Day, parse_id
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.lookups.leaderboards import Leaderboards
from shared.rebuild.builder import RebuildOutcome, WindowBuilder
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.requests import BuildWindow, RebuildLeaderboard, RepairPlayers, RepairRequest
from shared.rebuild.snapshots import WindowSnapshots
from shared.rotation import Failed, HasTime, Rotation, always, pages
from shared.truth.commits import Unavailable
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.rounds import Rounds

ANTI_ENTROPY: Final = "anti-entropy"
SNAPSHOTS: Final = "snapshots"
"""Names of the rotations."""
FORGET_FOR_MS: Final = DAY_MS
"""For how long after a purge the cache is told to forget what it held before."""


class Interrupted(Exception):
    """The cache was flushed during a rebuild, or another worker took the lease."""


def _raise(_leaderboard_id: str, error: Exception) -> None:
    raise error


class Repair:
    """Carries out repair requests and schedules. All of them are idempotent.

    Methods raise Unavailable if DynamoDB is out of reach, and CacheUnavailable if the cache fails.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        leaderboards: Leaderboards,
        reads: Reads,
        cache: WindowCache,
        builder: WindowBuilder,
        on_demand: OnDemandBuilds,
        snapshots: WindowSnapshots,
        rounds: Rounds,
        now_ms: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._leaderboards = leaderboards
        self._reads = reads
        self._cache = cache
        self._builder = builder
        self._on_demand = on_demand
        self._snapshots = snapshots
        self._rotations = {name: Rotation(registry, rounds, name) for name in (ANTI_ENTROPY, SNAPSHOTS)}
        self._now_ms = now_ms

    def anti_entropy(self, failed: Failed = _raise, has_time: HasTime = always) -> tuple[dict[str, int], int]:
        """Apply standings of every leaderboard again; rebuild those that are incomplete.

        Args:
            failed: is called with each error that concerns one leaderboard; the others go on unless it raises.
            has_time: is called before each leaderboard; those for which it returns False come first in the next run.

        Returns:
            How many entries were repaired, by leaderboard id, without rebuilds; how many leaderboards are left.
        """
        repaired: dict[str, int] = {}

        def check(leaderboard: Leaderboard) -> None:
            self._forget_purged(leaderboard)
            if self._cache.is_complete(leaderboard):
                repaired[leaderboard.id] = self._builder.reapply(leaderboard)
            else:
                self._builder.rebuild_leaderboard(leaderboard)
            self._on_demand.build_periods(leaderboard)

        return repaired, self._run(ANTI_ENTROPY, check, failed, has_time)

    def _forget_purged(self, leaderboard: Leaderboard) -> None:
        """Forget what the cache holds of the scores before a purge, again and again for a day: whoever began before it
        took effect may fill in some of it once more. Nobody reads it.
        """
        now_ms = self._now_ms()
        if leaderboard.since_ms and now_ms - leaderboard.since_ms < FORGET_FOR_MS:
            self._cache.forget(leaderboard.at(leaderboard.since_ms - 1), now_ms)

    def take_snapshots(self, failed: Failed = _raise, has_time: HasTime = always) -> tuple[int, int]:
        """Write snapshots of every leaderboard's windows that have changed.

        Args:
            failed: is called with each error that concerns one leaderboard; the others go on unless it raises.
            has_time: is called before each leaderboard; those for which it returns False come first in the next run.

        Returns:
            How many snapshots were written, and how many leaderboards are left.
        """
        taken: list[int] = []
        left = self._run(SNAPSHOTS, lambda one: taken.append(self._snapshots.take(one)), failed, has_time)
        return sum(taken), left

    def _run(self, name: str, work: Callable[[Leaderboard], None], failed: Failed, has_time: HasTime) -> int:
        def attempt(leaderboard: Leaderboard) -> None:
            try:
                work(leaderboard)
            except CacheRefused as refused:  # it concerns this leaderboard; or the cache takes no writes, and then each
                failed(leaderboard.id, refused)  # leaderboard that needs one has to be marked as incomplete
            except (Unavailable, CacheUnavailable):
                raise  # out of reach for every leaderboard
            except Exception as error:  # noqa: BLE001 - one leaderboard delays no other
                failed(leaderboard.id, error)

        return self._rotations[name].run(attempt, has_time)

    def forget(self) -> int:
        """Forget what the cache holds of every leaderboard, so that all of it is rebuilt; returns of how many.

        Also of those that are archived: their windows are built again for a result, or once they are restored.
        """
        forgotten = 0
        for leaderboard in pages(self._registry):
            self._cache.forget(leaderboard, self._now_ms())
            forgotten += 1
        return forgotten

    def handle(self, request: RepairRequest) -> int:
        """Carry out a request.

        Returns:
            How many entries were repaired; 0 for a rebuild and for the build of a window.

        Raises:
            CacheRefused: if the cache answers with an error.
            Interrupted: if the request has to be carried out again.
        """
        leaderboard = self._leaderboards.find(request.leaderboard_id)
        if leaderboard is not None and not leaderboard.has_events:  # its rules may have changed since they were read
            leaderboard = self._leaderboards.read(request.leaderboard_id)
        if leaderboard is None:
            return 0
        match request:
            case RepairPlayers():
                leaderboard = replace(leaderboard, since_ms=request.since_ms)
                is_shown = leaderboard.is_shown(self._now_ms())
                return self._repair_players(leaderboard, request.players) if is_shown else 0
            case RebuildLeaderboard():
                return self._rebuild_leaderboard(leaderboard, force=request.force)
            case BuildWindow():
                if not self._on_demand.build_or_resume(leaderboard, parse_id(request.window), request.token):
                    raise Interrupted(f"the cache was flushed while {request.window} of {leaderboard.id} was built")
                return 0

    def _repair_players(self, leaderboard: Leaderboard, players: Mapping[str, Sequence[int]]) -> int:
        requested = [(leaderboard, user_id, Day(day)) for user_id, days in players.items() for day in days]
        standings: dict[str, dict[Day, Standing]] = {}
        for (_, user_id, day), standing in self._reads.standings(requested).items():
            standings.setdefault(user_id, {})[day] = standing
        return self._cache.apply(leaderboard, whole(self._registry, leaderboard, standings), self._now_ms())

    def _rebuild_leaderboard(self, leaderboard: Leaderboard, *, force: bool) -> int:
        if self._cache.is_complete(leaderboard):
            return self._builder.reapply(leaderboard, everything=True) if force else 0
        if self._builder.rebuild_leaderboard(leaderboard) is RebuildOutcome.LOST:
            raise Interrupted(f"the cache was flushed or failed over while {leaderboard.id} was rebuilt")
        self._on_demand.build_periods(leaderboard)
        return 0
