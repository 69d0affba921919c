"""Profiles: what a page paints a player with. They are no part of scores, rankings, results or proofs. Pure.

Of several profiles of a player the newest stays: by `occurredAt`, of one time the one whose text is greater, byte by
byte. That is a maximum, so it doesn't matter in which order they come, nor how often.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

NAME_CHARACTERS_MAX: Final = 64
AVATAR_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$"
"""A key of the client's own pictures: neither an address with a scheme nor markup."""
METADATA_BYTES_MAX: Final = 512
"""Of the object as JSON without spaces, in UTF-8."""
EVENT_BYTES_MAX: Final = 8_192
"""Longest profile in an event that is looked into: twice what a valid one takes where each character is escaped."""
TIME_DIGITS: Final = 16
"""Of a stored value: what it begins with."""
_AVATAR: Final = re.compile(AVATAR_PATTERN.replace("$", r"\Z"))
_UNSHOWN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, breaks of lines, what turns the direction of the text around, halves of a character."""


class InvalidProfile(ValueError):
    """A profile that no player may have. `field` names what is wrong; None for the whole."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field


class Profile(Struct, frozen=True):
    """What a player wants to be shown by. All of it may be missing."""

    name: str | None = None
    avatar: str | None = None
    metadata: dict[str, Any] | None = None
    """Whatever else a client paints; nothing here looks into it."""


class KeptProfile(Struct, frozen=True, gc=False):
    """A profile as it is stored, and since when it holds."""

    at_ms: int
    """`occurredAt` of the event that brought it, or when it was set."""
    text: str
    """JSON without spaces; empty if the player took it back."""

    @property
    def value(self) -> str:
        """As stores keep it: of several the greatest is the newest."""
        return f"{self.at_ms:0{TIME_DIGITS}d}{self.text}"

    @property
    def is_fence(self) -> bool:
        """Whether the player's id was replaced by a pseudonym, so that none is kept under it."""
        return self == FENCE

    @property
    def profile(self) -> Profile | None:
        """The profile; None if the player has none."""
        return msgspec.json.decode(self.text, type=Profile) if self.text else None


NO_PROFILE: Final = KeptProfile(0, "")
"""Of a player who never had one: older than every other."""
FENCE: Final = KeptProfile(10**TIME_DIGITS - 1, "")
"""Newer than every other: what stands under an id that was replaced."""


def kept_of(value: str) -> KeptProfile:
    """The profile of a stored value."""
    return KeptProfile(int(value[:TIME_DIGITS]), value[TIME_DIGITS:])


def profile_text(profile: Profile) -> str:
    """A profile as it is stored and sent; empty if nothing is in it.

    Raises:
        InvalidProfile: naming `name`, `avatar` or `metadata`.
    """
    if profile.name is not None:
        _check_name(profile.name)
    if profile.avatar is not None and not _AVATAR.match(profile.avatar):
        raise InvalidProfile("avatar", "must be 1 to 64 letters, digits and . _ / - and begin with a letter or digit")
    if profile.metadata is not None:
        _check_metadata(profile.metadata)
    return "" if profile == Profile() else msgspec.json.encode(profile).decode()


def event_profile_text(raw: bytes) -> str:
    """The profile of an event, from its JSON, as it is stored.

    Raises:
        InvalidProfile: if it is none, whatever was sent.
    """
    if len(raw) > EVENT_BYTES_MAX:
        raise InvalidProfile(None, f"must be at most {EVENT_BYTES_MAX} bytes of JSON")
    try:
        return profile_text(msgspec.json.decode(raw, type=Profile))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidProfile):
            raise
        raise InvalidProfile(None, f"must be a profile: {error}") from None


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.strip():
        raise InvalidProfile("name", f"must be 1 to {NAME_CHARACTERS_MAX} characters, not only spaces")
    if _UNSHOWN.search(name):
        raise InvalidProfile("name", "must not have control characters")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    try:
        size = len(msgspec.json.encode(metadata))
    except (ValueError, TypeError, RecursionError):
        raise InvalidProfile("metadata", "must be JSON") from None
    if size > METADATA_BYTES_MAX:
        raise InvalidProfile("metadata", f"must be at most {METADATA_BYTES_MAX} bytes of JSON, is {size}")
    _check_values(metadata)


def _check_values(value: object) -> None:
    """So short a text is nested too little to be a problem."""
    match value:
        case str():
            if _UNSHOWN.search(value):
                raise InvalidProfile("metadata", "must not have control characters")
        case float():
            if value - value != 0:  # infinity, which a number too large is read as, or no number
                raise InvalidProfile("metadata", "must have numbers that are finite")
        case Mapping():
            for name, one in value.items():
                _check_values(name)
                _check_values(one)
        case list():
            for one in value:
                _check_values(one)
