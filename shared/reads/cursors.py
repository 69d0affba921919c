"""Cursors: positions in a ranking that a client holds and can't make himself."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec
from msgspec import Struct

from shared.domain.calendar import Window, parse_id
from shared.domain.selections import Place, Selection
from shared.domain.standings import Score

FILTERS_BYTES: Final = 8
"""Of the digest by which a cursor tells the filters that it belongs to: it is signed, so nobody can look for another
choice of filters with the same one."""
SIGNATURE_BYTES: Final = 16
"""HMAC-SHA-256 cut to 128 bits (RFC 2104, section 5: at least half of the hash)."""
_FORMAT: Final = 2
"""Raised whenever the content changes, so that an older cursor is refused rather than misread."""


class InvalidCursor(ValueError):
    """A cursor that was not made here, or for another ranking."""


class Cursor(Struct, frozen=True, array_like=True):
    """A position, and which way to read from it. It belongs to one window of one leaderboard, and to some filters."""

    leaderboard_id: str
    window_id: str
    backward: bool
    user_id: str
    points: int
    reached_at_ms: int
    filters: bytes = b""
    """As `filters_of` tells them."""
    format: int = _FORMAT

    @property
    def place(self) -> Place:
        """The position, as a selection takes it."""
        return Place(self.user_id, Score(self.points, self.reached_at_ms))

    @property
    def window(self) -> Window:
        """The window that it belongs to."""
        return parse_id(self.window_id)


def filters_of(selection: Selection) -> bytes:
    """What a selection takes of the window, in short; empty for the whole window."""
    filters = (selection.min_score, selection.max_score, selection.tier, selection.label)
    if filters == (None,) * len(filters):
        return b""
    return hashlib.blake2b(msgspec.msgpack.encode(filters), digest_size=FILTERS_BYTES).digest()


class Cursors:
    """Signs cursors and checks them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, cursor: Cursor) -> str:
        """The cursor as text, base64url: its content, then the signature."""
        content = msgspec.msgpack.encode(cursor)
        return _to_text(content + self._signature(content))

    def read(self, text: str, leaderboard_id: str) -> Cursor:
        """The cursor of a text.

        Raises:
            InvalidCursor: unless it was written with this key, for this leaderboard.
        """
        try:
            signed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise InvalidCursor("is no cursor of this service") from None
        content, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
        # a text that is not the one written can decode to the same bytes: bits that base64 leaves over
        if not hmac.compare_digest(self._signature(content), signature) or _to_text(signed) != text:
            raise InvalidCursor("is no cursor of this service")
        try:
            cursor = msgspec.msgpack.decode(content, type=Cursor)
        except msgspec.DecodeError:
            raise InvalidCursor("is no cursor of this release") from None
        if cursor.format != _FORMAT:
            raise InvalidCursor("is no cursor of this release")
        if cursor.leaderboard_id != leaderboard_id:
            raise InvalidCursor("belongs to another leaderboard")
        return cursor

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)[:SIGNATURE_BYTES]


def _to_text(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
