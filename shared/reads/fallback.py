"""Answers from snapshots and standings while the cache is away or a window is incomplete in it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shared.admin.disqualifications import DisqualifiedPlayers
from shared.admin.eligible import eligible_of
from shared.domain.calendar import Window
from shared.domain.ranking import Entry, order_key, points_to_pass, to_entries, to_entry
from shared.domain.rules import Leaderboard, Order, qualifying
from shared.domain.selections import Selection
from shared.domain.snapshots import Snapshot
from shared.domain.standings import Score, combine
from shared.domain.tiers import Tier, Ties, points_to_next_tier
from shared.reads.answers import PlayerRanking, Ranking, RankingSource
from shared.rebuild.snapshots import WindowSnapshots
from shared.truth.reads import Reads

STANDINGS_MAX: Final = 3_100
"""Standings that one answer reads: a hundred players over a month, or eight over a year; 31 requests to DynamoDB."""

Bounds = tuple[int, int]
"""An index or a count, at least and at most; both are equal where the snapshot is exact."""


class Fallback:
    """Reads pages from the window's snapshot, and players by their own standings.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(
        self,
        snapshots: WindowSnapshots,
        reads: Reads,
        disqualified_players: DisqualifiedPlayers,
        now_ms: Callable[[], int],
    ) -> None:
        self._snapshots = snapshots
        self._reads = reads
        self._disqualified_players = disqualified_players
        self._now_ms = now_ms

    def select(self, leaderboard: Leaderboard, window: Window, selection: Selection, *, final: bool) -> Ranking | None:
        """A page as of the snapshot, as far as the snapshot's top reaches.

        Returns:
            None if there is no snapshot, if the page begins below its top (an empty page would say that the ranking
            ends there), or for a label, which snapshots do not have.
        """
        snapshot = None if selection.label is not None else self._snapshots.find(leaderboard, window)
        if snapshot is None:
            return None
        selected = _slice_of(leaderboard, snapshot, selection)
        begin, end = _page_of(leaderboard, snapshot, selection, selected)
        reach = len(snapshot.top)
        # a backward page has to end where it is asked to
        shown = range(begin, min(end, reach)) if end <= reach or not selection.backward else range(0)
        truncated = begin < end and end > reach
        if truncated and not shown:
            return None
        qualified = snapshot.qualified_for(leaderboard)
        top = snapshot.top[: shown.stop]
        lines = to_entries(leaderboard.tiers, snapshot.total, 0, 0, top, qualified=qualified)
        return replace(
            self._ranking(leaderboard, window, snapshot, list(islice(lines, shown.start, None)), final=final),
            matched=_middle(selected.stop) - _middle(selected.first),
            has_previous=bool(shown) and shown.start > selected.first[1],
            has_next=bool(shown) and shown.stop < selected.stop[1],
            truncated=truncated,
        )

    def player(
        self, leaderboard: Leaderboard, window: Window, user_id: str, context: int, *, final: bool
    ) -> tuple[bool, PlayerRanking | None]:
        """A player with the exact score of now and an estimate of the rank.

        Returns:
            Whether there is a snapshot, and the player; None if the player has no points in the window.
        """
        snapshot = self._snapshots.find(leaderboard, window)
        if snapshot is None:
            return False, None
        score = self._scores(leaderboard, window, (user_id,)).get(user_id)
        if score is None:
            return True, None
        rank = snapshot.estimate_rank(leaderboard.order, user_id, score)
        others = [line for line in snapshot.top if line[0] != user_id]
        total, qualified = max(snapshot.total, rank), _qualified(leaderboard, snapshot, rank, score)
        above, player, below = [], _estimated(leaderboard, snapshot, total, (rank, user_id, score)), []
        if rank <= len(others) + 1:
            lines = [*others[: rank - 1], (user_id, score), *others[rank - 1 : rank - 1 + context]]
            entries = list(to_entries(leaderboard.tiers, total, 0, 0, lines, qualified=qualified))
            above, player, below = entries[max(0, rank - 1 - context) : rank - 1], entries[rank - 1], entries[rank:]
        descending = leaderboard.order is Order.DESC
        next_above = others[rank - 2][1].points if 2 <= rank <= len(others) + 1 else None
        cutoffs = _cutoffs(leaderboard, snapshot, qualified)
        targets = _cutoffs(leaderboard, snapshot, qualified + 1)
        needed = qualifying(leaderboard, score.points, qualified, targets)
        return True, PlayerRanking(
            replace(self._ranking(leaderboard, window, snapshot, (), final=final), qualified=qualified),
            player,
            None if next_above is None else points_to_pass(next_above, score.points, descending=descending),
            points_to_next_tier(
                leaderboard.tiers, player.tier, score.points, cutoffs, descending=descending, qualifying=needed
            ),
            above,
            below,
            rank_is_approximate=True,
            cutoffs=cutoffs,
            qualifying=needed,
        )

    def players(
        self, leaderboard: Leaderboard, window: Window, user_ids: Sequence[str], *, final: bool
    ) -> Ranking | None:
        """Players with their exact scores of now and estimates of their ranks, best first; no two share a rank.

        Returns:
            None if there is no snapshot, or if more than STANDINGS_MAX standings would have to be read.
        """
        if len(user_ids) * len(window.days) > STANDINGS_MAX:
            return None
        snapshot = self._snapshots.find(leaderboard, window)
        if snapshot is None:
            return None
        scores = self._scores(leaderboard, window, user_ids)
        found, rank = [], 0
        for user_id, score in sorted(scores.items(), key=lambda line: order_key(leaderboard.order, *line)):
            rank = max(rank + 1, snapshot.estimate_rank(leaderboard.order, user_id, score))
            found.append((rank, user_id, score))
        total = max(snapshot.total, rank)
        entries = [_estimated(leaderboard, snapshot, total, one) for one in found]
        ranking = self._ranking(leaderboard, window, snapshot, entries, final=final)
        return replace(ranking, total=total, matched=len(entries), rank_is_approximate=True)

    def _scores(self, leaderboard: Leaderboard, window: Window, user_ids: Sequence[str]) -> dict[str, Score]:
        """The scores of now, without players who have none or are disqualified."""
        out = self._disqualified_players.hidden(leaderboard.id)
        standings = eligible_of(
            user_ids,
            reads=self._reads,
            leaderboard=leaderboard,
            window=window,
            disqualified=out,
            now_ms=self._now_ms(),
        )
        aggregation, order = leaderboard.aggregation, leaderboard.order
        return {user_id: combine(aggregation, order, list(own.values())) for user_id, own in standings.items()}

    def _ranking(
        self, rules: Leaderboard, window: Window, snapshot: Snapshot, entries: Sequence[Entry], *, final: bool
    ) -> Ranking:
        return Ranking(
            window,
            rules.calendar.status(window, self._now_ms(), final=final),
            snapshot.revision,
            snapshot.total,
            snapshot.as_of_ms,
            entries,
            RankingSource.SNAPSHOT,
            rules_version=rules.version,
        )


class _Slice(Struct, frozen=True):
    """The entries that a selection takes, whether they are in the snapshot or not."""

    first: Bounds
    """Index of the first one, from 0."""
    stop: Bounds
    """Index past the last one."""


def _slice_of(leaderboard: Leaderboard, snapshot: Snapshot, selection: Selection) -> _Slice:
    descending, qualified = leaderboard.order is Order.DESC, snapshot.qualified_for(leaderboard)

    def up_to(points: int, *, inclusive: bool) -> Bounds:
        """How many entries have a better score, or with `inclusive` this one."""
        bound = -points if descending else points
        return snapshot.ahead_of(leaderboard.order, (bound + 1 if inclusive else bound,))

    def cutoff(tier: Tier) -> Bounds:
        rank = tier.cutoff_rank(qualified)
        if rank is None:
            return _each(min, up_to(tier.value, inclusive=True), (qualified, qualified))
        return snapshot.with_ties(leaderboard.order, rank) if tier.ties is Ties.SHARED else (rank, rank)

    best, worst = selection.min_score, selection.max_score
    if descending:
        best, worst = worst, best
    first: Bounds = (0, 0) if best is None else up_to(best, inclusive=False)
    stop: Bounds = (snapshot.total, snapshot.total) if worst is None else up_to(worst, inclusive=True)
    for tier in leaderboard.tiers if selection.tier is not None else ():
        if tier.name == selection.tier:
            stop = _each(min, stop, cutoff(tier))
            break
        first = _each(max, first, cutoff(tier))
    return _Slice(first, _each(max, first, stop))


def _page_of(leaderboard: Leaderboard, snapshot: Snapshot, selection: Selection, selected: _Slice) -> tuple[int, int]:
    """Index of a page's first entry, at least, and index past its last entry, at most."""
    first, stop = selected.first[0], selected.stop[1]
    if selection.key is None:
        begin = first + selection.offset
        return begin, min(stop, begin + selection.limit)
    key = order_key(leaderboard.order, selection.key.user_id, selection.key.score)
    if selection.backward:
        end = min(stop, snapshot.ahead_of(leaderboard.order, key)[1])
        return max(first, end - selection.limit), end
    after = (*key[:2], key[2] + b"\0")  # the first key after that of an entry
    begin = max(first, snapshot.ahead_of(leaderboard.order, after)[0])
    return begin, min(stop, begin + selection.limit)


def _each(choose: Callable[[int, int], int], one: Bounds, other: Bounds) -> Bounds:
    return choose(one[0], other[0]), choose(one[1], other[1])


def _middle(bounds: Bounds) -> int:
    return sum(bounds) // 2


def _estimated(leaderboard: Leaderboard, snapshot: Snapshot, total: int, line: tuple[int, str, Score]) -> Entry:
    rank, user_id, score = line
    # ahead of every entry with the same score: as if it had been reached before all of them
    competition_rank = snapshot.estimate_rank(leaderboard.order, user_id, Score(score.points, -1))
    return to_entry(
        leaderboard.tiers,
        total,
        rank,
        user_id,
        score,
        competition_rank=competition_rank,
        qualified=_qualified(leaderboard, snapshot, rank, score),
    )


def _qualified(leaderboard: Leaderboard, snapshot: Snapshot, rank: int, score: Score) -> int:
    """How many players qualify, with one of them of now, ahead of all who don't or behind all who do."""
    qualified = snapshot.qualified_for(leaderboard)
    return max(qualified, rank) if leaderboard.qualifies(score.points) else min(qualified, rank - 1)


def _cutoffs(leaderboard: Leaderboard, snapshot: Snapshot, qualified: int) -> Mapping[str, int]:
    """Tier → score of its last entry, for tiers by rank that end within the snapshot's top."""
    ranks = {tier.name: tier.cutoff_rank(qualified) for tier in leaderboard.tiers}
    return {
        name: snapshot.top[rank - 1][1].points for name, rank in ranks.items() if rank and rank <= len(snapshot.top)
    }
