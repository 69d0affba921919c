"""One simulated world: a topic with two owners, the truth, the cache, the queues, and whoever uses or breaks them."""

import hmac
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace
from redis import Redis

from shared.cache import keys as live_keys
from shared.cache.leases import LEASE_MS
from shared.cache.pages import Page
from shared.cache.windows import WindowCache
from shared.closing.schedule import LAST_CALLS_MS
from shared.domain.calendar import DAY_MS, Day, Window, WindowKind, custom, day_of
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.reads.answers import RankingSource
from shared.rebuild.requests import RebuildLeaderboard
from shared.settings import LOCAL_PSEUDONYM_KEY
from shared.truth.keys import WORK, leaderboard_partition
from tests.simulation.administrators import (
    acknowledge_all,
    amend,
    amend_something,
    archive,
    change_disqualification,
    disqualify,
    have_forgotten,
    operate,
    pseudonymise,
    purge,
    redefine,
    reschedule,
)
from tests.simulation.aws import S3, Dynamo, Sqs
from tests.simulation.boards import ARCHIVED, BOARDS, LATENESS_MS, draw, leaderboard
from tests.simulation.cache import Shown
from tests.simulation.clients import submit
from tests.simulation.consumers import consume
from tests.simulation.course import Course, Fault
from tests.simulation.disturbances import disturb, fail_scripts, restore
from tests.simulation.functions import close, repair
from tests.simulation.outside import PARTITIONS
from tests.simulation.process import RANGES, REPAIRS, SKEW_MS_MAX, Process
from tests.simulation.producers import LULL_S, produce
from tests.simulation.progress import Accounts
from tests.simulation.readers import Carriers, carriers, every_label, let_range_go, read
from tests.simulation.recurring import recur
from tests.simulation.registry import Registry
from tests.simulation.scheduler import Scheduler
from tests.support.oracle import Oracle, Produced

CLOSERS = 2
CLOSING_RUNS_MAX = 200
"""In peace, until nothing is due any more."""
LATER_MS = 5 * DAY_MS
"""So much later leaderboards are said to be created: closing goes back by a topic's retention from there, and a day of
which no event can come costs as much as any other."""
AFTERWARDS_MS = 11 * DAY_MS
MONTH_MS = 31 * DAY_MS
"""Until every day and week that has events is past its cutoff, by every board's lateness."""


class World:
    """Everything that outlives a process, and the lives of the processes."""

    def __init__(self, course: Course, redis: Redis, start_ms: int) -> None:
        self.scheduler = Scheduler(course, start_ms)
        self.is_faultless = course.is_faultless
        self.events = course.events
        self.players = course.players
        self.rng = self.scheduler.rng
        self.boards = draw(course.seed, (name for name in BOARDS if name in course.boards))
        self.open = [name for name in self.boards if name != ARCHIVED]
        self.redis = redis
        self.dynamo = Dynamo(self.scheduler)
        self.sqs = Sqs(self.scheduler)
        today = day_of(start_ms)
        boards = [leaderboard(name, board) for name, board in self.boards.items()]
        boards = [replace(board, created_at_ms=start_ms + LATER_MS) for board in boards]
        self.registry = Registry(self.scheduler, self.dynamo, boards)
        self.periods: dict[str, set[Window]] = {}
        """Every range that was ever registered."""
        for name in self.open:
            if name in ("sum", "hour", "strict"):
                for back in range(2):
                    self.register(name, f"p{back}", Day(today - 1 - back), today)
        self.registry.period_changes.clear()  # these are as from before there was an audit log
        self.s3 = S3(self.scheduler)
        self.brokers_ahead_ms = [0] * PARTITIONS
        """How far the clock of each partition's leader is ahead of ours."""
        self.topic: list[list[Produced]] = [[] for _ in range(PARTITIONS)]
        self.removed = [0] * PARTITIONS
        """The first offset of each partition that the broker still has."""
        self.acknowledged = [0] * PARTITIONS
        """Up to where an operator has said that what is lost is lost."""
        self.settled: set[tuple[int, int]] = set()
        """Partition and offset of what a call of ingest came to an end with."""
        self.committed = [0] * PARTITIONS
        self.owner = ["one"] * PARTITIONS
        """Whose commits the broker takes; the other one may still have records under way."""
        self.rewinds = [0] * PARTITIONS
        """How often the group was set back: the broker refuses commits of before."""
        self.refused_though_held: list[tuple[int, int, str]] = []
        """Partition, offset and reason of records that ingest refused though the ledger held their event before."""
        self.created_late: set[str] = set()
        """Leaderboards whose first events came before them."""
        if self.scheduler.has(Fault.REDRIVE) and self.rng.random() < 0.5:
            self.created_late.add(self.rng.choice(self.open))
            self.registry.unknown |= self.created_late
        self.redriven: set[tuple[int, int]] = set()
        """Partition and offset of records that redrive sent."""
        self.readmitted = 0
        """How many late records ingest admitted by a receipt."""
        self.refused_though_proven: list[tuple[int, int]] = []
        """Partition and offset of records that were too late though a receipt proved that they weren't."""
        self.of_one_id: set[tuple[str, str]] = set()
        """Leaderboard and user of those to whom events may have been added by ids that producers use."""
        self.amended = 0
        """How often an event was taken back or added."""
        self.productions = 0
        """How often the producer has begun."""
        self.sent = 0
        """The number of the event that it sends."""
        self.produced = False
        self.served = dict.fromkeys(RankingSource, 0)
        self._ranged = self.rng.choice(self.open)
        self.range = custom(Day(today - 1), Day(today + 1))
        """Registered nowhere: built when a reader asks for it."""
        self.range_healed: Page
        """How it stands in the end, before time goes on and it goes."""
        self.range_carriers: Carriers = {}
        """Likewise who carries which value."""
        self.audit_sequence_by_then = 0
        self.ranges_served = 0
        self.purges = 0
        self.pseudonymised = 0
        """How often somebody asked for a pseudonym."""
        self.results_served = 0
        """Reads of final windows that were held to the files of their results."""
        self.closing_by_earlier_rules = 0
        """Reads of windows that were over whose leaderboard had got other rules since."""
        self.corrections_seen = 0
        """Reads of final windows while another version of the result may follow."""
        self.served_in_silence = 0
        """Live answers while DynamoDB answered nobody."""
        self.built_behind = 0
        """How often a reader was told that it is being built."""
        self.finished = 0
        self.submitted = 0
        """How many events clients have sent over HTTP, each maybe several times."""
        self.taken_over_http = 0
        self.shown_over_http = 0
        """How often one of them was said to show."""
        self.told: list[tuple[str, str, int]] = []
        self.shown = Shown()
        self.lost_outside_builds: set[str] = set()
        """Whose scores Redis has lost writes of that no build counts: their windows may be behind for hours, or until a
        flush."""
        self.failing_board = ""
        """The leaderboard whose windows end every apply with an error of the script, if there is one."""
        self.stopped = False
        """Nothing of ours runs: an operator is about to set the tables back, or has just done so."""
        self.accounts = Accounts(self)
        self._tokens = 0
        redis.flushall()
        redis.config_set("maxmemory", 0)
        if self.rng.random() < 0.5:  # as a leaderboard is when it is created, before it has events
            for name in self.open:
                redis.set(live_keys.keeps_former_out(name), "another layout")
                redis.set(live_keys.complete(name), LATENESS_MS[BOARDS[name]["lateness"]])

    # the processes

    def retain(self, partition: int) -> None:
        """Let the retention of a partition strike: mostly, what it removes is committed."""
        if self.scheduler.fails(Fault.RETENTION):
            end = len(self.topic[partition]) if self.rng.random() < 0.3 else self.committed[partition]
            self.removed[partition] = self.rng.randint(self.removed[partition], max(self.removed[partition], end))

    def lost(self) -> set[tuple[int, int]]:
        """What the retention removed before any call came to an end with it."""
        places = {(partition, offset) for partition, end in enumerate(self.removed) for offset in range(end)}
        return places - self.settled

    @property
    def ranged(self) -> Leaderboard:
        """The leaderboard of the range, by its first rules, with the scores of now."""
        current = self.registry.current(self._ranged)
        first = leaderboard(self._ranged, self.boards[self._ranged])
        return replace(first, starts_ms=current.starts_ms, since_ms=current.since_ms)

    def named(self, name: str, user: str) -> str:
        """By which name a player is known on a leaderboard in the end: the pseudonym, if they have one."""
        pseudonym = hmac.new(LOCAL_PSEUDONYM_KEY, f"{name}#{user}".encode(), "sha256").hexdigest()
        place = leaderboard_partition(name), f"pseudonym#p-{pseudonym[:32]}"
        return f"p-{pseudonym[:32]}" if place in self.dynamo.tables["registry"] else user

    def pseudonyms(self, name: str) -> dict[str, str]:
        """Pseudonym → id of each player who has one."""
        users = [f"u{number}" for number in range(self.players)]
        return {named: user for user in users if (named := self.named(name, user)) != user}

    def counted_for(self, name: str, at_ms: int, appended_at_ms: int) -> str:
        """Under which id the ledger keeps an event, as the oracle says."""
        oracle = Oracle(self.boards)
        oracle.starts_ms = {name: self.registry.starts_ms(name)}
        return oracle.counted_for(name, at_ms, appended_at_ms)

    def user(self) -> str:
        return f"u{self.rng.randrange(self.players)}"

    def hold_to(self, process: Process) -> None:
        """Whatever the cache refused a process, no read may take for live what lacks it, from here on."""
        for refused in process.redis.take_refused():
            self.shown.note(*refused)

    def shown_boards(self) -> list[str]:
        """The leaderboards that are not archived now."""
        return [name for name in self.open if not self.registry.current(name).archived]

    def register(self, name: str, period: str, first: Day, last: Day) -> None:
        self.periods.setdefault(name, set()).add(custom(first, last))
        self.registry.save_period(name, Period(id=period, name=period, first=first, last=last))

    def _ours(self, life: Callable[[], None], *, holdable: bool = True) -> None:
        """Have something of ours live, whenever an operator lets it."""

        def live() -> None:
            while self.stopped:
                self.scheduler.sleep(1)
            life()

        self.scheduler.spawn(live, stoppable=True, holdable=holdable)

    def new_token(self) -> str:
        """A token that nobody else has."""
        self._tokens += 1
        return str(self._tokens)

    def is_consumed(self) -> bool:
        """Whether every record is committed."""
        reached = map(max, self.committed, self.removed)
        return self.produced and [*reached] == [len(log) for log in self.topic]

    def is_quiet(self) -> bool:
        """Whether nothing is under way any more."""
        is_idle = self.scheduler.calm and self.is_consumed() and not self.scheduler.held
        return is_idle and not any(map(self.sqs.messages.get, (REPAIRS, RANGES))) and not self._is_moving()

    def _is_moving(self) -> bool:
        """Whether a player is on the way to a pseudonym, which nothing is built from until closing has done it."""
        boards = map(self.registry.leaderboard, self.open)
        return any(board is not None and board.moving is not None for board in boards)

    def run(self) -> None:
        """Let everybody live, with faults until all is produced and much of it consumed, then in peace."""
        self._begin()
        self.scheduler.run(self.is_consumed)
        self.scheduler.now_ms += LAST_CALLS_MS
        until_ms = self.scheduler.now_ms + LULL_S * 1000  # days close while things still go wrong
        self.scheduler.run(lambda: self.scheduler.now_ms > until_ms)
        self.finished = sum(sort.startswith("final#") for _, sort in self.dynamo.tables["registry"])
        self.scheduler.calm = True
        self.scheduler.run(self.is_quiet)
        process = Process(self)
        self._heal(process)
        self._end(process)

    def _begin(self) -> None:
        """Bring everybody to life; their order is part of a seed's course."""
        for name in ("one", "two"):
            self._ours(partial(consume, self, name), holdable=False)
        for life in (produce, disturb, fail_scripts):
            self.scheduler.spawn(partial(life, self))
        self.scheduler.spawn(partial(restore, self), mortal=False)
        for life in (
            submit,
            repair,
            read,
            disqualify,
            amend,
            redefine,
            archive,
            reschedule,
            recur,
            purge,
            pseudonymise,
            operate,
        ):
            self._ours(partial(life, self))
        for _ in range(CLOSERS):  # a run may take longer than its schedule
            self._ours(partial(close, self))

    def _heal(self, process: Process) -> None:
        """Repair what is left, once nothing goes wrong any more, and keep how the range stands then."""
        self.failing_board = ""
        self.redis.config_set("maxmemory", 0)
        self.scheduler.now_ms += LEASE_MS + 2 * SKEW_MS_MAX  # whoever died while building is waited for, by any clock
        starts_ms = [start for name in self.open for start in self.registry.starts_ms(name)]
        self.scheduler.now_ms = max([self.scheduler.now_ms, *(start + SKEW_MS_MAX for start in starts_ms)])
        process.repair.anti_entropy()
        for name in self.shown_boards():  # what is older than a few days has its turn after hours
            process.repair.handle(RebuildLeaderboard(leaderboard_id=name, force=True))
        let_range_go(self)
        self.range_healed = WindowCache(self.redis).page(self.ranged, self.range, 0, 1_000, self.scheduler.now_ms)
        labels = every_label(self.ranged)
        self.range_carriers = carriers(self.redis, self.ranged, self.range, self.scheduler.now_ms, labels)
        log = leaderboard_partition(self.ranged.id)
        self.audit_sequence_by_then = sum(
            of == log and sort.startswith("audit#") for of, sort in self.dynamo.tables["registry"]
        )

    def _end(self, process: Process) -> None:
        """Let all windows come to their end, and disqualify players once more after that."""
        archived = (board for board in map(self.registry.current, self.open) if board.archived)
        owes_month = any(WindowKind.MONTHLY in board.windows for board in archived)
        over_ms = AFTERWARDS_MS + (MONTH_MS if owes_month else 0)
        self.scheduler.now_ms += over_ms
        acknowledge_all(self, process)
        self._close_all()
        for _ in range(self.rng.randrange(3)):
            change_disqualification(self, process.disqualifications)
        for _ in range(self.rng.randrange(4)):
            amend_something(self, process.amendments, over_ms)
        for _ in range(self.rng.randrange(2)):
            have_forgotten(self, Process(self).api())
        self._close_all()

    def _work(self) -> list[str]:
        return [sort for of, sort in self.dynamo.tables["registry"] if of == WORK]

    def _close_all(self) -> None:
        for _ in range(CLOSING_RUNS_MAX):
            run = Process(self).closing.run()
            assert not run.errors, run.errors
            assert not run.blocked, run.blocked
            assert not run.unchecked
            is_sealing = any(one.is_sealing for one in map(self.registry.current, self.open))
            if not run.final_results and not is_sealing and not self._work() and not run.archived_owing:
                return
            self.scheduler.now_ms += LAST_CALLS_MS
        raise AssertionError(f"not done: {self._work()}, {run.archived_owing}")
