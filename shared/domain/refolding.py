"""All standings of one player, folded again from their events: what a void or a correction leaves of them. Pure."""

from collections.abc import Iterable, Sequence
from functools import reduce

from msgspec.structs import replace

from shared.domain.calendar import ALL_TIME_DAY, Day
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.labels import Label, latest_labels
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import DaySums, Standing, add, combine


def refold(leaderboard: Leaderboard, events: Iterable[ScoreEvent]) -> dict[Day, Standing]:
    """The standings that events add up to: of each day that has some, and of all time; none without events.

    They equal those that ingest would have written, in whichever order the events came, but for the versions, which are
    0 here. Sums may leave the range of scores: events that did not count together may do so here. Whoever writes what
    comes out checks the `sums` of all time before.

    Args:
        leaderboard: whose rules and filters.
        events: of one player, each once.
    """
    by_day: dict[Day, list[Standing]] = {}
    rules = leaderboard.aggregation, leaderboard.order
    for event in sorted(events, key=lambda one: (one.occurred_at_ms, one.event_id)):
        alone = add(*rules, None, event, leaderboard.filters)
        by_day.setdefault(leaderboard.calendar.day_of(event.occurred_at_ms), []).append(alone)
    if not by_day:
        return {}
    standings = {day: _merge(leaderboard, own) for day, own in by_day.items()}
    all_time = _merge(leaderboard, list(standings.values()))
    if all_time.absolute_sum > POINTS_MAX:
        sums = DaySums(days=tuple((day, standing.points) for day, standing in standings.items()))
        all_time = replace(all_time, sums=sums.sealed_through(leaderboard.sealed_through))
    return standings | {ALL_TIME_DAY: all_time}


def _merge(leaderboard: Leaderboard, standings: Sequence[Standing]) -> Standing:
    """One standing of several, oldest first and at least one."""
    score = combine(leaderboard.aggregation, leaderboard.order, standings)
    is_latest = leaderboard.aggregation is Aggregation.LATEST
    labels: tuple[Label, ...] = reduce(latest_labels, (one.labels for one in standings), ())
    return Standing(
        score.points,
        score.reached_at_ms,
        sum(one.events for one in standings),
        standings[-1].last_event_id if is_latest else "",
        sum(one.absolute_sum for one in standings),
        labels=labels,
    )
