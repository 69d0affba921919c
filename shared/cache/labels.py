"""Members of a window's label set: who carries which value, each value's players in ranking order.

All members have the score 0, so the set orders them by their bytes, as apply.lua makes them:

    filter, 1 byte (from 1, in the leaderboard's order) · token with its length, 1 byte · score of the window's set,
    8 bytes, big-endian, sign bit flipped · reached_at, 6 bytes · user id

So the players of one value are one run of one set, whatever the value is, and a window has one key more, however many
values there are.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from shared.domain.ranking import ORDER_HEAD_BYTES, order_bytes
from shared.domain.rules import Leaderboard
from shared.domain.standings import Score, Standing

TOKEN_BYTES: Final = 32
"""Length of a token that stands for a value of as many bytes or more: 24 bytes of its SHA-256 in base64. A shorter
value is its own token, so no two values have one token unless 192 bits of their hashes are equal."""


def token(value: str) -> str:
    """What stands for a value in Redis: at most TOKEN_BYTES, whatever its length."""
    encoded = value.encode()
    if len(encoded) < TOKEN_BYTES:
        return value
    return urlsafe_b64encode(hashlib.sha256(encoded).digest()[:24]).decode()


def tokens_of(filters: Sequence[str], standing: Standing) -> list[str | bool] | bool:
    """What apply.lua takes of a standing: for each filter a token or false; false without any."""
    if not standing.labels:
        return False
    values = {label.filter: label.value for label in standing.labels}
    return [token(values[name]) if name in values else False for name in filters]


def prefix(filters: Sequence[str], name: str, value: str) -> bytes:
    """What the members of one value begin with, and no others."""
    token_bytes = token(value).encode()
    return bytes((filters.index(name) + 1, len(token_bytes))) + token_bytes


def member(leaderboard: Leaderboard, name: str, value: str, user_id: str, score: Score) -> bytes:
    """The member of a player who carries a value, given the score that the window ranks them by."""
    return prefix(leaderboard.filters, name, value) + order_bytes(leaderboard.order, user_id, score)


def user_of(line: bytes) -> str:
    """The user id of a member."""
    return line[2 + line[1] + ORDER_HEAD_BYTES :].decode()
