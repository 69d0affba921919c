"""Views of dead letters."""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from shared.domain.events import INSTANT_END_MS, format_instant
from shared.domain.rejections import Reason
from shared.truth.letters import Excerpt, LetterPage, Refusal, RegisteredLetter


class ExcerptView(Struct, rename="camel", kw_only=True):
    """The key or the value of a record, or the beginning of one that is long."""

    text: str
    encoding: Literal["utf-8", "base64"]
    """`base64` where the bytes are no UTF-8."""
    bytes: int
    """Of the whole."""
    truncated: bool


class RejectionView(Struct, rename="camel", kw_only=True):
    """Why a record of the event was rejected, and which record it was."""

    reason: Reason
    detail: str
    topic: str
    partition: int
    offset: int
    appended_at: str | None
    """Null where the record's time is outside 1970 to 2100, as a producer's may be."""
    rejected_at: str


class DeadLetterView(RejectionView, rename="camel", kw_only=True):
    """A record that was rejected."""

    leaderboard_id: str | None
    """As the value names it, if it could be read that far; likewise `eventId`."""
    event_id: str | None
    key: ExcerptView | None
    value: ExcerptView | None


class DeadLettersView(Struct, rename="camel", kw_only=True):
    """A page of dead letters, the last append first. One with a filter may be short, even empty, and have another."""

    dead_letters: Sequence[DeadLetterView]
    next_cursor: str | None
    only_in_queue: int
    """Of the last 14 days, how many were counted that are not listed here."""


def to_dead_letters_view(page: LetterPage, only_in_queue: int) -> DeadLettersView:
    """A page, as it is sent."""
    following = page.following
    return DeadLettersView(
        dead_letters=[_letter(letter) for letter in page.letters],
        next_cursor=None if following is None else following.to_text(),
        only_in_queue=only_in_queue,
    )


def to_rejection_view(refusal: Refusal) -> RejectionView:
    """The view of why an event was rejected."""
    return RejectionView(**_rejection(refusal))


def _rejection(refusal: Refusal) -> dict[str, Any]:
    at_ms = refusal.appended_at_ms
    return {
        "reason": refusal.reason,
        "detail": refusal.detail,
        "topic": refusal.topic,
        "partition": refusal.partition,
        "offset": refusal.offset,
        "appended_at": format_instant(at_ms) if 0 <= at_ms < INSTANT_END_MS else None,
        "rejected_at": format_instant(refusal.rejected_at_ms),
    }


def _letter(letter: RegisteredLetter) -> DeadLetterView:
    return DeadLetterView(
        **_rejection(letter),
        leaderboard_id=letter.leaderboard_id,
        event_id=letter.event_id,
        key=_excerpt(letter.key),
        value=_excerpt(letter.value),
    )


def _excerpt(excerpt: Excerpt | None) -> ExcerptView | None:
    if excerpt is None:
        return None
    return ExcerptView(
        text=excerpt.text,
        encoding="base64" if excerpt.is_base64 else "utf-8",
        bytes=excerpt.size,
        truncated=excerpt.is_truncated,
    )
