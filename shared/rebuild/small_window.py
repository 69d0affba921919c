"""Ranks a small window from its standings, in memory, by the rules of the domain."""

from collections.abc import Iterable, Sequence

from shared.domain.calendar import Day
from shared.domain.ranking import order_key
from shared.domain.rules import Leaderboard
from shared.domain.standings import Score, Standing, combine

Ranked = Sequence[tuple[str, Score]]
"""User id and score, in ranking order."""


def rank_players(leaderboard: Leaderboard, lines: Iterable[tuple[Day, str, Standing]]) -> Ranked:
    """The ranking of the players of some standings."""
    standings: dict[str, list[tuple[Day, Standing]]] = {}
    for day, user_id, standing in lines:
        standings.setdefault(user_id, []).append((day, standing))
    scores = [
        (user_id, combine(leaderboard.aggregation, leaderboard.order, [one for _, one in sorted(own, key=_day)]))
        for user_id, own in standings.items()
    ]
    return sorted(scores, key=lambda line: order_key(leaderboard.order, *line))


def _day(standing: tuple[Day, Standing]) -> Day:
    return standing[0]
