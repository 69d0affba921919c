"""Reward tiers: ordered rules over rank and score, decided in integers."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from shared.domain.calendar import WindowKind
from shared.domain.events import POINTS_MAX


class TierRule(StrEnum):
    """What a tier asks of an entry."""

    TOP_N = "topN"
    """The first `value` ranks."""
    TOP_PERCENT = "topPercent"
    """Ranks up to ⌈N·p/100⌉; `value` is p in hundredths of a percent."""
    MIN_SCORE = "minScore"
    """A score of at least `value` points."""
    MAX_SCORE = "maxScore"
    """A score of at most `value` points: the counterpart of `minScore` where the lowest score ranks first."""


class Ties(StrEnum):
    """Whom a tier that goes by rank takes of those who share the score of its last place."""

    FIRST = "first"
    """Those up to the cutoff rank: who reached the score first."""
    SHARED = "shared"
    """All of them: the tier goes by competition rank."""


class Tier(msgspec.Struct, frozen=True):
    """One rule; the first rule of a leaderboard that an entry meets names its tier."""

    name: str
    rule: TierRule
    value: int
    ties: Ties = Ties.FIRST
    """Of no effect for rules on the score, which take equal scores alike."""
    windows: tuple[WindowKind, ...] = ()
    """The kinds of windows that it is for; none for all kinds."""

    def is_for(self, kind: WindowKind) -> bool:
        """Whether windows of a kind have the tier."""
        return not self.windows or kind in self.windows

    def cutoff_rank(self, qualified: int) -> int | None:
        """Last rank that the rule takes among the players who qualify, ties apart; None for rules on the score."""
        match self.rule:
            case TierRule.TOP_N:
                return min(self.value, qualified)
            case TierRule.TOP_PERCENT:
                return -(-qualified * self.value // 10_000)
            case _:
                return None

    def takes(self, rank: int, competition_rank: int, score: int, qualified: int) -> bool:
        """Whether an entry qualifies, as the first `qualified` do, and meets the rule."""
        if rank > qualified:
            return False
        match self.rule:
            case TierRule.MIN_SCORE:
                return score >= self.value
            case TierRule.MAX_SCORE:
                return score <= self.value
            case _:
                cutoff_rank = self.cutoff_rank(qualified)
                counted = competition_rank if self.ties is Ties.SHARED else rank
                return cutoff_rank is not None and counted <= cutoff_rank


def tier_of(tiers: Sequence[Tier], rank: int, competition_rank: int, score: int, qualified: int) -> str | None:
    """Name of the first tier that takes the entry, None if none does."""
    for tier in tiers:
        if tier.takes(rank, competition_rank, score, qualified):
            return tier.name
    return None


class Qualifying(msgspec.Struct, frozen=True):
    """What a player who doesn't qualify needs to do so."""

    score: int
    """The worst score that qualifies."""
    qualified: int
    """How many players qualify."""
    cutoffs: Mapping[str, int]
    """For the tiers that go by rank, the score of the last entry that each takes if one more qualifies."""


def points_to_tiers(
    tiers: Sequence[Tier],
    current: str | None,
    score: int,
    cutoffs: Mapping[str, int],
    *,
    descending: bool,
    qualifying: Qualifying | None = None,
) -> dict[str, int]:
    """The fewest points that bring a player from their tier into each one listed before it, where any do.

    Args:
        tiers: the rules in their order.
        current: the player's tier now, None if none does.
        score: the player's score.
        cutoffs: for the tiers that go by rank, the score of the last entry that each takes. A tie is enough only where
            ties are shared: elsewhere, who reached the score first keeps the place.
        descending: whether the highest score ranks first; if not, these are points to lose.
        qualifying: of a player who doesn't qualify, whose cutoffs count instead; None for the others.
    """
    gaps = {}
    for tier in tiers:
        if tier.name == current:
            break
        target = _target(tier, cutoffs, qualifying, descending=descending)
        if target is not None and abs(target) <= POINTS_MAX:
            gaps[tier.name] = abs(target - score)
    return gaps


def _target(tier: Tier, cutoffs: Mapping[str, int], qualifying: Qualifying | None, *, descending: bool) -> int | None:
    """The score that brings a player into a tier."""
    if tier.rule in (TierRule.MIN_SCORE, TierRule.MAX_SCORE):
        needed = [tier.value] if qualifying is None else [tier.value, qualifying.score]
        return max(needed) if descending else min(needed)
    if qualifying is not None:
        if (tier.cutoff_rank(qualifying.qualified + 1) or 0) > qualifying.qualified:
            return qualifying.score  # the tier takes one more who qualifies, wherever they stand
        cutoffs = qualifying.cutoffs
    if tier.name not in cutoffs:
        return None
    ahead = 0 if tier.ties is Ties.SHARED else 1
    return cutoffs[tier.name] + (ahead if descending else -ahead)


def points_to_next_tier(
    tiers: Sequence[Tier],
    current: str | None,
    score: int,
    cutoffs: Mapping[str, int],
    *,
    descending: bool,
    qualifying: Qualifying | None = None,
) -> int | None:
    """The fewest points that bring a player into any tier listed before theirs; None if there is none."""
    gaps = points_to_tiers(tiers, current, score, cutoffs, descending=descending, qualifying=qualifying)
    return min(gaps.values(), default=None)
