"""One run: load and strikes on a real stack, then peace, then the truth."""

import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException

from infra.local.config import REPAIRS
from infra.local.dynamodb import dynamodb_server
from infra.local.servers import free_port
from infra.local.stack import Stack
from tests.chaos.checks import Aftermath, Check, run_parallel
from tests.chaos.line import Line
from tests.chaos.load import Load
from tests.chaos.monkey import Monkey
from tests.chaos.plan import Strike, plan
from tests.chaos.reader import Reader, Target
from tests.chaos.timeline import Timeline
from tests.chaos.workers import Keeper, Worker
from tests.support.boards import Boards
from tests.support.stack import System, until
from tests.support.traffic import BOARDS, Traffic
from tests.support.windows import COMPLETE, Window

Say = Callable[[str], None]

LOAD_EVERY_S: Final = 0.05
READ_EVERY_S: Final = 0.05
READERS: Final = 2
WATCH_EVERY_S: Final = 0.1
TICK_S: Final = 0.1
PROGRESS_EVERY_S: Final = 10
LAG_MAX: Final = 500
"""Records that are not yet committed while ingest keeps up: some seconds' worth."""
PEACE_MAX_S: Final = 180
"""How long a strike waits for peace; where none comes by itself, the end of the run tells what stands in its way."""
SETTLE_MAX_S: Final = 420
"""Until the system must have come to rest. A repair message whose function was killed comes again after a visibility
timeout of 60 s, and what is given up there is repaired by the next anti-entropy, every 300 s."""
SETTLE_LOOK_S: Final = 0.5


@dataclass(frozen=True)
class Settings:
    """What a run is like."""

    seed: int
    seconds: float
    kills: int
    events_per_second: float


@dataclass(frozen=True)
class Result:
    """All that a run brought to light."""

    settings: Settings
    timeline: Timeline
    produced: Counter[str]
    """Delivery reports of the producer."""
    outcomes: Counter[str]
    """What the oracle says of the records that stand in the topic."""
    settled_after_s: float
    """From the end of the load until everything was committed, repaired and live, or until that was given up."""
    unsettled: str | None
    """What did not become so by itself within SETTLE_MAX_S."""
    repairs_given_up: int
    """Repair messages on that queue's own dead-letter queue."""
    checks: list[Check]

    @property
    def holds(self) -> bool:
        """Whether all that must be true is."""
        differ = any(check.differences for check in self.checks)
        return self.unsettled is None and not self.timeline.complained and not differ


def run(directory: Path, settings: Settings, say: Say) -> Result:
    """Run it on a stack of its own with its state in `directory`.

    Raises:
        RuntimeError: if the supervisor gives up, or a part of the run itself fails.
        InvalidConfiguration: if the stack does not start.
    """
    strikes = plan(Random(settings.seed), settings.kills, settings.seconds)
    with ExitStack() as exits:
        say("starting the stack …")
        stack = Stack.for_test(directory)
        truth_line = exits.enter_context(_truth_line(stack))
        exits.enter_context(stack)
        system = System(stack)
        exits.callback(system.close)
        traffic = Traffic(settings.seed, datetime.now(UTC))
        boards = Boards(traffic.days)
        boards.make(system)
        until(lambda: _not_live(system, boards) is None, "every window is live before the first event")
        return _Run(stack, truth_line, system, settings, say, traffic, boards).run(strikes)


def _truth_line(stack: Stack) -> Line:
    """Put DynamoDB behind a line, at the port where everybody looks for it."""
    port = free_port()
    stack.replace(dynamodb_server(stack.config.directory / "dynamodb", port, stack.config.packages))
    return Line(stack.config.ports.dynamodb, port)


def _not_live(system: System, boards: Boards) -> str | None:
    """A window that is not answered for."""
    for board in boards.definitions:
        for window in boards.windows(board):
            answer = system.request("GET", f"/leaderboards/{board}/rankings", params={**window.query, "limit": 1})
            if answer.status_code != 200 or answer.json()["source"] not in COMPLETE:
                return f"{board} {window.query} is not live: {answer.status_code} {answer.text[:200]}"
    return None


class _Run:
    """The parts of a run, and its course."""

    def __init__(
        self,
        stack: Stack,
        truth_line: Line,
        system: System,
        settings: Settings,
        say: Say,
        traffic: Traffic,
        boards: Boards,
    ) -> None:
        self._stack = stack
        self._system = system
        self._settings = settings
        self._say = say
        self._boards = boards
        self._targets = [Target(board, window) for board in BOARDS for window in _read_windows(self._boards, board)]
        self._timeline = Timeline([target.name for target in self._targets])
        self._keeper = Keeper(stack, lambda news: self._tell(f"  {news}"))
        self._monkey = Monkey(stack, truth_line, self._keeper, self._timeline)
        servers = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
        rate = settings.events_per_second
        self._load = Load(servers, traffic, self._random("load"), rate, self._timeline.now_s)
        self._producer = Worker("producer", self._load.step, LOAD_EVERY_S)
        self._readers = [Worker(f"reader {n}", self._reader(stack.url, n).step, READ_EVERY_S) for n in range(READERS)]
        watch = Worker("watch", self._monkey.watch, WATCH_EVERY_S)
        self._helpers = [*self._keeper.workers, watch]

    def run(self, strikes: list[Strike]) -> Result:
        """From the first event to the last comparison."""
        workers = [*self._helpers, self._producer, *self._readers]
        for worker in workers:
            worker.start()
        try:
            self._strike(strikes)
            self._producer.stop()
            self._load.finish()
            began_s = self._timeline.now_s()
            unsettled = self._settle(began_s)
            settled_after_s = self._timeline.now_s() - began_s
            for reader in self._readers:
                reader.stop()
            return self._conclude(settled_after_s, unsettled)
        finally:
            for worker in workers:
                worker.end()  # first of all the supervisor: what is stopped after this shall not be started again

    def _strike(self, strikes: list[Strike]) -> None:
        began_s = told_s = self._timeline.now_s()
        waited_s = 0.0
        waiting = deque(strikes)
        while waiting or self._timeline.now_s() - began_s < self._settings.seconds:
            now_s = self._timeline.now_s()
            if waiting and waiting[0].at_s <= now_s - began_s:
                strike = waiting[0]
                if not strike.into_peace or self._is_peaceful() or waited_s > PEACE_MAX_S:
                    waiting.popleft()
                    self._tell(f"⚡ {strike.kind}")
                    self._monkey.strike(strike.kind)
                else:
                    late_s = now_s - began_s - strike.at_s
                    began_s += late_s  # the plan stands still meanwhile
                    waited_s += late_s
            if now_s - told_s >= PROGRESS_EVERY_S:
                told_s = now_s
                self._tell_progress()
            self._check_workers()
            time.sleep(TICK_S)

    def _is_peaceful(self) -> bool:
        """Whether every window is live and ingest is at work on what comes in."""
        lag = self._stack.lag()
        return not self._timeline.open() and lag is not None and sum(lag.values()) < LAG_MAX

    def _settle(self, began_s: float) -> str | None:
        """Wait for rest; what is still in its way when that takes too long."""
        self._tell("the monkey and the producer have gone; waiting until everything is committed, repaired and live …")
        told_s = began_s
        while (unsettled := self._unsettled()) is not None:
            self._check_workers()
            now_s = self._timeline.now_s()
            if now_s - began_s > SETTLE_MAX_S:
                break
            if now_s - told_s >= PROGRESS_EVERY_S:
                told_s = now_s
                self._tell(f"waiting: {unsettled}")
            time.sleep(SETTLE_LOOK_S)
        return unsettled

    def _unsettled(self) -> str | None:
        """What is not yet as it has to be; None if everything is."""
        try:
            if not self._system.is_sealed():
                return "records of the topic are not committed"
            if queued := self._system.queued(REPAIRS):
                return f"{queued} messages are in the repair queue"
        except (KafkaException, BotoCoreError, ClientError) as error:
            return f"something does not answer: {error}"
        if disturbances := self._timeline.open():
            one = disturbances[0]
            return f"{', '.join(sorted(one.awaited)[:3])} … were not read live since {one.kind}"
        return _not_live(self._system, self._boards)

    def _conclude(self, settled_after_s: float, unsettled: str | None) -> Result:
        self._tell("comparing with the oracle …")
        records = self._system.records()
        reference = self._boards.reference(records)
        checks = run_parallel(Aftermath(self._system, self._boards, records, reference))
        return Result(
            self._settings,
            self._timeline,
            self._load.outcomes,
            Counter(reference.outcomes.values()),
            settled_after_s,
            unsettled,
            self._system.queued(f"{REPAIRS}-dlq"),
            checks,
        )

    def _reader(self, url: str, number: int) -> Reader:
        rng = self._random(f"reader {number}")
        targets = rng.sample(self._targets, len(self._targets))
        return Reader(url, self._timeline, targets, self._boards.definitions, rng)

    def _random(self, purpose: str) -> Random:
        return Random(f"{self._settings.seed} {purpose}")

    def _check_workers(self) -> None:
        for worker in [*self._helpers, self._producer, *self._readers]:
            worker.check()

    def _tell(self, news: str) -> None:
        self._say(f"{self._timeline.now_s():6.1f} s  {news}")

    def _tell_progress(self) -> None:
        reads = " · ".join(f"{count} × {answer}" for answer, count in self._timeline.totals().most_common())
        self._tell(
            f"{len(self._timeline.disturbances)} strikes, {self._load.outcomes['delivered']} events delivered, "
            f"{self._timeline.complained} complaints; reads: {reads}"
        )


def _read_windows(boards: Boards, board: str) -> list[Window]:
    """A window of every kind: of all time, a day, a week, a range, a registered period."""
    windows = boards.windows(board)
    of_kind = {window.query["window"]: window for window in windows}
    return [of_kind["all-time"], of_kind["daily"], of_kind["weekly"], *windows[-2:]]
