"""What is kept of a window for when the cache can't be asked: its top, and samples of the rest."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from msgspec import Struct

from shared.domain.ranking import order_key
from shared.domain.rules import Leaderboard, Order
from shared.domain.standings import Score

TOP_ENTRIES: Final = 1_000
"""Entries from the top that are kept."""
SAMPLES: Final = 1_000
"""Entries in even steps over the whole window: a rank is known to a thousandth of the players."""


class Sample(Struct, frozen=True, array_like=True, gc=False):
    """An entry and its rank."""

    rank: int
    user_id: str
    score: Score


class Snapshot(Struct, frozen=True, array_like=True):
    """A window as it was at one instant."""

    revision: int
    total: int
    as_of_ms: int
    top: Sequence[tuple[str, Score]]
    """The first TOP_ENTRIES entries, in ranking order."""
    samples: Sequence[Sample] = ()
    """Entries below them, in ranking order; the last one is the window's last."""
    qualify: int | None = None
    """The score that `qualified` is about."""
    qualified: int | None = None
    """How many players had it or a better one; None in snapshots of before."""

    def qualified_for(self, leaderboard: Leaderboard) -> int:
        """How many players qualify by a leaderboard's rules; an estimate if they have changed since."""
        if leaderboard.qualify is None:
            return self.total
        if leaderboard.qualify == self.qualify and self.qualified is not None:
            return self.qualified
        key = order_key(leaderboard.order, "", Score(leaderboard.qualify, 0))
        least, most = self.ahead_of(leaderboard.order, (key[0] + 1,))
        return (least + most) // 2

    def without(self, user_ids: Set[str]) -> "Snapshot":
        """The same as if some players had not been there; those below the top who are no sample go on being counted."""
        if not user_ids:
            return self
        top = [line for line in self.top if line[0] not in user_ids]
        gone = len(self.top) - len(top)
        counted = self.total if self.qualified is None else self.qualified  # who qualifies stands ahead of who doesn't
        not_counted = sum(line[0] in user_ids for line in self.top[:counted])
        not_counted += sum(one.user_id in user_ids for one in self.samples if one.rank <= counted)
        samples = []
        for one in self.samples:
            if one.user_id in user_ids:
                gone += 1
            else:
                samples.append(Sample(one.rank - gone, one.user_id, one.score))
        qualified = None if self.qualified is None else self.qualified - not_counted
        return Snapshot(self.revision, self.total - gone, self.as_of_ms, top, samples, self.qualify, qualified)

    def placed_again(self, order: Order, user_ids: Set[str], scores: Mapping[str, Score]) -> "Snapshot":
        """With some players of the top at other scores; those without one are gone.

        One who falls below the top stands in it no longer, and goes on being counted.
        """
        if len(self.top) < self.total:
            last = order_key(order, *self.top[-1])
        stay = [line for line in self.top if line[0] not in user_ids]
        moved = list(scores.items())
        if len(self.top) < self.total:
            moved = [line for line in moved if order_key(order, *line) <= last]
        top = sorted([*stay, *moved], key=lambda line: order_key(order, *line))
        gone = len(user_ids) - len(scores)
        samples = [Sample(one.rank - gone, one.user_id, one.score) for one in self.samples]
        qualified = self.qualified
        if qualified is not None:
            qualified -= sum(self._qualifies(order, score) for user_id, score in self.top if user_id in user_ids)
            qualified += sum(self._qualifies(order, score) for score in scores.values())
        return Snapshot(self.revision, self.total - gone, self.as_of_ms, top, samples, self.qualify, qualified)

    def _qualifies(self, order: Order, score: Score) -> bool:
        if self.qualify is None:
            return True
        return order_key(order, "", score)[0] <= order_key(order, "", Score(self.qualify, 0))[0]

    def estimate_rank(self, order: Order, user_id: str, score: Score) -> int:
        """The rank that a score had at the instant: exact among the top, between two samples below it.

        The player's own entry of then does not count: they have moved from it.
        """
        least, most = self.ahead_of(order, order_key(order, user_id, score), leaving_out=user_id)
        return (least + most) // 2 + 1

    def with_ties(self, order: Order, rank: int) -> tuple[int, int]:
        """How many entries stand up to a rank, from 0, or share the score of the entry there: at least, and at most."""
        if rank == 0:
            return 0, 0
        if rank <= len(self.top):
            return self.ahead_of(order, (order_key(order, *self.top[rank - 1])[0] + 1,))
        at = bisect_left(self.samples, rank, key=lambda one: one.rank)
        if at == len(self.samples):
            return rank, self.total
        next_known = self.samples[at]
        least, most = self.ahead_of(order, (order_key(order, next_known.user_id, next_known.score)[0] + 1,))
        return (max(rank, least) if next_known.rank == rank else rank), most

    def ahead_of(self, order: Order, bound: tuple[Any, ...], *, leaving_out: str | None = None) -> tuple[int, int]:
        """How many entries stood ahead of a bound: at least, and at most. The same within the top.

        Args:
            order: of the leaderboard.
            bound: a key of the ranking order, or the beginning of one, which stands ahead of all that begin with it.
            leaving_out: a player of the top who does not count.
        """
        top = [order_key(order, *line) for line in self.top if line[0] != leaving_out]
        ahead = bisect_left(top, bound)
        if ahead < len(top) or self.total <= len(self.top):
            return ahead, ahead
        at = bisect_left([order_key(order, one.user_id, one.score) for one in self.samples], bound)
        least = self.samples[at - 1].rank if at else len(self.top)
        most = self.samples[at].rank - 1 if at < len(self.samples) else self.total
        return least, most


def snapshot_of(
    leaderboard: Leaderboard, revision: int, as_of_ms: int, ranked: Sequence[tuple[str, Score]]
) -> Snapshot:
    """The snapshot of a whole ranking."""
    qualified = sum(leaderboard.qualifies(score.points) for _, score in ranked)
    positions = sample_positions(len(ranked))
    samples = [Sample(position + 1, *ranked[position]) for position in positions]
    return Snapshot(revision, len(ranked), as_of_ms, ranked[:TOP_ENTRIES], samples, leaderboard.qualify, qualified)


def sample_positions(total: int) -> list[int]:
    """The positions, from 0, at which a window of `total` entries is sampled below its top."""
    steps = (number * total // SAMPLES - 1 for number in range(1, SAMPLES + 1))
    return sorted({position for position in steps if position >= TOP_ENTRIES})
