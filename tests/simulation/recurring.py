"""Administrators of series, and what must have become of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from functions.api.periods import Periods
from functions.api.problems import ApiError
from functions.api.recurring import RecurringPeriods
from shared.domain.audit import AuditEntry
from shared.domain.calendar import Day, parse_day, to_date
from shared.domain.periods import Period
from shared.domain.series import AHEAD, Series
from shared.truth.audit_log import AuditLogConflict
from shared.truth.commits import Unavailable
from shared.truth.keys import SERIES
from shared.truth.registry import Conflict
from tests.simulation.course import Fault
from tests.simulation.process import Process
from tests.support.recurring import starts

if TYPE_CHECKING:
    from tests.simulation.world import World

EVERY: Final = ("P1D", "P2D", "P3D", "P1W")
"""No longer than a week: the simulation ends once every day is sealed that a deleted leaderboard owes."""


def recur(world: "World") -> None:
    """Administrators who register series, change and delete them, and their occurrences."""
    process = Process(world)
    while not world.is_consumed():
        world.scheduler.sleep(1)
        if world.scheduler.fails(Fault.SERIES):
            with suppress(ApiError, Conflict, AuditLogConflict, Unavailable):
                _recur(world, process, world.rng.choice(world.open), f"s{world.rng.randrange(2)}")


def _recur(world: "World", process: Process, name: str, series_id: str) -> None:
    board = world.registry.current(name)
    if board.archived or name in world.registry.unknown:
        return
    periods, reason = Periods(process, process.now_ms), world.rng.choice(("a mistake", None))
    recurring, what = RecurringPeriods(process, periods, process.now_ms), world.rng.random()
    if what < 0.15:
        recurring.delete(board, series_id, reason, "somebody")
        return
    occurrences = [one for one in world.registry.registered(name) if one.id.startswith(f"{series_id}~")]
    if what < 0.4 and occurrences:
        _change_one(world, periods, name, world.rng.choice(occurrences), reason)
        return
    first = Day(board.calendar.day_of(world.scheduler.now_ms) - world.rng.randrange(-3, 6))
    until = Day(first + world.rng.randrange(40, 60)) if world.rng.random() < 0.3 else None
    wanted = Series(id=series_id, name=f"s{what}", every=world.rng.choice(EVERY), first=first, until=until)
    recurring.put(board, wanted, reason, "somebody")


def _change_one(world: "World", periods: Periods, name: str, period: Period, reason: str | None) -> None:
    board = world.registry.current(name)
    if world.rng.random() < 0.5:
        periods.delete(board, period.id, reason, "somebody")
        return
    longer = replace(period, last=Day(period.last + world.rng.randrange(2)))
    world.periods.setdefault(name, set()).add(longer.window)
    periods.put(board, longer, reason, "somebody")


def assert_series(world: "World", logs: Mapping[str, Sequence[AuditEntry]]) -> None:
    """Each series is as the audit log has it, and has registered what has begun, so many ahead, and nothing else."""
    assert not world.dynamo.recurring.twice
    for (partition, sort), item in list(world.dynamo.tables["registry"].items()):
        if partition != SERIES:
            continue
        name, series = sort.split("#")[0], msgspec.json.decode(item["body"]["S"], type=Series)
        noted = [one.series_after for one in logs.get(name, ()) if one.series_after is not None]
        assert replace(series, next=series.since) in noted, "every change is in the audit log"
        if not world.registry.current(name).archived:
            _assert_registered(world, name, series)
    for name in world.open:
        _assert_apart(world, name)


def _assert_registered(world: "World", name: str, series: Series) -> None:
    today = world.registry.current(name).calendar.day_of(world.scheduler.now_ms)
    by_hand = {before.id for of, before, _ in world.registry.period_changes if of == name and before is not None}
    there = {one.id: one for one in world.registry.registered(name)}
    anchor, number, ahead = to_date(series.first), series.since, 0
    while ahead < AHEAD:
        first, after = (starts(anchor, series.every, one) for one in (number, number + 1))
        last = parse_day((after - timedelta(1)).isoformat())
        if series.until is not None and last > series.until:
            break
        period_id = f"{series.id}~{first.isoformat()}"
        ahead += parse_day(first.isoformat()) > today
        if period_id not in by_hand:
            assert there[period_id].last == last, period_id
        number += 1
    assert series.next == number, "and none too many"


def _assert_apart(world: "World", name: str) -> None:
    """Occurrences of one id, by whichever series, don't overlap unless somebody has moved one."""
    changed = {before.id.partition("~")[0] for of, before, _ in world.registry.period_changes if of == name and before}
    last: dict[str, int] = {}
    for one in sorted(world.registry.registered(name), key=lambda one: one.first):
        series_id, _, dated = one.id.partition("~")
        if dated and series_id not in changed:
            assert one.first > last.get(series_id, -1), one.id
            last[series_id] = one.last
