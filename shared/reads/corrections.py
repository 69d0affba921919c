"""Which version of its result a final window shows, and whether a correction of it is still to come."""

from typing import Final

from cachetools import LRUCache
from msgspec import Struct

from shared.admin.disqualifications import DisqualifiedPlayers
from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard
from shared.lookups.results import Results
from shared.truth.work import WorkList

SETTLED_MAX: Final = 10_000
"""Final windows without a pending correction that one function remembers, some 100 bytes each."""


class ResultState(Struct, frozen=True):
    """What is known of a final window's result, after the window was read."""

    version: int
    """The latest version that is written."""
    is_pending: bool
    """Whether an audit entry may still change it: the cache may show that change already."""


class Corrections:
    """Tells a window that is as its result says from one that is ahead of it.

    An audit entry is written before the cache follows, and stays on the work list until every result that it touches is
    marked as due; a new version clears that mark. So if the state that is read after the window has no pending work and
    the version of before, the window was read as of this version.

    Methods raise Unavailable if DynamoDB throttles or is out of reach.
    """

    def __init__(self, results: Results, disqualified_players: DisqualifiedPlayers, work_list: WorkList) -> None:
        self._results = results
        self._disqualified_players = disqualified_players
        self._work_list = work_list
        self._settled: LRUCache[tuple[str, str], tuple[int, int]] = LRUCache(SETTLED_MAX)
        """Leaderboard and window → audit entry as of which nothing was pending, and the version then."""

    def state(self, leaderboard: Leaderboard, window: Window) -> ResultState:
        """The state of a final window's result as it is now; one request, unless the audit log has grown since."""
        key = leaderboard.id, window.id
        audit_sequence = self._disqualified_players.now(leaderboard.id).audit_sequence
        settled = self._settled.get(key)
        if settled is not None and settled[0] == audit_sequence:
            return ResultState(settled[1], is_pending=False)
        work = self._work_list.of(leaderboard.id)
        result = self._results.latest(leaderboard, window)
        assert result is not None  # noqa: S101 - a window with a result keeps one
        is_pending = bool(work.audit_entries) or any(due.window == window for due in work.due)
        if not is_pending:
            self._settled[key] = audit_sequence, result.final.version
        return ResultState(result.final.version, is_pending)
