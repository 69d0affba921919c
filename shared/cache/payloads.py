"""What apply.lua takes: standings by day, with the windows that each day feeds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from shared.cache.keys import store_place
from shared.cache.labels import tokens_of
from shared.domain.audit import Disqualified
from shared.domain.calendar import ALL_DAYS, ALL_TIME_DAY, Day, Window, WindowKind, daily, weekly
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.standings import Standing

APPLY_PLAYERS: Final = 250
"""Players in one call of the apply script: up to 15 ms of Redis, after which readers get their turn. What goes on is no
slower than in longer calls (docs/benchmarks.md)."""

ONLY_ZEROS: Final = 1 << 47
"""Bit of `reached_at` in its 6 bytes that marks a sum of events of 0 points alone; no instant reaches it."""

OUT: Final = "1"
"""Value of a player who is out whatever the day, and never was for some days only, in the hash of the disqualified."""
_ALL_DAYS: Final = Standing(0, 0, 0, version=1)
EMPTY: Final = 1 << 46
"""In place of `reached_at` where all events of the day are void; no instant reaches it."""

WHERE_THERE: Final = -1
"""In place of when a window expires: it is not fed, and follows its store only if it is there."""
FedStore = tuple[str, Day, Sequence[tuple[str, bool, int]]]
"""A store's id and first day, and of each window in it that a day feeds: its id, whether it is of all days of the
store, and when it expires (ms; 0 for never) or WHERE_THERE."""

Standings = Mapping[str, Mapping[Day, Standing]]
"""User id → day → standing."""


def with_all_days(standings: Mapping[Day, Standing]) -> dict[Day, Standing]:
    """All standings of a player who was disqualified for some days, and that they are all.

    Only once it has these, the cache makes the player's score of all time of days; until then it goes by all time.
    """
    return {**standings, ALL_DAYS: _ALL_DAYS}


def packed_runs(out: Disqualified, user_id: str) -> str:
    """The days for which a player is out who was ever disqualified for some, as apply.lua reads them."""
    runs = [(0, ALL_TIME_DAY)] if user_id in out.user_ids else out.days[user_id]
    return "d" + " ".join(f"{first}-{last}" for first, last in runs)


def in_chunks(standings: Standings) -> Iterator[Standings]:
    """Standings of at most APPLY_PLAYERS players each."""
    players = iter(standings.items())
    while chunk := dict(islice(players, APPLY_PLAYERS)):
        yield chunk


def fed_store(window: Window, day: Day, expires_ms: Callable[[Window], int]) -> FedStore:
    """The store of a window, with its windows that a day feeds."""
    store_id, first, _ = store_place(window)
    fed = [daily(day), weekly(day)] if window.kind in (WindowKind.DAILY, WindowKind.WEEKLY) else [window]
    return store_id, first, [(one.id, one.kind is not WindowKind.DAILY, expires_ms(one)) for one in fed]


def to_payload(
    leaderboard: Leaderboard,
    standings: Standings,
    now_ms: int,
    stores_of: Callable[[Day], Sequence[FedStore]],
    *,
    feed_ranges: bool,
) -> bytes:
    """The payload of one call of the apply script."""
    by_day = _by_day(leaderboard, standings)
    groups = [(day, updates, stores_of(day)) for day, updates in by_day.items()]
    rules = leaderboard.aggregation, leaderboard.order is Order.DESC
    call = (*rules, now_ms, feed_ranges, leaderboard.lateness_ms, groups)
    if not leaderboard.keeps_all_time:
        return msgspec.msgpack.encode((*call, len(leaderboard.filters), True))
    return msgspec.msgpack.encode((*call, len(leaderboard.filters)) if leaderboard.filters else call)


def _by_day(leaderboard: Leaderboard, standings: Standings) -> dict[Day, list[Any]]:
    """Day → user, version, points, reached_at, user, …, as apply.lua reads them."""
    days: dict[Day, list[Any]] = {}
    sums = leaderboard.aggregation is Aggregation.SUM
    for user_id, by_day in standings.items():
        for day, standing in by_day.items():
            updates = days.setdefault(day, [])
            reached_at = standing.reached_at_ms
            if standing.is_empty:
                reached_at = EMPTY
            elif sums and standing.points == 0 and standing.only_zeros:
                reached_at |= ONLY_ZEROS
            updates.extend((user_id, standing.version, standing.points, reached_at))
            if leaderboard.filters:
                updates.append(tokens_of(leaderboard.filters, standing))
    return days
