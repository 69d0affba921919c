"""The fold: what a player's events add up to. Commutative and associative, so neither order nor batching counts."""

from collections.abc import Iterable, Sequence

import msgspec

from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.labels import Label, labels_of, latest_labels
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Aggregation, Order


class Standing(msgspec.Struct, frozen=True, gc=False):
    """What one player's events in one bucket add up to."""

    points: int
    reached_at_ms: int
    events: int
    last_event_id: str = ""
    """For `latest` only: the event that decided, since two may have occurred in the same millisecond."""
    gross: int = 0
    """For `sum` only: Σ|points|. While it is within ±(2^53−1), so is every window of these events."""
    version: int = 0
    """Counts the commits to this standing; 0 before the first."""
    labels: tuple[Label, ...] = ()
    """Where the leaderboard has filters, the player's of each that his events carry, by its name."""


class Score(msgspec.Struct, frozen=True, gc=False):
    """What a window ranks a player by."""

    points: int
    reached_at_ms: int


def add(
    aggregation: Aggregation,
    order: Order,
    standing: Standing | None,
    event: ScoreEvent,
    filters: Sequence[str] = (),
) -> Standing:
    """The standing with one more event in it. The version stays: it counts commits, not events.

    `sum`: Σ points, reached at the latest `occurredAt`. `best`: the points that rank first (the highest, or the lowest
    on an ascending leaderboard), reached at the earliest time. `latest`: the points of the latest event, ties by the
    greater event id.

    Args:
        aggregation: how points add up.
        order: which points rank first.
        standing: None before the first event.
        event: of the same player and bucket.
        filters: of which the standing keeps a label each.

    Raises:
        Rejection: `score_overflow` if the sum would leave ±(2^53−1).
    """
    folded = _add_points(aggregation, order, standing, event)
    if not filters:
        return folded
    labels = latest_labels(() if standing is None else standing.labels, labels_of(filters, event))
    return msgspec.structs.replace(folded, labels=labels)


def _add_points(aggregation: Aggregation, order: Order, standing: Standing | None, event: ScoreEvent) -> Standing:
    points, at = event.points, event.occurred_at_ms
    if standing is None:
        last_event_id = event.event_id if aggregation is Aggregation.LATEST else ""
        gross = abs(points) if aggregation is Aggregation.SUM else 0
        return Standing(points, at, 1, last_event_id, gross)
    events, version = standing.events + 1, standing.version
    match aggregation:
        case Aggregation.SUM:
            total = standing.points + points
            if not -POINTS_MAX <= total <= POINTS_MAX:
                raise Rejection(Reason.SCORE_OVERFLOW, f"points {points} would bring the sum to {total}")
            gross = standing.gross + abs(points)
            return Standing(total, max(standing.reached_at_ms, at), events, "", gross, version)
        case Aggregation.BEST:
            best = _better(order, Score(standing.points, standing.reached_at_ms), Score(points, at))
            return Standing(best.points, best.reached_at_ms, events, "", 0, version)
        case Aggregation.LATEST:
            if (at, event.event_id) > (standing.reached_at_ms, standing.last_event_id):
                return Standing(points, at, events, event.event_id, 0, version)
            kept = standing
            return Standing(kept.points, kept.reached_at_ms, events, kept.last_event_id, 0, version)


def combine(aggregation: Aggregation, order: Order, parts: Sequence[Score]) -> Score:
    """The score of a window from the scores of its buckets, given oldest first and at least one.

    Two buckets never share an instant, so the newest one decides `latest` without its event id.
    """
    match aggregation:
        case Aggregation.SUM:
            return Score(sum(part.points for part in parts), max(part.reached_at_ms for part in parts))
        case Aggregation.LATEST:
            return parts[-1]
        case Aggregation.BEST:
            best = parts[0]
            for part in parts[1:]:
                best = _better(order, best, part)
            return best


def check_every_range(points_by_day: Iterable[tuple[int, int]]) -> None:
    """Check that no run of days, whatever its bounds, sums past ±(2^53−1).

    Asked only where Σ|points| has left that range: otherwise no run can. A run's sum is the difference of two running
    totals, so the largest is their spread.

    Args:
        points_by_day: sum of one player's points for each day.

    Raises:
        Rejection: `score_overflow`.
    """
    running = lowest = highest = 0
    for _, points in sorted(points_by_day):
        running += points
        lowest, highest = min(lowest, running), max(highest, running)
    if highest - lowest > POINTS_MAX:
        raise Rejection(Reason.SCORE_OVERFLOW, f"a range of days would sum to ±{highest - lowest}")


def _better(order: Order, one: Score, other: Score) -> Score:
    if one.points == other.points:
        return one if one.reached_at_ms <= other.reached_at_ms else other
    higher, lower = (one, other) if one.points > other.points else (other, one)
    return higher if order is Order.DESC else lower
