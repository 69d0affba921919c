"""Keys of Redis. The hash tag keeps all of a leaderboard in one cluster slot, so that one script reaches all of it."""

from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard


def prefix(scores_id: str) -> str:
    """What every key of a leaderboard starts with, e.g. `lb:{autumn-cup}:`."""
    return f"lb:{{{scores_id}}}:"


def ranking(scores_id: str, window_id: str) -> str:
    """Sorted set of a window, e.g. `lb:{autumn-cup}:z:2026-W48`; see apply.lua for its members."""
    return f"{prefix(scores_id)}z:{window_id}"


def parts(scores_id: str, window_id: str) -> str:
    """Hash of what a window knows of each user, e.g. `lb:{autumn-cup}:h:2026-W48`."""
    return f"{prefix(scores_id)}h:{window_id}"


def of_window(leaderboard: Leaderboard, window: Window) -> list[str]:
    """All keys of a window that come and go with it, its hash first."""
    names = [parts(leaderboard.scores_id, window.id), ranking(leaderboard.scores_id, window.id)]
    return [*names, labels(leaderboard.scores_id, window.id)] if leaderboard.filters else names


def labels(scores_id: str, window_id: str) -> str:
    """Sorted set of who carries which label in a window, e.g. `lb:{autumn-cup}:f:2026-W48`; see labels.py."""
    return f"{prefix(scores_id)}f:{window_id}"


def ranges(scores_id: str) -> str:
    """Hash of the windows that were built on demand and are fed, e.g. `lb:{autumn-cup}:ranges`: window id → `first last
    expires`."""
    return f"{prefix(scores_id)}ranges"


def disqualified(scores_id: str) -> str:
    """Hash of the players who stand in no window, e.g. `lb:{autumn-cup}:disqualified`; see disqualified.lua."""
    return f"{prefix(scores_id)}disqualified"


def complete(scores_id: str) -> str:
    """Marker that daily, weekly and all-time windows hold all of the truth, e.g. `lb:{autumn-cup}:complete`.

    Its value is the lateness, in ms, by which they are kept.
    """
    return f"{prefix(scores_id)}complete"


def rebuild(scores_id: str) -> str:
    """Hash of the rebuild under way, e.g. `lb:{autumn-cup}:rebuild`; see builds.py."""
    return f"{prefix(scores_id)}rebuild"
