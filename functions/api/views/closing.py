"""Views of what closing has still to do."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from shared.closing.runs import Cause
from shared.closing.state import NO_RUN, OFF, Blocker, ClosingState, Item
from shared.domain.calendar import format_day
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard

RUNBOOK: Final = "docs/runbook.md"
REASONS: Final[Mapping[str, tuple[str, str]]] = {
    Cause.LAG: ("Records that were sent in time are not processed yet.", "lag"),
    Cause.LOST: (
        "Records were lost before they were processed: an operator decides what becomes of them.",
        "records-lost",
    ),
    Cause.DRIFT: (
        "The live ranking differs from the stored one, even after a repair; it is rebuilt.",
        "cache-and-truth-differ",
    ),
    Cause.CACHE: ("The live ranking can't be compared: it is out of reach or being rebuilt.", "window-not-final"),
    Cause.TRUTH: ("The database is out of reach or overloaded.", "window-not-final"),
    Cause.TOPIC: ("The topic of score events does not answer.", "window-not-final"),
    Cause.NOTIFICATION: ("The topic of results does not take the notification.", "window-not-final"),
    Cause.TIME: ("There was no time left for it; it comes first in a later run.", "boards-unchecked"),
    Cause.ERROR: ("A fault that does not pass by itself.", "close-errors"),
    NO_RUN: ("No run of closing has ended for 20 minutes, or ever.", "close-errors"),
    OFF: ("Closing is off: the topic carries its producers' time.", "topic-settings"),
}
"""Code → why in words, and the section of the runbook that says what to do."""


class BlockerView(Struct, rename="camel", kw_only=True):
    """Why something has to wait."""

    code: str
    """Stays the same; the words may change: `lag`, `lost`, `drift`, `cache`, `truth`, `topic`, `notification`, `time`,
    `error`, `no-run`, `off`."""
    reason: str
    detail: str | UnsetType = UNSET
    """What the run found, with partitions and servers; only for callers with the scope `leaderboards:admin`."""
    since: str | None
    """When a run found it first, without a break since; null if there was none."""
    runbook: str
    """Where it says what to do."""


class ClosingItemView(Struct, rename="camel", kw_only=True):
    """A day, window, audit entry or notification that is not done."""

    kind: str
    """`day`, `window`, `auditEntry`, `notification`."""
    id: str
    """A day's date, a window's id (of a notification, too), or the number of the audit entry."""
    step: str
    """`open` (its time runs), `late` (over, late records still count), `committing` (past the cutoff: all that was sent
    in time is being processed), `sealing` (it takes no more events), then of a window `ranking` (the result is being
    written) or `correcting` (it has a result, which an audit entry may change). Audit entries are `applying`,
    notifications `publishing`."""
    cutoff_at: str | None
    """Of a day or window: records that the broker appends later are too late."""
    expected_at: str | None
    """When it is done if nothing blocks: a day sealed, a window final. Null where the next run does it."""
    version: int | None
    """Of the result that is corrected or announced."""
    blockers: Sequence[BlockerView]
    """Why it waits longer; empty while it doesn't."""


class ClosingView(Struct, rename="camel", kw_only=True):
    """What is due for a leaderboard, what has been over for longest first; audit entries and notifications lead."""

    leaderboard_id: str
    archived: bool
    as_of: str
    checked_at: str | None
    """When the last run of closing ended that has reported; blockers are those that it has found. Null before it."""
    sealed_through: str | None
    """No event can change this day or any before it; null while there is none."""
    items: Sequence[ClosingItemView]
    next_after: str | None
    """`after` of the next page; null if there is none."""


def to_closing_view(leaderboard: Leaderboard, found: ClosingState, *, with_details: bool) -> ClosingView:
    """A page of what is due, as it is sent; details are for operators."""
    sealed = leaderboard.sealed_through
    return ClosingView(
        leaderboard_id=leaderboard.id,
        archived=leaderboard.archived,
        as_of=format_instant(found.as_of_ms),
        checked_at=_instant(found.checked_ms),
        sealed_through=None if sealed is None else format_day(sealed),
        items=[_to_item_view(one, with_details=with_details) for one in found.items],
        next_after=found.next_after,
    )


def to_blocker_views(blockers: Sequence[Blocker], *, with_details: bool) -> list[BlockerView]:
    """What blocks something, as it is sent; details are for operators."""
    views = []
    for one in blockers:
        reason, section = REASONS[one.code]
        detail = UNSET if one.detail is None or not with_details else one.detail
        since = _instant(one.since_ms)
        views.append(
            BlockerView(code=one.code, reason=reason, detail=detail, since=since, runbook=f"{RUNBOOK}#{section}")
        )
    return views


def _to_item_view(item: Item, *, with_details: bool) -> ClosingItemView:
    return ClosingItemView(
        kind=item.kind,
        id=item.id,
        step=item.step,
        cutoff_at=_instant(item.cutoff_ms),
        expected_at=_instant(item.expected_ms),
        version=item.version,
        blockers=to_blocker_views(item.blockers, with_details=with_details),
    )


def _instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else format_instant(at_ms)
