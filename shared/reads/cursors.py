"""Cursors: signed positions in a ranking, which only this service can make."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec
from msgspec import Struct

from shared.domain.calendar import Window, parse_id
from shared.domain.selections import RankingKey, Selection
from shared.domain.standings import Score

FILTERS_BYTES: Final = 8
"""Bytes of the digest of the filters that a cursor belongs to. The digest is signed, so that a client can't search for
other filters with the same one."""
SIGNATURE_BYTES: Final = 16
"""HMAC-SHA-256 cut to 128 bits (RFC 2104, section 5: at least half of the hash)."""
_FORMAT: Final = 2
"""Incremented when the content changes, so that an older cursor is rejected."""


class InvalidCursor(ValueError):
    """A cursor that this service did not make, or made for another leaderboard."""


class Cursor(Struct, frozen=True, array_like=True):
    """A key and the direction to read from it, for one window of one leaderboard and one choice of filters."""

    leaderboard_id: str
    window_id: str
    backward: bool
    user_id: str
    points: int
    reached_at_ms: int
    filters: bytes = b""
    """As `filters_of` returns it."""
    format: int = _FORMAT

    @property
    def key(self) -> RankingKey:
        """The key that the next page starts after, or ends before."""
        return RankingKey(self.user_id, Score(self.points, self.reached_at_ms))

    @property
    def window(self) -> Window:
        """The window that it belongs to."""
        return parse_id(self.window_id)


def filters_of(selection: Selection) -> bytes:
    """A digest of a selection's filters; empty without filters."""
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
            raise InvalidCursor("is not a cursor of this service") from None
        content, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
        # other texts decode to the same bytes, since base64 has spare bits
        if not hmac.compare_digest(self._signature(content), signature) or _to_text(signed) != text:
            raise InvalidCursor("is not a cursor of this service")
        try:
            cursor = msgspec.msgpack.decode(content, type=Cursor)
        except msgspec.DecodeError:
            raise InvalidCursor("is not a cursor of this release") from None
        if cursor.format != _FORMAT:
            raise InvalidCursor("is not a cursor of this release")
        if cursor.leaderboard_id != leaderboard_id:
            raise InvalidCursor("belongs to another leaderboard")
        return cursor

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)[:SIGNATURE_BYTES]


def _to_text(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
