"""What reads of rankings answer, and how far it can be relied on."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from shared.domain.ranking import Entry
from shared.domain.windows import Window, WindowStatus


class RankingSource(StrEnum):
    """Where an answer comes from, and so what it is worth."""

    LIVE = "live"
    """The cache, which vouches for all of it."""
    SNAPSHOT = "snapshot"
    """The truth: the entries are those of `as_of_ms`, a player's score is his score of now, his rank an estimate."""
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
    """With source `snapshot`: his score is of now, the others' of when the snapshot was taken."""
