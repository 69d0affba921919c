"""What reads of windows have seen, and whether the cache holds it completely."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard, Order
from shared.domain.standings import Score

HEAD_BYTES: Final = 6
"""Bytes of a member before the user id: reached_at, big-endian."""


class Page(Struct, frozen=True):
    """What one read of a window saw, all of it at one instant."""

    complete: bool
    """Whether the window holds all of the truth; if not, its ranks mean nothing."""
    revision: int
    """Grows with every change of the window, also across a flush; 0 while it has no players."""
    total: int
    first: int
    """Index of the first line, from 0."""
    lines: Sequence[tuple[str, Score]]
    """User id and score, in ranking order."""
    qualified: int | None = None
    """How many players count for tiers; None where it was not asked for."""
    profiles: Mapping[str, bytes] = {}
    """User id → profile as the cache keeps it, of those on the page whose profile it has; if that was asked for."""


class Labels(Struct, frozen=True):
    """What one read of a window's label set saw."""

    complete: bool
    """As of a page."""
    total: int
    members: Sequence[bytes]
    """As shared/cache/labels.py makes them, in their order."""


class PlayerPage(Struct, frozen=True):
    """A player's entry with the entries around it."""

    page: Page
    index: int | None
    """Of the player's entry in the window, from 0; None if the player is not in it."""
    cutoffs: Mapping[str, int]
    """Tier → score of the last entry it takes now, for the tiers that go by rank."""
    players_ahead: int = 0
    """How many players have a strictly better score than the page's first line."""
    targets: Mapping[str, int] = {}
    """Of a player who doesn't qualify: the cutoffs as if one more did."""


def to_page(
    leaderboard: Leaderboard,
    window: Window,
    now_ms: int,
    answer: Sequence[Any],
    first: int,
    *,
    qualified: int | None = None,
) -> Page:
    """The page of an answer that begins as page.lua's."""
    marker, built, revision, total, flat = answer[:5]
    complete = _is_complete(leaderboard, window, now_ms, marker, built)
    return Page(complete, int(revision or 0), total, first, to_lines(leaderboard, flat[::2], flat[1::2]), qualified)


def with_profiles(page: Page, user_ids: Iterable[str], values: Sequence[bytes | None]) -> Page:
    """A page with what a script said of its players' profiles, in their order."""
    pairs = zip(user_ids, values, strict=True)
    return replace(page, profiles={user_id: value for user_id, value in pairs if value is not None})


def _is_complete(
    leaderboard: Leaderboard, window: Window, now_ms: int, marker: bytes | None, built: bytes | None
) -> bool:
    """Whether a window holds all of the truth.

    The leaderboard's marker stands for what is retained by the lateness that it names. What a longer lateness retains
    besides may be gone. For an archived leaderboard it stands for nothing: its windows are no longer kept up to date.
    """
    if leaderboard.archived or not leaderboard.keeps(window, now_ms):
        return bool(built)
    return marker is not None and leaderboard.keeps_by(int(marker), window, now_ms)


def to_lines(leaderboard: Leaderboard, members: Sequence[bytes], scores: Sequence[bytes]) -> list[tuple[str, Score]]:
    """User ids and scores of members of a sorted set."""
    try:
        points = [int(score) for score in scores]
    except ValueError:  # as some servers write large ones: 1e+15
        points = [int(float(score)) for score in scores]
    if leaderboard.order is Order.DESC:
        points = [-one for one in points]
    to_int = int.from_bytes
    return [
        (member[HEAD_BYTES:].decode(), Score(one, to_int(member[:HEAD_BYTES], "big")))
        for member, one in zip(members, points, strict=True)
    ]


def qualifying(leaderboard: Leaderboard) -> int | str:
    """The worst score that qualifies for tiers, as the sorted set has it; empty if all do."""
    if leaderboard.qualify is None:
        return ""
    return -leaderboard.qualify if leaderboard.order is Order.DESC else leaderboard.qualify


def to_points(leaderboard: Leaderboard, score: bytes) -> int:
    """The points of a sorted set's score; a double holds them exactly."""
    points = int(float(score))
    return -points if leaderboard.order is Order.DESC else points
