"""Answers of reads, and where they come from."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from shared.cache.leases import BuildProgress
from shared.domain.audit import Run
from shared.domain.calendar import Day, Window, WindowStatus
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.domain.tiers import Qualifying, Tier
from shared.truth.items import LedgerEntry


class RankingSource(StrEnum):
    """Where an answer comes from."""

    LIVE = "live"
    """The cache, which holds all of the truth."""
    SNAPSHOT = "snapshot"
    """A snapshot: a page is as of `as_of_ms`; a requested player has the score of now and an estimated rank."""
    FINAL = "final"
    """The cache, for a window whose result is written: it shows the ranking of the result's latest version."""


class Ranking(Struct, frozen=True):
    """A slice of a ranking, as of one instant."""

    window: Window
    status: WindowStatus
    revision: int
    total: int
    as_of_ms: int
    entries: Sequence[Entry]
    source: RankingSource = RankingSource.LIVE
    matched: int = 0
    """How many entries of the window the selection takes, on this page or not."""
    has_previous: bool = False
    """Whether some of them are ahead of this page."""
    has_next: bool = False
    """Whether some of them are behind it."""
    truncated: bool = False
    """With source `snapshot`: entries of this page are missing, since they are below the snapshot's top."""
    rank_is_approximate: bool = False
    """With source `snapshot`: the scores are of now, the ranks are estimates among the entries of `as_of_ms`."""
    qualified: int | None = None
    """How many players count for tiers; None if all do."""
    rules_version: int = 0
    """The version of the leaderboard's definition by whose rules the entries have their tiers."""
    result_version: int | None = None
    """Of a final window: the latest version of its result."""
    pending_version: int | None = None
    """The version that may follow, since an audit entry is not settled yet. The source is not `final` then."""

    profiles: Mapping[str, bytes] = {}
    """User id → profile as the cache keeps it, of those whom the cache knows; if that was asked for."""

    @property
    def qualified_or_all(self) -> int:
        """How many players count for tiers."""
        return self.total if self.qualified is None else self.qualified


class PlayerRanking(Struct, frozen=True):
    """A player's entry with the entries around it."""

    ranking: Ranking
    """Without entries."""
    player: Entry
    points_to_next_rank: int | None
    """Points to gain (to lose if the lowest score ranks first) to pass the entry above; None at rank 1."""
    points_to_next_tier: int | None
    """Points to gain (to lose if the lowest score ranks first) for a better tier; None if there is none."""
    above: Sequence[Entry]
    below: Sequence[Entry]
    rank_is_approximate: bool = False
    """With source `snapshot`: the player's score is of now, the other scores are of the snapshot."""
    cutoffs: Mapping[str, int] = {}
    """Tier → score of its last entry now, for tiers by rank, as far as it is known."""
    qualifying: Qualifying | None = None
    """What the player needs to count for tiers; None if they do."""


class PlayerWindow(Struct, frozen=True):
    """A player's entry in an open window."""

    ranking: Ranking
    """With the player's entry, or without entries."""
    period_ids: Sequence[str]
    """Registered periods with the dates of the window."""


class PendingWindow(Struct, frozen=True):
    """An open window that can't be read yet: it is incomplete in the cache, or being built."""

    window: Window
    period_ids: Sequence[str]
    progress: BuildProgress
    """How far its build is, if that is known."""


class PlayerWindows(Struct, frozen=True):
    """A player's entries in all open windows."""

    windows: Sequence[PlayerWindow]
    pending: Sequence[PendingWindow]


class TierMatch(Struct, frozen=True):
    """A tier's rule, applied to a player."""

    tier: Tier
    met: bool
    """Whether the player meets the rule; the first tier of which this is true is the player's."""
    cutoff_rank: int | None
    """The last rank of the tier; None for a rule on the score."""
    cutoff_score: int | None
    """The score of the tier's last entry, or the score that the rule requires; None if it is not known."""
    points_to_reach: int | None
    """Points that the player lacks for a better tier than their own; None for the others."""


class CountedEvent(Struct, frozen=True):
    """An event of a player."""

    entry: LedgerEntry
    counts: bool
    """Whether it is in the score: with `best` and `latest`, only the events that decide it are."""


class Explanation(Struct, frozen=True):
    """Why a player has their rank."""

    player: PlayerRanking
    """With one entry above and one below."""
    rules: Leaderboard
    days: Sequence[tuple[Day, Standing]]
    """The player's standings of the window's days that count, oldest first."""
    disqualified_days: Sequence[Run]
    """Days for which the player is disqualified, in the window or not."""
    events: Sequence[CountedEvent]
    """Those that count first, then by time, the latest first."""
    events_complete: bool
    """Whether these are all events of the window."""
    agrees: bool | None
    """Whether days and events fold to the score; None if the days do and the events are too many to read."""
    tiers: Sequence[TierMatch]
