"""The ranking order, the same everywhere and always; no two entries tie."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from shared.domain.events import POINTS_MAX
from shared.domain.rules import Order
from shared.domain.standings import Score
from shared.domain.tiers import Tier, tier_of

_POINTS_BYTES: Final = 8
_INSTANT_BYTES: Final = 6
_SIGN: Final = 1 << 63
"""Added to points, so that their bytes sort as they do."""
ORDER_HEAD_BYTES: Final = _POINTS_BYTES + _INSTANT_BYTES
"""Bytes of a sort key in front of the user id."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a ranking."""

    rank: int
    user_id: str
    score: int
    reached_at_ms: int
    percentile_hundredths: int
    """Share of players ranked strictly below, in hundredths of a percent, cut off."""
    tier: str | None
    competition_rank: int
    """Standard competition rank ("1224"): 1 + how many entries have a strictly better score. Equal scores share it."""


def order_key(order: Order, user_id: str, score: Score) -> tuple[int, int, bytes]:
    """Sort key: score (best first), then the first to reach it, then the user id by bytes."""
    points = -score.points if order is Order.DESC else score.points
    return points, score.reached_at_ms, user_id.encode()


def order_bytes(order: Order, user_id: str, score: Score) -> bytes:
    """The sort key as bytes, whose order is that of `order_key`; it holds all of the line."""
    points = -score.points if order is Order.DESC else score.points
    head = (points + _SIGN).to_bytes(_POINTS_BYTES, "big") + score.reached_at_ms.to_bytes(_INSTANT_BYTES, "big")
    return head + user_id.encode()


def from_order_bytes(order: Order, line: bytes) -> tuple[str, Score]:
    """User id and score of a sort key as bytes."""
    points = int.from_bytes(line[:_POINTS_BYTES], "big") - _SIGN
    reached_at_ms = int.from_bytes(line[_POINTS_BYTES:ORDER_HEAD_BYTES], "big")
    score = Score(-points if order is Order.DESC else points, reached_at_ms)
    return line[ORDER_HEAD_BYTES:].decode(), score


def percentile_hundredths(rank: int, total: int) -> int:
    """Share of `total` players ranked strictly below `rank`, in hundredths of a percent, cut off: 0 to 9,999."""
    return (total - rank) * 10_000 // total


def to_entry(
    tiers: Sequence[Tier],
    total: int,
    rank: int,
    user_id: str,
    score: Score,
    *,
    competition_rank: int,
    qualified: int | None = None,
) -> Entry:
    """The line of a ranking at `rank` (from 1) among `total` players, of whom `qualified` count for tiers, or all."""
    return Entry(
        rank,
        user_id,
        score.points,
        score.reached_at_ms,
        percentile_hundredths(rank, total),
        tier_of(tiers, rank, competition_rank, score.points, total if qualified is None else qualified),
        competition_rank,
    )


def to_entries(
    tiers: Sequence[Tier],
    total: int,
    first: int,
    better: int,
    lines: Iterable[tuple[str, Score]],
    *,
    qualified: int | None = None,
) -> Iterator[Entry]:
    """A run of lines of a ranking of `total` players.

    Args:
        tiers: the leaderboard's rules.
        total: players in the whole ranking.
        first: position of the first line, from 0.
        better: how many players have a strictly better score than the first line.
        lines: user ids and scores, in ranking order.
        qualified: how many players count for tiers; None for all.
    """
    competition_rank, before = better + 1, None
    counted = total if qualified is None else qualified
    for rank, (user_id, score) in enumerate(lines, start=first + 1):
        points = score.points
        if before is not None and points != before:
            competition_rank = rank
        before = points
        tier = tier_of(tiers, rank, competition_rank, points, counted) if tiers else None
        percentile = percentile_hundredths(rank, total)
        yield Entry(rank, user_id, points, score.reached_at_ms, percentile, tier, competition_rank)


def rank(
    order: Order, tiers: Sequence[Tier], scores: Iterable[tuple[str, Score]], *, qualified: int | None = None
) -> Iterator[Entry]:
    """Rank all players of a window, best first; `qualified` of them count for tiers, or all."""
    ranked = sorted(scores, key=lambda line: order_key(order, *line))
    return to_entries(tiers, len(ranked), 0, 0, ranked, qualified=qualified)


def points_to_pass(score: int, own: int, *, descending: bool) -> int | None:
    """Points to gain (to lose where the lowest ranks first) to stand ahead of a score that was reached earlier.

    A tie is not enough: who reached the score first keeps the rank. None if no score is better.
    """
    target = score + 1 if descending else score - 1
    return abs(target - own) if abs(target) <= POINTS_MAX else None
