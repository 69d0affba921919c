"""Dead letters of the local stack, one line each."""

from collections.abc import Callable, Mapping
from typing import Final

from infra.local.config import InvalidConfiguration
from shared.assembly import Assembly, now_ms
from shared.domain.events import format_instant
from shared.domain.rejections import Reason
from shared.settings import load
from shared.truth.letters import Choice, Excerpt, Place, RegisteredLetter

PAGE: Final = 100
SHOWN_MAX: Final = 1_000
"""What a person looks through."""


def chosen(environment: Mapping[str, str]) -> Choice:
    """Which ones REASON, LEADERBOARD and EVENT name.

    Raises:
        InvalidConfiguration: if REASON is no reason.
    """
    reason = environment.get("REASON")
    if reason and reason not in list(Reason):
        raise InvalidConfiguration(f"REASON must be one of {', '.join(Reason)}")
    return Choice(
        Reason(reason) if reason else None, environment.get("LEADERBOARD") or None, environment.get("EVENT") or None
    )


def show(choice: Choice, say: Callable[[str], object]) -> None:
    """Say what was rejected, the last append first, up to SHOWN_MAX lines."""
    register = Assembly(load()).letter_register
    after: Place | None = None
    shown = 0
    while shown < SHOWN_MAX:
        page = register.page(choice, PAGE, after, now_ms())
        for letter in page.letters:
            say(line(letter))
        shown += len(page.letters)
        after = page.following
        if after is None:
            break
    unlisted = register.unregistered(now_ms())
    say(f"{shown} shown{'' if after is None else ', and there are more'} · {unlisted} only in the queue")


def line(letter: RegisteredLetter) -> str:
    """A dead letter in one line."""
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    head = f"{format_instant(letter.rejected_at_ms)} {place} {letter.reason}: {letter.detail}"
    return f"{head!r}"[1:-1] + f" · key {_quoted(letter.key)} · value {_quoted(letter.value)}"


def _quoted(excerpt: Excerpt | None) -> str:
    """Escaped, so that nothing of a producer's steers a terminal."""
    if excerpt is None:
        return "none"
    text = f"base64 {excerpt.text}" if excerpt.is_base64 else ascii(excerpt.text)
    return f"{text}…" if excerpt.is_truncated else text
