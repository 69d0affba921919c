"""Who is disqualified, and what follows from disqualifying and reinstating a player."""

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Final

from shared.cache.windows import CacheUnavailable, WindowCache
from shared.domain.audit import AuditAction, AuditEntry, Disqualified, disqualified
from shared.domain.calendar import ALL_TIME_BUCKET, DAY_MIN, Day, day_of, is_kept, windows_fed_by
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.telemetry import logger
from shared.truth.audit_log import AuditLog, AuditLogConflict
from shared.truth.commits import Unavailable
from shared.truth.reads import BATCH_GET_KEYS_MAX, Reads

ACTS_MAX: Final = 20_000
"""Entries of one audit log, some 300 bytes each: a function that starts reads all of them, in some six round trips."""
ROUTINE_ACTS_MAX: Final = 15_000
"""Past as many acts only players and the definition are acted on, so that what a timer or a script does every day never
keeps anybody from being disqualified."""
_ROUTINE: Final = (AuditAction.REBUILD, AuditAction.REDRIVE, AuditAction.DEFINE_PERIOD, AuditAction.DELETE_PERIOD)
DAYS_AT_ONCE: Final = BATCH_GET_KEYS_MAX
"""Days of a player that are looked for in one request to DynamoDB."""
TRIES_MAX: Final = 8
"""How often an act is numbered anew because others act on the leaderboard at the same time."""


class AuditLogFull(Exception):
    """The log of the leaderboard is full."""


class DisqualifiedPlayers:
    """Reads who is disqualified; what was read stays in memory, only what followed is read again."""

    def __init__(self, audit_log: AuditLog) -> None:
        self._audit_log = audit_log
        self._kept: dict[str, Disqualified] = {}

    def now(self, leaderboard_id: str) -> Disqualified:
        """As of the last act that is written; strongly consistent.

        Raises:
            Unavailable: if the truth is out of reach.
        """
        before = self._kept.get(leaderboard_id, Disqualified())
        found = disqualified(before, self._audit_log.read(leaderboard_id, before.audit_sequence))
        self._kept[leaderboard_id] = found
        return found

    def as_of(self, leaderboard_id: str, audit_sequence: int) -> Disqualified:
        """As of an act that is written.

        Raises:
            Unavailable: as above.
        """
        kept = self._kept.get(leaderboard_id)
        if kept is not None and kept.audit_sequence == audit_sequence:
            return kept
        log = self._audit_log.read(leaderboard_id)
        return disqualified(Disqualified(), takewhile(lambda act: act.number <= audit_sequence, log))


def present(lines: Iterable[tuple[Day, str, Standing]], out: Disqualified) -> Iterator[tuple[Day, str, Standing]]:
    """The standings of everybody who is not disqualified."""
    return (line for line in lines if line[1] not in out.user_ids)


class Disqualifications:
    """Disqualifies and reinstates, and makes the live windows follow.

    The log in the truth decides. What is kept in Redis follows it at once where it can; an act that was not carried out
    there stays noted as open, and the next run of closing carries it out, as well as what results it touches.
    """

    def __init__(
        self,
        *,
        audit_log: AuditLog,
        disqualified_players: DisqualifiedPlayers,
        reads: Reads,
        cache: WindowCache,
        now_ms: Callable[[], int],
    ) -> None:
        self._audit_log = audit_log
        self._disqualified_players = disqualified_players
        self._reads = reads
        self._cache = cache
        self._now_ms = now_ms

    def disqualify(self, leaderboard: Leaderboard, user_id: str, actor: str, reason: str) -> tuple[AuditEntry, bool]:
        """Take a player out of every ranking. Nothing happens if they are out: so it may be asked twice.

        Returns:
            The act that took them out, and whether that was this one.

        Raises:
            AuditLogConflict: if others keep acting on the leaderboard.
            AuditLogFull: if its log is full.
            Unavailable: if the truth is out of reach; it may be done all the same, so ask again.
        """
        return self._decide(leaderboard, user_id, AuditAction.DISQUALIFY, actor, reason)

    def reinstate(
        self, leaderboard: Leaderboard, user_id: str, actor: str, reason: str
    ) -> tuple[AuditEntry | None, bool]:
        """Put a player back, with every event that was accepted meanwhile; None if they never were out.

        Raises:
            AuditLogConflict, AuditLogFull, Unavailable: as above.
        """
        if not any(act.user_id == user_id for act in self._audit_log.read(leaderboard.id)):
            return None, False
        return self._decide(leaderboard, user_id, AuditAction.REINSTATE, actor, reason)

    def note(
        self, leaderboard_id: str, kind: AuditAction, actor: str, *, reason: str = "", subject: str | None = None
    ) -> AuditEntry:
        """Write down an act that concerns no player, before it is done.

        Raises:
            AuditLogConflict, AuditLogFull, Unavailable: as above.
        """
        for _ in range(TRIES_MAX):
            act = self._next(leaderboard_id, kind, actor, reason, subject=subject)
            try:
                self._audit_log.append(leaderboard_id, act)
            except AuditLogConflict:
                continue
            return act
        raise AuditLogConflict(f"others act on {leaderboard_id} again and again")

    def apply(self, leaderboard: Leaderboard, user_id: str) -> None:
        """Make every live window show or leave out a player, as the log says. Harmless twice.

        Raises:
            Unavailable: if the truth is out of reach.
            CacheUnavailable: if Redis fails.
        """
        out = self._disqualified_players.now(leaderboard.id)
        # before their days are read: an event that is committed later is applied by who knows that they are out
        self._cache.show_disqualified(leaderboard.id, out)
        standings = self._standings(leaderboard, user_id)
        now_ms = self._now_ms()
        self._cache.apply(leaderboard, {user_id: standings}, now_ms)
        days = sorted(standings.keys() - {ALL_TIME_BUCKET})
        for window in dict.fromkeys(window for day in days for window in windows_fed_by(day)):
            if not is_kept(
                window, leaderboard.lateness_ms, now_ms
            ):  # nobody feeds it any more: the next read builds it anew
                self._cache.withdraw(leaderboard, window, now_ms)

    def days(self, leaderboard: Leaderboard, user_id: str) -> set[Day]:
        """Every day on which a player has events.

        Raises:
            Unavailable: as above.
        """
        return self._standings(leaderboard, user_id).keys() - {ALL_TIME_BUCKET}

    def _standings(self, leaderboard: Leaderboard, user_id: str) -> dict[Day, Standing]:
        """A player's standings of every bucket, however many events are behind them.

        Days are looked for from the latest back, until they hold as many events as all time does. That one is read
        last: events that are committed meanwhile make it greater, never less, so no day that is missing goes unnoticed.
        """

        def read(buckets: Iterable[Day]) -> dict[Day, Standing]:
            found = self._reads.standings((leaderboard, user_id, bucket) for bucket in buckets)
            return {bucket: standing for (_, _, bucket), standing in found.items()}

        days: dict[Day, Standing] = {}
        past = day_of(self._now_ms()) + 2  # some producers' clocks have tomorrow
        while True:
            days |= read(Day(day) for day in range(max(DAY_MIN, past - DAYS_AT_ONCE), past))
            all_time = read([ALL_TIME_BUCKET])
            past -= DAYS_AT_ONCE
            known = sum(standing.events for standing in days.values())
            if past <= DAY_MIN or known >= sum(one.events for one in all_time.values()):
                return days | all_time

    def _decide(
        self, leaderboard: Leaderboard, user_id: str, kind: AuditAction, actor: str, reason: str
    ) -> tuple[AuditEntry, bool]:
        for _ in range(TRIES_MAX):
            out = self._disqualified_players.now(leaderboard.id)
            done = (user_id in out.user_ids) is (kind is AuditAction.DISQUALIFY)
            if done:
                on_them = (act for act in self._audit_log.read(leaderboard.id) if act.user_id == user_id)
                act = max(on_them, key=lambda one: one.number)
            else:
                act = self._next(leaderboard.id, kind, actor, reason, user_id=user_id)
                try:
                    self._audit_log.append(leaderboard.id, act)
                except AuditLogConflict:
                    continue
            self._try_to_apply(leaderboard, user_id)
            return act, not done
        raise AuditLogConflict(f"others act on {leaderboard.id} again and again")

    def _next(
        self,
        leaderboard_id: str,
        kind: AuditAction,
        actor: str,
        reason: str,
        *,
        user_id: str | None = None,
        subject: str | None = None,
    ) -> AuditEntry:
        number = self._disqualified_players.now(leaderboard_id).audit_sequence + 1
        limit = min(ROUTINE_ACTS_MAX, ACTS_MAX) if kind in _ROUTINE else ACTS_MAX
        if number > limit:
            raise AuditLogFull(f"{leaderboard_id} has had {limit} acts")
        at_ms = self._now_ms()
        return AuditEntry(
            number=number, kind=kind, actor=actor, reason=reason, at_ms=at_ms, user_id=user_id, subject=subject
        )

    def _try_to_apply(self, leaderboard: Leaderboard, user_id: str) -> None:
        try:
            self.apply(leaderboard, user_id)
        except (CacheUnavailable, Unavailable) as error:
            logger.warning("live windows follow later", extra={"leaderboard": leaderboard.id, "error": str(error)})
