"""Dead letters into their register, so that an operator finds them. What fails here fails for nobody else."""

import base64
import codecs
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from shared.domain.events import EVENT_ID_CHARACTERS_MAX
from shared.domain.records import Record
from shared.ingest.rejection_log import RejectionLog
from shared.messaging.dead_letters import INLINE_BYTES_MAX, RejectedRecord
from shared.telemetry import logger
from shared.truth.letters import REQUEST_LETTERS_MAX, Excerpt, LetterRegister, RegisteredLetter

REGISTERED_MAX: Final = 100
"""Letters of one call that are registered, in nine requests; the others are only in the queue."""
VALUE_BYTES_MAX: Final = 4_096
"""How much of a value is registered."""
KEY_BYTES_MAX: Final = 1_024
"""Likewise of a key."""


class _Names(Struct, rename="camel"):
    """What a value says of itself, whatever else is wrong with it."""

    event_id: msgspec.Raw = msgspec.Raw()
    leaderboard_id: msgspec.Raw = msgspec.Raw()
    user_id: msgspec.Raw = msgspec.Raw()


_names = msgspec.json.Decoder(_Names)


class Letters:
    """Registers and logs what was sent to the dead-letter queue, and counts what it couldn't register."""

    def __init__(self, register: LetterRegister, now_ms: Callable[[], int]) -> None:
        self._register = register
        self._now_ms = now_ms
        self._log = RejectionLog(now_ms)
        self._unregistered = 0

    def register(self, rejected: Sequence[RejectedRecord]) -> None:
        """Register the first REGISTERED_MAX of some letters; never raises. The queue has them all."""
        now_ms = self._now_ms()
        missing = len(rejected)
        try:
            chosen = [to_letter(one, now_ms) for one in rejected[:REGISTERED_MAX]]
            self._log.write(chosen, len(rejected))
            for start in range(0, len(chosen), REQUEST_LETTERS_MAX):
                batch = chosen[start : start + REQUEST_LETTERS_MAX]
                missing -= len(batch) - self._register.write(batch)
        except Exception:  # noqa: BLE001 - not even a fault of ours may keep ingest from going on
            logger.warning("dead letters not registered", exc_info=True)
        if missing:
            self._count(missing, now_ms)

    def take_unregistered(self) -> int:
        """How many letters were not registered since this was last asked."""
        taken, self._unregistered = self._unregistered, 0
        return taken

    def _count(self, missing: int, now_ms: int) -> None:
        self._unregistered += missing
        try:
            self._register.count_unregistered(missing, now_ms)
        except Exception:  # noqa: BLE001 - likewise
            logger.warning("dead letters that are not registered were not counted", exc_info=True)


def to_letter(rejected: RejectedRecord, now_ms: int) -> RegisteredLetter:
    """What is registered of a record, whatever its producer sent."""
    record, source = rejected.record, rejected.record.source
    event_id, leaderboard_id, user_id = _named(record)
    return RegisteredLetter(
        reason=rejected.rejection.reason,
        detail=_clean(rejected.rejection.detail),
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        appended_at_ms=source.appended_at_ms,
        rejected_at_ms=now_ms,
        leaderboard_id=rejected.leaderboard_id or leaderboard_id,
        user_id=user_id,
        event_id=event_id,
        key=_excerpt(record.key, KEY_BYTES_MAX),
        value=_excerpt(record.value, VALUE_BYTES_MAX),
    )


def _named(record: Record) -> tuple[str | None, str | None, str | None]:
    """Ids of event, leaderboard and player, where the value is JSON so far; none of one larger than any event."""
    if record.value is None or len(record.value) > INLINE_BYTES_MAX:
        return None, None, None
    try:
        names = _names.decode(record.value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None, None, None
    return _id(names.event_id), _id(names.leaderboard_id), _id(names.user_id)


def _id(raw: msgspec.Raw) -> str | None:
    """An id that a filter could ask for."""
    try:
        text = msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, ValueError):
        return None
    return text if 0 < len(text) <= EVENT_ID_CHARACTERS_MAX and _clean(text) == text else None


def _excerpt(content: bytes | None, bytes_max: int) -> Excerpt | None:
    if content is None:
        return None
    beginning, is_truncated = content[:bytes_max], len(content) > bytes_max
    try:  # a character that the end cuts through is left out
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning, final=not is_truncated)
        return Excerpt(text, is_base64=False, size=len(content), is_truncated=is_truncated)
    except UnicodeDecodeError:
        text = base64.b64encode(beginning).decode()
        return Excerpt(text, is_base64=True, size=len(content), is_truncated=is_truncated)


def _clean(text: str) -> str:
    """Without halves of characters, which no UTF-8 holds."""
    return text.encode(errors="replace").decode()
