"""Results of final windows: what is paid from."""

from enum import Enum
from typing import Final

from fastapi import FastAPI, Request, Response

from functions.api.models import WindowQuery
from functions.api.openapi import described, operation
from functions.api.params import Finder, read_query
from functions.api.problems import NotFinal
from functions.api.views import FileView, ResultView, answer, window_view
from shared.domain.events import format_instant
from shared.domain.windows import Window, WindowStatus
from shared.pipeline.downloads import Downloads
from shared.truth.finals import FinalRanking
from shared.wiring import Wiring

_RESULT: Final = "/leaderboards/{id}/result"
_HEADERS: Final = {"cache-control": "private, no-store"}
"""Its links are as good as the files for a while."""


def register(app: FastAPI, wiring: Wiring, finder: Finder) -> None:
    """Results."""
    tags: list[str | Enum] = ["exports"]

    @app.get(
        _RESULT,
        tags=tags,
        responses={200: described(ResultView, "The result, with links to its files")},
        openapi_extra=operation(_RESULT, WindowQuery),
    )
    async def result(request: Request) -> Response:
        """The result of a window, once it is final: its ranking and its awards as files that never change."""
        query = read_query(request, WindowQuery)
        leaderboard = finder.leaderboard(request)
        window = finder.window(leaderboard, query)
        found = wiring.results.find(leaderboard, window)
        if found is None:
            raise NotFinal(f"{window.id} of {leaderboard.id} is not final; a notice tells when it is")
        return answer(_to_view(found.final, window, wiring.downloads), headers=_HEADERS)


def _to_view(final: FinalRanking, window: Window, downloads: Downloads) -> ResultView:
    ranking, awards = (downloads.url(final.leaderboard_id, key) for key in (final.object_key, final.awards_key))
    return ResultView(
        final.leaderboard_id,
        window_view(window, WindowStatus.FINAL),
        final.version,
        final.rules_version,
        final.players,
        final.sum_of_points,
        FileView(ranking, final.players, final.sha256),
        FileView(awards, final.awards, final.awards_sha256),
        format_instant(final.finalised_at_ms),
        final.code_version,
    )
