"""Reads of rankings: one round trip to the cache each, the leaderboard's definition being at hand."""

from enum import Enum
from functools import partial
from typing import Final, Protocol

from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from functions.api.conditional import ConditionalAnswer, ConditionalReads
from functions.api.contract import BUILDING, NOT_MODIFIED, Routes, described, operation
from functions.api.models import PlayerOfQuery, PlayerQuery, RankingQuery
from functions.api.params import Finder, check_combination, read_query, read_ranking_query, to_user_id
from functions.api.problems import UnknownPlayer
from functions.api.views.rankings import (
    NeighboursView,
    RankingView,
    to_entry_views,
    to_player_view,
    to_window_view,
)
from shared.domain.calendar import Window
from shared.domain.events import format_instant
from shared.domain.ranking import Entry
from shared.domain.rules import Leaderboard
from shared.domain.selections import Selection
from shared.reads.answers import PlayerRanking, Ranking
from shared.reads.cursors import Cursor, Cursors, filters_of
from shared.reads.profiles import PageProfiles, Painted
from shared.reads.rankings import Rankings

_RANKINGS: Final = "/leaderboards/{id}/rankings"
_PLAYER_OF: Final = "/leaderboards/{id}/players"
_PLAYER: Final = "/leaderboards/{id}/players/{userId:path}"
_TAGS: Final[list[str | Enum]] = ["rankings"]


class UseCases(Protocol):
    """What is called here."""

    @property
    def cursors(self) -> Cursors: ...
    @property
    def rankings(self) -> Rankings: ...
    @property
    def page_profiles(self) -> PageProfiles: ...


# `async def` around blocking calls, here and in every route: a function serves one request at a time, so nobody else
# waits for its loop, while `def` costs a hop to a thread pool: 0.9 ms instead of 0.2 ms for an empty route.
def register(app: Routes, use_cases: UseCases, finder: Finder, conditional: ConditionalReads) -> None:
    """Pages."""

    @app.get(_RANKINGS, tags=_TAGS)
    @operation(
        RankingQuery,
        {200: described(RankingView, "A page of the ranking", conditional=True), 202: BUILDING, 304: NOT_MODIFIED},
        conditional=True,
        labelled="one at a time",
        direct=True,
    )
    async def get_rankings(request: Request) -> Response:
        """Entries of a window, best first; with `userIds` those of some players."""
        query, label = read_ranking_query(request)
        check_combination(query)
        leaderboard, named = finder.leaderboard(request), query.period is not None
        if query.user_ids is not None:
            window = finder.window(leaderboard, query)
            profiles = query.include is not None
            read = partial(
                _read_players, use_cases, leaderboard, window, query.user_ids, named=named, profiles=profiles
            )
        else:
            selected = finder.selection(leaderboard, query, label)
            read = partial(_read_page, use_cases, leaderboard, *selected, named=named)
        return await conditional.respond(request, leaderboard, read)


def register_player(app: Routes, use_cases: UseCases, finder: Finder, conditional: ConditionalReads) -> None:
    """One player. Their route takes all that follows `players/`, so whatever stands below it is registered before."""
    found = {
        200: described(NeighboursView, "The player and the entries around theirs", conditional=True),
        202: BUILDING,
        304: NOT_MODIFIED,
    }

    async def respond(request: Request, query: PlayerQuery, user_id: str) -> Response:
        leaderboard = finder.leaderboard(request)
        window = finder.window(leaderboard, query)
        named = query.period is not None
        profiles = query.include is not None
        read = partial(
            _read_player, use_cases, leaderboard, window, user_id, query.context, named=named, profiles=profiles
        )
        return await conditional.respond(request, leaderboard, read)

    @app.get(_PLAYER_OF, tags=_TAGS)
    @operation(PlayerOfQuery, found, conditional=True, direct=True)
    async def get_player_by_id(request: Request) -> Response:
        """The same for any user id, also one that ends as another route does: `x/events`."""
        query = read_query(request, PlayerOfQuery)
        return await respond(request, query, to_user_id(query.user_id))

    @app.get(_PLAYER, tags=_TAGS)
    @operation(PlayerQuery, found, conditional=True, direct=True)
    async def get_player(request: Request) -> Response:
        """A player's entry, the entries around it, and what they lack for better."""
        query = read_query(request, PlayerQuery)
        return await respond(request, query, to_user_id(request.path_params["userId"]))


def _read_page(
    use_cases: UseCases, leaderboard: Leaderboard, window: Window, selection: Selection, *, named: bool
) -> ConditionalAnswer:
    """`named`: whether the window was asked for by the id of a period, here and below."""
    ranking = use_cases.rankings.select(leaderboard, window, selection)
    painted = use_cases.page_profiles.of(leaderboard, ranking, ranking.entries) if selection.profiles else None
    view = partial(_to_page, use_cases.cursors, leaderboard, ranking, selection, painted, named=named)
    return ConditionalAnswer(ranking, view, _state(painted))


def _state(painted: Painted | None) -> tuple[int, ...]:
    """What profiles add to what an answer is known by: a change of one is no change of the window."""
    return () if painted is None else (painted.state,)


def _to_page(
    cursors: Cursors,
    leaderboard: Leaderboard,
    ranking: Ranking,
    selection: Selection,
    painted: Painted | None,
    *,
    named: bool,
) -> RankingView:
    filters = filters_of(selection)

    def cursor(entry: Entry, *, backward: bool) -> str:
        key = (entry.user_id, entry.score, entry.reached_at_ms)
        return cursors.write(Cursor(leaderboard.id, ranking.window.id, backward, *key, filters))

    entries = ranking.entries
    following = cursor(entries[-1], backward=False) if ranking.has_next else None
    previous = cursor(entries[0], backward=True) if ranking.has_previous else None
    return _to_view(leaderboard, ranking, painted, following, previous, named=named)


def _read_players(
    use_cases: UseCases,
    leaderboard: Leaderboard,
    window: Window,
    user_ids: tuple[str, ...],
    *,
    named: bool,
    profiles: bool,
) -> ConditionalAnswer:
    ranking = use_cases.rankings.players(leaderboard, window, user_ids, profiles=profiles)
    painted = use_cases.page_profiles.of(leaderboard, ranking, ranking.entries) if profiles else None
    view = partial(_to_players, leaderboard, ranking, user_ids, painted, named=named)
    return ConditionalAnswer(ranking, view, _state(painted))


def _to_players(
    leaderboard: Leaderboard, ranking: Ranking, user_ids: tuple[str, ...], painted: Painted | None, *, named: bool
) -> RankingView:
    present = {entry.user_id for entry in ranking.entries}
    view = _to_view(leaderboard, ranking, painted, None, None, named=named)
    view.missing = [user_id for user_id in user_ids if user_id not in present]
    return view


def _read_player(
    use_cases: UseCases,
    leaderboard: Leaderboard,
    window: Window,
    user_id: str,
    context: int,
    *,
    named: bool,
    profiles: bool,
) -> ConditionalAnswer:
    found = use_cases.rankings.player(leaderboard, window, user_id, context, profiles=profiles)
    if found is None:
        raise UnknownPlayer(f"{user_id!r} has no points in {window.id} of {leaderboard.id}")
    entries = (*found.above, found.player, *found.below)
    painted = use_cases.page_profiles.of(leaderboard, found.ranking, entries) if profiles else None
    state = found.player.score, found.player.reached_at_ms, *_state(painted)
    return ConditionalAnswer(found.ranking, partial(_to_neighbours, leaderboard, found, painted, named=named), state)


def _to_neighbours(
    leaderboard: Leaderboard, found: PlayerRanking, painted: Painted | None, *, named: bool
) -> NeighboursView:
    ranking = found.ranking
    return NeighboursView(
        leaderboard_id=leaderboard.id,
        window=to_window_view(ranking, leaderboard, is_registered=named),
        revision=ranking.revision,
        total=ranking.total,
        as_of=format_instant(ranking.as_of_ms),
        source=ranking.source,
        player=to_player_view(found, painted),
        above=to_entry_views(found.above, ranking.total, painted),
        below=to_entry_views(found.below, ranking.total, painted),
        rules_version=ranking.rules_version,
        result_version=_if_given(ranking.result_version),
        pending_version=_if_given(ranking.pending_version),
    )


def _to_view(
    leaderboard: Leaderboard,
    ranking: Ranking,
    painted: Painted | None,
    following: str | None,
    previous: str | None,
    *,
    named: bool,
) -> RankingView:
    return RankingView(
        leaderboard_id=leaderboard.id,
        window=to_window_view(ranking, leaderboard, is_registered=named),
        revision=ranking.revision,
        total=ranking.total,
        as_of=format_instant(ranking.as_of_ms),
        source=ranking.source,
        matched=ranking.matched,
        entries=to_entry_views(ranking.entries, ranking.total, painted),
        next_cursor=following,
        prev_cursor=previous,
        truncated=ranking.truncated,
        rank_approximate=ranking.rank_is_approximate,
        missing=UNSET,
        rules_version=ranking.rules_version,
        result_version=_if_given(ranking.result_version),
        pending_version=_if_given(ranking.pending_version),
    )


def _if_given(version: int | None) -> int | UnsetType:
    return UNSET if version is None else version
