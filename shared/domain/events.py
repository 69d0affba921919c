"""Score events: what a producer sends, read strictly."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from shared.domain.rejections import Reason, Rejection

POINTS_MAX: Final = 2**53 - 1
"""Largest magnitude of points and scores: the integers that a double, and so a sorted set, holds exactly."""
UTF8_BYTES_MAX: Final = 4
"""Of one character."""
USER_ID_BYTES_MAX: Final = 128
EVENT_ID_CHARACTERS_MAX: Final = 128
FUTURE_TOLERANCE_MS: Final = 5 * 60 * 1000
"""How far a producer's clock may run ahead of the broker's."""

LEADERBOARD_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,63}\Z"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that no name has: control characters, and halves of a character."""
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = _EPOCH.replace(tzinfo=None)

LeaderboardId = Annotated[str, Meta(pattern=LEADERBOARD_ID_PATTERN)]
ATTRIBUTES_MAX: Final = 16
ATTRIBUTE_NAME_CHARACTERS_MAX: Final = 64
AttributeName = Annotated[str, Meta(min_length=1, max_length=ATTRIBUTE_NAME_CHARACTERS_MAX)]
ATTRIBUTE_CHARACTERS_MAX: Final = 256
AttributeValue = Annotated[str, Meta(max_length=ATTRIBUTE_CHARACTERS_MAX)]


class ScoreEvent(msgspec.Struct, frozen=True, gc=False):
    """One scoring fact about one player on one leaderboard."""

    event_id: str
    leaderboard_id: str
    user_id: str
    points: int
    occurred_at_ms: int
    """Milliseconds since 1970-01-01T00:00Z; finer fractions are cut off, never rounded into the next day."""
    attributes: dict[str, str] = {}

    def same_content(self, other: "ScoreEvent") -> bool:
        """Whether two events of one id say the same: then the second is a duplicate, else a conflict."""
        return self == other

    @property
    def key(self) -> bytes:
        """What its record's key must be, so that all events of the player come in one partition, in order."""
        return f"{self.leaderboard_id}:{self.user_id}".encode()

    def conflict(self) -> Rejection:
        """Why another content under the id of this event, which is in the ledger, does not count."""
        detail = f"event {self.event_id} of this player is in the ledger with other content"
        return Rejection(Reason.CONFLICTING_DUPLICATE, detail)


_NOTHING: Final = msgspec.Raw(b"")
_NULL: Final = b"null"


class _Wire(msgspec.Struct, frozen=True, rename="camel", gc=False):
    event_id: Annotated[str, Meta(min_length=1, max_length=EVENT_ID_CHARACTERS_MAX)]
    leaderboard_id: LeaderboardId
    user_id: Annotated[str, Meta(min_length=1, max_length=USER_ID_BYTES_MAX)]
    points: Annotated[int, Meta(ge=-POINTS_MAX, le=POINTS_MAX)]
    occurred_at: str
    attributes: Annotated[dict[AttributeName, AttributeValue], Meta(max_length=ATTRIBUTES_MAX)] = {}
    profile: msgspec.Raw = _NOTHING
    """Not looked into: whatever is wrong with it, the event counts."""


_decoder = msgspec.json.Decoder(_Wire)
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_QUOTES: Final = 18
"""In an event without attributes: around five names and four texts."""


def decode(value: bytes | None) -> ScoreEvent:
    """Read the event in the value of one record of the topic; raises what `decode_record` raises."""
    return decode_record(value)[0]


def decode_record(value: bytes | None) -> tuple[ScoreEvent, bytes | None]:
    """Read the value of one record of the topic.

    Returns:
        The event, and the profile that it brings: JSON, whatever it says. It is no part of the event's content.

    Raises:
        Rejection: `malformed` if it is not a JSON object in UTF-8 whose names are unique (RFC 7493), `invalid` with the
            field and what it takes.
    """
    if value is None:
        raise Rejection(Reason.MALFORMED, "the record has no value; expected a JSON object")
    try:
        text = str(value, "utf-8")  # msgspec does not look into the fields that it skips
        wire = _decoder.decode(text)
        if text.count('"') != _QUOTES + (2 + 4 * len(wire.attributes) if wire.attributes else 0):
            _check_names(text, len(wire.attributes))  # otherwise there are no other names, so none is there twice
    except msgspec.ValidationError as error:
        raise _rejection(value, error) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Rejection(Reason.MALFORMED, str(error)) from None
    check_user_id(wire.user_id)
    event = ScoreEvent(
        wire.event_id,
        wire.leaderboard_id,
        wire.user_id,
        wire.points,
        parse_instant(wire.occurred_at),
        wire.attributes,
    )
    return event, _profile(wire)


def _profile(wire: _Wire) -> bytes | None:
    """The profile of an event as it was sent; None without one."""
    if wire.profile is _NOTHING:
        return None
    raw = bytes(wire.profile)
    return None if raw == _NULL else raw


def _rejection(value: bytes, error: msgspec.ValidationError) -> Rejection:
    """A wrong field may stand before the place where the value stops being a JSON object at all."""
    try:
        _object_decoder.decode(value)
        _check_names(str(value, "utf-8"))
    except (msgspec.DecodeError, ValueError, RecursionError) as malformed:
        return Rejection(Reason.MALFORMED, str(malformed))
    return Rejection(Reason.INVALID, str(error))


def _check_names(text: str, attributes: int | None = None) -> None:
    """Raises ValueError if a name is there twice in one object, however deep it is and however it is escaped."""
    if attributes is None or not _is_plain(text, attributes):
        json.loads(text, object_pairs_hook=_unique, parse_int=str, parse_float=str)  # numbers of any length


def _is_plain(text: str, attributes: int) -> bool:
    """Whether no name can be there twice, as of most events with fields that are not read.

    Without backslashes each name and text has two quotation marks. So none was dropped as long as they are as many once
    the event, and its attributes, were read.
    """
    if "\\" in text:
        return False
    fields = _object_decoder.decode(text)
    own = fields.get("attributes")
    return (
        text.count("{") == (1 if own is None else 2)
        and text.count('"') == msgspec.json.encode(fields).count(b'"')
        and (own is None or bytes(own).count(b'"') == 4 * attributes)
    )


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name[:64]!r} must be unique in its object (RFC 7493)")
        found[name] = value
    return found


def check_user_id(user_id: str) -> None:
    """Raises Rejection(`invalid`) unless `user_id` is 1–128 bytes of UTF-8 without control characters."""
    # a surrogate on its own is no UTF-8; it takes three bytes here and is refused with the control characters
    is_short = 0 < len(user_id) <= USER_ID_BYTES_MAX // UTF8_BYTES_MAX
    if not is_short and not 1 <= len(user_id.encode(errors="surrogatepass")) <= USER_ID_BYTES_MAX:
        raise Rejection(Reason.INVALID, f"userId must be 1 to {USER_ID_BYTES_MAX} bytes of UTF-8")
    if CONTROL.search(user_id):
        raise Rejection(Reason.INVALID, "userId must not have control characters")


def parse_instant(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 timestamp with an offset, from 1970 to 2100.

    Raises:
        Rejection: `invalid`, naming `occurredAt`.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise Rejection(Reason.INVALID, "occurredAt must be an RFC 3339 timestamp with an offset")
    date, time, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset.upper()}")
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        raise Rejection(Reason.INVALID, f"occurredAt: {text[:40]} is not a valid date and time") from None
    milliseconds = (since.days * 86_400 + since.seconds) * 1000
    if fraction:
        milliseconds += int(fraction[:3].ljust(3, "0"))
    if not 0 <= milliseconds < INSTANT_END_MS:
        raise Rejection(Reason.INVALID, "occurredAt must be in the years 1970 to 2100")
    return milliseconds


INSTANT_END_MS: Final = int(datetime(2101, 1, 1, tzinfo=UTC).timestamp()) * 1000


_SECONDS: Final = tuple(f":{second:02}." for second in range(60))
_MILLISECONDS: Final = tuple(f"{millisecond:03}Z" for millisecond in range(1000))
MINUTES_KEPT_MAX: Final = 4_096
"""Minutes whose text is remembered, some 70 bytes each: those of a page are few."""


def format_instant(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. `2026-11-23T10:15:30.123Z`.

    It is put together from its parts, which takes a fifth of what `datetime` takes: an answer has a hundred of these.
    """
    minute, within = divmod(milliseconds, 60_000)
    return f"{_format_minute(minute)}{_SECONDS[within // 1000]}{_MILLISECONDS[within % 1000]}"


@lru_cache(MINUTES_KEPT_MAX)
def _format_minute(minute: int) -> str:
    return (_NAIVE_EPOCH + timedelta(minutes=minute)).isoformat(timespec="minutes")
