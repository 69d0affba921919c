"""The ranking of a whole window from the truth, by the domain's own rules, in memory that does not grow with it.

The export has an implementation of its own (shared/exports/table.py), and so has the cache: each checks the
others.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from heapq import merge
from pathlib import Path
from typing import Final

import msgspec

from shared.cache.labels import member, user_of
from shared.domain.audit import Disqualified
from shared.domain.calendar import Day
from shared.domain.labels import Label, latest_labels
from shared.domain.ranking import ORDER_HEAD_BYTES, Entry, from_order_bytes, order_bytes, to_entries
from shared.domain.rules import Leaderboard
from shared.domain.standings import Score, Standing, combine
from shared.files.sorting import Sorter

Values = tuple[str | None, ...]
"""The value that a player carries of each filter of the leaderboard, None of one without."""

_END_OF_USER: Final = b"\0"
"""Parts a line's sort key from what does not count for the order. No user id has it, and none is before it."""
_decoder: Final = msgspec.msgpack.Decoder(Values)

PlayerStandings = tuple[str, Sequence[tuple[Day, Standing]]]
"""User id and all standings of a window's days, oldest first."""


class FoldedWindow:
    """Scores of all players of a window, disqualified ones included, in ranking order."""

    def __init__(
        self,
        leaderboard: Leaderboard,
        players: Iterable[PlayerStandings],
        directory: Path,
        apart: Set[str] = frozenset(),
    ) -> None:
        """Fold the standings of some players.

        Args:
            leaderboard: whose window.
            players: with their standings.
            directory: takes what does not fit into memory: some 50 bytes a player, and 80 for each label.
            apart: players who are disqualified for some days, by whatever ranking of this window.
        """
        self.leaderboard = leaderboard
        self.apart: dict[str, Sequence[tuple[Day, Standing]]] = {}
        """Of players whose score depends on who ranks: their standings, which stay in memory."""
        self._scores = Sorter(directory, "scores")
        self._labels = Sorter(directory, "labels")
        for user_id, standings in players:
            if user_id in apart:
                self.apart[user_id] = standings
            else:
                self._fold(user_id, standings)

    def scores(self, more: Iterable[bytes] = ()) -> Iterator[tuple[str, Score]]:
        """User id and score of each player but those apart, with `more` of them, in ranking order."""
        order = self.leaderboard.order
        lines: Iterator[bytes] = merge(self._scores, more)
        heads = (_cut(line)[0] for line in lines) if self.leaderboard.filters else lines
        return (from_order_bytes(order, head) for head in heads)

    def values(self, more: Iterable[bytes] = ()) -> Iterator[tuple[str, Values]]:
        """User id and values of the same players, in ranking order; no values without filters."""
        order = self.leaderboard.order
        for line in merge(self._scores, more):
            head, values = _cut(line)
            yield from_order_bytes(order, head)[0], _decoder.decode(values) if values else ()

    def label_members(self, more: Iterable[bytes] = ()) -> Iterator[bytes]:
        """The label set of the same players, in its order; nothing without filters."""
        return merge(self._labels, more)

    def _fold(self, user_id: str, standings: Sequence[tuple[Day, Standing]]) -> None:
        line, members = _folded(self.leaderboard, user_id, standings)
        self._scores.add(line)
        for one in members:
            self._labels.add(one)


class WindowRanking:
    """A folded window without disqualified players and days. Each method reads the window once."""

    def __init__(self, window: FoldedWindow, out: Disqualified) -> None:
        self._window = window
        self.out = out
        self.players = 0
        self._qualified = 0
        self.sum_of_points = 0
        self._apart: dict[str, bytes] = {}
        """User id → score, in the order of rankings, of those apart who have any."""
        self._apart_members: list[bytes] = []
        for user_id, standings in window.apart.items():
            counted = [(day, standing) for day, standing in standings if out.counts(user_id, day)]
            if counted:
                self._apart[user_id], members = _folded(window.leaderboard, user_id, counted)
                self._apart_members += members
        for _, score in self.scores():
            self.players += 1
            self._qualified += window.leaderboard.qualifies(score.points)
            self.sum_of_points += score.points

    def scores(self) -> Iterator[tuple[str, Score]]:
        """User id and score, in ranking order."""
        lines = self._window.scores(sorted(self._apart.values()))
        return (line for line in lines if line[0] not in self.out.user_ids)

    def entries(self) -> Iterator[Entry]:
        """Every line of the ranking."""
        tiers = self._window.leaderboard.tiers
        return to_entries(tiers, self.players, 0, 0, self.scores(), qualified=self._qualified)

    def values(self) -> Iterator[Values]:
        """The values of each line of the ranking, in its order; nothing in them without filters."""
        lines = self._window.values(sorted(self._apart.values()))
        return (values for user_id, values in lines if user_id not in self.out.user_ids)

    def label_members(self) -> Iterator[bytes]:
        """The label set, in its order."""
        members = self._window.label_members(sorted(self._apart_members))
        return (line for line in members if user_of(line) not in self.out.user_ids)

    def changes_since(self, before: "WindowRanking") -> Iterator[tuple[Entry | None, Entry | None]]:
        """Each player's entries before and now, in ranking order; None where the player has none.

        Both are rankings of one folded window, so players who are in both have the same order in both, but for those
        apart.
        """
        apart_before, apart_now = before._entries_apart(), self._entries_apart()
        entries_before, entries_now = before._entries_of_others(), self._entries_of_others()
        for user_id, _ in self._window.scores(sorted((before._apart | self._apart).values())):
            if user_id in self._window.apart:
                was, now = apart_before.get(user_id), apart_now.get(user_id)
            else:
                was = None if user_id in before.out.user_ids else next(entries_before)
                now = None if user_id in self.out.user_ids else next(entries_now)
            if was is not None or now is not None:
                yield was, now

    def _entries_apart(self) -> dict[str, Entry]:
        if not self._apart:
            return {}
        return {one.user_id: one for one in self.entries() if one.user_id in self._apart}

    def _entries_of_others(self) -> Iterator[Entry]:
        return (one for one in self.entries() if one.user_id not in self._apart)


def _folded(board: Leaderboard, user_id: str, standings: Sequence[tuple[Day, Standing]]) -> tuple[bytes, list[bytes]]:
    """A player's line in the order of rankings, with the values behind it, and the members of the label set."""
    score = combine(board.aggregation, board.order, [standing for _, standing in standings])
    labels: tuple[Label, ...] = ()
    for _, standing in standings if board.filters else ():
        labels = latest_labels(labels, standing.labels)
    members = [member(board, label.filter, label.value, user_id, score) for label in labels]
    line = order_bytes(board.order, user_id, score)
    return (line + _END_OF_USER + _values(board.filters, labels) if board.filters else line), members


def _values(filters: Sequence[str], labels: Sequence[Label]) -> bytes:
    known = {label.filter: label.value for label in labels}
    return msgspec.msgpack.encode([known.get(name) for name in filters])


def _cut(line: bytes) -> tuple[bytes, bytes]:
    """The sort key of a line, and the values behind it."""
    head, _, values = line[ORDER_HEAD_BYTES:].partition(_END_OF_USER)
    return line[:ORDER_HEAD_BYTES] + head, values
