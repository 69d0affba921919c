"""Views of one player: every window, the events, and why the player stands there."""

from typing import Literal

from msgspec import Struct

from functions.api.problems import Problem
from functions.api.views.audit import DisqualifiedDaysView
from functions.api.views.dead_letters import RejectionView, to_rejection_view
from functions.api.views.leaderboards import TierView, to_tier_view
from functions.api.views.rankings import (
    EntryView,
    PlayerView,
    WindowView,
    to_entry_view,
    to_player_view,
    to_window_view,
    window_view,
)
from shared.domain.calendar import Day, format_day
from shared.domain.events import format_instant
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.reads.answers import Explanation, PendingWindow, PlayerWindow, TierMatch
from shared.reads.event_status import EventStatus
from shared.truth.items import LedgerEntry
from shared.truth.progress import Position


class PlayerWindowView(Struct, rename="camel", kw_only=True):
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


class PendingWindowView(Struct, rename="camel", kw_only=True):
    """A window that can't be shown yet: `daysRead` of `days` are in it so far."""

    window: WindowView
    periods: list[str]
    """Ids of the registered periods over these dates."""
    days_read: int
    days: int


class PlayerWindowsView(Struct, rename="camel", kw_only=True):
    """A player in every window that is going on."""

    leaderboard_id: str
    user_id: str
    windows: list[PlayerWindowView]
    pending: list[PendingWindowView]
    """Windows that are being built from the truth: ask again after the seconds in `Retry-After`."""


class ScoreView(Struct, rename="camel", kw_only=True):
    """An event that counts, and where the player stands with it in every window that is going on."""

    leaderboard_id: str
    user_id: str
    event_id: str
    occurred_at: str
    """Of the event as it counts."""
    windows: list[PlayerWindowView]
    pending: list[PendingWindowView]
    """Windows that are being built from the truth: ask for the player's windows after the seconds in `Retry-After`."""


class ScoreAcceptedView(Struct, rename="camel", kw_only=True):
    """An event that Kafka has, and that is not shown yet."""

    leaderboard_id: str
    user_id: str
    event_id: str
    occurred_at: str
    """As it was sent: give it when you send the event again."""


class BatchedScoreView(Struct, rename="camel", kw_only=True):
    """What became of one event of a batch."""

    user_id: str | None
    """As it was sent; null where that was no text. Likewise `eventId`."""
    event_id: str | None
    occurred_at: str | None
    """Of the event as it counts, or was sent: give it when you send the event again. Null where it was refused."""
    status: int
    """What the event would be answered with alone: 200 it counts and shows, 202 Kafka has it and it does not show yet,
    409 or 422 it can't count, 503 Kafka has not acknowledged it: send it again."""
    repeats: int | None
    """Where the batch has the same event before: its index there, from 0. It counts once."""
    windows: list[PlayerWindowView]
    """With status 200: where the player stands in every window that is going on."""
    pending: list[PendingWindowView]
    """Windows that are being built from the truth: ask for the player's windows after the seconds in `Retry-After`."""
    problem: Problem | None
    """With status 409, 422 and 503: why, in the words of an error; `errors` names the field, as `scores[3].points`."""


class BatchedScoresView(Struct, rename="camel", kw_only=True):
    """What became of each event of a batch, in the order of the batch."""

    leaderboard_id: str
    scores: list[BatchedScoreView]


class EventView(Struct, rename="camel", gc=False, kw_only=True):
    """An accepted event, and the record that it came in; null where an administrator added it."""

    event_id: str
    points: int
    occurred_at: str
    attributes: dict[str, str]
    topic: str | None
    partition: int | None
    offset: int | None
    appended_at: str | None
    """When the broker appended the record: what decides whether an event was late."""
    added_by_entry: int | None
    """Number of the audit entry by which an administrator added it; null for what came by the topic."""
    voided_by_entry: int | None
    """Number of the audit entry by which it is void and counts nothing; null while it counts."""


class EventsView(Struct, rename="camel", kw_only=True):
    """A page of a player's accepted events, by event id; `nextAfter` asks for the next one, null on the last."""

    leaderboard_id: str
    user_id: str
    events: list[EventView]
    next_after: str | None


class CommittedView(Struct, rename="camel", gc=False, kw_only=True):
    """How far a partition of the topic is committed: every record before `nextOffset` counts, is a duplicate, or is a
    dead letter."""

    partition: int
    next_offset: int
    appended_at: str
    """When the broker appended the record before it."""


class EventStatusView(Struct, rename="camel", kw_only=True):
    """What became of one event of a player."""

    leaderboard_id: str
    user_id: str
    event_id: str
    status: Literal["applied", "rejected", "unknown"]
    """`applied`: the ledger holds it, and it counts unless it is void. `rejected`: it is not in, and a dead letter of
    the last 14 days says why. `unknown`: no record that is committed so far brought it in; it is still to come, was
    never sent, or was rejected and can't be found by its id: of many rejections at once some are left out, and a value
    may be too broken to say whose event it is."""
    event: EventView | None
    """With `applied`: the event as it counts, also where you sent other content under the same id."""
    rejection: RejectionView | None
    """With `rejected`: the record of the event that was rejected last. Another record of it, or the same once it is
    sent again from the dead-letter queue, may still bring it in."""
    committed: list[CommittedView]
    """With `rejected` and `unknown`: by partition. A record whose offset, as its acknowledgement names it, is before
    its partition's `nextOffset` did not bring the event in, and won't by itself: it is a dead letter, lost, or was
    purged."""


class DayView(Struct, rename="camel", kw_only=True):
    """What a player's events of one day, or of all days, add up to."""

    day: str
    """A date, or `all-time` for the standing that is kept over all days."""
    points: int
    reached_at: str
    events: int


class CountedEventView(Struct, rename="camel", kw_only=True):
    """An event behind a score."""

    event: EventView
    counts: bool
    """Whether it is in the score; with `best` and `latest` only the events that decide are."""


class NeighbourView(Struct, rename="camel", kw_only=True):
    """The entry next to a player's, and what decided between the two."""

    entry: EntryView
    decided_by: Literal["score", "reachedAt", "userId"]


class TierMatchView(Struct, rename="camel", kw_only=True):
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


class ExplanationView(Struct, rename="camel", kw_only=True):
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
    days: list[DayView]
    disqualified_days: list[DisqualifiedDaysView]
    """Days that count for nothing, in the window or not; their events are listed and don't count."""
    events: list[CountedEventView]
    """Those that count first, then the latest; up to 100."""
    events_complete: bool
    """Whether these are all of the window's; the others are in the player's events."""
    agrees: bool | None
    """Whether the days and the events add up to the score that is shown; null where the days do, and the player's
    events are too many (over 5,000) to be added up while a caller waits."""
    above: NeighbourView | None
    below: NeighbourView | None
    qualifies: bool
    """Whether the player counts for tiers (`qualify` of the leaderboard): else no rule takes them."""
    qualified: int
    """How many players do: those that percentages of tiers are of."""
    tiers: list[TierMatchView]


def to_player_window_view(found: PlayerWindow, leaderboard: Leaderboard) -> PlayerWindowView:
    ranking = found.ranking
    return PlayerWindowView(
        window=to_window_view(ranking, leaderboard, is_registered=bool(found.period_ids)),
        periods=list(found.period_ids),
        revision=ranking.revision,
        total=ranking.total,
        as_of=format_instant(ranking.as_of_ms),
        source=ranking.source,
        rank_approximate=ranking.rank_is_approximate,
        entry=to_entry_view(ranking.entries[0], ranking.total) if ranking.entries else None,
    )


def to_pending_window_view(found: PendingWindow, leaderboard: Leaderboard, now_ms: int) -> PendingWindowView:
    window = found.window
    return PendingWindowView(
        window=window_view(leaderboard.calendar, window, leaderboard.calendar.status(window, now_ms)),
        periods=list(found.period_ids),
        days_read=found.progress.position,
        days=len(window.days),
    )


def to_committed_view(position: Position) -> CommittedView:
    return CommittedView(
        partition=position.partition,
        next_offset=position.next_offset,
        appended_at=format_instant(position.appended_at_ms),
    )


def to_event_status_view(leaderboard: Leaderboard, user_id: str, event_id: str, found: EventStatus) -> EventStatusView:
    """The view of what became of an event."""
    missing: Literal["rejected", "unknown"] = "unknown" if found.refusal is None else "rejected"
    return EventStatusView(
        leaderboard_id=leaderboard.id,
        user_id=user_id,
        event_id=event_id,
        status=missing if found.entry is None else "applied",
        event=None if found.entry is None else to_event_view(found.entry),
        rejection=None if found.refusal is None else to_rejection_view(found.refusal),
        committed=[to_committed_view(one) for one in found.positions],
    )


def to_event_view(entry: LedgerEntry) -> EventView:
    event, source = entry.event, entry.source
    return EventView(
        event_id=event.event_id,
        points=event.points,
        occurred_at=format_instant(event.occurred_at_ms),
        attributes=event.attributes,
        topic=None if source is None else source.topic,
        partition=None if source is None else source.partition,
        offset=None if source is None else source.offset,
        appended_at=None if source is None else format_instant(source.appended_at_ms),
        added_by_entry=entry.added_by,
        voided_by_entry=entry.voided_by,
    )


def to_explanation_view(found: Explanation) -> ExplanationView:
    player, ranking, rules = found.player, found.player.ranking, found.rules
    return ExplanationView(
        leaderboard_id=rules.id,
        window=to_window_view(ranking, rules),
        revision=ranking.revision,
        total=ranking.total,
        as_of=format_instant(ranking.as_of_ms),
        source=ranking.source,
        aggregation=rules.aggregation,
        order=rules.order,
        rules_version=rules.version,
        player=to_player_view(player),
        days=[_to_day_view(*one) for one in found.days],
        disqualified_days=[
            DisqualifiedDaysView(first=format_day(first), last=format_day(last))
            for first, last in found.disqualified_days
        ],
        events=[CountedEventView(event=to_event_view(one.entry), counts=one.counts) for one in found.events],
        events_complete=found.events_complete,
        agrees=found.agrees,
        above=_to_neighbour_view(player.player, player.above[-1], ranking.total) if player.above else None,
        below=_to_neighbour_view(player.player, player.below[0], ranking.total) if player.below else None,
        qualifies=player.qualifying is None,
        qualified=ranking.qualified_or_all,
        tiers=[_to_tier_match_view(one) for one in found.tiers],
    )


def _to_day_view(day: Day, standing: Standing) -> DayView:
    return DayView(
        day=format_day(day),
        points=standing.points,
        reached_at=format_instant(standing.reached_at_ms),
        events=standing.events,
    )


def _to_tier_match_view(match: TierMatch) -> TierMatchView:
    return TierMatchView(
        rule=to_tier_view(match.tier),
        met=match.met,
        cutoff_rank=match.cutoff_rank,
        cutoff_score=match.cutoff_score,
        points_to_reach=match.points_to_reach,
    )


def _to_neighbour_view(player: Entry, neighbour: Entry, total: int) -> NeighbourView:
    decided_by: Literal["score", "reachedAt", "userId"] = "userId"
    if player.score != neighbour.score:
        decided_by = "score"
    elif player.reached_at_ms != neighbour.reached_at_ms:
        decided_by = "reachedAt"
    return NeighbourView(entry=to_entry_view(neighbour, total), decided_by=decided_by)
