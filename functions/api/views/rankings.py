"""Views of rankings: windows, entries, and players among others."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

from functions.api.views.profiles import PaintView
from shared.closing.schedule import expected_final_ms
from shared.domain.calendar import Calendar, Window, WindowKind, WindowStatus, format_day
from shared.domain.events import format_instant
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.reads.answers import PlayerRanking, Ranking
from shared.reads.profiles import Painted


class WindowView(
    Struct,
    rename={
        "first": "from",
        "last": "to",
        "starts_at": "startsAt",
        "ends_at": "endsAt",
        "expected_final_at": "expectedFinalAt",
    },
    gc=False,
):
    """Both dates are inclusive; null for all time."""

    kind: str
    id: str
    first: str | None
    last: str | None
    starts_at: str | None
    """The first instant of its first day, by the leaderboard's `timeZone` and `dayStartsAt`; null for all time."""
    ends_at: str | None
    """The first instant after its last day."""
    status: str
    """`open`: going on; `closing`: over, late events may still count; `final`: it will never change again. A custom
    range that is no registered period stays `closing`, and so does a day or week before the first event."""
    expected_final_at: str | UnsetType = UNSET
    """When its result is due if nothing blocks; of days, weeks, and periods that are asked for by their id, until they
    are final. What blocks one that is past it: `closing`."""


class EntryView(Struct, rename="camel", gc=False, kw_only=True):
    """One line of a ranking."""

    rank: int
    """Its own: no two entries tie."""
    competition_rank: int
    """1 + how many entries have a strictly better score ("1224"): equal scores share it."""
    user_id: str
    score: int
    reached_at: str
    """When the score was reached: with `sum`, `occurredAt` of the latest event that carried points other than 0 (of the
    earliest, if all carried 0); with `best`, of the earliest event with these points; with `latest`, of the event that
    decides. Of equal scores the earlier one ranks first, then the lower user id by bytes."""
    percentile: float
    """Share of players ranked strictly below, in percent, two decimals, cut off: what a player is ahead of. 0 for the
    last one, and so for the only one."""
    top_percent: float
    """The smallest top that the entry is in, in percent, two decimals, rounded up: 3.0 is "top 3 %". It is the rank
    divided by `total`: 100 for the last one, and so for the only one. Of all players, whether they qualify or not."""
    tier: str | None
    """Name of the first reward tier whose rule takes the entry; null if none does."""
    profile: PaintView | UnsetType | None = UNSET
    """With `include=profile`: what to paint the player with, as text; null for who has none. It is left out where it is
    not known, since the cache has lost it and the database is out of reach: ask again."""


class PlayerView(Struct, rename="camel", gc=False, kw_only=True):
    """A player's entry and what they lack."""

    rank: int
    competition_rank: int
    user_id: str
    score: int
    reached_at: str
    percentile: float
    top_percent: float
    tier: str | None
    points_to_next_rank: int | None
    """Points to gain (to lose, where the lowest ranks first) to stand ahead of the entry above; null at rank 1."""
    points_to_next_tier: int | None
    """Likewise to a better tier, as things stand; null if there is none."""
    rank_approximate: bool
    """With source `snapshot`: the score is the player's of now, the rank an estimate among the others of `asOf`."""
    profile: PaintView | UnsetType | None = UNSET


class RankingView(Struct, rename="camel", gc=False, kw_only=True):
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
    """`live`; `snapshot` where the cache can't answer: how it was at `asOf`; or `final`: the ranking of the result."""
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
    rules_version: int
    """The version of the definition whose tiers the entries have: while the window is open, that of now; once it is
    over, the one that was in force when its last day ended, by which it is paid."""
    result_version: int | UnsetType = UNSET
    """Of a final window: the latest version of its result."""
    pending_version: int | UnsetType = UNSET
    """Of a final window with a correction that is not settled yet: the version that may follow. The source is not
    `final` then, since the ranks may be those of that version already."""


class NeighboursView(Struct, rename="camel", gc=False, kw_only=True):
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
    rules_version: int
    result_version: int | UnsetType = UNSET
    pending_version: int | UnsetType = UNSET


_format_expected: Final = lru_cache(1_024)(format_instant)
"""Leaderboards with one lateness share the times of their windows, which every read tells."""


def to_entry_view(entry: Entry, total: int) -> EntryView:
    """A line of a ranking of `total` players, as it is sent."""
    return EntryView(
        rank=entry.rank,
        competition_rank=entry.competition_rank,
        user_id=entry.user_id,
        score=entry.score,
        reached_at=format_instant(entry.reached_at_ms),
        percentile=entry.percentile_hundredths / 100,
        top_percent=_top_percent(entry.rank, total),
        tier=entry.tier,
    )


def _top_percent(rank: int, total: int) -> float:
    """Rounded up, so that no entry is said to be in a smaller top than it is. An estimated rank may be past `total`."""
    return -(-rank * 10_000 // max(rank, total)) / 100


def to_entry_views(entries: Sequence[Entry], total: int, profiles: Painted | None = None) -> list[EntryView]:
    """Lines of a ranking of `total` players, as they are sent; with their profiles, if there are any to show."""
    views = [to_entry_view(entry, total) for entry in entries]
    if profiles is not None:
        texts = profiles.texts
        for view in views:
            text = texts.get(view.user_id)
            if text is not None:
                view.profile = Raw(text) if text else None  # type: ignore[assignment]
    return views


def to_window_view(ranking: Ranking, leaderboard: Leaderboard, *, is_registered: bool = False) -> WindowView:
    """The window of a ranking with its status.

    Args:
        ranking: whose window.
        leaderboard: by whose calendar and rules its times are told.
        is_registered: whether a custom window is known to be a registered period; no other gets a result.
    """
    window, expected_ms = ranking.window, None
    if is_registered or window.kind is not WindowKind.CUSTOM:
        expected_ms = expected_final_ms(leaderboard, window)
    return window_view(leaderboard.calendar, window, ranking.status, expected_ms)


def window_view(calendar: Calendar, window: Window, status: WindowStatus, expected_ms: int | None = None) -> WindowView:
    """A window, as it is sent; when its result is expected is left out of one that has it."""
    window_id, first, last, starts_at, ends_at = _names(calendar, window)
    view = WindowView(
        kind=window.kind, id=window_id, first=first, last=last, starts_at=starts_at, ends_at=ends_at, status=status
    )
    if expected_ms is not None and status is not WindowStatus.FINAL:
        view.expected_final_at = _format_expected(expected_ms)
    return view


@lru_cache(1_024)
def _names(calendar: Calendar, window: Window) -> tuple[str, str | None, str | None, str | None, str | None]:
    """Id, dates and instants of a window: leaderboards of one calendar share them, and every read tells them."""
    start_ms, end_ms = calendar.start_ms(window), calendar.end_ms(window)
    if start_ms is None or end_ms is None:
        return window.id, None, None, None, None
    dates = format_day(window.first), format_day(window.last)
    return window.id, *dates, format_instant(start_ms), format_instant(end_ms)


def to_player_view(found: PlayerRanking, profiles: Painted | None = None) -> PlayerView:
    """A player, as they are sent; with their profile, if there are any to show."""
    player = found.player
    view = PlayerView(
        rank=player.rank,
        competition_rank=player.competition_rank,
        user_id=player.user_id,
        score=player.score,
        reached_at=format_instant(player.reached_at_ms),
        percentile=player.percentile_hundredths / 100,
        top_percent=_top_percent(player.rank, found.ranking.total),
        tier=player.tier,
        points_to_next_rank=found.points_to_next_rank,
        points_to_next_tier=found.points_to_next_tier,
        rank_approximate=found.rank_is_approximate,
    )
    text = None if profiles is None else profiles.texts.get(player.user_id)
    if text is not None:  # as it is stored, so it need not be encoded again
        view.profile = Raw(text) if text else None  # type: ignore[assignment]
    return view
