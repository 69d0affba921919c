"""The profile of a player: what a page paints them with, beside rankings and never part of one."""

from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from functions.api.contract import Routes, described, operation
from functions.api.models import NoQuery
from functions.api.params import Finder, read_query, to_user_id
from functions.api.problems import InvalidRequest
from functions.api.profile_body import ProfileBody
from functions.api.views import answer
from functions.api.views.profiles import ProfileView, to_profile_view
from shared.admin.profiles import PlayerProfiles
from shared.domain.profiles import InvalidProfile

if TYPE_CHECKING:
    from fastapi import FastAPI  # loads the framework, which who only reads does without

_PROFILE: Final = "/leaderboards/{id}/players/{userId:path}/profile"
_TAGS: Final[list[str | Enum]] = ["players"]
_FRESH: Final = {"cache-control": "no-store"}


class UseCases(Protocol):
    """What is called here."""

    @property
    def player_profiles(self) -> PlayerProfiles: ...


def register(app: Routes, use_cases: UseCases, finder: Finder) -> None:
    """Reading; before the player's own route, which takes all that follows `players/`."""

    @app.get(_PROFILE, tags=_TAGS)
    @operation(responses={200: described(ProfileView, "The profile, or that there is none")})
    async def get_profile(request: Request) -> Response:
        """The profile of a player as it is stored now; a player needs no points to have one."""
        read_query(request, NoQuery)
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        return answer(
            to_profile_view(leaderboard.id, user_id, use_cases.player_profiles.find(leaderboard, user_id)), 200, _FRESH
        )


def register_writes(app: "FastAPI", use_cases: UseCases, finder: Finder) -> None:
    """Setting."""

    @app.put(_PROFILE, tags=_TAGS)
    @operation(responses={200: described(ProfileView, "The profile is set")})
    async def put_profile(request: Request, body: ProfileBody) -> Response:
        """Set the whole profile of a player on this leaderboard: what is left out is not kept. `{}` takes it back.

        It holds until it is set again, or until an event that occurs later brings another. It changes no score, no
        rank and no result. A purge begins without profiles, and a pseudonym has none.
        """
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request, now=True)
        try:
            text = body.to_text()
        except InvalidProfile as error:
            raise InvalidRequest(str(error), error.field) from None
        return answer(
            to_profile_view(leaderboard.id, user_id, use_cases.player_profiles.put(leaderboard, user_id, text)),
            200,
            _FRESH,
        )
