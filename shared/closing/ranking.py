"""The ranking of a whole window from the truth, by the domain's own rules, in memory that does not grow with it.

The export has an implementation of its own (shared/exports/table.py), and so has the cache: each checks the
others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
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
            counting = [one for one in standings if not one[1].is_empty]
            if user_id in apart:
                self.apart[user_id] = counting
            elif counting:
                self._fold(user_id, counting)

    def scores(self, more: Iterable[bytes] = (), without: Set[str] = frozenset()) -> Iterator[tuple[str, Score]]:
        """User id and score of each player but those apart and `without`, with `more` of them, in ranking order."""
        order = self.leaderboard.order
        return (from_order_bytes(order, head) for head, _ in self._lines(more, without))

    def values(self, more: Iterable[bytes] = (), without: Set[str] = frozenset()) -> Iterator[tuple[str, Values]]:
        """User id and values of the same players, in ranking order; no values without filters."""
        order = self.leaderboard.order
        for head, values in self._lines(more, without):
            yield from_order_bytes(order, head)[0], _decoder.decode(values) if values else ()

    def _lines(self, more: Iterable[bytes], without: Set[str]) -> Iterator[tuple[bytes, bytes]]:
        """The sort key of each line, and the values behind it."""
        order, filters = self.leaderboard.order, self.leaderboard.filters
        lines: Iterable[bytes] = self._scores
        if without:
            heads = ((line, _cut(line)[0] if filters else line) for line in lines)
            lines = (line for line, head in heads if from_order_bytes(order, head)[0] not in without)
        return (_cut(line) if filters else (line, b"") for line in merge(lines, more))

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

    def __init__(
        self, window: FoldedWindow, out: Disqualified, amended: Mapping[str, Mapping[Day, Standing]] | None = None
    ) -> None:
        """`amended`: who is ranked by other standings than the window was folded from; by none, they are left out."""
        self._window = window
        self.out = out
        self.players = 0
        self._qualified = 0
        self.sum_of_points = 0
        self.amended = amended or {}
        self._apart: dict[str, bytes] = {}
        """User id → score, in the order of rankings, of those apart and of those amended who have any."""
        self._apart_members: list[bytes] = []
        own = dict(window.apart) | {user_id: list(standings.items()) for user_id, standings in self.amended.items()}
        for user_id, standings in own.items():
            counted = [(day, standing) for day, standing in standings if out.counts(user_id, day)]
            if counted:
                self._apart[user_id], members = _folded(window.leaderboard, user_id, counted)
                self._apart_members += members if user_id in window.apart else []
        for _, score in self.scores():
            self.players += 1
            self._qualified += window.leaderboard.qualifies(score.points)
            self.sum_of_points += score.points

    def scores(self) -> Iterator[tuple[str, Score]]:
        """User id and score, in ranking order."""
        lines = self._window.scores(sorted(self._apart.values()), self.amended.keys())
        return (line for line in lines if line[0] not in self.out.user_ids)

    def entries(self) -> Iterator[Entry]:
        """Every line of the ranking."""
        tiers = self._window.leaderboard.tiers
        return to_entries(tiers, self.players, 0, 0, self.scores(), qualified=self._qualified)

    def values(self) -> Iterator[Values]:
        """The values of each line of the ranking, in its order; nothing in them without filters."""
        lines = self._window.values(sorted(self._apart.values()), self.amended.keys())
        return (values for user_id, values in lines if user_id not in self.out.user_ids)

    def label_members(self) -> Iterator[bytes]:
        """The label set, in its order."""
        members = self._window.label_members(sorted(self._apart_members))
        return (line for line in members if user_of(line) not in self.out.user_ids)

    def changes_since(self, before: "WindowRanking") -> Iterator[tuple[Entry | None, Entry | None]]:
        """Each player's entries before and now, in ranking order; None where the player has none.

        Both are rankings of one folded window, so players who are in both have the same order in both, but for those
        apart and those who are amended in either: there are few of them.
        """
        moved = self._window.apart.keys() | before.amended.keys() | self.amended.keys()
        was_of, now_of = before._entries_of(moved), self._entries_of(moved)
        order = self._window.leaderboard.order
        lines = sorted(
            order_bytes(order, user_id, Score(one.score, one.reached_at_ms))
            for user_id, one in (was_of | now_of).items()
        )
        entries_before, entries_now = before._entries_of_others(moved), self._entries_of_others(moved)
        for user_id, _ in self._window.scores(lines, moved):
            if user_id in moved:
                was, now = was_of.get(user_id), now_of.get(user_id)
            else:
                was = None if user_id in before.out.user_ids else next(entries_before)
                now = None if user_id in self.out.user_ids else next(entries_now)
            if was is not None or now is not None:
                yield was, now

    def _entries_of(self, user_ids: Set[str]) -> dict[str, Entry]:
        return {one.user_id: one for one in self.entries() if one.user_id in user_ids} if user_ids else {}

    def _entries_of_others(self, user_ids: Set[str]) -> Iterator[Entry]:
        return (one for one in self.entries() if one.user_id not in user_ids)


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
