"""Bring the live windows up to what was committed, or queue the players for repair."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial

from shared.cache.errors import CacheRefused, CacheUnavailable
from shared.cache.payloads import Standings
from shared.cache.windows import WindowCache
from shared.domain.calendar import Day
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.messaging.queues import Queue, QueueUnavailable
from shared.parallel import RunParallel
from shared.rebuild.requests import repair_messages
from shared.telemetry import logger
from shared.truth.commits import PlayerKey


class _Outcome(Enum):
    SHOWN = auto()
    QUEUED = auto()
    WITHDRAWN = auto()
    """The cache rejected them, and no read takes what it has of the leaderboard for live: a rebuild reads them."""
    REFUSED = auto()
    """The cache refused them and the deletes, too; they are queued for repair."""
    FAILED = auto()


class Projector:
    """Applies standings to the cache; queues the players for repair where it can't."""

    def __init__(
        self, cache: WindowCache, repairs: Queue, run_parallel: RunParallel, now_ms: Callable[[], int]
    ) -> None:
        self._cache = cache
        self._repairs = repairs
        self._run_parallel = run_parallel
        self._now_ms = now_ms
        self._refusals = 0

    def project(
        self, leaderboards: Mapping[str, Leaderboard], standings: Mapping[PlayerKey, Mapping[Day, Standing]]
    ) -> set[str]:
        """Show standings in the live windows.

        Whatever is the matter with the cache of a leaderboard, its events are not handed back for that.

        Args:
            leaderboards: by scores id.
            standings: by scores id and player; of scores from before a purge they are not shown any more.

        Returns:
            Scores ids of the leaderboards whose players could neither be applied nor queued for repair, while reads may
            still take what the cache has for live.
        """
        by_leaderboard: dict[str, dict[str, Mapping[Day, Standing]]] = {}
        now_ms = self._now_ms()
        shown = {name for name, leaderboard in leaderboards.items() if leaderboard.is_shown(now_ms)}
        for (scores_id, user_id), days in standings.items():
            if scores_id in shown:
                by_leaderboard.setdefault(scores_id, {})[user_id] = days
        calls = [partial(self._apply, leaderboards[name], players) for name, players in by_leaderboard.items()]
        outcomes = dict(zip(by_leaderboard, self._run_parallel(calls), strict=True))
        self._refusals += sum(one in (_Outcome.WITHDRAWN, _Outcome.REFUSED) for one in outcomes.values())
        return {name for name, outcome in outcomes.items() if outcome is _Outcome.FAILED}

    def take_refusals(self) -> int:
        """How often the cache refused a leaderboard's standings since this was asked last."""
        refusals, self._refusals = self._refusals, 0
        return refusals

    def _apply(self, leaderboard: Leaderboard, players: Standings) -> _Outcome:
        try:
            self._cache.apply(leaderboard, players, self._now_ms())
        except CacheRefused as refused:
            logger.error(
                "cache refuses standings",
                extra={"leaderboard": leaderboard.id, "error": str(refused), "withdrawn": refused.withdrawn},
            )
            if refused.withdrawn:
                return _Outcome.WITHDRAWN
            return _Outcome.REFUSED if self._queue(leaderboard, players) else _Outcome.FAILED
        except CacheUnavailable:
            return _Outcome.QUEUED if self._queue(leaderboard, players) else _Outcome.FAILED
        return _Outcome.SHOWN

    def _queue(self, leaderboard: Leaderboard, players: Standings) -> bool:
        days = {user_id: sorted(by_day) for user_id, by_day in players.items()}
        try:
            self._repairs.send(repair_messages(leaderboard, days))
        except QueueUnavailable:
            return False
        return True
