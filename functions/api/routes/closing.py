"""What closing has still to do for a leaderboard, and what it waits for."""

from enum import Enum
from typing import Final, Protocol

from fastapi import FastAPI, Request, Response

from functions.api.contract import described, operation
from functions.api.edge import caller
from functions.api.models import ClosingQuery
from functions.api.params import Finder, read_query
from functions.api.security import Scope
from functions.api.views import answer
from functions.api.views.closing import ClosingView, to_closing_view
from shared.closing.state import ClosingStates
from shared.settings import Settings

_CLOSING: Final = "/leaderboards/{id}/closing"


class UseCases(Protocol):
    """What is called here."""

    @property
    def closing_states(self) -> ClosingStates: ...
    @property
    def settings(self) -> Settings: ...


def register(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """The route."""
    tags: list[str | Enum] = ["exports"]

    @app.get(_CLOSING, tags=tags)
    @operation(ClosingQuery, {200: described(ClosingView, "A page of what is not done, empty if all is")})
    async def get_closing(request: Request) -> Response:
        """What is due: each day and window that is not final, the step that it is in, what blocks it and since when.

        Also audit entries that results don't follow yet, and results that are not announced. Of a deleted leaderboard,
        too. Reading it changes nothing.
        """
        query = read_query(request, ClosingQuery)
        leaderboard = finder.leaderboard(request, now=True, or_deleted=True)
        found = use_cases.closing_states.find(leaderboard, query.limit, query.after)
        may_see = caller(request).has(Scope.ADMIN, use_cases.settings.scope_prefix)
        return answer(to_closing_view(leaderboard, found, with_details=may_see), 200, {"cache-control": "no-store"})
