"""Standings as they are read for a result: by player, oldest first."""

from collections.abc import Iterable
from operator import itemgetter

from shared.closing.ranking import PlayerStandings
from shared.domain.calendar import Day
from shared.domain.standings import Standing


def by_player(lines: Iterable[tuple[Day, str, Standing]]) -> list[PlayerStandings]:
    """Every player's standings together; players in the order in which they come first."""
    players: dict[str, list[tuple[Day, Standing]]] = {}
    for day, user_id, standing in lines:
        players.setdefault(user_id, []).append((day, standing))
    return [(user_id, sorted(own, key=itemgetter(0))) for user_id, own in players.items()]
