"""Ids of awards. Pure."""

from hashlib import sha256

import msgspec


def award_id(leaderboard_id: str, window_id: str, user_id: str, tier: str) -> str:
    """The id of what a player gets for being in a tier of a window: the same in every version of the result.

    32 hex digits of the SHA-256 of the four as a JSON array, so that others can compute it, too.
    """
    named = msgspec.json.encode([leaderboard_id, window_id, user_id, tier])
    return sha256(named).hexdigest()[:32]
