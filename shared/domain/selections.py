"""Selections: which entries of a ranking a read returns."""

from msgspec import Struct

from shared.domain.standings import Score


class RankingKey(Struct, frozen=True):
    """What the ranking order compares. It stays where it is, whether an entry has this key or not."""

    user_id: str
    score: Score


class Selection(Struct, frozen=True, kw_only=True):
    """One page of the entries that meet all given conditions.

    Without a label these entries are a slice of the ranking; with a label, the entries of that slice that carry it.
    """

    limit: int
    offset: int = 0
    """Entries of the slice to skip; only without `key`."""
    key: RankingKey | None = None
    """The page starts after this key; with `backward` it ends before it."""
    backward: bool = False
    min_score: int | None = None
    """Inclusive."""
    max_score: int | None = None
    """Inclusive."""
    tier: str | None = None
    """Only the entries of this tier."""
    label: tuple[str, str] | None = None
    """A filter of the leaderboard and a value: only the entries of players who carry it."""
    profiles: bool = False
    """Whether to read the profiles that the cache has of the players on the page, too."""
