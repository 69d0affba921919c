"""Views of administration: the audit log, disqualifications, rebuilds and redrives."""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType, field

from functions.api.views.leaderboards import PeriodView, SeriesView, to_period_view, to_series_view
from shared.cache.leases import RebuildState
from shared.domain.audit import AuditEntry, Disqualified
from shared.domain.calendar import format_day
from shared.domain.events import format_instant
from shared.rebuild.builder import RebuildProgress


class AuditEntryView(Struct, rename="camel", kw_only=True):
    """What an administrator did."""

    number: int
    """From 1, without gaps, in the order in which they were done."""
    kind: str
    actor: str
    reason: str
    at: str
    user_id: str | None
    subject: str | None
    """The id of a window or of an event, or the reason code of dead letters."""
    points: int | None
    """Of the event that was voided or added."""
    occurred_at: str | None
    """Likewise."""
    period_before: PeriodView | UnsetType = UNSET
    """The period that was changed or deleted, as it was; absent of anything else."""
    period_after: PeriodView | UnsetType = UNSET
    """The period that was registered or changed, as it was to become; absent of anything else."""
    series_before: SeriesView | UnsetType = UNSET
    """Of a series, likewise; its occurrences have no entries of their own unless they are changed by themselves."""
    series_after: SeriesView | UnsetType = UNSET
    """Likewise."""
    first: str | UnsetType = field(name="from", default=UNSET)
    """The first day of a disqualification or reinstatement for some days; absent of anything else."""
    last: str | UnsetType = field(name="to", default=UNSET)
    """Their last day; absent of anything else."""


class AmendmentView(AuditEntryView, rename="camel", kw_only=True):
    """By which entry an event is void, or was added."""

    already: bool
    """Whether it was so before this request, by this entry."""


class DisqualificationView(AuditEntryView, rename="camel", kw_only=True):
    """By which entry a player is disqualified."""

    known: bool
    """Whether the player has events on the leaderboard; if not, the id may be a typing mistake."""


class AuditLogView(Struct, rename="camel", kw_only=True):
    """A page of the audit log."""

    leaderboard_id: str
    entries: Sequence[AuditEntryView]
    next_after: int | None


class DisqualifiedDaysView(Struct, rename="camel", kw_only=True):
    """Consecutive days that are out, the first and the last."""

    first: str = field(name="from")
    last: str = field(name="to")


class PlayerDaysView(DisqualifiedDaysView, rename="camel", kw_only=True):
    """The same, and whose they are."""

    user_id: str


class DisqualifiedView(Struct, rename="camel", kw_only=True):
    """Who is disqualified, and the audit entry as of which that is so."""

    leaderboard_id: str
    audit_sequence: int
    user_ids: Sequence[str]
    """Those who are out whatever the day."""
    days: Sequence[PlayerDaysView]
    """Of the others, by id, the days that are out."""


class RedrivenView(Struct, rename="camel", kw_only=True):
    """What became of dead letters."""

    audit_entry: AuditEntryView
    sent: int
    failed: int
    """Chosen, but the broker did not take them: they stay."""
    left: int
    """Chosen, but rejected once more meanwhile: they stay, until the cause is corrected."""
    too_late: int
    """Chosen, but no event can count for their day any more, which is sealing or sealed: they stay."""
    complete: bool
    """Whether every dead letter was checked; if not, the time was over: ask again."""


class PurgeView(Struct, rename="camel", kw_only=True):
    """From when on a leaderboard counts again."""

    audit_entry: AuditEntryView | None
    """Who purged it and why."""
    leaderboard_id: str
    counts_from: str
    """Only events that occurred and reached the broker from then on count once that time has come; until then the
    rankings are those of before."""


class PseudonymView(Struct, rename="camel", kw_only=True):
    """By which pseudonym a player is known."""

    audit_entry: AuditEntryView
    """Who asked for it first, and why."""
    leaderboard_id: str
    pseudonym: str
    """Stands in place of the id from now on; the same whenever it is asked for."""
    known: bool
    """Whether the player has events on the leaderboard; if not, the id may be a typing mistake."""
    complete: bool
    """Whether everything is replaced; if not, it goes on within minutes, or ask again."""
    stays: Sequence[str]
    """What still names the id: files of results, by their keys, and what can't be looked for."""


class RebuildView(Struct, rename="camel", kw_only=True):
    """How far the live windows are rebuilt: `days` counts the days that are kept, and all time if it is."""

    leaderboard_id: str
    state: RebuildState
    """`complete`: they hold all of the truth; `running`: they are being rebuilt; `waiting`: that is about to begin."""
    days_read: int
    days: int
    standings_read: int
    """What one player's events of one day add up to is one standing; 0 once it is complete."""


def to_rebuild_view(leaderboard_id: str, progress: RebuildProgress) -> RebuildView:
    """How far a rebuild is, as it is sent."""
    return RebuildView(
        leaderboard_id=leaderboard_id,
        state=progress.state,
        days_read=progress.days_read,
        days=progress.days,
        standings_read=progress.standings_read,
    )


def to_disqualification_view(entry: AuditEntry, *, known: bool) -> DisqualificationView:
    """An audit entry about a player, as it is sent."""
    shown = to_audit_entry_view(entry)
    return DisqualificationView(**{name: getattr(shown, name) for name in shown.__struct_fields__}, known=known)


def to_amendment_view(entry: AuditEntry, *, already: bool) -> AmendmentView:
    """An audit entry about an event, as it is sent."""
    shown = to_audit_entry_view(entry)
    return AmendmentView(**{name: getattr(shown, name) for name in shown.__struct_fields__}, already=already)


def to_audit_entry_view(entry: AuditEntry) -> AuditEntryView:
    """An audit entry, as it is sent."""
    return AuditEntryView(
        number=entry.number,
        kind=entry.kind,
        actor=entry.actor,
        reason=entry.reason,
        at=format_instant(entry.at_ms),
        user_id=entry.user_id,
        subject=entry.subject,
        points=entry.points,
        occurred_at=None if entry.occurred_at_ms is None else format_instant(entry.occurred_at_ms),
        period_before=UNSET if entry.period_before is None else to_period_view(entry.period_before),
        period_after=UNSET if entry.period_after is None else to_period_view(entry.period_after),
        series_before=UNSET if entry.series_before is None else to_series_view(entry.series_before),
        series_after=UNSET if entry.series_after is None else to_series_view(entry.series_after),
        first=UNSET if entry.first_day is None else format_day(entry.first_day),
        last=UNSET if entry.last_day is None else format_day(entry.last_day),
    )


def to_disqualified_view(leaderboard_id: str, out: Disqualified) -> DisqualifiedView:
    """Who is disqualified, as it is sent."""
    days = [
        PlayerDaysView(user_id=user_id, first=format_day(first), last=format_day(last))
        for user_id in sorted(out.partly)
        for first, last in out.days[user_id]
    ]
    return DisqualifiedView(
        leaderboard_id=leaderboard_id, audit_sequence=out.audit_sequence, user_ids=sorted(out.user_ids), days=days
    )
