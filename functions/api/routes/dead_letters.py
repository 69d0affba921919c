"""Which records were rejected, one by one."""

from enum import Enum
from typing import Final, Protocol

from fastapi import FastAPI, Request, Response

from functions.api.contract import described, operation
from functions.api.models import DeadLettersQuery
from functions.api.params import Finder, read_query
from functions.api.problems import InvalidRequest
from functions.api.views import answer
from functions.api.views.dead_letters import DeadLettersView, to_dead_letters_view
from shared.truth.letters import Choice, InvalidPlace, LetterRegister, Place, parse_place

_DEAD_LETTERS: Final = "/dead-letters"


class UseCases(Protocol):
    """What is called here."""

    @property
    def letter_register(self) -> LetterRegister: ...


def register(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """The route."""
    tags: list[str | Enum] = ["administration"]

    @app.get(_DEAD_LETTERS, tags=tags)
    @operation(DeadLettersQuery, {200: described(DeadLettersView, "A page of dead letters, the last append first")})
    async def list_dead_letters(request: Request) -> Response:
        """Which records of the last 14 days were rejected, and why, with the beginnings of their keys and values.

        It is what was refused, also what was sent again since. With `leaderboardId` or `eventId`, a page looks at up to
        1,000 dead letters of each reason: follow `nextCursor` until it is null, and name the `reason` if it is known.
        """
        query = read_query(request, DeadLettersQuery)
        choice = Choice(query.reason, query.leaderboard_id, query.event_id)
        now_ms = finder.now_ms()
        page = use_cases.letter_register.page(choice, query.limit, _after(query.cursor), now_ms)
        view = to_dead_letters_view(page, use_cases.letter_register.unregistered(now_ms))
        return answer(view, 200, {"cache-control": "no-store"})


def _after(cursor: str | None) -> Place | None:
    try:
        return None if cursor is None else parse_place(cursor)
    except InvalidPlace as error:
        raise InvalidRequest(str(error), "cursor") from None
