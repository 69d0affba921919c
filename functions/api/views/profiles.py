"""Views of profiles."""

from typing import Any

from msgspec import Struct

from shared.domain.events import format_instant
from shared.domain.profiles import KeptProfile


class PaintView(Struct, rename="camel", gc=False, kw_only=True):
    """What a player is painted with: text as it was sent, never markup. Put it on a page as text."""

    name: str | None
    """At most 64 characters, no control characters among them."""
    avatar: str | None
    """The key of a picture that the client has."""
    metadata: dict[str, Any] | None
    """Whatever else: an object of at most 512 bytes of JSON."""


class ProfileView(Struct, rename="camel", kw_only=True):
    """The profile of a player on a leaderboard."""

    leaderboard_id: str
    user_id: str
    profile: PaintView | None
    """Null for who has none, took it back, or has a pseudonym."""
    since: str | None
    """Since when it holds: when it was set, or `occurredAt` of the event that brought it. Null for who never had
    one."""


def to_profile_view(leaderboard_id: str, user_id: str, kept: KeptProfile | None) -> ProfileView:
    """The view of what is kept of a player."""
    profile = None if kept is None else kept.profile
    return ProfileView(
        leaderboard_id=leaderboard_id,
        user_id=user_id,
        profile=None
        if profile is None
        else PaintView(name=profile.name, avatar=profile.avatar, metadata=profile.metadata),
        since=None if kept is None else format_instant(kept.at_ms),
    )
