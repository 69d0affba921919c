"""Answers from the truth, for as long as the cache can't be asked or can't vouch for a window."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from shared.domain.ranking import Entry, points_to_pass, to_entries, to_entry
from shared.domain.rules import Leaderboard, Order
from shared.domain.snapshots import Snapshot
from shared.domain.standings import Score, combine
from shared.domain.tiers import points_to_next_tier
from shared.domain.windows import Day, Window
from shared.pipeline.answers import PlayerRanking, Ranking, RankingSource
from shared.pipeline.disqualifications import Disqualifications
from shared.pipeline.snapshots import WindowSnapshots
from shared.truth.reads import Reads


class Fallback:
    """Pages from the window's snapshot, players by their own standings."""

    def __init__(
        self,
        snapshots: WindowSnapshots,
        reads: Reads,
        disqualifications: Disqualifications,
        now_ms: Callable[[], int],
    ) -> None:
        self._snapshots = snapshots
        self._reads = reads
        self._disqualifications = disqualifications
        self._now_ms = now_ms

    def page(self, leaderboard: Leaderboard, window: Window, offset: int, limit: int, *, final: bool) -> Ranking | None:
        """Entries as they were when the snapshot was taken; None if the page begins below the snapshot's top.

        Raises:
            Unavailable: if the truth is out of reach.
        """
        snapshot = self._snapshots.find(leaderboard, window)
        if snapshot is None or len(snapshot.top) <= offset < snapshot.total:
            return None
        top = to_entries(leaderboard.tiers, snapshot.total, 0, 0, snapshot.top[: offset + limit])
        entries = list(islice(top, offset, None))
        return replace(
            self._ranking(window, snapshot, entries, final=final),
            matched=snapshot.total,
            has_previous=bool(entries) and offset > 0,
            has_next=bool(entries) and offset + len(entries) < snapshot.total,
        )

    def player(
        self, leaderboard: Leaderboard, window: Window, user_id: str, context: int, *, final: bool
    ) -> tuple[bool, PlayerRanking | None]:
        """A player with his exact score of now and an estimate of his rank.

        Returns:
            Whether anything can be said, and the player; None if he has no points in the window.

        Raises:
            Unavailable: if the truth is out of reach.
        """
        snapshot = self._snapshots.find(leaderboard, window)
        if snapshot is None:
            return False, None
        score = self._score(leaderboard, window, user_id)
        if score is None:
            return True, None
        rank = snapshot.estimate_rank(leaderboard.order, user_id, score)
        others = [line for line in snapshot.top if line[0] != user_id]
        total = max(snapshot.total, rank)
        if rank <= len(others) + 1:
            lines = [*others[: rank - 1], (user_id, score), *others[rank - 1 : rank - 1 + context]]
            entries = list(to_entries(leaderboard.tiers, total, 0, 0, lines))
            above, player, below = entries[max(0, rank - 1 - context) : rank - 1], entries[rank - 1], entries[rank:]
        else:
            # ahead of everybody with the same score: as if he had reached it before time began
            competition_rank = snapshot.estimate_rank(leaderboard.order, user_id, Score(score.points, -1))
            player = to_entry(leaderboard.tiers, total, rank, user_id, score, competition_rank=competition_rank)
            above = below = []
        descending = leaderboard.order is Order.DESC
        better = others[rank - 2][1].points if 2 <= rank <= len(others) + 1 else None
        cutoffs = _cutoffs(leaderboard, snapshot)
        return True, PlayerRanking(
            self._ranking(window, snapshot, (), final=final),
            player,
            None if better is None else points_to_pass(better, score.points, descending=descending),
            points_to_next_tier(leaderboard.tiers, player.tier, score.points, cutoffs, descending=descending),
            above,
            below,
            rank_is_approximate=True,
            cutoffs=cutoffs,
        )

    def _score(self, leaderboard: Leaderboard, window: Window, user_id: str) -> Score | None:
        if user_id in self._disqualifications.now(leaderboard.id).user_ids:
            return None
        found = self._reads.standings((leaderboard, user_id, Day(bucket)) for bucket in window.buckets)
        by_day = sorted((bucket, standing) for (_, _, bucket), standing in found.items())
        parts = [Score(standing.points, standing.reached_at_ms) for _, standing in by_day]
        return combine(leaderboard.aggregation, leaderboard.order, parts) if parts else None

    def _ranking(self, window: Window, snapshot: Snapshot, entries: Sequence[Entry], *, final: bool) -> Ranking:
        return Ranking(
            window,
            window.status(self._now_ms(), final=final),
            snapshot.revision,
            snapshot.total,
            snapshot.as_of_ms,
            entries,
            RankingSource.SNAPSHOT,
        )


def _cutoffs(leaderboard: Leaderboard, snapshot: Snapshot) -> Mapping[str, int]:
    """Tier → score of the last entry that it takes, for the tiers by rank that end within the top."""
    ranks = {tier.name: tier.cutoff_rank(snapshot.total) for tier in leaderboard.tiers}
    return {
        name: snapshot.top[rank - 1][1].points for name, rank in ranks.items() if rank and rank <= len(snapshot.top)
    }
