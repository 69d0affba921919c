"""Views of previews: awards as if a window closed now."""

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from functions.api.views.closing import BlockerView, to_blocker_views
from functions.api.views.rankings import WindowView, to_window_view
from shared.closing.preview import Award, Preview
from shared.domain.calendar import format_day
from shared.domain.events import format_instant


class AwardView(Struct, rename="camel", gc=False, kw_only=True):
    """What a player would get; the fields are the columns of a result's awards."""

    award_id: str
    """The id that the result will name it by, if it comes to that."""
    user_id: str
    tier: str
    rank: int
    competition_rank: int
    score: int


class TierAwardsView(Struct, rename="camel", kw_only=True):
    """A tier, in the order of the rules."""

    name: str
    award_count: int | None
    """Players that it takes in all; null where that is not known exactly: with source `snapshot`, or while the window
    changes faster than it is read."""


class DayRunView(Struct, rename={"first": "from", "last": "to"}, kw_only=True):
    """Days in a row that are in one step."""

    first: str
    last: str
    step: str
    """`open`, `late`, `committing`, `sealing` or `sealed`: only a `sealed` day takes no event any more."""


class ResultPreviewView(Struct, rename="camel", kw_only=True):
    """Awards as if the window closed now. Nothing is to be paid from it."""

    preview: Literal[True]
    """Tells it from a result."""
    leaderboard_id: str
    window: WindowView
    rules_version: int
    """The rules that it is ranked by."""
    as_of: str
    source: str
    """As for rankings: `live`, `snapshot`, or `final` if the window has its result."""
    revision: int
    players: int
    award_count: int | None
    """Awards in all, on this page or not; null where a tier's count is."""
    tiers: Sequence[TierAwardsView]
    """Empty if no tier is for the window: nobody is owed anything."""
    awards: Sequence[AwardView]
    """In ranking order."""
    next_cursor: str | None
    """Asks for the awards behind this page; null if there are none."""
    truncated: bool
    """With source `snapshot`: awards that belong on this page are missing."""
    days: Sequence[DayRunView]
    """All days of the window."""
    step: str
    """Where the window is, as in `closing`; `final` if it has its result."""
    blockers: Sequence[BlockerView]
    """What its result waits for longer than it should, as in `closing`."""
    pending_audit_entries: int
    """Disqualifications and reinstatements that the ranking may not show yet."""
    result_version: int | UnsetType = UNSET
    """Of a final window: the latest version of its result."""
    pending_version: int | UnsetType = UNSET
    """Of a final window with a correction that is not settled yet: the version that may follow."""


def to_preview_view(found: Preview, next_cursor: str | None, *, with_details: bool) -> ResultPreviewView:
    """A preview, as it is sent; details of what blocks are for operators."""
    ranking = found.ranking
    return ResultPreviewView(
        preview=True,
        leaderboard_id=found.rules.id,
        window=to_window_view(ranking, found.rules, is_registered=True),
        rules_version=found.rules.version,
        as_of=format_instant(ranking.as_of_ms),
        source=ranking.source,
        revision=ranking.revision,
        players=ranking.total,
        award_count=found.award_count,
        tiers=[TierAwardsView(name=name, award_count=count) for name, count in found.by_tier],
        awards=[_to_award_view(one) for one in found.awards],
        next_cursor=next_cursor,
        truncated=ranking.truncated,
        days=[DayRunView(first=format_day(one.first), last=format_day(one.last), step=one.step) for one in found.days],
        step=found.state.step,
        blockers=to_blocker_views(found.state.blockers, with_details=with_details),
        pending_audit_entries=found.pending_audit_entries,
        result_version=UNSET if ranking.result_version is None else ranking.result_version,
        pending_version=UNSET if ranking.pending_version is None else ranking.pending_version,
    )


def _to_award_view(award: Award) -> AwardView:
    entry = award.entry
    assert entry.tier is not None  # noqa: S101 - who is in no tier gets nothing
    return AwardView(
        award_id=award.award_id,
        user_id=entry.user_id,
        tier=entry.tier,
        rank=entry.rank,
        competition_rank=entry.competition_rank,
        score=entry.score,
    )
