"""Results of final windows: what is paid from."""

from enum import Enum
from typing import Final, Protocol

from fastapi import FastAPI, Request, Response

from functions.api.contract import BUILDING, Answered, described, operation
from functions.api.edge import caller
from functions.api.models import RankingQuery, ResultQuery, WindowQuery
from functions.api.params import Finder, read_query
from functions.api.problems import InvalidRequest, NeverFinal, NotFinal
from functions.api.security import Scope
from functions.api.views import answer
from functions.api.views.previews import ResultPreviewView, to_preview_view
from functions.api.views.results import ResultVersionsView, ResultView, to_result_version_view, to_result_view
from shared.closing.preview import Previews
from shared.closing.schedule import expected_final_ms
from shared.domain.calendar import Window, WindowKind
from shared.domain.events import format_instant
from shared.domain.rules import Leaderboard
from shared.lookups.first_days import first_possible_day
from shared.reads.cursors import Cursor, Cursors
from shared.reads.result_versions import ResultVersions
from shared.settings import Settings
from shared.truth.registry import Registry

_RESULT: Final = "/leaderboards/{id}/result"
_VERSIONS: Final = "/leaderboards/{id}/result/versions"
_TAGS: Final[list[str | Enum]] = ["exports"]
_HEADERS: Final = {"cache-control": "private, no-store"}
"""Its links are as good as the files for a while."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def cursors(self) -> Cursors: ...
    @property
    def previews(self) -> Previews: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def result_versions(self) -> ResultVersions: ...
    @property
    def settings(self) -> Settings: ...


def register(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Results."""

    @app.get(_RESULT, tags=_TAGS)
    @operation(
        ResultQuery,
        {
            200: Answered("The result, with links to its files; or its preview", ResultView, ResultPreviewView),
            202: BUILDING,
        },
    )
    async def get_result(request: Request) -> Response:
        """The result of a window, once it is final: its ranking and its awards as files that never change.

        Days, weeks and registered periods become final, and months where the leaderboard's `windows` name them. Of a
        deleted leaderboard, too: what was won can still be paid.
        With `preview=true` the awards as if the window closed now, page by page: by the same tiers and ranks, from the
        live ranking. Late events may still change it, and nothing is to be paid from it.
        """
        query = read_query(request, ResultQuery)
        if query.preview:
            return _preview(use_cases, finder, request, query)
        for name in ("limit", "cursor"):
            if name in query.model_fields_set:
                raise InvalidRequest("is only for preview=true", name)
        leaderboard = finder.leaderboard(request, or_deleted=True)
        window = finder.window(leaderboard, query)
        found = use_cases.result_versions.latest(leaderboard, window)
        if found is None:
            _check_becomes_final(use_cases, leaderboard, window)
            expected_ms = expected_final_ms(leaderboard, window)
            raise NotFinal(
                f"{window.id} of {leaderboard.id} is not final; a notification says when it is",
                None if expected_ms is None else format_instant(expected_ms),
            )
        return answer(to_result_view(leaderboard, window, found), headers=_HEADERS)

    _register_versions(app, use_cases, finder)


def _register_versions(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    @app.get(_VERSIONS, tags=_TAGS)
    @operation(
        WindowQuery, {200: described(ResultVersionsView, "The first one first; none while the window is not final")}
    )
    async def list_result_versions(request: Request) -> Response:
        """Every version of a window's result, each with its files and what differs from the one before."""
        query = read_query(request, WindowQuery)
        leaderboard = finder.leaderboard(request, or_deleted=True)
        window = finder.window(leaderboard, query)
        found = [to_result_version_view(one) for one in use_cases.result_versions.find(leaderboard, window)]
        return answer(
            ResultVersionsView(leaderboard_id=leaderboard.id, window_id=window.id, versions=found), headers=_HEADERS
        )


def _preview(use_cases: UseCases, finder: Finder, request: Request, query: ResultQuery) -> Response:
    """A page of the awards as if the window closed now."""
    leaderboard = finder.leaderboard(request, now=True, or_deleted=True)
    page = RankingQuery.model_construct(**{name: getattr(query, name) for name in query.model_fields_set - {"preview"}})
    window, selection = finder.selection(leaderboard, page)
    if selection.backward:
        raise InvalidRequest("leads back; a preview has nextCursor alone", "cursor")
    if use_cases.result_versions.latest(leaderboard, window) is None:
        _check_becomes_final(use_cases, leaderboard, window)
    found = use_cases.previews.find(leaderboard, window, finder.now_ms(), query.limit, selection.key)
    following = None
    if found.has_next:
        last = found.ranking.entries[: query.limit][-1]
        key = (last.user_id, last.score, last.reached_at_ms)
        following = use_cases.cursors.write(Cursor(leaderboard.id, window.id, False, *key))
    may_see = caller(request).has(Scope.ADMIN, use_cases.settings.scope_prefix)
    return answer(to_preview_view(found, following, with_details=may_see), 200, {"cache-control": "no-store"})


def _check_becomes_final(use_cases: UseCases, leaderboard: Leaderboard, window: Window) -> None:
    """Raises NeverFinal for a window that has no end, is not registered, was over too early, or begins too late."""
    if window.kind is WindowKind.ALL_TIME:
        raise NeverFinal("all time never ends: ask for a day, a week or a registered period", "window")
    if leaderboard.begins_after_archiving(window):
        raise NeverFinal(f"{leaderboard.id} was deleted before {window.id} began: there will be no result", "window")
    if window.kind is WindowKind.CUSTOM:
        if all(period.window != window for period in use_cases.registry.periods(leaderboard.id)):
            raise NeverFinal(f"no period of {window.id} is registered: register one, and it becomes final", "window")
    elif not leaderboard.has_results_of(window.kind):
        raise NeverFinal(f"{leaderboard.id} has no results of months: its windows don't name monthly", "window")
    elif not leaderboard.owes(window) or window.last < first_possible_day(use_cases.registry, leaderboard):
        raise NeverFinal(
            f"{window.id} was over before the first event of {leaderboard.id}: there will be no result", "window"
        )
