"""What administration answers with."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from functions.api.views import WindowView, window_view
from shared.cache.leases import RebuildState
from shared.domain.audit import AuditEntry
from shared.domain.calendar import Window, WindowStatus
from shared.domain.events import format_instant
from shared.reads.result_versions import ResultVersion
from shared.rebuild.builder import RebuildProgress


class AuditEntryView(Struct, rename="camel"):
    """One act of administration."""

    number: int
    """From 1, without gaps, in the order in which they were done."""
    kind: str
    actor: str
    reason: str
    at: str
    user_id: str | None
    subject: str | None


class AuditLogView(Struct, rename="camel"):
    """A page of the audit trail."""

    leaderboard_id: str
    entries: Sequence[AuditEntryView]
    next_after: int | None


class DisqualifiedView(Struct, rename="camel"):
    """Who is disqualified, and the act as of which that is so."""

    leaderboard_id: str
    audit_sequence: int
    user_ids: Sequence[str]


class RedrivenView(Struct, rename="camel"):
    """What became of dead letters."""

    act: AuditEntryView
    sent: int
    failed: int
    """Chosen, but the broker did not take them: they stay."""
    left: int
    """Chosen, but refused once more meanwhile: they stay, until what is wrong with them is mended."""
    complete: bool
    """Whether every letter was looked at; if not, the time was over: ask again."""


class ResultFileView(Struct):
    """A file of a result; the URL is good for some minutes."""

    url: str
    sha256: str | None
    rows: int | UnsetType = UNSET
    """Without the header; not told of a difference."""


class ResultVersionView(Struct, rename="camel", kw_only=True):
    """One version of a result."""

    version: int
    audit_sequence: int
    """The act as of which players were disqualified."""
    rules_version: int
    players: int
    sum_of_points: str
    """A decimal integer, as text: it may be past what a double holds."""
    finalised_at: str
    code_version: str
    """Git revision of the code that ranked it."""
    ranking: ResultFileView
    manifest: str
    """URL of what the ranking's file has to be, as beside every export."""
    awards: ResultFileView
    difference: ResultFileView | None
    """What differs from the version before; null for the first."""
    award_changes: ResultFileView | None
    """Awards that are revoked and granted by it, alone; null for the first."""


class ResultView(ResultVersionView, rename="camel", kw_only=True):
    """The latest version of a window's result."""

    leaderboard_id: str
    window: WindowView


class ResultVersionsView(Struct, rename="camel"):
    """Every version of a window's result, the first one first; none while it is not final."""

    leaderboard_id: str
    window_id: str
    versions: Sequence[ResultVersionView]


class RebuildView(Struct, rename="camel"):
    """How far the live windows of a leaderboard are rebuilt: all time and each day that is kept are a bucket."""

    leaderboard_id: str
    state: RebuildState
    """`complete`: they hold all of the truth; `running`: they are being rebuilt; `waiting`: that is about to begin."""
    buckets_read: int
    buckets: int
    standings_read: int
    """What one player's events of one bucket add up to is one standing; 0 once it is complete."""


VIEWS = (
    AuditEntryView,
    AuditLogView,
    DisqualifiedView,
    RebuildView,
    RedrivenView,
    ResultFileView,
    ResultView,
    ResultVersionView,
    ResultVersionsView,
)


def to_rebuild_view(leaderboard_id: str, progress: RebuildProgress) -> RebuildView:
    """How far a rebuild is, as it is sent."""
    read = progress.buckets_read, progress.buckets, progress.standings_read
    return RebuildView(leaderboard_id, progress.state, *read)


def to_audit_entry_view(act: AuditEntry) -> AuditEntryView:
    """An act, as it is sent."""
    return AuditEntryView(
        act.number, act.kind, act.actor, act.reason, format_instant(act.at_ms), act.user_id, act.subject
    )


def to_result_version_view(found: ResultVersion) -> ResultVersionView:
    """A version of a result, as it is sent."""
    return ResultVersionView(**_version(found))


def to_result_view(leaderboard_id: str, window: Window, found: ResultVersion) -> ResultView:
    """The latest version of a result, as it is sent."""
    shown = window_view(window, WindowStatus.FINAL)
    return ResultView(leaderboard_id=leaderboard_id, window=shown, **_version(found))


def _version(found: ResultVersion) -> dict[str, Any]:
    final, difference, changes = found.final, None, None
    if found.difference_url is not None:
        difference = ResultFileView(found.difference_url, final.difference_sha256)
    if found.award_changes_url is not None:
        changes = ResultFileView(found.award_changes_url, final.award_changes_sha256, final.award_changes)
    return {
        "version": final.version,
        "audit_sequence": final.audit_sequence,
        "rules_version": final.rules_version,
        "players": final.players,
        "sum_of_points": final.sum_of_points,
        "finalised_at": format_instant(final.finalised_at_ms),
        "code_version": final.code_version,
        "ranking": ResultFileView(found.ranking_url, final.sha256, final.players),
        "manifest": found.manifest_url,
        "awards": ResultFileView(found.awards_url, final.awards_sha256, final.award_count),
        "difference": difference,
        "award_changes": changes,
    }
