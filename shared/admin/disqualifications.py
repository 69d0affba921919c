"""Disqualifies and reinstates players, and records audit entries."""

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Final

from cachetools import LRUCache
from msgspec.structs import replace

from shared.admin.eligible import all_standings
from shared.cache.errors import CacheUnavailable
from shared.cache.payloads import Standings, with_all_days
from shared.cache.windows import WindowCache
from shared.domain.audit import EVERY_DAY, AuditAction, AuditEntry, Disqualified, Run
from shared.domain.calendar import ALL_TIME_DAY, Day
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.domain.series import Series
from shared.domain.standings import Standing
from shared.telemetry import logger
from shared.truth.audit_log import AuditLog, AuditLogConflict
from shared.truth.commits import Unavailable
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.work import WorkList

AUDIT_ENTRIES_MAX: Final = 20_000
"""Entries of one audit log, some 300 bytes each. A function that starts reads all of them, in some six round trips."""
ROUTINE_AUDIT_ENTRIES_MAX: Final = 15_000
"""Above this number only entries about players and the definition are recorded, so that what a timer or a script does
every day never prevents a disqualification."""
_ROUTINE: Final = (
    AuditAction.REBUILD,
    AuditAction.REDRIVE,
    AuditAction.DEFINE_PERIOD,
    AuditAction.DELETE_PERIOD,
    AuditAction.VOID,
    AuditAction.CORRECT,
)
LEADERBOARDS_KEPT_MAX: Final = 1_000
"""Leaderboards whose disqualified players stay in memory; of any other the audit log is read from its start."""
TRIES_MAX: Final = 8
"""How often an entry gets another number because another caller's entry took its own."""


class AuditLogFull(Exception):
    """The audit log of the leaderboard is full."""


class DisqualifiedPlayers:
    """Reads who is disqualified. What was read stays in memory; only later entries are read again.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(self, audit_log: AuditLog, work_list: WorkList) -> None:
        self._audit_log = audit_log
        self._work_list = work_list
        self._kept: LRUCache[str, Disqualified] = LRUCache(LEADERBOARDS_KEPT_MAX)

    def now(self, leaderboard_id: str) -> Disqualified:
        """Who is disqualified as of the last entry; strongly consistent."""
        before = self._kept.get(leaderboard_id, Disqualified())
        entries = list(self._audit_log.read(leaderboard_id, before.audit_sequence))
        newest, known = _last_pseudonym(entries), 0
        while newest > known:  # earlier entries have another name since: read them again, as of this one at least
            before, entries = Disqualified(), list(self._audit_log.read(leaderboard_id))
            newest, known = _last_pseudonym(entries), newest
        found = before.after(entries)
        self._kept[leaderboard_id] = found
        return found

    def hidden(self, leaderboard_id: str) -> Disqualified:
        """Who is to stand in no window now: they, and the ids that pseudonyms are taking the place of.

        What an id has left is empty or goes on to its pseudonym, so none of it may be ranked: not by half of its days,
        nor as if it were not disqualified, which only the pseudonym is. The work list is read after the log: a move is
        recorded with its entry, and forgotten once nothing is left of the id.
        """
        out = self.now(leaderboard_id)
        if not out.last_pseudonym:
            return out
        moves = self._work_list.of(leaderboard_id).moves
        # the cache makes all time of days for who was ever out for some, and goes on so
        days = {move.user_id: out.days[move.pseudonym] for move in moves if move.pseudonym in out.days}
        return replace(out, user_ids=out.user_ids | {move.user_id for move in moves}, days={**out.days, **days})

    def as_of(self, leaderboard_id: str, audit_sequence: int) -> Disqualified:
        """Who is disqualified as of an entry."""
        kept = self.now(leaderboard_id)
        if kept.audit_sequence == audit_sequence:
            return kept
        log = self._audit_log.read(leaderboard_id)
        return Disqualified().after(takewhile(lambda entry: entry.number <= audit_sequence, log))


def half_moved(registry: Registry, leaderboard: Leaderboard) -> set[str]:
    """The pseudonym that a player is being moved to, after standings were read: some of them may be missing.

    Nothing of it is shown until it is whole, and the move shows it then.
    """
    current = registry.leaderboard(leaderboard.id)
    return set() if current is None or current.moving is None else {current.moving}


def whole(registry: Registry, leaderboard: Leaderboard, standings: Standings) -> Standings:
    """Standings that were read, by player, without those of who is half moved."""
    left_out = half_moved(registry, leaderboard)
    return {user_id: days for user_id, days in standings.items() if user_id not in left_out}


def _last_pseudonym(entries: Iterable[AuditEntry]) -> int:
    """Number of the last entry by which a player got a pseudonym; 0 if there is none."""
    return max((one.number for one in entries if one.kind is AuditAction.PSEUDONYMISE), default=0)


class Disqualifications:
    """Disqualifies and reinstates players, and makes the windows follow.

    The audit log decides. The cache follows at once where it can. An entry that the cache could not follow stays in the
    work list; the next run of closing applies it to the cache and to the results that it touches.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(
        self,
        *,
        audit_log: AuditLog,
        disqualified_players: DisqualifiedPlayers,
        registry: Registry,
        reads: Reads,
        cache: WindowCache,
        now_ms: Callable[[], int],
    ) -> None:
        self._audit_log = audit_log
        self._disqualified_players = disqualified_players
        self._registry = registry
        self._reads = reads
        self._cache = cache
        self._now_ms = now_ms

    def is_known(self, leaderboard: Leaderboard, user_id: str) -> bool:
        """Whether a player has events on the leaderboard."""
        return any(True for _ in self._reads.ledger(leaderboard.scores_id, user_id, limit=1))

    def disqualify(
        self,
        leaderboard: Leaderboard,
        user_id: str,
        actor: str,
        reason: str,
        *,
        run: Run | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[AuditEntry, bool]:
        """Remove a player from every ranking, or with `run` the events of some days of theirs; idempotent.

        `check` is called once it is known which entry is the last one; what it raises keeps this from being written.

        Returns:
            The entry by which the player is disqualified, and whether this call wrote it.

        Raises:
            AuditLogConflict: if other callers' entries keep taking the number.
            AuditLogFull: if the audit log is full.
            Unavailable: if DynamoDB is out of reach; the entry may be written, so call again.
        """
        return self._decide(leaderboard, user_id, AuditAction.DISQUALIFY, actor, reason, run=run, check=check)

    def reinstate(
        self,
        leaderboard: Leaderboard,
        user_id: str,
        actor: str,
        reason: str,
        *,
        run: Run | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[AuditEntry | None, bool]:
        """Put a player back, or with `run` some days of theirs, with what was accepted meanwhile; idempotent.

        `check`: as `disqualify` has it.

        Returns:
            The entry by which the player is back, None if the player never was disqualified; and whether this call
            wrote it.

        Raises:
            AuditLogConflict: if other callers' entries keep taking the number.
            AuditLogFull: if the audit log is full.
            Unavailable: if DynamoDB is out of reach; the entry may be written, so call again.
        """
        if not self._entries_of(leaderboard.id, user_id):
            return None, False
        return self._decide(leaderboard, user_id, AuditAction.REINSTATE, actor, reason, run=run, check=check)

    def record(
        self,
        leaderboard_id: str,
        kind: AuditAction,
        actor: str,
        *,
        reason: str = "",
        subject: str | None = None,
        periods: tuple[Period | None, Period | None] = (None, None),
        series: tuple[Series | None, Series | None] = (None, None),
    ) -> AuditEntry:
        """Write an entry that is about no player, before the action is done; `periods` and `series` is one of them
        before and after.

        Raises:
            AuditLogConflict: if other callers' entries keep taking the number.
            AuditLogFull: if the audit log is full.
            Unavailable: if DynamoDB is out of reach; the entry may be written.
        """
        for _ in range(TRIES_MAX):
            entry = self.next_entry(leaderboard_id, kind, actor, reason, subject=subject)
            entry = replace(entry, period_before=periods[0], period_after=periods[1])
            entry = replace(entry, series_before=series[0], series_after=series[1])
            try:
                self._audit_log.append(leaderboard_id, entry)
            except AuditLogConflict:
                continue
            return entry
        raise AuditLogConflict(f"other entries of {leaderboard_id} took {TRIES_MAX} numbers")

    def apply(self, leaderboard: Leaderboard, user_id: str, amended: Day | None = None) -> None:
        """Make every window in the cache show or leave out a player, as the audit log says; idempotent.

        Args:
            leaderboard: whose windows.
            user_id: of the player.
            amended: the day whose standing was changed, if no more than that and all time was.

        Raises:
            CacheUnavailable: if the cache fails.
        """
        # before the days are read: the cache leaves out the player of an event that is committed later
        out = self._disqualified_players.hidden(leaderboard.id)
        self._cache.show_disqualified(leaderboard.scores_id, out)
        if user_id in half_moved(self._registry, leaderboard):
            return  # the move shows the player
        is_partly = user_id in out.days
        standings: dict[Day, Standing] = {}
        if amended is not None:  # first, so that other days give back the labels that it gave
            found = self._reads.standings((leaderboard, user_id, day) for day in (amended, ALL_TIME_DAY))
            standings = {day: standing for (_, _, day), standing in sorted(found.items())}
        if amended is None or leaderboard.filters or is_partly:
            standings |= {day: one for day, one in self._standings(leaderboard, user_id).items() if day != amended}
        now_ms = self._now_ms()
        shown = with_all_days(standings) if is_partly else standings
        self._cache.apply(leaderboard, {user_id: shown}, now_ms)
        days = sorted(standings.keys() - {ALL_TIME_DAY}) if amended is None else [amended]
        self._cache.withdraw_unkept(leaderboard, days, now_ms)

    def days(self, leaderboard: Leaderboard, user_id: str) -> set[Day]:
        """Every day on which a player has events."""
        return self._standings(leaderboard, user_id).keys() - {ALL_TIME_DAY}

    def _standings(self, leaderboard: Leaderboard, user_id: str) -> dict[Day, Standing]:
        return all_standings(self._reads, leaderboard, user_id, self._now_ms())

    def _decide(
        self,
        leaderboard: Leaderboard,
        user_id: str,
        kind: AuditAction,
        actor: str,
        reason: str,
        *,
        run: Run | None = None,
        check: Callable[[], None],
    ) -> tuple[AuditEntry, bool]:
        for _ in range(TRIES_MAX):
            disqualified = self._disqualified_players.now(leaderboard.id)
            is_so = disqualified.is_out if kind is AuditAction.DISQUALIFY else disqualified.is_back
            done = is_so(user_id, run)
            if done:
                latest = self._latest(leaderboard.id, user_id, kind, run)
                if latest is None:  # the player has just got a pseudonym
                    check()
                    continue
                entry = latest
            else:
                entry = self.next_entry(leaderboard.id, kind, actor, reason, user_id=user_id, run=run)
                check()
                try:
                    self._audit_log.append(leaderboard.id, entry)
                except AuditLogConflict:
                    continue
            self.try_to_apply(leaderboard, user_id)
            return entry, not done
        raise AuditLogConflict(f"other entries of {leaderboard.id} took {TRIES_MAX} numbers")

    def _entries_of(self, leaderboard_id: str, user_id: str) -> list[AuditEntry]:
        kinds = AuditAction.DISQUALIFY, AuditAction.REINSTATE
        log = self._audit_log.read(leaderboard_id)
        return [entry for entry in log if entry.user_id == user_id and entry.kind in kinds]

    def _latest(self, leaderboard_id: str, user_id: str, kind: AuditAction, run: Run | None) -> AuditEntry | None:
        """The last entry that did the same to one of these days; if none did, the last one of the player, if any."""
        start, stop = run or EVERY_DAY
        entries = self._entries_of(leaderboard_id, user_id)
        same = [one for one in entries if one.kind is kind and one.days[0] <= stop and start <= one.days[1]]
        return max(same or entries, key=lambda one: one.number, default=None)

    def next_entry(
        self,
        leaderboard_id: str,
        kind: AuditAction,
        actor: str,
        reason: str,
        *,
        user_id: str | None = None,
        subject: str | None = None,
        run: Run | None = None,
    ) -> AuditEntry:
        """The entry that would follow the last one now; it is not written.

        Raises:
            AuditLogFull: if the audit log is full.
            Unavailable: if DynamoDB is out of reach.
        """
        number = self._disqualified_players.now(leaderboard_id).audit_sequence + 1
        limit = min(ROUTINE_AUDIT_ENTRIES_MAX, AUDIT_ENTRIES_MAX) if kind in _ROUTINE else AUDIT_ENTRIES_MAX
        if number > limit:
            raise AuditLogFull(f"{leaderboard_id} has {limit} audit entries")
        at_ms = self._now_ms()
        first, last = run or (None, None)
        return AuditEntry(
            number=number,
            kind=kind,
            actor=actor,
            reason=reason,
            at_ms=at_ms,
            user_id=user_id,
            subject=subject,
            first_day=first,
            last_day=last,
        )

    def try_to_apply(self, leaderboard: Leaderboard, user_id: str, amended: Day | None = None) -> None:
        """Apply if that is possible now; otherwise closing does, as long as the entry is open."""
        try:
            self.apply(leaderboard, user_id, amended)
        except (CacheUnavailable, Unavailable) as error:
            logger.warning("windows follow later", extra={"leaderboard": leaderboard.id, "error": str(error)})
