"""Results of final windows: what is paid from."""

from enum import Enum
from typing import Final, Protocol

from fastapi import FastAPI, Request, Response

from functions.api.contract import described, operation
from functions.api.models import WindowQuery
from functions.api.params import Finder, read_query
from functions.api.problems import NeverFinal, NotFinal
from functions.api.views import answer
from functions.api.views.results import ResultVersionsView, ResultView, to_result_version_view, to_result_view
from shared.closing.first_days import first_possible_day
from shared.domain.calendar import Window, WindowKind
from shared.domain.rules import Leaderboard
from shared.reads.result_versions import ResultVersions
from shared.truth.registry import Registry

_RESULT: Final = "/leaderboards/{id}/result"
_VERSIONS: Final = "/leaderboards/{id}/result/versions"
_HEADERS: Final = {"cache-control": "private, no-store"}
"""Its links are as good as the files for a while."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def registry(self) -> Registry: ...
    @property
    def result_versions(self) -> ResultVersions: ...


def register(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Results."""
    tags: list[str | Enum] = ["exports"]

    @app.get(_RESULT, tags=tags)
    @operation(WindowQuery, {200: described(ResultView, "The result, with links to its files")})
    async def result(request: Request) -> Response:
        """The result of a window, once it is final: its ranking and its awards as files that never change.

        Days, weeks and registered periods become final. Of a deleted leaderboard, too: what was won can still be paid.
        """
        query = read_query(request, WindowQuery)
        leaderboard = finder.leaderboard(request, or_deleted=True)
        window = finder.window(leaderboard, query)
        found = use_cases.result_versions.latest(leaderboard, window)
        if found is None:
            _check_becomes_final(use_cases, leaderboard, window)
            raise NotFinal(f"{window.id} of {leaderboard.id} is not final; a notification says when it is")
        return answer(to_result_view(leaderboard.id, window, found), headers=_HEADERS)

    @app.get(_VERSIONS, tags=tags)
    @operation(
        WindowQuery, {200: described(ResultVersionsView, "The first one first; none while the window is not final")}
    )
    async def versions(request: Request) -> Response:
        """Every version of a window's result, each with its files and what differs from the one before."""
        query = read_query(request, WindowQuery)
        leaderboard = finder.leaderboard(request, or_deleted=True)
        window = finder.window(leaderboard, query)
        found = [to_result_version_view(one) for one in use_cases.result_versions.find(leaderboard, window)]
        return answer(
            ResultVersionsView(leaderboard_id=leaderboard.id, window_id=window.id, versions=found), headers=_HEADERS
        )


def _check_becomes_final(use_cases: UseCases, leaderboard: Leaderboard, window: Window) -> None:
    """Raises NeverFinal for a window that has no end, is not registered, was over too early, or begins too late."""
    if window.kind is WindowKind.ALL_TIME:
        raise NeverFinal("all time never ends: ask for a day, a week or a registered period", "window")
    if leaderboard.begins_after_archiving(window):
        raise NeverFinal(f"{leaderboard.id} was deleted before {window.id} began: there will be no result", "window")
    if window.kind is WindowKind.CUSTOM:
        if all(period.window != window for period in use_cases.registry.periods(leaderboard.id)):
            raise NeverFinal(f"no period of {window.id} is registered: register one, and it becomes final", "window")
    elif not leaderboard.owes(window) or window.last < first_possible_day(use_cases.registry, leaderboard):
        raise NeverFinal(
            f"{window.id} was over before the first event of {leaderboard.id}: there will be no result", "window"
        )
