"""Views of definitions: leaderboards, tiers and periods."""

from msgspec import UNSET, Struct, UnsetType

from functions.api.durations import format_duration
from shared.domain.calendar import DAY_MIN, Day, format_day
from shared.domain.events import format_instant
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard, Order
from shared.domain.series import Series
from shared.domain.tiers import Tier, TierRule, Ties
from shared.lookups.zones import first_moved


class TierView(
    Struct,
    rename={"top_n": "topN", "top_percent": "topPercent", "min_score": "minScore", "max_score": "maxScore"},
    omit_defaults=True,
    kw_only=True,
):
    """A reward tier: its name and its one rule."""

    name: str
    top_n: int | UnsetType = UNSET
    top_percent: float | UnsetType = UNSET
    min_score: int | UnsetType = UNSET
    max_score: int | UnsetType = UNSET
    ties: str | UnsetType = UNSET
    """Of the rules on ranks: `shared` if everybody with the score of the last place is in it; absent if not."""
    windows: list[str] | UnsetType = UNSET
    """The kinds of windows that it is for; absent if it is for all."""


class QualifyView(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """What a player needs to count for tiers."""

    min_score: int | UnsetType = UNSET
    max_score: int | UnsetType = UNSET


class LeaderboardView(Struct, rename="camel", kw_only=True):
    """The definition of a leaderboard."""

    id: str
    name: str
    aggregation: str
    order: str
    lateness: str
    shards: int
    time_zone: str
    """Whose dates its days are."""
    day_starts_at: str
    """When a day begins, by the clocks of `timeZone`."""
    tzdata: str | None
    """The version of the time zones' rules by which its days begin, for good; null for days of UTC."""
    tzdata_differs_from: str | None
    """The first day to come that would begin at another time by the rules of time zones of now; null if none would. It
    begins as before all the same."""
    windows: list[str]
    """The kinds of windows that the cache keeps. Days and weeks of another kind are built when they are read."""
    tiers: list[TierView]
    qualify: QualifyView | None
    """The score that counts for tiers, or better; null if every one does."""
    filters: list[str]
    """Attributes of events that `attr.*` takes."""
    version: int
    """Counts the changes."""
    effective_from: str | None
    """The first day whose windows this version ranks and pays: the day itself, its week, and every other window that
    ends with it or later. Windows that ended before keep the version that was in force then. Null: it is in force for
    all windows, as the first version is."""
    has_events: bool
    """Whether it has events: then aggregation, order, shards, filters, time zone, start of the day and
    windows cannot change."""
    counts_from: str | None
    """From when on events count, since the last purge; null if there was none."""
    created_at: str
    updated_at: str


class LeaderboardsView(Struct, rename="camel", kw_only=True):
    """A page of definitions; `nextAfter` asks for the next one, null on the last."""

    leaderboards: list[LeaderboardView]
    next_after: str | None


class PeriodView(Struct, rename={"first": "from", "last": "to"}):
    """A registered period; both dates are inclusive."""

    id: str
    name: str
    first: str
    last: str


class SeriesView(Struct, rename={"first": "from", "next_from": "nextFrom"}):
    """A series of periods; its occurrences are periods with its id, `~` and their first day."""

    id: str
    name: str
    every: str
    first: str
    until: str | None
    """The last day on which an occurrence may end; null if there is none."""
    next_from: str | None
    """The first day of the occurrence that is registered next, in its time; null if there is no other."""


class PeriodsView(Struct, kw_only=True):
    """All periods of a leaderboard, and all series, each by id."""

    periods: list[PeriodView]
    """Occurrences of series among them."""
    series: list[SeriesView]


def to_leaderboard_view(leaderboard: Leaderboard) -> LeaderboardView:
    """A definition, as it is sent."""
    sealing = leaderboard.sealing_through
    moved = first_moved(leaderboard.calendar, Day(DAY_MIN - 1) if sealing is None else sealing)
    return LeaderboardView(
        id=leaderboard.id,
        name=leaderboard.name,
        aggregation=leaderboard.aggregation,
        order=leaderboard.order,
        lateness=format_duration(leaderboard.lateness_ms),
        shards=leaderboard.shards,
        time_zone=leaderboard.time_zone,
        day_starts_at=leaderboard.day_starts_at,
        tzdata=leaderboard.calendar.tzdata or None,
        tzdata_differs_from=None if moved is None else format_day(moved),
        windows=[*leaderboard.windows],
        tiers=[to_tier_view(tier) for tier in leaderboard.tiers],
        qualify=_to_qualify_view(leaderboard),
        filters=list(leaderboard.filters),
        version=leaderboard.version,
        effective_from=None if leaderboard.effective_from is None else format_day(leaderboard.effective_from),
        has_events=leaderboard.has_events,
        counts_from=format_instant(leaderboard.last_start_ms) if leaderboard.starts_ms else None,
        created_at=format_instant(leaderboard.created_at_ms),
        updated_at=format_instant(leaderboard.updated_at_ms),
    )


def _to_qualify_view(leaderboard: Leaderboard) -> QualifyView | None:
    if leaderboard.qualify is None:
        return None
    if leaderboard.order is Order.DESC:
        return QualifyView(min_score=leaderboard.qualify)
    return QualifyView(max_score=leaderboard.qualify)


def to_tier_view(tier: Tier) -> TierView:
    """A tier, as it was sent."""
    ties = UNSET if tier.ties is Ties.FIRST else tier.ties.value
    windows: list[str] | UnsetType = [one.value for one in tier.windows] or UNSET
    match tier.rule:
        case TierRule.TOP_N:
            return TierView(name=tier.name, top_n=tier.value, ties=ties, windows=windows)
        case TierRule.TOP_PERCENT:
            whole, rest = divmod(tier.value, 100)
            percent = tier.value / 100 if rest else whole
            return TierView(name=tier.name, top_percent=percent, ties=ties, windows=windows)
        case TierRule.MIN_SCORE:
            return TierView(name=tier.name, min_score=tier.value, windows=windows)
        case TierRule.MAX_SCORE:
            return TierView(name=tier.name, max_score=tier.value, windows=windows)


def to_series_view(series: Series) -> SeriesView:
    """A series, as it is sent."""
    following = series.occurrence(series.next)
    return SeriesView(
        id=series.id,
        name=series.name,
        every=series.every,
        first=format_day(series.first),
        until=None if series.until is None else format_day(series.until),
        next_from=None if following is None else format_day(following.first),
    )


def to_period_view(period: Period) -> PeriodView:
    """A registered period, as it is sent."""
    return PeriodView(id=period.id, name=period.name, first=format_day(period.first), last=format_day(period.last))
