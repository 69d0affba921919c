"""Pseudonyms: what a player is called once their id is to be forgotten. Pure."""

from hashlib import sha256
from hmac import digest
from typing import Final

from msgspec import Struct

PREFIX: Final = "p-"
_DIGITS: Final = 32
"""Hexadecimal digits of the HMAC that are kept: 128 bits, so that no two players get one pseudonym."""


class Move(Struct, frozen=True, kw_only=True):
    """A player's way from their id to their pseudonym: what is known of the id until nothing needs it any more."""

    leaderboard_id: str
    user_id: str
    pseudonym: str
    number: int
    """Of the audit entry."""
    at_ms: int
    """When the pseudonym took the id's place; once everything is moved, when that was done."""


def pseudonym_of(key: bytes, leaderboard_id: str, user_id: str) -> str:
    """The pseudonym of a player: the same at every time, another one on every leaderboard.

    Without the key, who has a list of ids can't tell which of them it is for: `p-` and 32 hexadecimal digits of the
    HMAC-SHA-256 of both ids.
    """
    return PREFIX + digest(key, f"{leaderboard_id}#{user_id}".encode(), sha256).hex()[:_DIGITS]
