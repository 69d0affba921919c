"""The first day on which a leaderboard can have events."""

from typing import Final

from shared.domain.calendar import DAY_MS, Day
from shared.domain.rules import Leaderboard
from shared.truth.registry import Registry

BACKLOG_MS: Final = 7 * DAY_MS
"""How long records may have waited on the topic when their leaderboard is created: the usual retention."""


def first_possible_day(registry: Registry, leaderboard: Leaderboard) -> Day:
    """The first day that a record can have counted for, by any rules since the leaderboard's creation.

    Raises:
        Unavailable: if DynamoDB throttles or is out of reach.
    """
    versions = (registry.rules(leaderboard.id, number) for number in range(1, leaderboard.version))
    earlier_ms = [one.lateness_ms for one in versions if one is not None]
    oldest_ms = leaderboard.created_at_ms - max([leaderboard.lateness_ms, *earlier_ms]) - BACKLOG_MS
    return leaderboard.calendar.day_of(max(0, oldest_ms))
