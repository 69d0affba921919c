"""What the pending events of one player write, given the standings that were read."""

from collections.abc import Container, Mapping, Sequence
from typing import Protocol

import msgspec

from shared.domain.calendar import ALL_TIME_BUCKET, Day, day_of
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Leaderboard
from shared.domain.standings import DaySums, Standing, add
from shared.ingest.candidates import Candidate, Disposition
from shared.truth.commits import TRANSACTION_ITEMS_MAX, PlayerCommit, PlayerKey
from shared.truth.reads import BATCH_GET_KEYS_MAX


class Lookups(Protocol):
    """What the truth knows of one player; raises Unavailable if it is out of reach."""

    def sums(self, all_time: Standing, /) -> DaySums | None:
        """Of his days, as of a standing of all time that was read; None if that has changed since."""

    def held(self, events: Sequence[ScoreEvent], /) -> Mapping[str, ScoreEvent]:
        """What his ledger holds under the ids of events, by id."""


class Plan(msgspec.Struct):
    """A commit and the candidates whose events are in it."""

    commit: PlayerCommit
    candidates: list[Candidate]


def judge(candidate: Candidate, existing: ScoreEvent) -> None:
    """Settle a candidate whose event id is in the player's ledger already."""
    if candidate.event.same_content(existing):
        candidate.disposition = Disposition.DUPLICATE
    else:
        detail = f"event {existing.event_id} of this player is in the ledger with other content"
        candidate.reject(Rejection(Reason.CONFLICTING_DUPLICATE, detail))


def plan(
    leaderboard: Leaderboard,
    user_id: str,
    candidates: Sequence[Candidate],
    current: Mapping[Day, Standing],
    lookups: Lookups,
) -> Plan | None:
    """Fold candidates into the current standings, as many as one transaction takes.

    Of several with one event id only the first is planned: the others are judged when that one is in the ledger. An
    event with which a run of days would overflow is judged once those before it are committed: it may be in the ledger
    already, and so in the standings, or the standings may be older than the ledger; then it waits for the next try.

    Args:
        leaderboard: by whose rules.
        user_id: the player of all candidates.
        candidates: without disposition, in the order of the topic.
        current: his standings as read, without those that have no events.
        lookups: what else the truth knows of him, asked only if sums have become enormous.

    Returns:
        None if nothing is left to write.
    """
    folded: dict[Day, Standing] = {}
    planned: list[Candidate] = []
    ids: set[str] = set()
    enormous = _Enormous(leaderboard, current.get(ALL_TIME_BUCKET), candidates, lookups)
    for candidate in candidates:
        event = candidate.event
        if event.event_id in ids:
            continue
        day = day_of(event.occurred_at_ms)
        items = len(planned) + 1 + len(folded.keys() | {day, ALL_TIME_BUCKET})
        if items > TRANSACTION_ITEMS_MAX:
            break
        try:
            added = {
                bucket: add(
                    leaderboard.aggregation,
                    leaderboard.order,
                    folded.get(bucket) or current.get(bucket),
                    event,
                    leaderboard.filters,
                )
                for bucket in (day, ALL_TIME_BUCKET)
            }
        except Rejection:
            added = {}
        if not added or added[ALL_TIME_BUCKET].gross > POINTS_MAX:
            sums = enormous.admit(candidate, planned)
            if candidate.disposition is not None:
                continue
            if sums is None or not added:
                break  # those behind it are not to come before it
            added[ALL_TIME_BUCKET] = msgspec.structs.replace(added[ALL_TIME_BUCKET], sums=sums)
        ids.add(event.event_id)
        folded.update(added)
        planned.append(candidate)
    if not planned:
        return None
    standings = {
        bucket: msgspec.structs.replace(standing, version=standing.version + 1) for bucket, standing in folded.items()
    }
    entries = [candidate.entry for candidate in planned if candidate.entry is not None]
    return Plan(PlayerCommit(leaderboard, user_id, entries, standings), planned)


def pack(plans: Sequence[Plan], alone: Container[PlayerKey]) -> list[list[Plan]]:
    """Group plans into transactions, in their order; the players in `alone` get one of their own."""
    groups: list[list[Plan]] = []
    group: list[Plan] = []
    items = 0
    for one in plans:
        if one.commit.key in alone:
            groups.append([one])
            continue
        if items + one.commit.items > TRANSACTION_ITEMS_MAX:
            groups.append(group)
            group, items = [], 0
        group.append(one)
        items += one.commit.items
    if group:
        groups.append(group)
    return groups


class _Enormous:
    """Judges the events of a player whose Σ|points| is past 2^53−1 by the sums of his days."""

    def __init__(
        self, leaderboard: Leaderboard, all_time: Standing | None, candidates: Sequence[Candidate], lookups: Lookups
    ) -> None:
        self._leaderboard = leaderboard
        self._all_time = all_time
        self._candidates = candidates
        self._lookups = lookups
        self._sums: DaySums | None = None
        """With the planned events in it."""
        self._asked: set[str] = set()
        self._held: dict[str, ScoreEvent] = {}

    def admit(self, candidate: Candidate, planned: Sequence[Candidate]) -> DaySums | None:
        """Add an event to the sums of the player's days, or settle it: it is in the ledger or overflows.

        Returns:
            None if it can't be added or judged yet.
        """
        if self._sums is None:
            self._sums = self._read()
            if self._sums is None:
                return None
            for one in planned:
                self._sums = _plus(self._sums, one.event)
        sums = _plus(self._sums, candidate.event)
        try:
            sums.check()
        except Rejection as rejection:
            if not planned:
                self._settle(candidate, rejection)
            return None
        self._sums = sums
        return sums.sealed_through(self._leaderboard.sealed_through)

    def _read(self) -> DaySums | None:
        if self._all_time is None:
            return DaySums()
        return self._all_time.sums or self._lookups.sums(self._all_time)

    def _settle(self, candidate: Candidate, rejection: Rejection) -> None:
        event_id = candidate.event.event_id
        if event_id not in self._asked:  # with those behind it, which are often handed over again together
            start = self._candidates.index(candidate)
            events = [one.event for one in self._candidates[start : start + BATCH_GET_KEYS_MAX]]
            self._held |= self._lookups.held(events)
            self._asked |= {event.event_id for event in events}
        existing = self._held.get(event_id)
        if existing is None:
            candidate.reject(rejection)
        else:
            judge(candidate, existing)


def _plus(sums: DaySums, event: ScoreEvent) -> DaySums:
    return sums.plus(day_of(event.occurred_at_ms), event.points)
