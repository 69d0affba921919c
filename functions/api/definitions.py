"""Changes of leaderboards: what may change, and what the cache has to follow."""

from collections.abc import Callable
from typing import Final, Protocol

from msgspec.structs import replace

from functions.api.problems import UnknownLeaderboard
from shared.admin.disqualifications import Disqualifications
from shared.cache.errors import CacheUnavailable
from shared.cache.windows import WindowCache
from shared.domain.audit import AuditAction
from shared.domain.rules import Leaderboard, archive, revise
from shared.lookups.leaderboards import Leaderboards
from shared.messaging.queues import QueueUnavailable
from shared.rebuild.builder import WindowBuilder
from shared.rebuild.requests import RebuildRequests
from shared.telemetry import logger
from shared.truth.commits import Unavailable
from shared.truth.registry import Conflict, Registry

TRIES_MAX: Final = 4
"""How often a change is decided again because another caller changed the leaderboard in between."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def cache(self) -> WindowCache: ...
    @property
    def disqualifications(self) -> Disqualifications: ...
    @property
    def leaderboards(self) -> Leaderboards: ...
    @property
    def rebuild_requests(self) -> RebuildRequests: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def window_builder(self) -> WindowBuilder: ...


class Definitions:
    """Writes definitions, each change a version."""

    def __init__(self, use_cases: UseCases, now_ms: Callable[[], int]) -> None:
        self._use_cases = use_cases
        self._now_ms = now_ms

    def put(self, wanted: Leaderboard, actor: str) -> tuple[Leaderboard, bool]:
        """Create, change or reopen a leaderboard; `wanted` is version 1 of it.

        Returns:
            The leaderboard, and whether it is new or was deleted before.

        Raises:
            LockedRule: if aggregation, order, shards or filters would change though it has events.
            Conflict: if others keep changing it.
            Unavailable: if the registry is out of reach.
            CacheUnavailable: if a deleted one is to be reopened, and the cache fails.
        """

        def decide(current: Leaderboard | None) -> tuple[Leaderboard, bool]:
            if current is None:
                return wanted, False
            if current.archived:  # what came again meanwhile was not shown: not even what a crash had left out before
                self._use_cases.cache.mark_incomplete(current.scores_id)
            return revise(current, replace(wanted, updated_at_ms=self._now_ms()))  # of each try: it may be a new day

        before, after = self._save(wanted.id, decide, AuditAction.DEFINE, actor)
        created = before is None or before.archived
        if created:
            self._mark_complete(after)
        return after, created

    def close(self, leaderboard_id: str, actor: str) -> None:
        """Delete a leaderboard: it takes no more events and is not shown. Ledger and standings stay.

        Raises:
            UnknownLeaderboard: if there is none, or it was deleted before.
            Conflict: if others keep changing it.
            Unavailable: if the registry is out of reach.
        """

        def decide(current: Leaderboard | None) -> tuple[Leaderboard, bool]:
            if current is None or current.archived:
                raise UnknownLeaderboard(f"no leaderboard is called {leaderboard_id!r}")
            return archive(current, self._now_ms()), False

        self._save(leaderboard_id, decide, AuditAction.DELETE, actor)

    def _save(
        self,
        leaderboard_id: str,
        decide: Callable[[Leaderboard | None], tuple[Leaderboard, bool]],
        kind: AuditAction,
        actor: str,
    ) -> tuple[Leaderboard | None, Leaderboard]:
        for _ in range(TRIES_MAX):
            current = self._use_cases.registry.leaderboard(leaderboard_id)
            after, has_events_as_read = decide(current)
            if after is not current:
                # before it is done: a change without an audit entry is worse than an entry of a change that failed
                self._use_cases.disqualifications.record(
                    leaderboard_id, kind, actor, subject=f"version {after.version}"
                )
                try:
                    self._use_cases.registry.save(after, has_events_as_read=has_events_as_read)
                except Conflict:
                    continue
            self._use_cases.leaderboards.keep(after)
            return current, after
        raise Conflict(f"{leaderboard_id} was changed {TRIES_MAX} times meanwhile")

    def _mark_complete(self, leaderboard: Leaderboard) -> None:
        """Mark the cache of a new leaderboard as complete; have that of one with events built.

        If that fails now, the first read asks for it.
        """
        try:
            if leaderboard.has_events:
                self._use_cases.rebuild_requests.request(leaderboard, None)
            else:
                self._use_cases.window_builder.rebuild_leaderboard(leaderboard)
        except (CacheUnavailable, QueueUnavailable, Unavailable) as error:
            logger.warning("cache not marked as complete", extra={"leaderboard": leaderboard.id, "error": str(error)})
