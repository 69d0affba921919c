"""What reads of windows have seen, and whether the cache vouches for it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.calendar import Window, WindowKind
from shared.domain.rules import Leaderboard, Order
from shared.domain.standings import Score

RETENTION_MS: Final = 35 * 86_400_000
"""How long a daily or weekly window stays after its last record may count; read later, it is built from the truth."""
EXPIRY_MARGIN_MS: Final = 3_600_000
"""How much longer Redis has a window than anybody takes it for kept: functions' clocks differ from its own."""
HEAD_BYTES: Final = 6
"""Bytes of a member before the user id: reached_at, big-endian."""


class Page(Struct, frozen=True):
    """What one read of a window saw, all of it at one instant."""

    complete: bool
    """Whether the window holds all of the truth; if not, its ranks mean nothing."""
    revision: int
    """Grows with every change of the window, also across a flush; 0 while nobody is in it."""
    total: int
    first: int
    """Position of the first line, from 0."""
    lines: Sequence[tuple[str, Score]]
    """User id and score, in ranking order."""


class Labels(Struct, frozen=True):
    """What one read of a window's label set saw."""

    complete: bool
    """As of a page."""
    total: int
    members: Sequence[bytes]
    """As shared/cache/labels.py makes them, in their order."""


class Position(Struct, frozen=True):
    """Where a player stands: the entries around him, and his position in the window from 0; None if he is not in it."""

    page: Page
    position: int | None
    cutoffs: Mapping[str, int]
    """Tier → score of the last entry it takes now, for the tiers that go by rank."""
    better: int = 0
    """How many players have a strictly better score than the page's first line."""


def kept_until_ms(leaderboard: Leaderboard, window: Window) -> int | None:
    """Until when a window is among those that ingest always feeds; None for ever."""
    cutoff_ms = leaderboard.window_cutoff_ms(window)
    return None if cutoff_ms is None else cutoff_ms + RETENTION_MS


def expires_ms(leaderboard: Leaderboard, window: Window) -> int:
    """When a window that is kept for everybody goes; 0 for never."""
    until_ms = kept_until_ms(leaderboard, window)
    return 0 if until_ms is None else until_ms + EXPIRY_MARGIN_MS


def is_kept(leaderboard: Leaderboard, window: Window, now_ms: int) -> bool:
    """Whether a window is among those that ingest always feeds; any other is built from the truth when asked for."""
    if window.kind is WindowKind.CUSTOM:
        return False
    until_ms = kept_until_ms(leaderboard, window)
    return until_ms is None or now_ms < until_ms


def to_page(leaderboard: Leaderboard, window: Window, now_ms: int, answer: Sequence[Any], first: int) -> Page:
    """The page of an answer that begins as page.lua's."""
    marker, built, revision, total, flat = answer[:5]
    complete = _is_complete(leaderboard, window, now_ms, marker, built)
    return Page(complete, int(revision or 0), total, first, to_lines(leaderboard, flat[::2], flat[1::2]))


def _is_complete(
    leaderboard: Leaderboard, window: Window, now_ms: int, marker: bytes | None, built: bytes | None
) -> bool:
    """Whether a window holds all of the truth.

    The leaderboard's marker vouches for what is kept by the lateness that it names. What a longer one keeps besides may
    have gone before.
    """
    if not is_kept(leaderboard, window, now_ms):
        return bool(built)
    return marker is not None and is_kept(replace(leaderboard, lateness_ms=int(marker)), window, now_ms)


def to_lines(leaderboard: Leaderboard, members: Sequence[bytes], scores: Sequence[bytes]) -> list[tuple[str, Score]]:
    """User ids and scores of members of a sorted set."""
    return [
        (member[HEAD_BYTES:].decode(), Score(to_points(leaderboard, score), int.from_bytes(member[:HEAD_BYTES], "big")))
        for member, score in zip(members, scores, strict=True)
    ]


def to_points(leaderboard: Leaderboard, score: bytes) -> int:
    """The points of a sorted set's score; a double holds them exactly."""
    points = int(float(score))
    return -points if leaderboard.order is Order.DESC else points
