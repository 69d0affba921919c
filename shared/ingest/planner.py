"""What the pending events of one player write, given the standings that were read.

Of several events with one id only the first is planned: the others are settled once that one is in the ledger. An event
with which some days would overflow is settled once those before it are committed: it may be in the ledger already,
and so in the standings, or the standings may be older than the ledger; then it waits for the next try.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Protocol

import msgspec

from shared.domain.calendar import ALL_TIME_DAY, Day
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.rejections import Rejection
from shared.domain.rules import Leaderboard
from shared.domain.standings import DaySums, Standing, add
from shared.ingest.outcomes import Candidate, Outcome, Rejected, outcome_of_known
from shared.truth.commits import TRANSACTION_ITEMS_MAX, PlayerCommit, PlayerKey
from shared.truth.queries import BATCH_GET_KEYS_MAX


class Lookups(Protocol):
    """What the truth knows of one player; raises Unavailable if it is out of reach."""

    def sums(self, all_time: Standing, /) -> DaySums | None:
        """Of the player's days, as of a standing of all time that was read; None if that has changed since."""

    def held(self, events: Sequence[ScoreEvent], /) -> Mapping[str, ScoreEvent]:
        """What the player's ledger holds under the ids of events, by id."""


class Plan(msgspec.Struct):
    """A commit and the candidates whose events are in it."""

    commit: PlayerCommit
    candidates: list[Candidate]


class Decisions(msgspec.Struct):
    """What is to be written for a player, if anything, and the outcomes that are known without a write."""

    plan: Plan | None
    settled: list[tuple[Candidate, Outcome]]


def plan(
    leaderboard: Leaderboard,
    candidates: Sequence[Candidate],
    current: Mapping[Day, Standing],
    lookups: Lookups,
) -> Decisions:
    """Fold candidates into the current standings, as many as one transaction takes.

    Args:
        leaderboard: by whose rules.
        candidates: pending events of one player, in the order of the topic.
        current: the player's standings as read, without those that have no events.
        lookups: what else the truth knows of the player, read only if sums have become enormous.
    """
    folded: dict[Day, Standing] = {}
    planned: list[Candidate] = []
    settled: list[tuple[Candidate, Outcome]] = []
    ids: set[str] = set()
    enormous = _Enormous(leaderboard, current.get(ALL_TIME_DAY), candidates, lookups)
    for candidate in candidates:
        event = candidate.event
        if event.event_id in ids:
            continue
        day = leaderboard.calendar.day_of(event.occurred_at_ms)
        if len(planned) + 1 + len(folded.keys() | {day, ALL_TIME_DAY}) > TRANSACTION_ITEMS_MAX:
            break
        touched = {day: folded.get(day) or current.get(day) for day in (day, ALL_TIME_DAY)}
        added = _add(leaderboard, event, touched)
        if not added or added[ALL_TIME_DAY].absolute_sum > POINTS_MAX:
            sums, outcome = enormous.admit(candidate, planned)
            if outcome is not None:
                settled.append((candidate, outcome))
                continue
            if sums is None or not added:
                break  # those behind it are not to come before it
            added[ALL_TIME_DAY] = msgspec.structs.replace(added[ALL_TIME_DAY], sums=sums)
        ids.add(event.event_id)
        folded.update(added)
        planned.append(candidate)
    return Decisions(_to_plan(leaderboard, folded, planned) if planned else None, settled)


def _add(leaderboard: Leaderboard, event: ScoreEvent, standings: Mapping[Day, Standing | None]) -> dict[Day, Standing]:
    """The standings with an event added; none if a score would overflow."""
    rules = leaderboard.aggregation, leaderboard.order
    try:
        return {day: add(*rules, standing, event, leaderboard.filters) for day, standing in standings.items()}
    except Rejection:
        return {}


def _to_plan(leaderboard: Leaderboard, folded: Mapping[Day, Standing], planned: list[Candidate]) -> Plan:
    standings = {
        day: msgspec.structs.replace(standing, version=standing.version + 1) for day, standing in folded.items()
    }
    entries = [candidate.entry for candidate in planned if candidate.entry is not None]
    return Plan(PlayerCommit(leaderboard, planned[0].event.user_id, entries, standings), planned)


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
    """Validates the events of a player whose Σ|points| is past 2^53−1 by the sums of their days."""

    def __init__(
        self, leaderboard: Leaderboard, all_time: Standing | None, candidates: Sequence[Candidate], lookups: Lookups
    ) -> None:
        self._leaderboard = leaderboard
        self._all_time = all_time
        self._candidates = candidates
        self._lookups = lookups
        self._sums: DaySums | None = None
        """With the planned events in it."""
        self._read_ids: set[str] = set()
        self._held: dict[str, ScoreEvent] = {}

    def admit(self, candidate: Candidate, planned: Sequence[Candidate]) -> tuple[DaySums | None, Outcome | None]:
        """Add an event to the sums of the player's days, or settle it: it is in the ledger or overflows.

        Returns:
            The sums, or the outcome; neither if the event can't be added or settled yet.
        """
        if self._sums is None:
            self._sums = self._read()
            if self._sums is None:
                return None, None
            for one in planned:
                self._sums = _plus(self._leaderboard, self._sums, one.event)
        sums = _plus(self._leaderboard, self._sums, candidate.event)
        try:
            sums.check()
        except Rejection as rejection:
            return None, None if planned else self._outcome(candidate, rejection)
        self._sums = sums
        return sums.sealed_through(self._leaderboard.sealed_through), None

    def _read(self) -> DaySums | None:
        if self._all_time is None:
            return DaySums()
        return self._all_time.sums or self._lookups.sums(self._all_time)

    def _outcome(self, candidate: Candidate, rejection: Rejection) -> Outcome:
        event_id = candidate.event.event_id
        if event_id not in self._read_ids:  # with those behind it, which are often delivered again together
            start = self._candidates.index(candidate)
            events = [one.event for one in self._candidates[start : start + BATCH_GET_KEYS_MAX]]
            self._held |= self._lookups.held(events)
            self._read_ids |= {event.event_id for event in events}
        existing = self._held.get(event_id)
        return Rejected(rejection) if existing is None else outcome_of_known(candidate.event, existing)


def _plus(leaderboard: Leaderboard, sums: DaySums, event: ScoreEvent) -> DaySums:
    return sums.plus(leaderboard.calendar.day_of(event.occurred_at_ms), event.points)
