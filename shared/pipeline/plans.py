"""What the pending events of one player write, given the standings that were read."""

from collections.abc import Callable, Container, Mapping, Sequence

import msgspec

from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing, add, check_every_range
from shared.domain.windows import ALL_TIME_BUCKET, DAY_MIN, Day, day_of, format_day
from shared.pipeline.candidates import Candidate, Disposition
from shared.truth.commits import TRANSACTION_ITEMS_MAX, PlayerCommit, PlayerKey


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
    ledger: Callable[[], Mapping[str, ScoreEvent]],
) -> Plan | None:
    """Fold candidates into the current standings, as many as one transaction takes.

    Of several with one event id only the first is planned: the others are judged when that one is in the ledger. An
    event that seems to overflow is judged by the ledger: it may be in it already, and so in the standings, or the
    standings may be older than the ledger; then it stays as it is, for the next try. So is one whose day admits no
    event any more: if the ledger does not hold it, it is too late, though its record was appended in time by the rules
    of today.

    Args:
        leaderboard: by whose rules.
        user_id: the player of all candidates.
        candidates: without disposition, in the order of the topic.
        current: his standings as read, without those that have no events.
        ledger: reads his ledger, by event id; asked once, and only for such days or if sums have become enormous.

    Returns:
        None if nothing is left to write.
    """
    folded: dict[Day, Standing] = {}
    planned: list[Candidate] = []
    ids: set[str] = set()
    known: Mapping[str, ScoreEvent] | None = None
    for candidate in candidates:
        event = candidate.event
        if event.event_id in ids:
            continue
        day = day_of(event.occurred_at_ms)
        if leaderboard.refuses(day):
            known = ledger() if known is None else known
            _judge_refused(candidate, leaderboard, known)
            continue
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
            known = ledger() if known is None else known
            _judge_enormous(candidate, planned, known)
        if candidate.disposition is not None:
            continue
        ids.add(event.event_id)  # one that waits for newer standings keeps its place before others of its id, too
        if not added:
            continue
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


def _judge_refused(candidate: Candidate, leaderboard: Leaderboard, ledger: Mapping[str, ScoreEvent]) -> None:
    """Settle a candidate whose day admits no event any more."""
    existing = ledger.get(candidate.event.event_id)
    if existing is not None:
        judge(candidate, existing)
        return
    through = format_day(leaderboard.refusing_through or DAY_MIN)
    candidate.reject(Rejection(Reason.TOO_LATE, f"the days of {leaderboard.id} up to {through} take no more events"))


def _judge_enormous(candidate: Candidate, planned: Sequence[Candidate], ledger: Mapping[str, ScoreEvent]) -> None:
    """Settle a candidate that is in the ledger or would overflow with what is in it and what is planned."""
    existing = ledger.get(candidate.event.event_id)
    if existing is not None:
        judge(candidate, existing)
        return
    points: dict[Day, int] = {}
    for event in [*ledger.values(), *(one.event for one in planned), candidate.event]:
        day = day_of(event.occurred_at_ms)
        points[day] = points.get(day, 0) + event.points
    try:
        check_every_range(points.items())
    except Rejection as rejection:
        candidate.reject(rejection)
