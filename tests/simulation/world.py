"""One simulated world: a topic with two owners, the truth, the cache, the queues, and whoever uses or breaks them."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from greenlet import getcurrent
from msgspec.structs import replace
from redis import Redis

from infra.local.mapping import EventSourceMapping, Message, Policy
from shared.admin.disqualifications import Disqualifications
from shared.cache import keys as live_keys
from shared.cache.leases import LEASE_MS
from shared.cache.range_budget import RangeRefused
from shared.cache.searches import WindowSearches
from shared.cache.windows import CacheRefused, CacheUnavailable, Page, WindowCache
from shared.closing.sealing import INGEST_CALL_MS, LAST_CALLS_MS
from shared.domain.audit import AuditEntry
from shared.domain.calendar import ALL_TIME, DAY_MS, Day, Window, custom, day_of
from shared.domain.periods import Period
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason
from shared.domain.rules import Leaderboard, Order
from shared.domain.selections import Selection
from shared.ingest.outcomes import Candidate, OutcomeKind
from shared.messaging.queues import QueueUnavailable
from shared.messaging.topic import TopicUnavailable
from shared.reads.answers import RankingSource
from shared.reads.rankings import Rankings, Rebuilding
from shared.rebuild.anti_entropy import Interrupted
from shared.rebuild.on_demand import Building
from shared.rebuild.requests import RebuildLeaderboard, decode_request
from shared.truth.audit_log import AuditLogConflict
from shared.truth.commits import Unavailable
from shared.truth.keys import WORK, WORK_MOVED, leaderboard_partition, ledger_partition
from shared.truth.registry import Conflict
from tests.simulation.aws import S3, Dynamo, Sqs
from tests.simulation.backup import Backup
from tests.simulation.boards import ARCHIVED, BOARDS, HOUR_MS, LATENESS_MS, TIERS, VALUES, leaderboard
from tests.simulation.cache import Replica, Shown
from tests.simulation.course import Course, Fault
from tests.simulation.outside import TOPIC
from tests.simulation.process import RANGES, REPAIRS, SKEW_MS_MAX, Process
from tests.simulation.progress import Accounts
from tests.simulation.registry import Registry
from tests.simulation.scheduler import Scheduler
from tests.support.oracle import Produced

PARTITIONS = 3
FETCH = 12
CLOSERS = 2
DAYS = 2
"""Over which a course's events come, about, however many they are."""
LULL_S = 25
"""How long nothing may be produced on another day: enough for consumers to come to the end and for days to refuse
events, then for these to be closed and windows to become final, while things go wrong."""
OUTAGE_S = 30
"""How long Redis may be full, or a leaderboard bewitched."""
BACKUPS = 0.05
"""Share of all seconds in which the tables are backed up."""
STOPPED_S = 5
"""How long an operator waits for what was under way when everything was stopped."""
LATER_MS = 5 * DAY_MS
"""So much later leaderboards are said to be created: closing goes back by a topic's retention from there, and a day of
which no event can come costs as much as any other."""
HANG_MS_MAX = 90_000
"""How long DynamoDB may answer nobody."""
AFTERWARDS_MS = 11 * DAY_MS
"""Until every day and week that has events is past its cutoff, by every board's lateness."""

Carriers = dict[tuple[str, str], list[tuple[int, str, int, int]]]
"""(filter, value) → rank in the window, user, score and instant of those who carry it."""


def every_label(board: Leaderboard) -> list[tuple[str, str]]:
    """Every value of every filter, of those that events have."""
    return [(name, value) for name in board.filters for value in VALUES]


def carriers(
    redis: Redis, board: Leaderboard, window: Window, now_ms: int, labels: Iterable[tuple[str, str]]
) -> Carriers:
    """What the product answers for some values of filters."""
    searches = WindowSearches(WindowCache(redis))
    found = {}
    for label in labels:
        chosen = searches.select(board, window, Selection(limit=1_000, label=label), now_ms)
        shown = [(one.index + 1, one.user_id, one.score.points, one.score.reached_at_ms) for one in chosen.found]
        assert (chosen.first, chosen.stop) == (0, len(shown))
        if shown:
            found[label] = shown
    return found


class World:
    """Everything that outlives a process, and the lives of the processes."""

    def __init__(self, course: Course, redis: Redis, start_ms: int) -> None:
        self.scheduler = Scheduler(course, start_ms)
        self.is_faultless = course.is_faultless
        self._events = course.events
        self._players = course.players
        self.rng = self.scheduler.rng
        self.boards = {name: BOARDS[name] for name in BOARDS if name in course.boards}
        self.open = [name for name in self.boards if name != ARCHIVED]
        self.redis = redis
        self.dynamo = Dynamo(self.scheduler)
        self.sqs = Sqs(self.scheduler)
        today = day_of(start_ms)
        boards = [replace(leaderboard(name), created_at_ms=start_ms + LATER_MS) for name in self.boards]
        self.registry = Registry(self.scheduler, self.dynamo, boards)
        self.periods: dict[str, set[Window]] = {}
        """Every range that was ever registered."""
        for name in self.open:
            if name in ("sum", "hour", "strict"):
                for back in range(2):
                    self._register(name, f"p{back}", Day(today - 1 - back), today)
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
        self.produced = False
        self.served = dict.fromkeys(RankingSource, 0)
        self.ranged = leaderboard(self.rng.choice(self.open))
        self.range = custom(Day(today - 1), Day(today + 1))
        """Registered nowhere: built when a reader asks for it."""
        self.range_healed: Page
        """How it stands in the end, before time goes on and it goes."""
        self.range_carriers: Carriers = {}
        """Likewise who carries which value."""
        self.acts_by_then = 0
        self.ranges_served = 0
        self.served_in_silence = 0
        """Live answers while DynamoDB answered nobody."""
        self.built_behind = 0
        """How often a reader was told that it is being built."""
        self.finished = 0
        self.told: list[tuple[str, str, int]] = []
        self.shown = Shown()
        self.bewitched = ""
        """The leaderboard whose windows end every apply with an error of the script, if there is one."""
        self.stopped = False
        """Nothing of ours runs: an operator is about to set the tables back, or has just done so."""
        self.accounts = Accounts(self)
        self._tokens = 0
        redis.flushall()
        redis.config_set("maxmemory", 0)
        if self.rng.random() < 0.5:  # as a leaderboard is when it is created, before it has events
            for name in self.open:
                redis.set(live_keys.complete(name), LATENESS_MS[BOARDS[name]["lateness"]])

    # the processes

    def produce(self) -> None:
        """Events over some days: sent twice, in conflict, malformed, late, ahead of their time, enormous."""
        for number in range(self._events):
            user = self._user()
            value = json.dumps(self._event(number, user)).encode()
            if self.rng.random() < 0.04:
                value = self.rng.choice([b"", b"[]", b"\xff", b'{"eventId":"x"}', value[:-1]])
            partition = self.rng.randrange(2) if value[:1] != b"{" else int(user[1:]) % PARTITIONS
            if self.scheduler.fails(Fault.STRAY):
                partition = (partition + 1) % PARTITIONS
            for _ in range(self.rng.choice([1, 1, 1, 1, 2])):
                self._append(partition, value)
            if self.scheduler.fails(Fault.TWICE):
                self._append((partition + 2) % PARTITIONS, value)
            if self.rng.random() < DAYS / self._events:
                self.scheduler.now_ms += self.rng.randrange(2 * DAY_MS)
                if self.rng.random() < 0.5:
                    self.scheduler.sleep(LULL_S)
                    self.scheduler.now_ms += LAST_CALLS_MS
                    self.scheduler.sleep(LULL_S)
        self.produced = True

    def _append(self, partition: int, value: bytes) -> None:
        log, at_ms = self.topic[partition], self.scheduler.now_ms + self.brokers_ahead_ms[partition]
        if by_producer := self.scheduler.fails(Fault.CREATE_TIME):
            at_ms += self.rng.randrange(-2 * DAY_MS, 2 * DAY_MS)
        log.append(Produced(partition, len(log), at_ms, value, not by_producer))
        self.scheduler.pause()

    def retain(self, partition: int) -> None:
        """Let the retention of a partition strike: mostly, what it removes is committed."""
        if self.scheduler.fails(Fault.RETENTION):
            end = len(self.topic[partition]) if self.rng.random() < 0.3 else self.committed[partition]
            self.removed[partition] = self.rng.randint(self.removed[partition], max(self.removed[partition], end))

    def lost(self) -> set[tuple[int, int]]:
        """What the retention removed before any call came to an end with it."""
        places = {(partition, offset) for partition, end in enumerate(self.removed) for offset in range(end)}
        return places - self.settled

    def _user(self) -> str:
        return f"u{self.rng.randrange(self._players)}"

    def _event(self, number: int, user: str) -> dict[str, Any]:
        ago_ms = self.rng.choice([0, 0, self.rng.randrange(2 * HOUR_MS), self.rng.randrange(5 * DAY_MS), -6 * 60_000])
        at_ms = self.scheduler.now_ms - ago_ms - self.rng.randrange(3)
        points = (
            self.rng.choice([0, 1, 1, 2, -3, 10])
            if self.rng.random() < 0.95
            else self.rng.choice([-1, 1]) * (2**53 - 1)
        )
        repeated = self.rng.random() < 0.08
        event_id = f"e{self.rng.randrange(number)}" if repeated and number else f"e{number}"
        board = self.rng.choice([*self.boards]) if self.rng.random() < 0.93 else "unknown"
        moment = datetime.fromtimestamp(at_ms // 1000, UTC)
        names = [name for name in ("country", "platform", "guild") if self.rng.random() < 0.5]
        return {
            "eventId": event_id,
            "leaderboardId": board,
            "userId": user,
            "points": points,
            "attributes": {name: self.rng.choice(VALUES) for name in names},
            "occurredAt": f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z",
        }

    def consume(self, name: str) -> None:
        """An owner of partitions, as a trigger with its function: from the committed offsets on, until all is done."""
        process = Process(self)
        ingest = process.ingest()

        def invoke(event: dict[str, Any]) -> dict[str, Any]:
            records = [_to_record(raw) for partition in event["records"].values() for raw in partition]
            failures = []
            accepted = len(self.dynamo.accepted)
            with self.scheduler.time_limit(INGEST_CALL_MS):
                candidates = ingest.ingest(records)
            self._note_refused_though_held(candidates, accepted)
            self._hold_to(process)
            for candidate in candidates:
                assert candidate.kind is not None
                source = candidate.record.source
                if candidate.kind is not OutcomeKind.FAILED:
                    self.settled.add((source.partition, source.offset))
                else:
                    place = {"partition": f"{TOPIC}-{source.partition}", "offset": source.offset}
                    failures.append({"itemIdentifier": place})
            return {"batchItemFailures": failures}

        mapping = EventSourceMapping(Policy(batch_size=FETCH), invoke, _never, self.rng.uniform)
        positions = dict(enumerate(self.committed))
        rewinds = list(self.rewinds)
        mine = {partition for partition in range(PARTITIONS) if self.owner[partition] == name}
        while not self.is_consumed():
            self.scheduler.sleep(0.05)
            if self.rng.random() < 0.3:  # until then it is a zombie: it goes on with what it no longer owns
                current = {partition for partition in range(PARTITIONS) if self.owner[partition] == name}
                set_back = {partition for partition in mine if rewinds[partition] != self.rewinds[partition]}
                for partition in (mine - current) | set_back:
                    mapping.revoke((TOPIC, partition))
                positions |= {partition: self.committed[partition] for partition in current - (mine - set_back)}
                mine, rewinds = current, list(self.rewinds)
            backlog = {partition for _, partition in mapping.backlog()}
            for partition in mine - backlog:
                positions[partition] = max(positions[partition], self.removed[partition])
                batch = self.topic[partition][positions[partition] :][: self.rng.randrange(1, FETCH)]
                positions[partition] += len(batch)
                mapping.add(_to_message(record) for record in batch)
            for (_, partition), offset in mapping.run(self.scheduler.now_ms).items():
                is_current = rewinds[partition] == self.rewinds[partition]
                if self.owner[partition] == name and is_current:  # the broker refuses the commits of a zombie
                    self.committed[partition] = max(self.committed[partition], offset)

    def _note_refused_though_held(self, candidates: Iterable[Candidate], accepted: int) -> None:
        """Look for refusals that the ledger, as it was when the call began, contradicts."""
        for candidate in candidates:
            if candidate.rejection is None or candidate.entry is None:
                continue
            event, reason = candidate.event, candidate.rejection.reason
            number = self.dynamo.accepted.get((ledger_partition(event.leaderboard_id, event.user_id), event.event_id))
            if number is not None and number < accepted and reason is not Reason.CONFLICTING_DUPLICATE:
                source = candidate.record.source
                self.refused_though_held.append((source.partition, source.offset, reason))

    def _hold_to(self, process: Process) -> None:
        """Whatever the cache refused a process, no read may take for live what lacks it, from here on."""
        for refused in process.redis.take_refused():
            self.shown.note(*refused)

    def repair(self) -> None:
        """The repair function with its queue, and its schedule."""
        process = Process(self)
        repair = process.repair()
        while not self.is_quiet():
            self.scheduler.sleep(0.5)
            messages = self.sqs.messages.setdefault(self.rng.choice([REPAIRS, RANGES]), [])
            try:
                if messages:
                    body = self.rng.choice(messages)
                    repair.carry_out(decode_request(body))
                    messages.remove(body)
                elif self.rng.random() < 0.05:
                    repair.anti_entropy(_tell_refusals, self._has_time)
                elif self.rng.random() < 0.05:
                    repair.take_snapshots(_tell_refusals, self._has_time)
            except (Unavailable, CacheUnavailable, Interrupted):
                continue
            finally:
                self._hold_to(process)

    def read(self) -> None:
        """A reader: what it is shown is in order, lacks nothing that was shown to the cache, or says that it may."""
        process = Process(self).api()
        rankings, leaderboards = process.rankings(), process.leaderboards()
        remembered: set[str] = set()
        while not self.is_quiet():
            self.scheduler.sleep(0.8)
            name = self.rng.choice(self.open)
            process.begin_request()
            if name not in remembered:
                with suppress(Unavailable):
                    leaderboards.find(name)
                    remembered.add(name)
                continue
            versions = dict(self.shown.versions)
            hung, waited = self.dynamo.hangs, process.truth.unanswered[getcurrent()]
            board = leaderboards.find(name, or_older=True)
            assert board is not None
            try:
                page = rankings.page(board, ALL_TIME, 0, 1_000)
            except (Rebuilding, CacheUnavailable):
                continue
            except Unavailable as error:
                if not _while_handling(error, Rebuilding, CacheUnavailable):
                    raise  # the cache answers, and the truth was asked all the same
                continue
            if page.source is RankingSource.LIVE:
                assert process.truth.unanswered[getcurrent()] == waited, "nobody waits for the truth beside the cache"
                self.served_in_silence += hung and self.dynamo.hangs
            sign = -1 if board.order is Order.DESC else 1
            keys = [(sign * entry.score, entry.reached_at_ms, entry.user_id.encode()) for entry in page.entries]
            assert keys == sorted(keys)
            assert page.total == len(keys)
            self.served[page.source] += 1
            if page.source is RankingSource.LIVE:
                shown = {one.user_id: (one.score, one.reached_at_ms) for one in page.entries}
                for user, standing in shown.items():
                    assert standing in self.dynamo.all_time[board.id, user].values(), "the truth knows it"
                if self._keeps_writes:
                    self._check_versions(board, shown, versions)
            process.begin_request()
            self._read_player(rankings, board)
            process.begin_request()
            self._read_range(rankings)

    def _check_versions(
        self, board: Leaderboard, shown: dict[str, tuple[int, int]], versions: dict[tuple[str, str], int]
    ) -> None:
        """No live window shows an older standing than the cache was brought up to before it was read."""
        for (name, user), version in versions.items():
            if name != board.id:
                continue
            if user in shown:
                known = self.dynamo.all_time[name, user]
                assert shown[user] in [known[number] for number in known if number >= version], (name, user, version)
            else:
                assert user in self._acted_upon(name), (name, user, "is missing")

    def _acted_upon(self, name: str) -> set[str]:
        registry = self.dynamo.tables["registry"]
        log = leaderboard_partition(name)
        bodies = [registry[of, sort]["body"]["S"] for of, sort in registry if of == log and sort.startswith("act#")]
        return {msgspec.json.decode(body, type=AuditEntry).user_id or "" for body in bodies}

    def _read_player(self, rankings: Rankings, board: Leaderboard) -> None:
        with suppress(Rebuilding, CacheUnavailable, Unavailable):
            found = rankings.player(board, ALL_TIME, self._user(), 2)
            if found is not None:
                ranks = [one.rank for one in (*found.above, found.player, *found.below)]
                assert ranks == list(range(ranks[0], ranks[0] + len(ranks)))
                assert found.rank_is_approximate == (found.ranking.source is RankingSource.SNAPSHOT)

    def _read_range(self, rankings: Rankings) -> None:
        self._let_range_go()
        try:
            page = rankings.page(self.ranged, self.range, 0, 1_000)
        except Building:
            self.built_behind += 1
        except (Rebuilding, CacheUnavailable, RangeRefused, Unavailable, QueueUnavailable):
            return
        else:
            assert [entry.rank for entry in page.entries] == list(range(1, page.total + 1))
            self.ranges_served += 1

    def _let_range_go(self) -> None:
        """What Redis does by its own clock, which is not the one of this world."""
        kept: Any = self.redis.hget(live_keys.ranges(self.ranged.id), self.range.id)
        if kept is None or int(kept.rpartition(b" ")[2]) <= self.scheduler.now_ms:
            keys = (live_keys.parts, live_keys.ranking, live_keys.labels)
            self.redis.delete(*(key(self.ranged.id, self.range.id) for key in keys))

    def disqualifications(self) -> None:
        """Administrators who disqualify and reinstate, and ask again where they were not answered."""
        disqualifications = Process(self).disqualifications()
        while not self.is_consumed():
            self.scheduler.sleep(5)
            with suppress(Unavailable, AuditLogConflict):
                self._act(disqualifications)

    def _act(self, disqualifications: Disqualifications) -> None:
        board = self.registry.history[self.rng.choice(self.open)][-1]
        act = self.rng.choice([disqualifications.disqualify, disqualifications.disqualify, disqualifications.reinstate])
        act(board, self._user(), "somebody", "for a reason")

    def redefine(self) -> None:
        """Administrators who change how late events may come, and tiers."""
        process = Process(self)
        while not self.is_consumed():
            self.scheduler.sleep(1)
            if self.scheduler.fails(Fault.RULES):
                with suppress(Conflict, Unavailable):
                    self._redefine(process)

    def _redefine(self, process: Process) -> None:
        now_ms = process.clock()
        current = self.registry.leaderboard(self.rng.choice(self.open))
        assert current is not None
        self.scheduler.sleep(self.rng.uniform(0, 2))
        lateness_ms, tiers = self.rng.choice(list(LATENESS_MS.values())), self.rng.choice(TIERS)
        following = {"version": current.version + 1, "updated_at_ms": now_ms}
        self.registry.save(replace(current, lateness_ms=lateness_ms, tiers=tiers, **following))

    def reschedule(self) -> None:
        """Administrators who register periods, change and delete them, whether their days are over or not."""
        while not self.is_consumed():
            self.scheduler.sleep(1)
            if self.scheduler.fails(Fault.PERIODS):
                with suppress(Unavailable):
                    self._reschedule(self.rng.choice(self.open), f"p{self.rng.randrange(3)}")

    def _reschedule(self, name: str, period: str) -> None:
        if self.rng.random() < 0.3:
            self.registry.delete_period(name, period)
        else:
            first = day_of(self.scheduler.now_ms) - self.rng.randrange(5)
            self._register(name, period, Day(first), Day(first + self.rng.randrange(4)))

    def _register(self, name: str, period: str, first: Day, last: Day) -> None:
        self.periods.setdefault(name, set()).add(custom(first, last))
        self.registry.save_period(name, Period(id=period, name=period, first=first, last=last))

    def _has_time(self) -> bool:
        return not self.scheduler.fails(Fault.HURRY)

    def close(self) -> None:
        """The closing function on its schedule."""
        closing = Process(self).closing()
        while not self.is_quiet():
            self.scheduler.sleep(3)
            with suppress(Unavailable):
                run = closing.run(self._has_time)
                if run.errors:
                    raise run.errors[0]

    def disturb(self) -> None:
        """Rebalances, rewinds, flushes, and leaders whose clocks differ."""
        while not self.is_quiet():
            self.scheduler.sleep(1)
            if self.scheduler.fails(Fault.REBALANCE):
                self.owner[self.rng.randrange(PARTITIONS)] = self.rng.choice(["one", "two"])
            if self.scheduler.fails(Fault.REWIND) and not self.is_consumed():
                partition = self.rng.randrange(PARTITIONS)
                self.committed[partition] = self.rng.randrange(self.committed[partition] + 1)
                self.rewinds[partition] += 1
            if self.scheduler.fails(Fault.FLUSH):
                self.redis.flushall()
            if self.scheduler.fails(Fault.HANG):
                self.dynamo.hang(self.rng.randrange(HANG_MS_MAX))
            self.retain(self.rng.randrange(PARTITIONS))
            if self.scheduler.fails(Fault.FULL):
                self._fill_up()
            if self.scheduler.fails(Fault.FAILOVER) and not self.stopped:
                replica = Replica(self.redis)
                self.scheduler.sleep(self.rng.uniform(0, 1))
                if not self.stopped:
                    replica.take_over()
            if self.scheduler.fails(Fault.CLOCKS):
                self.brokers_ahead_ms[self.rng.randrange(PARTITIONS)] = self.rng.randrange(-25_000, 25_000)

    def operate(self) -> None:
        """An operator who says, sooner or later, that what is lost is lost."""
        process = Process(self)
        while self.scheduler.has(Fault.RETENTION) and not self.is_quiet():
            self.scheduler.sleep(30)
            with suppress(Unavailable, TopicUnavailable):
                self._acknowledge(process)

    def _acknowledge(self, process: Process) -> None:
        for loss in process.losses().of(TOPIC):
            assert loss.first < loss.until <= self.removed[loss.partition], "is told with the right offsets"
            before = self.acknowledged[loss.partition]
            self.acknowledged[loss.partition] = max(before, loss.until)
            try:
                process.coverage().acknowledge(loss.partition, loss.until)
            except ValueError:  # it is part of a larger one, which comes next
                self.acknowledged[loss.partition] = before

    def _fill_up(self) -> None:
        self.redis.config_set("maxmemory", 1)
        try:
            self.scheduler.sleep(self.rng.uniform(0, OUTAGE_S))
        finally:
            self.redis.config_set("maxmemory", 0)

    def bewitch(self) -> None:
        """Something of one leaderboard that the apply script doesn't understand."""
        while not self.is_quiet():
            self.bewitched = ""
            self.scheduler.sleep(1)
            if self.scheduler.fails(Fault.SCRIPT_ERROR):
                self.bewitched = self.rng.choice(self.open)
                self.scheduler.sleep(self.rng.uniform(0, OUTAGE_S))

    def restore(self) -> None:
        """An operator who sets the tables back, by the steps of docs/runbook.md, if the topic keeps what follows."""
        if self.scheduler.has(Fault.RETENTION):
            return
        backup = Backup(self)
        while not self.is_quiet():
            self.scheduler.sleep(1)
            if self.rng.random() < BACKUPS:
                backup = Backup(self)
            if not self.is_consumed() and self.scheduler.fails(Fault.RESTORE):
                self.stopped = True
                self.scheduler.stop()
                self.scheduler.sleep(STOPPED_S)
                backup.take_over()
                self._forget()
                self.stopped = False
                backup = Backup(self)

    def _forget(self) -> None:
        while True:
            try:
                Process(self).repair().forget()
            except (Unavailable, CacheUnavailable):
                self.scheduler.sleep(1)
            else:
                return

    def _ours(self, life: Callable[[], None]) -> None:
        """Have something of ours live, whenever an operator lets it."""

        def live() -> None:
            while self.stopped:
                self.scheduler.sleep(1)
            life()

        self.scheduler.spawn(live, stoppable=True)

    def new_token(self) -> str:
        """A token that nobody else has."""
        self._tokens += 1
        return str(self._tokens)

    @property
    def _keeps_writes(self) -> bool:
        """Whether Redis keeps what it has taken, if it is not flushed as a whole."""
        return not self.scheduler.has(Fault.CACHE_LOSES) and not self.scheduler.has(Fault.FAILOVER)

    # what it is waited for

    def is_consumed(self) -> bool:
        """Whether every record is committed."""
        reached = map(max, self.committed, self.removed)
        return self.produced and [*reached] == [len(log) for log in self.topic]

    def is_quiet(self) -> bool:
        """Whether nothing is under way any more."""
        return self.scheduler.calm and self.is_consumed() and not any(map(self.sqs.messages.get, (REPAIRS, RANGES)))

    def run(self) -> None:
        """Let everybody live, with faults until all is produced and much of it consumed, then in peace."""
        for name in ("one", "two"):
            self._ours(partial(self.consume, name))
        for life in (self.produce, self.disturb, self.bewitch):
            self.scheduler.spawn(life)
        self.scheduler.spawn(self.restore, mortal=False)
        administrators = (self.disqualifications, self.redefine, self.reschedule)
        for life in (self.repair, self.read, *administrators, self.operate):
            self._ours(life)
        for _ in range(CLOSERS):  # a run may take longer than its schedule
            self._ours(self.close)
        self.scheduler.run(self.is_consumed)
        self.scheduler.now_ms += LAST_CALLS_MS
        until_ms = self.scheduler.now_ms + LULL_S * 1000  # days close while things still go wrong
        self.scheduler.run(lambda: self.scheduler.now_ms > until_ms)
        self.finished = sum(sort.startswith("final#") for _, sort in self.dynamo.tables["registry"])
        self.scheduler.calm = True
        self.scheduler.run(self.is_quiet)
        self.bewitched = ""
        self.redis.config_set("maxmemory", 0)
        process = Process(self)
        self.scheduler.now_ms += LEASE_MS + 2 * SKEW_MS_MAX  # whoever died while building is waited for, by any clock
        process.repair().anti_entropy()
        for name in self.open:  # what is older than a few days has its turn after hours
            process.repair().carry_out(RebuildLeaderboard(leaderboard_id=name, force=True))
        self._let_range_go()
        self.range_healed = WindowCache(self.redis).page(self.ranged, self.range, 0, 1_000, self.scheduler.now_ms)
        labels = every_label(self.ranged)
        self.range_carriers = carriers(self.redis, self.ranged, self.range, self.scheduler.now_ms, labels)
        log = leaderboard_partition(self.ranged.id)
        self.acts_by_then = sum(of == log and sort.startswith("act#") for of, sort in self.dynamo.tables["registry"])
        self.scheduler.now_ms += AFTERWARDS_MS
        self._acknowledge_all(process)
        self._close_all()
        for _ in range(self.rng.randrange(3)):
            self._act(process.disqualifications())
        self._close_all()

    def _acknowledge_all(self, process: Process) -> None:
        lost = process.closing().run().lost
        assert lost is not None or not self.accounts.uncounted(), "what is lost is told"
        while process.losses().of(TOPIC):
            self._acknowledge(process)
        assert not self.accounts.uncounted()

    def _work(self) -> list[str]:
        return [sort for of, sort in self.dynamo.tables["registry"] if of == WORK and sort != WORK_MOVED]

    def _close_all(self) -> None:
        while run := Process(self).closing().run():
            assert not run.errors, run.errors
            assert not run.blocked, run.blocked
            assert not run.unchecked
            is_sealing = any(one.is_sealing for one in map(self.registry.current, self.open))
            if not run.final_results and not is_sealing and not self._work():
                return
            self.scheduler.now_ms += LAST_CALLS_MS


def _while_handling(error: BaseException | None, *kinds: type[Exception]) -> bool:
    """Whether an error came up while another of these kinds was handled."""
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__context__
    return False


def _tell_refusals(_leaderboard_id: str, error: Exception) -> None:
    if not isinstance(error, CacheRefused):
        raise error


def _to_message(record: Produced) -> Message:
    timestamp_type = "LOG_APPEND_TIME" if record.stamped else "CREATE_TIME"
    return Message(TOPIC, record.partition, record.offset, record.appended_at_ms, timestamp_type, None, record.value)


def _to_record(raw: dict[str, Any]) -> Record:
    value = b64decode(raw["value"]) if "value" in raw else None
    source = Source(raw["topic"], raw["partition"], raw["offset"], raw["timestamp"])
    return Record(source, None, value, raw["timestampType"] == "LOG_APPEND_TIME")


def _never(_messages: Any, reason: str) -> None:
    raise AssertionError(f"nothing is ever given up: {reason}")
