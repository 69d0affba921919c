"""The ranking of a window from its standings, by the domain's own rules."""

from collections.abc import Iterable, Sequence

from shared.domain.labels import Label, latest_labels
from shared.domain.ranking import order_key
from shared.domain.rules import Leaderboard
from shared.domain.standings import Score, Standing, combine
from shared.domain.windows import Day
from shared.live.labels import member

Ranked = Sequence[tuple[str, Score]]
"""User id and score, in ranking order."""


def rank_players(leaderboard: Leaderboard, lines: Iterable[tuple[Day, str, Standing]]) -> Ranked:
    """The ranking that standings add up to, by the rules of the domain."""
    parts: dict[str, list[tuple[Day, Score]]] = {}
    for day, user_id, standing in lines:
        parts.setdefault(user_id, []).append((day, Score(standing.points, standing.reached_at_ms)))
    scores = [
        (user_id, combine(leaderboard.aggregation, leaderboard.order, [score for _, score in sorted(own, key=_day)]))
        for user_id, own in parts.items()
    ]
    return sorted(scores, key=lambda line: order_key(leaderboard.order, *line))


def label_members(leaderboard: Leaderboard, ranked: Ranked, lines: Iterable[tuple[Day, str, Standing]]) -> list[bytes]:
    """The label set of a ranking that standings add up to, by the rules of the domain; empty without filters."""
    labels: dict[str, tuple[Label, ...]] = {}
    if leaderboard.filters:
        for _, user_id, standing in lines:
            labels[user_id] = latest_labels(labels.get(user_id, ()), standing.labels)
    return sorted(
        member(leaderboard, label.filter, label.value, user_id, score)
        for user_id, score in ranked
        for label in labels.get(user_id, ())
    )


def _day(part: tuple[Day, Score]) -> Day:
    return part[0]
