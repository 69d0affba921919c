"""Amends what counts: takes back an event (void), or adds one that no record brought (correction)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shared.admin.disqualifications import Disqualifications, half_moved
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.calendar import ALL_TIME_DAY, Day, format_day
from shared.domain.events import ScoreEvent, format_instant
from shared.domain.refolding import refold
from shared.domain.rejections import Rejection
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.lookups.first_days import first_possible_day
from shared.lookups.leaderboards import Leaderboards
from shared.retries import Backoff
from shared.truth.amendments import AmendmentWrites, Contended
from shared.truth.audit_log import AuditLog
from shared.truth.commits import Unavailable
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.registry import Registry

EVENTS_MAX: Final = 20_000
"""Events of one player that an amendment reads, some 300 bytes each: standings are folded again from all of them, while
a client waits."""
TRIES_MAX: Final = 8
"""How often an amendment is decided again because events or other amendments came meanwhile."""
_NO_EVENTS: Final = Standing(0, 0, 0)


class UnknownEvent(Exception):
    """The player's ledger holds no event of this id."""


class EventExists(Exception):
    """The player's ledger holds another event of this id."""


class AmendmentOverflow(Exception):
    """Without the event, or with it, some of the player's days would sum past ±(2^53−1)."""


class DayIsSealing(Exception):
    """The day is between open and sealed, and takes corrections again in two minutes or so."""


class TooManyEvents(Exception):
    """The player has more events than an amendment can fold."""


class InvalidCorrection(ValueError):
    """A time at which no correction can have occurred. `field` names it."""

    field: Final = "occurredAt"


class Amended(Struct, frozen=True):
    """What an amendment comes to."""

    entry: AuditEntry
    """By which the event is void, or was added."""
    already: bool
    """Whether an earlier call did it."""


class Amendments:
    """Voids and corrects, and makes the windows follow.

    An amendment is written with its audit entry and the standings of its day and of all time, or not at all. These are
    folded again from the player's ledger, on condition that nothing has changed since it was read. The cache follows at
    once where it can; closing does what is left, and revises final results.

    Methods raise Unavailable if DynamoDB throttles or is out of reach; the amendment may be written, so call again.
    """

    def __init__(
        self,
        *,
        writes: AmendmentWrites,
        audit_log: AuditLog,
        disqualifications: Disqualifications,
        leaderboards: Leaderboards,
        registry: Registry,
        reads: Reads,
        backoff: Backoff,
        now_ms: Callable[[], int],
    ) -> None:
        self._writes = writes
        self._audit_log = audit_log
        self._disqualifications = disqualifications
        self._leaderboards = leaderboards
        self._registry = registry
        self._reads = reads
        self._backoff = backoff
        self._now_ms = now_ms

    def void(self, leaderboard: Leaderboard, user_id: str, event_id: str, actor: str, reason: str) -> Amended:
        """Take an event back: it stays in the ledger, marked, and counts nothing; idempotent.

        Raises:
            UnknownEvent: if the player's ledger doesn't hold it.
            AmendmentOverflow: if the events that are left sum past what a score may be.
            TooManyEvents: if the player has more than EVENTS_MAX events.
            AuditLogFull: if the audit log is full.
        """
        return self._amend(leaderboard, user_id, lambda: self._void(leaderboard, user_id, event_id, actor, reason))

    def correct(self, leaderboard: Leaderboard, event: ScoreEvent, actor: str, reason: str) -> Amended:
        """Add an event to a player's ledger, whether its day is sealed or not; idempotent by its id.

        Raises:
            InvalidCorrection: if it occurs in the future, or on a day before the first one with a result.
            EventExists: if the ledger holds its id with other content, or from the topic.
            DayIsSealing: if its day is sealing, and not sealed yet.
            AmendmentOverflow: if the sum leaves what a score may be.
            TooManyEvents: if the player has more than EVENTS_MAX events.
            AuditLogFull: if the audit log is full.
        """
        if event.occurred_at_ms > self._now_ms():
            raise InvalidCorrection("must be in the past")
        return self._amend(leaderboard, event.user_id, lambda: self._correct(leaderboard, event, actor, reason))

    def _amend(self, leaderboard: Leaderboard, user_id: str, decide: Callable[[], Amended]) -> Amended:
        for attempt in range(TRIES_MAX):
            if attempt:
                self._backoff.wait(attempt - 1)
            try:
                done = decide()
            except Contended:
                continue
            self._disqualifications.try_to_apply(leaderboard, user_id, done.entry.amended_day(leaderboard.calendar))
            return done
        raise Unavailable(f"events of {user_id!r} came at each of {TRIES_MAX} tries")

    def _void(self, leaderboard: Leaderboard, user_id: str, event_id: str, actor: str, reason: str) -> Amended:
        held = self._reads.entry(leaderboard.scores_id, user_id, event_id)
        if held is None:
            raise UnknownEvent(f"the ledger holds no event {event_id!r} of {user_id!r} on {leaderboard.id}")
        if held.voided_by is not None:
            return Amended(self._entry(leaderboard, held.voided_by), already=True)
        day = leaderboard.calendar.day_of(held.event.occurred_at_ms)
        current, counting = self._read(leaderboard, user_id, day)
        left = [event for event in counting if event.event_id != event_id]
        standings = _following(leaderboard, day, current, left)
        entry = self._next(leaderboard, AuditAction.VOID, held.event, actor, reason)
        self._writes.void(leaderboard, entry, standings)
        return Amended(entry, already=False)

    def _correct(self, known: Leaderboard, event: ScoreEvent, actor: str, reason: str) -> Amended:
        leaderboard = self._leaderboards.lock_rules(self._leaderboards.read(known.id) or known)
        if leaderboard is None:
            raise Contended(f"the rules of {known.id} have just changed")
        if leaderboard.archived:
            raise InvalidCorrection(f"can't be any: {leaderboard.id} has just been deleted")
        held = self._reads.entry(leaderboard.scores_id, event.user_id, event.event_id)
        if held is not None:
            return self._known(leaderboard, held, event)
        if event.occurred_at_ms < leaderboard.since_ms:
            start = format_instant(leaderboard.since_ms)
            raise InvalidCorrection(f"must be {start} or later: {leaderboard.id} started over then")
        day = leaderboard.calendar.day_of(event.occurred_at_ms)
        self._check_day(leaderboard, day)
        current, counting = self._read(leaderboard, event.user_id, day)
        standings = _following(leaderboard, day, current, [*counting, event])
        entry = self._next(leaderboard, AuditAction.CORRECT, event, actor, reason)
        self._writes.correct(leaderboard, entry, event, standings)
        return Amended(entry, already=False)

    def _known(self, leaderboard: Leaderboard, held: LedgerEntry, event: ScoreEvent) -> Amended:
        """What became of a correction whose id the ledger holds."""
        if held.added_by is None:
            raise EventExists(f"the ledger holds {event.event_id!r} of {event.user_id!r} from the topic")
        if not event.same_content(held.event):
            raise EventExists(f"{event.event_id!r} of {event.user_id!r} was added with other points or another time")
        return Amended(self._entry(leaderboard, held.added_by), already=True)

    def _check_day(self, leaderboard: Leaderboard, day: Day) -> None:
        """A day takes corrections while it is open, and once it is sealed: whether it has events must not change while
        closing searches for the first day that has some.
        """
        first = leaderboard.results_from
        if first is None:
            first = first_possible_day(self._registry, leaderboard)
        if day < first:
            raise InvalidCorrection(f"must be on or after {format_day(first)}: {leaderboard.id} has no results before")
        is_sealed = leaderboard.sealed_through is not None and day <= leaderboard.sealed_through
        if leaderboard.rejects(day) and not is_sealed:
            raise DayIsSealing(f"{format_day(day)} of {leaderboard.id} is being sealed")

    def _read(
        self, leaderboard: Leaderboard, user_id: str, day: Day
    ) -> tuple[Mapping[Day, Standing], Sequence[ScoreEvent]]:
        """The standings of a day and of all time, and the events that count.

        Standings come first: what is committed after they were read is noticed when they are written.

        Raises:
            Contended: if the ledger was read as of another moment.
        """
        found = self._reads.standings((leaderboard, user_id, one) for one in (day, ALL_TIME_DAY))
        current = {one: standing for (_, _, one), standing in found.items()}
        if any(standing.moved for standing in current.values()):
            raise Contended(f"{user_id!r} has just got a pseudonym")
        if user_id in half_moved(self._registry, leaderboard):  # what is written now would stand in the way of the move
            raise Contended(f"{user_id!r} is still being moved from an id")
        entries = list(self._reads.ledger(leaderboard.scores_id, user_id, limit=EVENTS_MAX + 1))
        if len(entries) > EVENTS_MAX:
            raise TooManyEvents(f"{user_id!r} has more than {EVENTS_MAX} events on {leaderboard.id}")
        counting = [one.event for one in entries if one.counts()]
        of_day = sum(leaderboard.calendar.day_of(event.occurred_at_ms) == day for event in counting)
        said = tuple(current.get(one, _NO_EVENTS).events for one in (day, ALL_TIME_DAY))
        if (of_day, len(counting)) != said:
            raise Contended(f"the ledger of {user_id!r} has {of_day} and {len(counting)} events, standings say {said}")
        return current, counting

    def _next(
        self, leaderboard: Leaderboard, kind: AuditAction, event: ScoreEvent, actor: str, reason: str
    ) -> AuditEntry:
        entry = self._disqualifications.next_entry(
            leaderboard.id, kind, actor, reason, user_id=event.user_id, subject=event.event_id
        )
        return replace(entry, points=event.points, occurred_at_ms=event.occurred_at_ms)

    def _entry(self, leaderboard: Leaderboard, number: int) -> AuditEntry:
        return next(self._audit_log.read(leaderboard.id, number - 1, 1))


def _following(
    leaderboard: Leaderboard, day: Day, current: Mapping[Day, Standing], events: Sequence[ScoreEvent]
) -> dict[Day, Standing]:
    """The standings of a day and of all time after an amendment, which leaves these events.

    Raises:
        AmendmentOverflow: if some of the player's days would sum past ±(2^53−1).
    """
    folded = refold(leaderboard, events)
    sums = folded.get(ALL_TIME_DAY, _NO_EVENTS).sums
    try:
        if sums is not None:
            sums.check()
    except Rejection as rejection:
        raise AmendmentOverflow(rejection.detail) from rejection
    return {
        one: replace(folded.get(one, _NO_EVENTS), version=current.get(one, _NO_EVENTS).version + 1)
        for one in (day, ALL_TIME_DAY)
    }
