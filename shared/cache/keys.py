"""Keys of Redis. The hash tag keeps all of a leaderboard in one cluster slot, so that one script reaches all of it."""

from collections.abc import Iterable
from itertools import chain
from typing import Final

from msgspec import Struct

from shared.domain.calendar import Day, Window, WindowKind, daily, monday_of, weekly
from shared.domain.rules import Leaderboard

LAYOUT: Final = 2
"""Of what a leaderboard's keys hold. Another layout has other keys, so no function reads what it does not know."""


class Store(Struct, frozen=True):
    """What a window knows of each user; the days of a week and the week share one."""

    id: str
    first: Day
    """From which its days count."""
    windows: tuple[Window, ...]
    """All that are in it."""


def prefix(scores_id: str) -> str:
    """What every key of a leaderboard starts with, e.g. `lb:{autumn-cup}:2:`."""
    return f"lb:{{{scores_id}}}:{LAYOUT}:"


def ranking(scores_id: str, window_id: str) -> str:
    """Sorted set of a window, e.g. `lb:{autumn-cup}:2:z:2026-W48`; see apply.lua for its members."""
    return f"{prefix(scores_id)}z:{window_id}"


def state(scores_id: str, window_id: str) -> str:
    """Hash of a window's revision, whether it is complete, and its build, e.g. `lb:{autumn-cup}:2:s:2026-W48`."""
    return f"{prefix(scores_id)}s:{window_id}"


def store_of(window: Window) -> Store:
    """Where a window's parts are."""
    if not _shares(window):
        return Store(window.id, Day(0), (window,))
    monday = monday_of(window.first)
    week = weekly(monday)
    return Store(week.id, monday, (week, *(daily(Day(monday + number)) for number in range(7))))


def store_place(window: Window) -> tuple[str, Day, int | str]:
    """Id and first day of a window's store, and which of its days the window is of: empty if all."""
    if not _shares(window):
        return window.id, Day(0), ""
    monday = monday_of(window.first)
    return weekly(monday).id, monday, window.first - monday if window.kind is WindowKind.DAILY else ""


def parts(scores_id: str, window: Window) -> str:
    """Hash of what a window's store knows of each user, e.g. `lb:{autumn-cup}:2:h:2026-W48`; see layout.lua."""
    return store(scores_id, store_place(window)[0])


def store(scores_id: str, store_id: str) -> str:
    """As `parts`, by the id of the store."""
    return f"{prefix(scores_id)}h:{store_id}"


def of_window(leaderboard: Leaderboard, window: Window) -> list[str]:
    """The keys of a window that last as long as it does, its state first and its store last."""
    names = [state(leaderboard.scores_id, window.id), ranking(leaderboard.scores_id, window.id)]
    if leaderboard.filters:
        names.append(labels(leaderboard.scores_id, window.id))
    return [*names, parts(leaderboard.scores_id, window)]


def own(scores_id: str, window: Window) -> list[str]:
    """The keys of a window that go with it: all but a store that others share. Not all windows have each."""
    names = [make(scores_id, window.id) for make in (state, ranking, labels)]
    return names if _shares(window) else [*names, parts(scores_id, window)]


def of_stores(scores_id: str, windows: Iterable[Window]) -> list[str]:
    """All keys of the stores that windows are in, with those of every window of these."""
    sharing = dict.fromkeys(chain.from_iterable(store_of(window).windows for window in windows))
    return list(dict.fromkeys(name for one in sharing for name in (*own(scores_id, one), parts(scores_id, one))))


def of_former_layout(scores_id: str, windows: Iterable[Window]) -> list[str]:
    """Keys that functions before layout 2 kept of windows, for as long as anybody may have any."""
    return [f"lb:{{{scores_id}}}:{kind}:{window.id}" for window in windows for kind in "hzf"]


def labels(scores_id: str, window_id: str) -> str:
    """Sorted set of who carries which label in a window, e.g. `lb:{autumn-cup}:2:f:2026-W48`; see labels.py."""
    return f"{prefix(scores_id)}f:{window_id}"


def ranges(scores_id: str) -> str:
    """Hash of the windows that were built on demand and are fed, e.g. `lb:{autumn-cup}:2:ranges`: window id →
    `first last expires`."""
    return f"{prefix(scores_id)}ranges"


def disqualified(scores_id: str) -> str:
    """Hash of the players who stand in no window, e.g. `lb:{autumn-cup}:2:disqualified`; see disqualified.lua."""
    return f"{prefix(scores_id)}disqualified"


def profiles(scores_id: str) -> str:
    """Hash of the profiles of players whom pages show, e.g. `lb:{autumn-cup}:2:profiles`; see paint.lua."""
    return f"{prefix(scores_id)}profiles"


def complete(scores_id: str) -> str:
    """Marker that the windows that are kept hold all of the truth, e.g. `lb:{autumn-cup}:2:complete`.

    Its value is the lateness, in ms, by which they are kept.
    """
    return f"{prefix(scores_id)}complete"


def keeps_former_out(scores_id: str) -> str:
    """A text where functions of the former layout have their hash of the disqualified, see former.lua; without it
    nothing of this layout is complete. E.g. `lb:{autumn-cup}:disqualified`.
    """
    return f"lb:{{{scores_id}}}:disqualified"


def rebuild(scores_id: str) -> str:
    """Hash of the rebuild under way, e.g. `lb:{autumn-cup}:2:rebuild`; see leases.py."""
    return f"{prefix(scores_id)}rebuild"


def _shares(window: Window) -> bool:
    return window.kind in (WindowKind.DAILY, WindowKind.WEEKLY)
