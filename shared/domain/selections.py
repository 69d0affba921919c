"""Which entries of a ranking are asked for: a place to begin at, and what they must have in common."""

from msgspec import Struct

from shared.domain.standings import Score


class Place(Struct, frozen=True):
    """A position in the ranking order, whether an entry stands there or not: so it never moves."""

    user_id: str
    score: Score


class Selection(Struct, frozen=True, kw_only=True):
    """A page of the entries that meet all that is given; they are a contiguous run of the ranking.

    But for a label: then they are those of such a run who carry it.
    """

    limit: int
    offset: int = 0
    """Entries of the run to skip; only without `place`."""
    place: Place | None = None
    """Begin at the first entry past it; `backward`: end at the last entry ahead of it."""
    backward: bool = False
    min_score: int | None = None
    """Inclusive."""
    max_score: int | None = None
    """Inclusive."""
    tier: str | None = None
    """Only the entries that this tier takes after the tiers before it."""

    label: tuple[str, str] | None = None
    """Only the entries of players who carry this value of this filter: one of the leaderboard's, and its value."""
