"""Keys of Redis. The hash tag keeps all of a leaderboard in one cluster slot, so that one script reaches all of it."""


def prefix(leaderboard_id: str) -> str:
    """What every key of a leaderboard starts with, e.g. `lb:{autumn-cup}:`."""
    return f"lb:{{{leaderboard_id}}}:"


def ranking(leaderboard_id: str, window_id: str) -> str:
    """Sorted set of a window, e.g. `lb:{autumn-cup}:z:2026-W48`; see apply.lua for its members."""
    return f"{prefix(leaderboard_id)}z:{window_id}"


def parts(leaderboard_id: str, window_id: str) -> str:
    """Hash of what a window knows of each user, e.g. `lb:{autumn-cup}:h:2026-W48`."""
    return f"{prefix(leaderboard_id)}h:{window_id}"


def labels(leaderboard_id: str, window_id: str) -> str:
    """Sorted set of who carries which label in a window, e.g. `lb:{autumn-cup}:f:2026-W48`; see labels.py."""
    return f"{prefix(leaderboard_id)}f:{window_id}"


def lease(leaderboard_id: str, window_id: str) -> str:
    """Hash of who builds a window, e.g. `lb:{autumn-cup}:l:2026-11-01..2026-11-15`; see lease.lua."""
    return f"{prefix(leaderboard_id)}l:{window_id}"


def ranges(leaderboard_id: str) -> str:
    """Hash of the custom windows kept live, e.g. `lb:{autumn-cup}:ranges`: window id → `first last expires`."""
    return f"{prefix(leaderboard_id)}ranges"


def disqualified(leaderboard_id: str) -> str:
    """Hash of the players who stand in no window, e.g. `lb:{autumn-cup}:disqualified`; see disqualified.lua."""
    return f"{prefix(leaderboard_id)}disqualified"


def complete(leaderboard_id: str) -> str:
    """Marker that daily, weekly and all-time windows hold all of the truth, e.g. `lb:{autumn-cup}:complete`."""
    return f"{prefix(leaderboard_id)}complete"


def rebuild(leaderboard_id: str) -> str:
    """Token of the rebuild under way, e.g. `lb:{autumn-cup}:rebuild`; a flush takes it away and so fails it."""
    return f"{prefix(leaderboard_id)}rebuild"
