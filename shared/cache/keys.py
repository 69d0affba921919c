"""Keys of Redis. The hash tag keeps all of a leaderboard in one cluster slot, so that one script reaches all of it."""

from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard


def prefix(leaderboard_id: str) -> str:
    """What every key of a leaderboard starts with, e.g. `lb:{autumn-cup}:`."""
    return f"lb:{{{leaderboard_id}}}:"


def ranking(leaderboard_id: str, window_id: str) -> str:
    """Sorted set of a window, e.g. `lb:{autumn-cup}:z:2026-W48`; see apply.lua for its members."""
    return f"{prefix(leaderboard_id)}z:{window_id}"


def parts(leaderboard_id: str, window_id: str) -> str:
    """Hash of what a window knows of each user, e.g. `lb:{autumn-cup}:h:2026-W48`."""
    return f"{prefix(leaderboard_id)}h:{window_id}"


def of_window(leaderboard: Leaderboard, window: Window) -> list[str]:
    """All keys of a window that come and go with it, its hash first."""
    names = [parts(leaderboard.id, window.id), ranking(leaderboard.id, window.id)]
    return [*names, labels(leaderboard.id, window.id)] if leaderboard.filters else names


def labels(leaderboard_id: str, window_id: str) -> str:
    """Sorted set of who carries which label in a window, e.g. `lb:{autumn-cup}:f:2026-W48`; see labels.py."""
    return f"{prefix(leaderboard_id)}f:{window_id}"


def ranges(leaderboard_id: str) -> str:
    """Hash of the windows that were built on demand and are fed, e.g. `lb:{autumn-cup}:ranges`: window id → `first last
    expires`."""
    return f"{prefix(leaderboard_id)}ranges"


def disqualified(leaderboard_id: str) -> str:
    """Hash of the players who stand in no window, e.g. `lb:{autumn-cup}:disqualified`; see disqualified.lua."""
    return f"{prefix(leaderboard_id)}disqualified"


def complete(leaderboard_id: str) -> str:
    """Marker that daily, weekly and all-time windows hold all of the truth, e.g. `lb:{autumn-cup}:complete`.

    Its value is the lateness, in ms, by which they are kept.
    """
    return f"{prefix(leaderboard_id)}complete"


def rebuild(leaderboard_id: str) -> str:
    """Hash of the rebuild under way, e.g. `lb:{autumn-cup}:rebuild`; see builds.py."""
    return f"{prefix(leaderboard_id)}rebuild"
