"""Views of final results."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from functions.api.views.rankings import WindowView, window_view
from shared.domain.calendar import Window, WindowStatus
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.reads.result_versions import ResultVersion


class ResultFileView(Struct, kw_only=True):
    """A file of a result; the URL is good for some minutes."""

    url: str
    sha256: str | None
    rows: int | UnsetType = UNSET
    """Without the header; absent for a difference."""


class ResultVersionView(Struct, rename="camel", kw_only=True):
    """One version of a result."""

    version: int
    audit_sequence: int
    """The audit entry as of which players were disqualified."""
    rules_version: int
    players: int
    award_count: int
    """Players in a tier: 0 if nobody is owed anything."""
    tiers: Sequence[str] | None
    """Names of the tiers that the window was ranked with; empty if none is for it. Null in results of before."""
    sum_of_points: str
    """A decimal integer, as text: it may be past what a double holds."""
    finalised_at: str
    announced_at: str | None
    """When the notification topic had taken its notification. Null while that waits, where there is no topic, and in
    results of before this was noted."""
    announcement_pending: bool
    """Whether its notification waits to be sent."""
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
    tzdata: str | None
    """The version of the rules of time zones that its days go by, as in the manifest; null in UTC."""


class ResultVersionsView(Struct, rename="camel", kw_only=True):
    """Every version of a window's result, the first one first; none while it is not final."""

    leaderboard_id: str
    window_id: str
    versions: Sequence[ResultVersionView]


def to_result_version_view(found: ResultVersion) -> ResultVersionView:
    """A version of a result, as it is sent."""
    return ResultVersionView(**_version(found))


def to_result_view(leaderboard: Leaderboard, window: Window, found: ResultVersion) -> ResultView:
    """The latest version of a result, as it is sent."""
    shown = window_view(leaderboard.calendar, window, WindowStatus.FINAL)
    tzdata = leaderboard.calendar.tzdata or None
    return ResultView(leaderboard_id=leaderboard.id, window=shown, tzdata=tzdata, **_version(found))


def _version(found: ResultVersion) -> dict[str, Any]:
    final, difference, changes = found.final, None, None
    if found.difference_url is not None:
        difference = ResultFileView(url=found.difference_url, sha256=final.difference_sha256)
    if found.award_changes_url is not None:
        changes = ResultFileView(
            url=found.award_changes_url, sha256=final.award_changes_sha256, rows=final.award_changes
        )
    return {
        "version": final.version,
        "audit_sequence": final.audit_sequence,
        "rules_version": final.rules_version,
        "players": final.players,
        "award_count": final.award_count,
        "tiers": final.tiers,
        "sum_of_points": final.sum_of_points,
        "finalised_at": format_instant(final.finalised_at_ms),
        "announced_at": None if found.announced_at_ms is None else format_instant(found.announced_at_ms),
        "announcement_pending": found.announcement_pending,
        "code_version": final.code_version,
        "ranking": ResultFileView(url=found.ranking_url, sha256=final.sha256, rows=final.players),
        "manifest": found.manifest_url,
        "awards": ResultFileView(url=found.awards_url, sha256=final.awards_sha256, rows=final.award_count),
        "difference": difference,
        "award_changes": changes,
    }
