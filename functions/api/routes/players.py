"""One player: all their windows, their events, and why they stand where they stand."""

from enum import Enum
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from functions.api.building import ASK_AGAIN_S
from functions.api.contract import BUILDING, Routes, described, operation
from functions.api.models import EventsQuery, NoQuery, WindowQuery
from functions.api.params import Finder, read_query, to_event_id, to_user_id
from functions.api.problems import UnknownPlayer
from functions.api.views import answer
from functions.api.views.players import (
    EventStatusView,
    EventsView,
    ExplanationView,
    PlayerWindowsView,
    to_event_status_view,
    to_event_view,
    to_explanation_view,
    to_pending_window_view,
    to_player_window_view,
)
from shared.reads.event_status import EventLookup
from shared.reads.players import Players

_WINDOWS: Final = "/leaderboards/{id}/players/{userId:path}/windows"
_EVENTS: Final = "/leaderboards/{id}/players/{userId:path}/events"
_EVENT: Final = "/leaderboards/{id}/players/{userId:path}/events/{eventId:path}"
_EXPLAIN: Final = "/leaderboards/{id}/players/{userId:path}/explain"
_TAGS: Final[list[str | Enum]] = ["players"]
_FRESH: Final = {"cache-control": "no-cache"}
"""These are read to check something: never from a cache."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def players(self) -> Players: ...
    @property
    def event_lookup(self) -> EventLookup: ...


def register(app: Routes, use_cases: UseCases, finder: Finder) -> None:
    """What stands below a player; before the player's own route, which takes all that follows `players/`."""

    @app.get(_WINDOWS, tags=_TAGS)
    @operation(
        responses={
            200: described(PlayerWindowsView, "The player in every kept window that goes on"),
            202: BUILDING,
        }
    )
    async def get_player_windows(request: Request) -> Response:
        """A player today and this week (if `windows` has them), in all time and in every period that is going on."""
        read_query(request, NoQuery)
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        found = use_cases.players.windows(leaderboard, user_id)
        told = [to_player_window_view(one, leaderboard) for one in found.windows]
        pending = [to_pending_window_view(one, leaderboard, finder.now_ms()) for one in found.pending]
        headers = _FRESH | ({"retry-after": str(ASK_AGAIN_S)} if pending else {})
        return answer(
            PlayerWindowsView(leaderboard_id=leaderboard.id, user_id=user_id, windows=told, pending=pending),
            200,
            headers,
        )

    @app.get(_EVENTS, tags=_TAGS)
    @operation(EventsQuery, {200: described(EventsView, "A page of the player's events, by event id")})
    async def list_player_events(request: Request) -> Response:
        """The audit trail: every event of a player that was accepted."""
        query = read_query(request, EventsQuery)
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        found = use_cases.players.events(leaderboard, user_id, query.after, query.limit + 1)
        if not found and query.after is None:
            raise UnknownPlayer(f"{user_id!r} has no events in {leaderboard.id}")
        page = [to_event_view(one) for one in found[: query.limit]]
        following = page[-1].event_id if len(found) > len(page) else None
        return answer(
            EventsView(leaderboard_id=leaderboard.id, user_id=user_id, events=page, next_after=following), 200, _FRESH
        )


def register_explanation(app: Routes, use_cases: UseCases, finder: Finder) -> None:
    """Why a player stands where they stand; likewise before the player's own route."""

    @app.get(_EXPLAIN, tags=_TAGS)
    @operation(WindowQuery, {200: described(ExplanationView, "Why the player stands where they stand"), 202: BUILDING})
    async def explain_player(request: Request) -> Response:
        """The days and events behind a score, what decided against the neighbours, and the tiers' cutoffs."""
        query = read_query(request, WindowQuery)
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        window = finder.window(leaderboard, query)
        found = use_cases.players.explain(leaderboard, window, user_id)
        if found is None:
            raise UnknownPlayer(f"{user_id!r} has no points in {window.id} of {leaderboard.id}")
        return answer(to_explanation_view(found), 200, _FRESH)


def register_event(app: Routes, use_cases: UseCases, finder: Finder) -> None:
    """What became of an event; after what else stands below a player: an event id takes all that follows `events/`."""

    @app.get(_EVENT, tags=_TAGS)
    @operation(responses={200: described(EventStatusView, "What became of the event so far")})
    async def get_player_event(request: Request) -> Response:
        """Whether an event is in: `applied` with the event as it counts, `rejected` with the reason, or `unknown` so
        far."""
        read_query(request, NoQuery)
        user_id = to_user_id(request.path_params["userId"])
        event_id = to_event_id(request.path_params["eventId"])
        leaderboard = finder.leaderboard(request)
        found = use_cases.event_lookup.status(leaderboard, user_id, event_id)
        return answer(to_event_status_view(leaderboard, user_id, event_id, found), 200, _FRESH)
