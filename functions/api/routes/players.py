"""One player: all their windows, their events, and why they stand where they stand."""

from enum import Enum
from typing import Final, Literal

from fastapi import FastAPI, Request, Response

from functions.api.building import ASK_AGAIN_S
from functions.api.models import EventsQuery, NoQuery, WindowQuery
from functions.api.openapi import building, described, operation
from functions.api.params import Finder, read_query, to_user_id
from functions.api.problems import UnknownPlayer
from functions.api.routes.rankings import to_player_view
from functions.api.views import (
    BucketView,
    CountedEventView,
    EventsView,
    EventView,
    ExplanationView,
    NeighbourView,
    PendingWindowView,
    PlayerWindowsView,
    PlayerWindowView,
    TierMatchView,
    answer,
    to_entry_view,
    to_tier_view,
    to_window_view,
    window_view,
)
from shared.assembly import Assembly
from shared.domain.calendar import format_day
from shared.domain.events import format_instant
from shared.domain.ranking import Entry
from shared.reads.answers import Explanation, PendingWindow, PlayerWindow
from shared.truth.items import LedgerEntry

_WINDOWS: Final = "/leaderboards/{id}/players/{userId:path}/windows"
_EVENTS: Final = "/leaderboards/{id}/players/{userId:path}/events"
_EXPLAIN: Final = "/leaderboards/{id}/players/{userId:path}/explain"
_TAGS: Final[list[str | Enum]] = ["players"]
_FRESH: Final = {"cache-control": "no-cache"}
"""These are read to check something: never from a cache."""


def register(app: FastAPI, assembly: Assembly, finder: Finder) -> None:
    """What stands below a player; before the player's own route, which takes all that follows `players/`."""

    @app.get(
        _WINDOWS,
        tags=_TAGS,
        responses={200: described(PlayerWindowsView, "The player in every window that is going on"), 202: building()},
        openapi_extra=operation(_WINDOWS),
    )
    async def windows(request: Request) -> Response:
        """A player today, this week, in all time and in every registered period that is going on."""
        read_query(request, NoQuery)
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        found = assembly.players.windows(leaderboard, user_id)
        told = [_to_player_window_view(one) for one in found.windows]
        pending = [_to_pending_window_view(one, finder.now_ms()) for one in found.pending]
        headers = _FRESH | ({"retry-after": str(ASK_AGAIN_S)} if pending else {})
        return answer(PlayerWindowsView(leaderboard.id, user_id, told, pending), 200, headers)

    @app.get(
        _EVENTS,
        tags=_TAGS,
        responses={200: described(EventsView, "A page of the player's events, by event id")},
        openapi_extra=operation(_EVENTS, EventsQuery),
    )
    async def events(request: Request) -> Response:
        """The audit trail: every event of a player that was accepted."""
        query = read_query(request, EventsQuery)
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        found = assembly.players.events(leaderboard, user_id, query.after, query.limit + 1)
        if not found and query.after is None:
            raise UnknownPlayer(f"{user_id!r} has no events in {leaderboard.id}")
        page = [_to_event_view(one) for one in found[: query.limit]]
        following = page[-1].event_id if len(found) > len(page) else None
        return answer(EventsView(leaderboard.id, user_id, page, following), 200, _FRESH)


def register_explanation(app: FastAPI, assembly: Assembly, finder: Finder) -> None:
    """Why a player stands where they stand; likewise before the player's own route."""

    @app.get(
        _EXPLAIN,
        tags=_TAGS,
        responses={200: described(ExplanationView, "Why the player stands where they stand"), 202: building()},
        openapi_extra=operation(_EXPLAIN, WindowQuery),
    )
    async def explain(request: Request) -> Response:
        """The buckets and events behind a score, what decided against the neighbours, and the tiers' cutoffs."""
        query = read_query(request, WindowQuery)
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        window = finder.window(leaderboard, query)
        found = assembly.players.explain(leaderboard, window, user_id)
        if found is None:
            raise UnknownPlayer(f"{user_id!r} has no points in {window.id} of {leaderboard.id}")
        return answer(_to_explanation_view(found), 200, _FRESH)


def _to_player_window_view(found: PlayerWindow) -> PlayerWindowView:
    ranking = found.ranking
    return PlayerWindowView(
        to_window_view(ranking),
        list(found.period_ids),
        ranking.revision,
        ranking.total,
        format_instant(ranking.as_of_ms),
        ranking.source,
        ranking.rank_is_approximate,
        to_entry_view(ranking.entries[0]) if ranking.entries else None,
    )


def _to_pending_window_view(found: PendingWindow, now_ms: int) -> PendingWindowView:
    window = found.window
    return PendingWindowView(
        window_view(window, window.status(now_ms)),
        list(found.period_ids),
        found.progress.position,
        len(window.buckets),
    )


def _to_event_view(entry: LedgerEntry) -> EventView:
    event, source = entry.event, entry.source
    return EventView(
        event.event_id,
        event.points,
        format_instant(event.occurred_at_ms),
        event.attributes,
        source.topic,
        source.partition,
        source.offset,
        format_instant(source.appended_at_ms),
    )


def _to_explanation_view(found: Explanation) -> ExplanationView:
    player, ranking, rules = found.player, found.player.ranking, found.rules
    return ExplanationView(
        rules.id,
        to_window_view(ranking),
        ranking.revision,
        ranking.total,
        format_instant(ranking.as_of_ms),
        ranking.source,
        rules.aggregation,
        rules.order,
        rules.version,
        to_player_view(player),
        [
            BucketView(format_day(day), standing.points, format_instant(standing.reached_at_ms), standing.events)
            for day, standing in found.buckets
        ],
        [CountedEventView(_to_event_view(one.entry), one.counts) for one in found.events],
        found.events_complete,
        found.agrees,
        _to_neighbour_view(player.player, player.above[-1]) if player.above else None,
        _to_neighbour_view(player.player, player.below[0]) if player.below else None,
        [
            TierMatchView(to_tier_view(one.tier), one.met, one.cutoff_rank, one.cutoff_score, one.points_to_reach)
            for one in found.tiers
        ],
    )


def _to_neighbour_view(player: Entry, neighbour: Entry) -> NeighbourView:
    decided_by: Literal["score", "reachedAt", "userId"] = "userId"
    if player.score != neighbour.score:
        decided_by = "score"
    elif player.reached_at_ms != neighbour.reached_at_ms:
        decided_by = "reachedAt"
    return NeighbourView(to_entry_view(neighbour), decided_by)
