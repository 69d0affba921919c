"""The fold: what a player's events add up to. Commutative and associative, so neither order nor batching counts."""

from collections.abc import Sequence

import msgspec

from shared.domain.calendar import Day
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.labels import Label, labels_of, latest_labels
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Aggregation, Order


class DaySums(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What has to be known of a player's days to tell exactly whether any of them sum past ±(2^53−1).

    Any of them: windows are runs of days, but days of which a player is disqualified are left out of them. The largest
    sum is that of all days above 0, the lowest that of all days below. Days that can't change any more are two numbers,
    however many they are; the others are kept each.
    """

    gained: int = 0
    """Of the days that are sealed, the sum of those above 0."""
    lost: int = 0
    """The sum of those below."""
    days: tuple[tuple[Day, int], ...] = ()
    """The other days that have events, ascending, with the sum of each."""

    def plus(self, day: Day, points: int) -> "DaySums":
        """With more points on a day that is not sealed."""
        days = dict(self.days)
        days[day] = days.get(day, 0) + points
        return msgspec.structs.replace(self, days=tuple(sorted(days.items())))

    def sealed_through(self, last: Day | None) -> "DaySums":
        """The same, with the days up to one that never change again as two numbers; with `None` as it is."""
        if last is None or not self.days or self.days[0][0] > last:
            return self
        sealed = DaySums(self.gained, self.lost, tuple(day for day in self.days if day[0] <= last))
        gained, lost = sealed._extremes()
        return DaySums(gained, lost, self.days[len(sealed.days) :])

    def check(self) -> None:
        """Check every choice of days. Needed only once Σ|points| is past 2^53−1: before, none can be.

        Raises:
            Rejection: `score_overflow`.
        """
        for extreme in self._extremes():
            if abs(extreme) > POINTS_MAX:
                raise Rejection(Reason.SCORE_OVERFLOW, f"some of the player's days would sum to {extreme}")

    def _extremes(self) -> tuple[int, int]:
        """The largest and the lowest sum of any days."""
        points = [of_day for _, of_day in self.days]
        return self.gained + sum(one for one in points if one > 0), self.lost + sum(one for one in points if one < 0)


class Standing(msgspec.Struct, frozen=True, gc=False):
    """What one player's events in one day add up to."""

    points: int
    reached_at_ms: int
    events: int
    last_event_id: str = ""
    """For `latest` only: the event that decided, since two may have occurred in the same millisecond."""
    absolute_sum: int = 0
    """For `sum` only: Σ|points|. While it is within ±(2^53−1), so is every window of these events."""
    version: int = 0
    """Counts the commits to this standing; 0 before the first."""
    labels: tuple[Label, ...] = ()
    """Where the leaderboard has filters, the player's of each that their events carry, by its name."""
    sums: DaySums | None = None
    """Of all time, once `absolute_sum` is past 2^53−1; elsewhere, and on standings from before it was kept, None."""

    moved: bool = False
    """Whether the player has a pseudonym now, under which the events are; it is empty then, and takes none any more."""

    @property
    def is_empty(self) -> bool:
        """Whether all of its events are void: it ranks nobody, and is kept for its version alone."""
        return not self.events

    @property
    def only_zeros(self) -> bool:
        """For `sum` only: whether no event carried points other than 0."""
        return not (self.points or self.absolute_sum)


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
    """The standing with one more event in it, without `sums`. The version stays: it counts commits, not events.

    `sum`: Σ points, reached at the latest `occurredAt` of an event that carried points other than 0; while there are
    only events of 0 points, at the earliest of them. `best`: the points that rank first (the highest, or the lowest
    on an ascending leaderboard), reached at the earliest time. `latest`: the points of the latest event, ties by the
    greater event id.

    Args:
        aggregation: how points add up.
        order: which points rank first.
        standing: None before the first event; an empty one is as good as none, but for its version.
        event: of the same player and day.
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
    if standing is None or standing.is_empty:
        last_event_id = event.event_id if aggregation is Aggregation.LATEST else ""
        absolute_sum = abs(points) if aggregation is Aggregation.SUM else 0
        return Standing(points, at, 1, last_event_id, absolute_sum, 0 if standing is None else standing.version)
    events, version = standing.events + 1, standing.version
    match aggregation:
        case Aggregation.SUM:
            total = standing.points + points
            if not -POINTS_MAX <= total <= POINTS_MAX:
                raise Rejection(Reason.SCORE_OVERFLOW, f"points {points} would bring the sum to {total}")
            absolute_sum = standing.absolute_sum + abs(points)
            reached_at_ms = _sum_reached_at(standing, points, at)
            return Standing(total, reached_at_ms, events, "", absolute_sum, version)
        case Aggregation.BEST:
            best = _better(order, Score(standing.points, standing.reached_at_ms), Score(points, at))
            return Standing(best.points, best.reached_at_ms, events, "", 0, version)
        case Aggregation.LATEST:
            if (at, event.event_id) > (standing.reached_at_ms, standing.last_event_id):
                return Standing(points, at, events, event.event_id, 0, version)
            kept = standing
            return Standing(kept.points, kept.reached_at_ms, events, kept.last_event_id, 0, version)


def _sum_reached_at(standing: Standing, points: int, at_ms: int) -> int:
    """When a sum was reached, with one more event in it. One of 0 points must not break a tie."""
    reached_at_ms = standing.reached_at_ms
    if points:
        return at_ms if at_ms > reached_at_ms or standing.only_zeros else reached_at_ms
    return at_ms if at_ms < reached_at_ms and standing.only_zeros else reached_at_ms


def combine(aggregation: Aggregation, order: Order, standings: Sequence[Standing]) -> Score:
    """The score of a window from the standings of its days, given oldest first and at least one.

    None of them may be empty. Two days never share an instant, so the newest one decides `latest` without its event
    id.
    """
    match aggregation:
        case Aggregation.SUM:
            carrying = [one.reached_at_ms for one in standings if not one.only_zeros]
            reached_at_ms = max(carrying) if carrying else min(one.reached_at_ms for one in standings)
            return Score(sum(one.points for one in standings), reached_at_ms)
        case Aggregation.LATEST:
            return Score(standings[-1].points, standings[-1].reached_at_ms)
        case Aggregation.BEST:
            best, *others = [Score(one.points, one.reached_at_ms) for one in standings]
            for score in others:
                best = _better(order, best, score)
            return best


def _better(order: Order, one: Score, other: Score) -> Score:
    if one.points == other.points:
        return one if one.reached_at_ms <= other.reached_at_ms else other
    higher, lower = (one, other) if one.points > other.points else (other, one)
    return higher if order is Order.DESC else lower
