"""What the API answers with. msgspec structs: encoded in C without a second validation, and their own schema."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from functions.api.durations import format_duration
from functions.api.problems import Problem
from shared.domain.calendar import Window, WindowKind, WindowStatus, format_day
from shared.domain.events import format_instant
from shared.domain.periods import Period
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.reads.answers import Ranking

JSON: Final = "application/json"


class WindowView(Struct, rename={"first": "from", "last": "to"}, gc=False):
    """Both dates are inclusive; null for all time."""

    kind: str
    id: str
    first: str | None
    last: str | None
    status: str
    """`open`: going on; `closing`: over, late events may still count; `final`: it will never change again. A custom
    range that is no registered period stays `closing`, and so does a day or week before the first event."""


class EntryView(Struct, rename="camel", gc=False):
    """One line of a ranking."""

    rank: int
    """Its own: no two entries tie."""
    competition_rank: int
    """1 + how many entries have a strictly better score ("1224"): equal scores share it."""
    user_id: str
    score: int
    reached_at: str
    """When the score was reached: `occurredAt` of the latest event with `sum`, of the earliest event with these points
    with `best`, of the event that decides with `latest`. Of equal scores the earlier one ranks first, then the lower
    user id by bytes."""
    percentile: float
    """Share of players ranked strictly below, in percent, two decimals, cut off."""
    tier: str | None
    """Name of the first reward tier whose rule takes the entry; null if none does."""


class PlayerView(Struct, rename="camel", gc=False):
    """A player's entry and what they lack."""

    rank: int
    competition_rank: int
    user_id: str
    score: int
    reached_at: str
    percentile: float
    tier: str | None
    points_to_next_rank: int | None
    """Points to gain (to lose, where the lowest ranks first) to stand ahead of the entry above; null at rank 1."""
    points_to_next_tier: int | None
    """Likewise to a better tier, as things stand; null if there is none."""
    rank_approximate: bool
    """With source `snapshot`: the score is the player's of now, the rank an estimate among the others of `asOf`."""


class RankingView(Struct, rename="camel", gc=False):
    """A page of a ranking, all of it as of one instant."""

    leaderboard_id: str
    window: WindowView
    revision: int
    """Grows with every change of the window."""
    total: int
    """Players in the window."""
    as_of: str
    """The instant that all of the answer is of."""
    source: str
    """`live`; `snapshot` where the cache can't answer: how it was at `asOf`; or `final`."""
    matched: int
    """How many entries of the window meet the filters, on this page or not; `total` without any."""
    entries: list[EntryView]
    next_cursor: str | None
    """Asks for the entries behind this page; null if there are none."""
    prev_cursor: str | None
    """Asks for the entries ahead of this page; null if there are none, or no entries on it."""
    truncated: bool
    """With source `snapshot`: entries that belong on this page stand below the first 1,000, which are all that it has;
    `nextCursor` leads on to them. A page that begins there is a 503 with `Retry-After` until the source is `live`."""
    rank_approximate: bool
    """With source `snapshot` and `userIds`: the scores are of now, the ranks estimates among the others of `asOf`."""
    missing: list[str] | UnsetType = UNSET
    """With `userIds`: those without points in the window."""


class NeighboursView(Struct, rename="camel", gc=False):
    """A player with the entries around theirs, all of it as of one instant."""

    leaderboard_id: str
    window: WindowView
    revision: int
    total: int
    as_of: str
    source: str
    player: PlayerView
    above: list[EntryView]
    below: list[EntryView]


class PlayerWindowView(Struct, rename="camel"):
    """A player in one window, as of one instant."""

    window: WindowView
    periods: list[str]
    """Ids of the registered periods over these dates."""
    revision: int
    total: int
    as_of: str
    source: str
    rank_approximate: bool
    """As for a player: with source `snapshot` the rank is an estimate."""
    entry: EntryView | None
    """Null without points in the window."""


class PendingWindowView(Struct, rename="camel"):
    """A window that can't be told yet: `daysRead` of `days` are in it so far."""

    window: WindowView
    periods: list[str]
    """Ids of the registered periods over these dates."""
    days_read: int
    days: int


class PlayerWindowsView(Struct, rename="camel"):
    """A player in every window that is going on."""

    leaderboard_id: str
    user_id: str
    windows: list[PlayerWindowView]
    pending: list[PendingWindowView]
    """Windows that are being built from the truth: ask again after the seconds in `Retry-After`."""


class TierView(
    Struct,
    rename={"top_n": "topN", "top_percent": "topPercent", "min_score": "minScore", "max_score": "maxScore"},
    omit_defaults=True,
):
    """A reward tier: its name and its one rule."""

    name: str
    top_n: int | UnsetType = UNSET
    top_percent: float | UnsetType = UNSET
    min_score: int | UnsetType = UNSET
    max_score: int | UnsetType = UNSET


class LeaderboardView(Struct, rename="camel"):
    """The definition of a leaderboard."""

    id: str
    name: str
    aggregation: str
    order: str
    lateness: str
    shards: int
    tiers: list[TierView]
    filters: list[str]
    """Attributes of events that `attr.*` takes."""
    version: int
    has_events: bool
    """Whether it has events: then aggregation, order, shards and filters cannot change."""
    created_at: str
    updated_at: str


class LeaderboardsView(Struct, rename="camel"):
    """A page of definitions; `nextAfter` asks for the next one, null on the last."""

    leaderboards: list[LeaderboardView]
    next_after: str | None


class PeriodView(Struct, rename={"first": "from", "last": "to"}):
    """A registered period; both dates are inclusive."""

    id: str
    name: str
    first: str
    last: str


class PeriodsView(Struct):
    """All periods of a leaderboard, by id."""

    periods: list[PeriodView]


class ExportView(Struct, rename="camel"):
    """An export job."""

    id: str
    leaderboard_id: str
    window_id: str
    format: str
    state: str
    """`queued`, `running`, `done` or `failed`."""
    rows_written: int
    rows: int | None
    url: str | None
    manifest: str | None
    """URL of what the file has to be; null until it is made."""
    sha256: str | None
    error: str | None
    created_at: str


class DependencyView(Struct, rename="camel"):
    """How a dependency answered."""

    status: str
    latency_ms: float
    detail: str | UnsetType = UNSET


class HealthView(Struct):
    """`up` if everything that is needed is."""

    status: str
    dependencies: dict[str, DependencyView]


class EventView(Struct, rename="camel", gc=False):
    """An accepted event, and the record that it came in."""

    event_id: str
    points: int
    occurred_at: str
    attributes: dict[str, str]
    topic: str
    partition: int
    offset: int
    appended_at: str
    """When the broker appended the record: what decides whether an event was late."""


class EventsView(Struct, rename="camel"):
    """A page of a player's accepted events, by event id; `nextAfter` asks for the next one, null on the last."""

    leaderboard_id: str
    user_id: str
    events: list[EventView]
    next_after: str | None


class BucketView(Struct, rename="camel"):
    """What a player's events in one bucket add up to."""

    bucket: str
    """A date, or `all-time` for the standing that is kept over all days."""
    points: int
    reached_at: str
    events: int


class CountedEventView(Struct, rename="camel"):
    """An event behind a score."""

    event: EventView
    counts: bool
    """Whether it is in the score; with `best` and `latest` only the events that decide are."""


class NeighbourView(Struct, rename="camel"):
    """The entry next to a player's, and what decided between the two."""

    entry: EntryView
    decided_by: Literal["score", "reachedAt", "userId"]


class TierMatchView(Struct, rename="camel"):
    """How a player meets a tier's rule."""

    rule: TierView
    met: bool
    """Whether the rule takes the player; the first that does names their tier."""
    cutoff_rank: int | None
    """The last rank that the rule takes; null for a rule on the score."""
    cutoff_score: int | None
    """The score of the last entry that the rule takes, or the score that it asks for; null if that is not known."""
    points_to_reach: int | None
    """For tiers ahead of their own: points to gain (to lose, where the lowest ranks first) to be in it."""


class ExplanationView(Struct, rename="camel"):
    """Why a player stands where they stand."""

    leaderboard_id: str
    window: WindowView
    revision: int
    total: int
    as_of: str
    source: str
    aggregation: str
    order: str
    rules_version: int
    player: PlayerView
    buckets: list[BucketView]
    events: list[CountedEventView]
    """Those that count first, then the latest; up to 100."""
    events_complete: bool
    """Whether these are all of the window's; the others are in the player's events."""
    agrees: bool | None
    """Whether the buckets and the events add up to the score that is shown; null where the buckets do, and the player's
    events are too many (over 5,000) to be added up while somebody waits."""
    above: NeighbourView | None
    below: NeighbourView | None
    tiers: list[TierMatchView]


VIEWS: Final = (
    RankingView,
    NeighboursView,
    PlayerWindowsView,
    EventsView,
    ExplanationView,
    LeaderboardView,
    LeaderboardsView,
    PeriodView,
    PeriodsView,
    ExportView,
    HealthView,
    Problem,
)

_encoder = msgspec.json.Encoder()


def answer(view: Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(_encoder.encode(view), status, headers, JSON)


def to_entry_view(entry: Entry) -> EntryView:
    """A line of a ranking, as it is sent."""
    return EntryView(
        entry.rank,
        entry.competition_rank,
        entry.user_id,
        entry.score,
        format_instant(entry.reached_at_ms),
        entry.percentile_hundredths / 100,
        entry.tier,
    )


def to_entry_views(entries: Sequence[Entry]) -> list[EntryView]:
    """Lines of a ranking, as they are sent."""
    return [to_entry_view(entry) for entry in entries]


def to_window_view(ranking: Ranking) -> WindowView:
    """The window of a ranking with its status."""
    return window_view(ranking.window, ranking.status)


def window_view(window: Window, status: WindowStatus) -> WindowView:
    """A window, as it is sent."""
    first, last = _dates(window)
    return WindowView(window.kind, window.id, first, last, status)


def _dates(window: Window) -> tuple[str | None, str | None]:
    if window.kind is WindowKind.ALL_TIME:
        return None, None
    return format_day(window.first), format_day(window.last)


def to_leaderboard_view(leaderboard: Leaderboard) -> LeaderboardView:
    """A definition, as it is sent."""
    return LeaderboardView(
        leaderboard.id,
        leaderboard.name,
        leaderboard.aggregation,
        leaderboard.order,
        format_duration(leaderboard.lateness_ms),
        leaderboard.shards,
        [to_tier_view(tier) for tier in leaderboard.tiers],
        list(leaderboard.filters),
        leaderboard.version,
        leaderboard.has_events,
        format_instant(leaderboard.created_at_ms),
        format_instant(leaderboard.updated_at_ms),
    )


def to_tier_view(tier: Tier) -> TierView:
    """A tier's rule, as it was sent."""
    match tier.rule:
        case TierRule.TOP_N:
            return TierView(tier.name, top_n=tier.value)
        case TierRule.TOP_PERCENT:
            whole, rest = divmod(tier.value, 100)
            return TierView(tier.name, top_percent=tier.value / 100 if rest else whole)
        case TierRule.MIN_SCORE:
            return TierView(tier.name, min_score=tier.value)
        case TierRule.MAX_SCORE:
            return TierView(tier.name, max_score=tier.value)


def to_period_view(period: Period) -> PeriodView:
    """A registered period, as it is sent."""
    return PeriodView(period.id, period.name, format_day(period.first), format_day(period.last))
