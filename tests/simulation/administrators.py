"""Administrators and operators, who change the rules, disqualify players and acknowledge losses."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from functions.api.definitions import Definitions
from functions.api.periods import Periods
from functions.api.problems import ApiError
from shared.admin.amendments import (
    AmendmentOverflow,
    Amendments,
    DayIsSealing,
    EventExists,
    InvalidCorrection,
    UnknownEvent,
)
from shared.admin.disqualifications import Disqualifications
from shared.admin.pseudonyms import HasPseudonym, TooMuchToMove
from shared.admin.purges import HasResult
from shared.cache.errors import CacheUnavailable
from shared.domain.calendar import DAY_MS, Day
from shared.domain.events import POINTS_MAX, ScoreEvent
from shared.domain.periods import Period
from shared.domain.rules import revise
from shared.messaging.topic import TopicUnavailable
from shared.truth.audit_log import AuditLogConflict
from shared.truth.commits import Unavailable
from shared.truth.registry import Conflict
from tests.simulation.boards import LATENESS_MS, TIERS, VALUES
from tests.simulation.course import Fault
from tests.simulation.outside import TOPIC
from tests.simulation.process import Process
from tests.support.dynamodb import LAST

REQUEST_MS: Final = 29_000
"""After which Lambda ends a request: what takes effect at a time of its own (`PURGE_DELAY_S`) counts on that."""
WRITE_STEPS: Final = (1, 1, 20)
"""Seconds, more or less, from the decision of a change until it is written: its day may end and be sealed meanwhile."""

if TYPE_CHECKING:
    from tests.simulation.world import World


def disqualify(world: "World") -> None:
    """Administrators who disqualify and reinstate, and ask again where they were not answered."""
    disqualifications = Process(world).disqualifications
    while not world.is_consumed():
        world.scheduler.sleep(5)
        with suppress(Unavailable, AuditLogConflict):
            change_disqualification(world, disqualifications)


def change_disqualification(world: "World", disqualifications: Disqualifications) -> None:
    """Disqualify or reinstate any player, whatever the day or for some days."""
    name = world.rng.choice(world.open)
    if name in world.registry.unknown:  # the API finds no such leaderboard, nor does who empties the cache
        return
    board = world.registry.history[name][-1]
    first = Day(board.calendar.day_of(world.scheduler.now_ms) - world.rng.randrange(3))
    run = (first, Day(first + world.rng.randrange(2))) if world.rng.random() < 0.5 else None
    act = disqualifications.reinstate if world.rng.random() < 0.4 else disqualifications.disqualify
    user = world.named(name, world.user())
    process = Process(world)
    with suppress(HasPseudonym):
        check = process.pseudonymisation.check
        act(board, user, "somebody", "for a reason", run=run, check=lambda: check(board, user))


def amend(world: "World") -> None:
    """Referees who take events back and add some, and ask again where they were not answered."""
    amendments = Process(world).api().amendments
    while not world.is_consumed():
        world.scheduler.sleep(4)
        for _ in range(world.rng.choice([1, 1, 2])):
            with suppress(Unavailable, AuditLogConflict):
                amend_something(world, amendments)


def amend_something(world: "World", amendments: Amendments, over_ms: int = 0) -> None:
    """Take back any event of the ledger, or add one, of any day that has been over for so long."""
    name = world.rng.choice(world.open)
    user = world.named(name, world.user())
    if name in world.registry.unknown:
        return
    board = world.registry.current(name)
    if board.archived:  # the API finds no such leaderboard
        return
    with suppress(UnknownEvent, EventExists, DayIsSealing, AmendmentOverflow, InvalidCorrection):
        if world.rng.random() < 0.5:
            ids = world.dynamo.tables["leaderboard-ledger"].sort_keys(f"{board.scores_id}#{user}", "", "", LAST, 1_000)
            done = amendments.void(board, user, world.rng.choice([*ids, "e0"]), "referee", "a foul")
        else:
            done = amendments.correct(board, _correction(world, name, user, over_ms), "referee", "a goal")
        world.amended += not done.already


def attributes_of(event_id: str) -> tuple[tuple[str, str], ...]:
    """What a correction carries: by its id, since the audit log doesn't say it."""
    number = int(event_id[1:])
    return (("country", VALUES[number % len(VALUES)]),) if number % 2 else ()


def _correction(world: "World", name: str, user: str, over_ms: int) -> ScoreEvent:
    number = world.rng.randrange(world.events)
    event_id = f"c{number}"
    if world.rng.random() < 0.1:
        event_id = f"e{number}"
        world.of_one_id.add((name, user))
    at_ms = world.scheduler.now_ms - over_ms - world.rng.choice([0, world.rng.randrange(5 * DAY_MS)])
    points = (
        world.rng.choice([0, 1, 2, -3, 10]) if world.rng.random() < 0.97 else world.rng.choice([-1, 1]) * POINTS_MAX
    )
    return ScoreEvent(event_id, name, user, points, at_ms, dict(attributes_of(event_id)))


def redefine(world: "World") -> None:
    """Administrators who change how late events may come, and tiers."""
    process = Process(world)
    while not world.is_consumed():
        world.scheduler.sleep(1)
        if world.scheduler.fails(Fault.RULES):
            with suppress(Conflict, Unavailable):
                _redefine(world, process)


def _redefine(world: "World", process: Process) -> None:
    now_ms = process.now_ms()
    current = world.registry.leaderboard(world.rng.choice(world.open))
    if current is None or current.archived:
        return
    lateness_ms, tiers = world.rng.choice(list(LATENESS_MS.values())), world.rng.choice(TIERS)
    qualify = world.rng.choice((None, 0, 5))
    wanted = replace(current, lateness_ms=lateness_ms, tiers=tiers, qualify=qualify, updated_at_ms=now_ms)
    after, _ = revise(current, wanted)
    for _ in range(world.rng.choice(WRITE_STEPS)):
        world.scheduler.sleep(world.rng.uniform(0, 2))
    if after is not current:
        world.registry.save(after)


def archive(world: "World") -> None:
    """Administrators who delete leaderboards, and put them again."""
    process = Process(world)
    definitions = Definitions(process, process.now_ms)
    while not world.is_consumed():
        world.scheduler.sleep(1)
        if not world.scheduler.fails(Fault.ARCHIVE):
            continue
        with suppress(Conflict, Unavailable, CacheUnavailable, AuditLogConflict, ApiError):
            current = world.registry.leaderboard(world.rng.choice(world.open))
            if current is not None and current.archived:
                definitions.put(replace(current, version=1, updated_at_ms=process.now_ms()), "somebody")
            elif current is not None:
                definitions.close(current.id, "somebody")


def reschedule(world: "World") -> None:
    """Administrators who register periods, change and delete them, whether their days are over or not."""
    process = Process(world)
    while not world.is_consumed():
        world.scheduler.sleep(1)
        if world.scheduler.fails(Fault.PERIODS):
            with suppress(ApiError, Conflict, AuditLogConflict, Unavailable):
                _reschedule(world, process, world.rng.choice(world.open), f"p{world.rng.randrange(3)}")


def _reschedule(world: "World", process: Process, name: str, period_id: str) -> None:
    """Do one of the three, by the API's rules: the reason that it may ask for is not always there."""
    if world.registry.current(name).archived:
        return
    board, current = world.registry.current(name), world.registry.registered_as(name, period_id)
    periods, reason = Periods(process, process.now_ms), world.rng.choice(("a day was lost", "a mistake", None))
    what = world.rng.random()
    if what < 0.3:
        periods.delete(board, period_id, reason, "somebody")
        return
    first = board.calendar.day_of(world.scheduler.now_ms) - world.rng.randrange(5)
    last = first + world.rng.randrange(4)
    wanted = Period(id=period_id, name=f"until {last}", first=Day(first), last=Day(last))
    if what < 0.4 and current is not None:
        wanted = replace(current, name=wanted.name)
    world.periods.setdefault(name, set()).add(wanted.window)
    periods.put(board, wanted, reason, "somebody")


def purge(world: "World") -> None:
    """Administrators who let a leaderboard start over."""
    process = Process(world)
    while not world.is_consumed():
        world.scheduler.sleep(1)
        if world.scheduler.fails(Fault.PURGE):
            with (
                suppress(Unavailable, Conflict, AuditLogConflict, HasResult),
                world.scheduler.time_limit(REQUEST_MS),
            ):
                board = world.registry.leaderboard(world.rng.choice(world.open))
                if board is not None and not board.archived:
                    process.purges.purge(board, "somebody", "for a reason")
                    world.purges += 1


def pseudonymise(world: "World") -> None:
    """Administrators who have players forgotten, and ask again, sometimes before a move is done."""
    while not world.is_consumed():
        world.scheduler.sleep(1)
        if world.scheduler.fails(Fault.PSEUDONYM):
            with (
                suppress(Unavailable, Conflict, AuditLogConflict, CacheUnavailable, TooMuchToMove),
                world.scheduler.time_limit(REQUEST_MS),
            ):
                have_forgotten(world, Process(world).api())


def have_forgotten(world: "World", process: Process) -> None:
    """Have any player forgotten, with some time for it or with none."""
    name = world.rng.choice(world.open)
    board = world.registry.leaderboard(name)
    if board is None:
        return
    steps = iter(range(world.rng.choice((0, 1, 2, 5, 1_000))))
    process.begin_request()
    process.pseudonymisation.pseudonymise(
        board, world.user(), "somebody", "for a reason", lambda: next(steps, None) is not None
    )
    world.pseudonymised += 1


def operate(world: "World") -> None:
    """An operator who says, sooner or later, that what is lost is lost."""
    process = Process(world)
    while world.scheduler.has(Fault.RETENTION) and not world.is_quiet():
        world.scheduler.sleep(30)
        with suppress(Unavailable, TopicUnavailable):
            acknowledge(world, process)


def acknowledge(world: "World", process: Process) -> None:
    """Acknowledge every loss that is known now."""
    for loss in process.losses.of(TOPIC):
        assert loss.first < loss.until <= world.removed[loss.partition], "is told with the right offsets"
        before = world.acknowledged[loss.partition]
        world.acknowledged[loss.partition] = max(before, loss.until)
        try:
            process.coverage.acknowledge(loss.partition, loss.until)
        except ValueError:  # it is part of a larger one, which comes next
            world.acknowledged[loss.partition] = before


def acknowledge_all(world: "World", process: Process) -> None:
    """Acknowledge until nothing is lost any more, and nothing uncounted."""
    lost = process.closing.run().lost
    assert lost is not None or not world.accounts.uncounted(), "what is lost is told"
    while process.losses.of(TOPIC):
        acknowledge(world, process)
    assert not world.accounts.uncounted()
