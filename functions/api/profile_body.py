"""The body of a profile, checked at the edge as the profile of an event is."""

from typing import Annotated

from pydantic import Field, JsonValue

from functions.api.models import Sent
from shared.domain.profiles import AVATAR_PATTERN, METADATA_BYTES_MAX, NAME_CHARACTERS_MAX, Profile, profile_text


class ProfileBody(Sent):
    """What a page paints a player with."""

    name: Annotated[
        str | None,
        Field(
            strict=True,
            min_length=1,
            max_length=NAME_CHARACTERS_MAX,
            description="What the player is called: text without control characters",
        ),
    ] = None
    avatar: Annotated[
        str | None,
        Field(strict=True, pattern=AVATAR_PATTERN, description="The key of a picture that the client has"),
    ] = None
    metadata: Annotated[
        dict[str, JsonValue] | None,
        Field(description=f"Whatever else a client paints; at most {METADATA_BYTES_MAX} bytes as JSON without spaces"),
    ] = None

    def to_text(self) -> str:
        """The profile as it is stored; empty if nothing is in it.

        Raises:
            InvalidProfile: naming the field.
        """
        return profile_text(Profile(self.name, self.avatar, self.metadata))
