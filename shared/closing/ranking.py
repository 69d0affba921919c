"""The ranking of a whole window from the truth, by the domain's own rules, in memory that does not grow with it.

The export has an implementation of its own (shared/exports/table.py), and so has the cache: each checks the
others.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from shared.cache.labels import member, user_of
from shared.domain.audit import Disqualified
from shared.domain.calendar import Day
from shared.domain.labels import Label, latest_labels
from shared.domain.ranking import Entry, from_order_bytes, order_bytes, to_entries
from shared.domain.rules import Leaderboard
from shared.domain.standings import Score, Standing, combine
from shared.files.sorting import Sorter

PlayerStandings = tuple[str, Sequence[tuple[Day, Standing]]]
"""User id and all standings of a window's days, oldest first."""


class FoldedWindow:
    """Scores of all players of a window, disqualified ones included, in ranking order."""

    def __init__(self, leaderboard: Leaderboard, players: Iterable[PlayerStandings], directory: Path) -> None:
        """`directory` takes what does not fit into memory: some 50 bytes a player, and 70 for each label."""
        self.leaderboard = leaderboard
        self._scores = Sorter(directory, "scores")
        self._labels = Sorter(directory, "labels")
        for user_id, standings in players:
            self._fold(user_id, standings)

    def scores(self) -> Iterator[tuple[str, Score]]:
        """User id and score of each player, in ranking order."""
        order = self.leaderboard.order
        return (from_order_bytes(order, line) for line in self._scores)

    def label_members(self) -> Iterator[bytes]:
        """The label set of all players, in its order; nothing without filters."""
        return iter(self._labels)

    def _fold(self, user_id: str, standings: Sequence[tuple[Day, Standing]]) -> None:
        board = self.leaderboard
        score = combine(board.aggregation, board.order, [standing for _, standing in standings])
        self._scores.add(order_bytes(board.order, user_id, score))
        if board.filters:
            labels: tuple[Label, ...] = ()
            for _, standing in standings:
                labels = latest_labels(labels, standing.labels)
            for label in labels:
                self._labels.add(member(board, label.filter, label.value, user_id, score))


class WindowRanking:
    """A folded window without the disqualified players. Each method reads the window once."""

    def __init__(self, window: FoldedWindow, out: Disqualified) -> None:
        self._window = window
        self.out = out
        self.players = 0
        self._qualified = 0
        self.sum_of_points = 0
        for _, score in self.scores():
            self.players += 1
            self._qualified += window.leaderboard.qualifies(score.points)
            self.sum_of_points += score.points

    def scores(self) -> Iterator[tuple[str, Score]]:
        """User id and score, in ranking order."""
        return (line for line in self._window.scores() if line[0] not in self.out.user_ids)

    def entries(self) -> Iterator[Entry]:
        """Every line of the ranking."""
        tiers = self._window.leaderboard.tiers
        return to_entries(tiers, self.players, 0, 0, self.scores(), qualified=self._qualified)

    def label_members(self) -> Iterator[bytes]:
        """The label set, in its order."""
        return (line for line in self._window.label_members() if user_of(line) not in self.out.user_ids)

    def changes_since(self, before: "WindowRanking") -> Iterator[tuple[Entry | None, Entry | None]]:
        """Each player's entries before and now, in ranking order; None where the player has none.

        Both are rankings of one folded window, so players who are in both have the same order in both.
        """
        entries_before, entries_now = before.entries(), self.entries()
        for user_id, _ in self._window.scores():
            was = None if user_id in before.out.user_ids else next(entries_before)
            now = None if user_id in self.out.user_ids else next(entries_now)
            if was is not None or now is not None:
                yield was, now
