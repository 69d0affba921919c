"""202: a window that is being built from the truth, and how far that is."""

from typing import Final, Literal

from msgspec import Struct
from starlette.responses import Response

from functions.api.views import answer
from functions.api.views.rankings import WindowView, window_view
from shared.rebuild.on_demand import Building

ASK_AGAIN_S: Final = 1


class BuildingView(Struct, rename="camel", kw_only=True):
    """A window that is being built: `daysRead` of `days`, oldest first, are in it so far."""

    leaderboard_id: str
    window: WindowView
    state: Literal["building"]
    days_read: int
    days: int
    standings_read: int
    """What one player's events of one day add up to is one standing."""


def respond(now_ms: int, building: Building) -> Response:
    """How far the build is, and when to ask again."""
    window, progress = building.window, building.progress
    view = BuildingView(
        leaderboard_id=building.leaderboard_id,
        window=window_view(building.calendar, window, building.calendar.status(window, now_ms)),
        state="building",
        days_read=progress.position,
        days=len(window.days),
        standings_read=progress.standings,
    )
    return answer(view, 202, {"retry-after": str(ASK_AGAIN_S), "cache-control": "no-store"})
