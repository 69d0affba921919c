"""When days can be sealed and windows be final if nothing blocks: by the clock and the rules alone, without I/O."""

from typing import Final

from shared.domain.calendar import Day, Window, WindowKind
from shared.domain.rules import Leaderboard
from shared.lookups.first_days import BACKLOG_MS
from shared.lookups.leaderboards import KEEP_MS

CLOCK_SKEW_MS: Final = 60_000
"""How far the clocks of two brokers, or of a broker and ours, may lie apart. A partition's append times may run back
by this much when its leader changes, so a day is sealed only past the offset that its cutoff and this fall on."""
INGEST_CALL_MS: Final = 60_000
"""How long an ingest call may run: the time limit of its function in template.yaml."""
FUNCTIONS_SKEW_MS: Final = 10_000
"""How far the clocks of two functions may lie apart; AWS holds its own to milliseconds."""
LAST_CALLS_MS: Final = KEEP_MS + INGEST_CALL_MS + FUNCTIONS_SKEW_MS
"""How long after a day becomes `sealing` an ingest call may still commit an event to it: the call began with a cached
definition, and its commit is not conditional on that. Such an event was rejected before, by other rules or another sum,
and was delivered again; or a longer lateness of before admits it."""
RUN_EVERY_MS: Final = 60_000
"""How often functions/close runs: its schedule in template.yaml."""


def newest_past_cutoff(leaderboard: Leaderboard, now_ms: int) -> Day:
    """The last day for which no broker's clock can stamp a record in time any more."""
    past_ms = now_ms - leaderboard.lateness_ms - 2 * CLOCK_SKEW_MS - 1
    return Day(leaderboard.calendar.day_of(past_ms) - 1)


def checked_from_ms(leaderboard: Leaderboard, day: Day) -> int:
    """The first instant at which a day is past its cutoff by any clock: from then on a run may start to seal it."""
    return max(leaderboard.cutoff_ms(day) + 2 * CLOCK_SKEW_MS + 1, leaderboard.created_at_ms)


def expected_sealed_ms(leaderboard: Leaderboard, day: Day) -> int:
    """When a day is sealed if nothing blocks: by the run that follows the last calls, which follow another run."""
    return checked_from_ms(leaderboard, day) + RUN_EVERY_MS + LAST_CALLS_MS + RUN_EVERY_MS


def expected_final_ms(leaderboard: Leaderboard, window: Window) -> int | None:
    """When the result of a window is due if nothing blocks; the run that seals its last day writes it.

    Returns:
        None for all time, and for days and weeks that are known to get no result: they were over before the first
        event, could have none, or begin after the leaderboard was archived. Whether a range is a registered period is
        for the caller to know.
    """
    if window.kind is WindowKind.ALL_TIME or not leaderboard.owes(window):
        return None
    if leaderboard.begins_after_archiving(window):
        return None
    oldest_ms = leaderboard.created_at_ms - leaderboard.lateness_ms - BACKLOG_MS
    if window.kind is not WindowKind.CUSTOM and window.last < leaderboard.calendar.day_of(max(0, oldest_ms)):
        return None
    return expected_sealed_ms(leaderboard, window.last)
