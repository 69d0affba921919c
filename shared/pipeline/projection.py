"""Bring the live windows up to what was committed, or see to it that somebody does."""

from collections.abc import Callable, Mapping
from functools import partial

from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.windows import Day
from shared.live.windows import CacheUnavailable, LiveWindows, Standings
from shared.queues import Queue, QueueUnavailable, repair_messages
from shared.retries import RunAll
from shared.truth.commits import PlayerKey


class Projector:
    """Applies standings to Redis; queues the players for repair where it can't."""

    def __init__(self, live: LiveWindows, repairs: Queue, run_all: RunAll, now_ms: Callable[[], int]) -> None:
        self._live = live
        self._repairs = repairs
        self._run_all = run_all
        self._now_ms = now_ms

    def project(
        self, leaderboards: Mapping[str, Leaderboard], standings: Mapping[PlayerKey, Mapping[Day, Standing]]
    ) -> set[str]:
        """Show standings in the live windows.

        Returns:
            Ids of the leaderboards whose players could neither be applied nor queued for repair.
        """
        by_leaderboard: dict[str, dict[str, Mapping[Day, Standing]]] = {}
        for (leaderboard_id, user_id), buckets in standings.items():
            by_leaderboard.setdefault(leaderboard_id, {})[user_id] = buckets
        calls = [partial(self._apply, leaderboards[name], players) for name, players in by_leaderboard.items()]
        done = self._run_all(calls)
        return {name for name, is_done in zip(by_leaderboard, done, strict=True) if not is_done}

    def _apply(self, leaderboard: Leaderboard, players: Standings) -> bool:
        try:
            self._live.apply(leaderboard, players, self._now_ms())
        except CacheUnavailable:
            buckets = {user_id: sorted(by_bucket) for user_id, by_bucket in players.items()}
            try:
                self._repairs.send(repair_messages(leaderboard.id, buckets))
            except QueueUnavailable:
                return False
        return True
