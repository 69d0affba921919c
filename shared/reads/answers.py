"""What reads of rankings answer, and how far it can be relied on."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from shared.cache.leases import BuildProgress
from shared.domain.calendar import Day, Window, WindowStatus
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.tiers import Tier
from shared.truth.items import LedgerEntry


class RankingSource(StrEnum):
    """Where an answer comes from, and so what it is worth."""

    LIVE = "live"
    """The cache, which vouches for all of it."""
    SNAPSHOT = "snapshot"
    """The truth: a page is one of `as_of_ms`; a player who is asked for has the score of now and an estimated rank."""
    FINAL = "final"
    """The cache, for a window that never changes again."""


class Ranking(Struct, frozen=True):
    """A run of entries, as of one instant."""

    window: Window
    status: WindowStatus
    revision: int
    total: int
    as_of_ms: int
    entries: Sequence[Entry]
    source: RankingSource = RankingSource.LIVE
    matched: int = 0
    """How many entries of the window meet what was asked for, on this page or not."""
    has_previous: bool = False
    """Whether some of them stand ahead of this page."""
    has_next: bool = False
    """Whether some of them stand behind it."""
    truncated: bool = False
    """With source `snapshot`: entries that belong on this page stand below those that the snapshot has."""
    rank_is_approximate: bool = False
    """With source `snapshot`: the scores are of now, the ranks estimates among the others of `as_of_ms`."""


class PlayerRanking(Struct, frozen=True):
    """A player's entry with the entries around it."""

    ranking: Ranking
    """Without entries."""
    player: Entry
    points_to_next_rank: int | None
    """Points to gain (to lose where the lowest ranks first) to pass the entry above; None at rank 1."""
    points_to_next_tier: int | None
    """Likewise to a better tier, as things stand; None if there is none."""
    above: Sequence[Entry]
    below: Sequence[Entry]
    rank_is_approximate: bool = False
    """With source `snapshot`: the player's score is of now, the others' of when the snapshot was taken."""
    cutoffs: Mapping[str, int] = {}
    """Tier → score of the last entry it takes now, for the tiers that go by rank, as far as it is known."""


class PlayerWindow(Struct, frozen=True):
    """Where a player stands in a window that is going on."""

    ranking: Ranking
    """With the player's entry, or with none."""
    period_ids: Sequence[str]
    """The registered periods over its dates."""


class PendingWindow(Struct, frozen=True):
    """A window that is going on and can't be told yet: it is being built, or nothing vouches for it."""

    window: Window
    period_ids: Sequence[str]
    progress: BuildProgress
    """How far its build is, as far as that is known."""


class PlayerWindows(Struct, frozen=True):
    """Where a player stands in all windows that are going on."""

    windows: Sequence[PlayerWindow]
    pending: Sequence[PendingWindow]


class TierMatch(Struct, frozen=True):
    """How a player meets a tier's rule."""

    tier: Tier
    met: bool
    """Whether the rule takes the player; the first that does names their tier."""
    cutoff_rank: int | None
    """The last rank that the rule takes; None for a rule on the score."""
    cutoff_score: int | None
    """The score of the last entry that the rule takes, or the score that it asks for; None if it is not known."""
    points_to_reach: int | None
    """For tiers ahead of their own: what they lack for it."""


class CountedEvent(Struct, frozen=True):
    """An event behind a score."""

    entry: LedgerEntry
    counts: bool
    """Whether it is in the score; with `best` and `latest` only the events that decide are."""


class Explanation(Struct, frozen=True):
    """Why a player stands where they stand."""

    player: PlayerRanking
    """With one entry above and one below."""
    rules: Leaderboard
    buckets: Sequence[tuple[Day, Standing]]
    """His standings in the window's buckets, oldest first."""
    events: Sequence[CountedEvent]
    """Those that count first, then the latest."""
    events_complete: bool
    """Whether these are all of the window's."""
    agrees: bool | None
    """Whether buckets and events add up to the score; None if the buckets do and the events are too many to be read."""
    tiers: Sequence[TierMatch]
