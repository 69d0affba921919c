"""The standings that count: without players who are disqualified, and without the days for which they are."""

from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Final

from shared.domain.audit import Disqualified
from shared.domain.calendar import ALL_TIME_DAY, DAY_MIN, Day, Window, WindowKind
from shared.domain.rules import Leaderboard
from shared.domain.standings import Standing
from shared.truth.queries import BATCH_GET_KEYS_MAX
from shared.truth.reads import Reads

DAYS_AT_ONCE: Final = BATCH_GET_KEYS_MAX
"""Days of a player that one request to DynamoDB reads."""

Line = tuple[Day, str, Standing]


def eligible(lines: Iterable[Line], disqualified: Disqualified) -> Iterator[Line]:
    """The standings that count and aren't empty; of all time, none of players who are disqualified for some days."""
    return (line for line in lines if disqualified.counts(line[1], line[0]) and not line[2].is_empty)


def eligible_of_all_time(
    reads: Reads, leaderboard: Leaderboard, lines: Iterable[Line], disqualified: Disqualified, now_ms: int
) -> Iterator[Line]:
    """The standings that all time is made of: of those who are disqualified for some days, those of their other days.

    Args:
        reads: where these are read.
        leaderboard: whose.
        lines: the standings of all time.
        disqualified: who is.
        now_ms: the time.
    """
    apart = (
        (day, user_id, standing)
        for user_id in sorted(disqualified.partly)
        for day, standing in _of_every_day(reads, leaderboard, user_id, disqualified, now_ms).items()
    )
    return chain(eligible(lines, disqualified), apart)


def eligible_of(
    user_ids: Iterable[str],
    *,
    reads: Reads,
    leaderboard: Leaderboard,
    window: Window,
    disqualified: Disqualified,
    now_ms: int,
) -> dict[str, dict[Day, Standing]]:
    """The standings that some players' scores in a window are made of.

    Args:
        user_ids: of the players.
        reads: where they are read.
        leaderboard: whose.
        window: which one.
        disqualified: who is.
        now_ms: the time.

    Returns:
        User id → day → standing, oldest first; nobody who has none.
    """
    wanted = set(user_ids) - disqualified.user_ids
    apart = wanted & disqualified.partly if window.kind is WindowKind.ALL_TIME else set[str]()
    found = reads.standings((leaderboard, user_id, day) for user_id in sorted(wanted - apart) for day in window.days)
    counted: dict[str, dict[Day, Standing]] = {}
    for (_, user_id, day), standing in sorted(found.items(), key=itemgetter(0)):
        if disqualified.counts(user_id, day) and not standing.is_empty:
            counted.setdefault(user_id, {})[day] = standing
    for user_id in sorted(apart):
        days = _of_every_day(reads, leaderboard, user_id, disqualified, now_ms)
        counted |= {user_id: days} if days else {}
    return counted


def _of_every_day(
    reads: Reads, leaderboard: Leaderboard, user_id: str, disqualified: Disqualified, now_ms: int
) -> dict[Day, Standing]:
    """A player's standings of days that count, oldest first."""
    found = all_standings(reads, leaderboard, user_id, now_ms)
    return {
        day: found[day]
        for day in sorted(found)
        if day != ALL_TIME_DAY and disqualified.counts(user_id, day) and not found[day].is_empty
    }


def all_standings(reads: Reads, leaderboard: Leaderboard, user_id: str, now_ms: int) -> dict[Day, Standing]:
    """All standings of a player, at a cost that does not depend on the number of events.

    Days are read from the latest back, until they hold as many events as all time does. All time is read last: an
    event that is committed meanwhile can only raise its count, so that no day is missed.
    """

    def read(days: Iterable[Day]) -> dict[Day, Standing]:
        found = reads.standings((leaderboard, user_id, day) for day in days)
        return {day: standing for (_, _, day), standing in found.items()}

    days: dict[Day, Standing] = {}
    stop = leaderboard.calendar.day_of(now_ms) + 2  # tomorrow, by some producers' clocks
    while True:
        days |= read(Day(day) for day in range(max(DAY_MIN, stop - DAYS_AT_ONCE), stop))
        all_time = read([ALL_TIME_DAY])
        stop -= DAYS_AT_ONCE
        known = sum(standing.events for standing in days.values())
        if stop <= DAY_MIN or known >= sum(one.events for one in all_time.values()):
            return days | all_time
