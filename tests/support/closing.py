"""A leaderboard whose days are closed on real DynamoDB, Redis and S3; the broker's answers are given."""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from redis import Redis

from shared.admin.amendments import Amendments
from shared.admin.as_of import AmendedPlayers
from shared.admin.disqualifications import Disqualifications, DisqualifiedPlayers
from shared.admin.pseudonyms import Pseudonymisation
from shared.admin.series import Occurrences
from shared.cache.leases import BuildLeases
from shared.cache.windows import WindowCache
from shared.closing.coverage import Coverage
from shared.closing.finalizer import Finalizer
from shared.closing.runs import Cause, ClosingRun
from shared.closing.schedule import CLOCK_SKEW_MS
from shared.closing.sealing import DaySealing
from shared.closing.service import Closing
from shared.closing.steps import ClosingSteps
from shared.domain.calendar import DAY_MS, Day, Window
from shared.domain.events import ScoreEvent
from shared.domain.records import Record, Source
from shared.domain.rejections import Rejection
from shared.domain.rules import Aggregation, Leaderboard, archive, revise
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate
from shared.ingest.projector import Projector
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.pseudonyms import Pseudonyms
from shared.messaging.notifications import WindowFinal
from shared.messaging.topic import Reach
from shared.parallel import ParallelReader, ThreadPool
from shared.rebuild.builder import WindowBuilder
from shared.retries import Backoff
from shared.truth.amendments import AmendmentWrites
from shared.truth.audit_log import AuditLog
from shared.truth.commits import Commits
from shared.truth.final_results import FinalResults
from shared.truth.items import LedgerEntry
from shared.truth.losses import Losses
from shared.truth.profiles import Profiles
from shared.truth.progress import APPLIED, Position, Progress
from shared.truth.pseudonyms import PseudonymWrites
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.rounds import Round
from shared.truth.series import SeriesRecords
from shared.truth.snapshots import Snapshots
from shared.truth.tables import Tables
from shared.truth.work import Work, WorkList
from tests.support.pseudonyms import KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BUCKET = "exports"
HOUR_MS = 3_600_000
MONDAY = Day(47_121)
"""In 2099: Redis lets windows go by its own clock, so that one of today would be gone in some weeks."""
SETTLED_MS = (MONDAY + 1) * DAY_MS + HOUR_MS + 2 * CLOCK_SKEW_MS + 1
"""The first instant at which Monday may be closed."""
FENCE_MS = 150_000
_topics = count()


class Broker:
    """A topic of one partition."""

    def __init__(self) -> None:
        self.name = f"closing-{next(_topics)}"
        self.reached = Reach(0, 0, 10, 12)
        self.failure: Exception | None = None
        self.asked_ms: list[int] = []
        self.records = True

    def reach(self, moment_ms: int) -> list[Reach]:
        if self.failure is not None:
            raise self.failure
        self.asked_ms.append(moment_ms)
        return [self.reached]

    def holds_records(self, partition: int, first: int, end: int) -> bool:
        assert partition == 0
        assert self.reached.first <= first < end <= self.reached.newest, "nobody can know"
        return self.records


class Scene:
    """One leaderboard with events on Monday, or another day, and a clock that the test holds."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        redis: Redis,
        s3: Any,
        leaderboard_id: str,
        filters: tuple[str, ...] = (),
        first_day: Day = MONDAY,
        **rules: Any,
    ) -> None:
        self.now_ms = SETTLED_MS + (first_day - MONDAY) * DAY_MS
        self.first_day = first_day
        self.redis, self.s3 = redis, s3
        tables, threads, backoff = Tables(), ThreadPool(4), Backoff(base_ms=1)
        self.reads = Reads(dynamodb, tables, ParallelReader(4), backoff)
        self.cache = WindowCache(redis)
        self.registry = Registry(
            tables.registry, region="eu-central-1", host=dynamodb.meta.endpoint_url, now_ms=self.clock
        )
        self.series = SeriesRecords(dynamodb, tables.registry)
        self.occurrences = Occurrences(self.series, self.registry, self.clock)
        self.audit_log = AuditLog(dynamodb, tables.registry)
        self.work = WorkList(dynamodb, tables.registry)
        tokens = (str(number) for number in count())
        self.builder = WindowBuilder(
            reads=self.reads,
            cache=self.cache,
            leases=BuildLeases(self.cache),
            registry=self.registry,
            disqualified_players=DisqualifiedPlayers(self.audit_log, self.work),
            now_ms=self.clock,
            new_token=lambda: next(tokens),
        )
        self.final_results = FinalResults(dynamodb, tables.registry)
        self.rounds: Any = KeptRounds()
        self.disqualifications = Disqualifications(
            audit_log=self.audit_log,
            disqualified_players=DisqualifiedPlayers(self.audit_log, self.work),
            registry=self.registry,
            reads=self.reads,
            cache=self.cache,
            now_ms=self.clock,
        )
        self.amendments = Amendments(
            writes=AmendmentWrites(dynamodb, tables, self.audit_log),
            audit_log=self.audit_log,
            disqualifications=self.disqualifications,
            leaderboards=Leaderboards(self.registry, self.clock),
            registry=self.registry,
            reads=self.reads,
            backoff=backoff,
            now_ms=self.clock,
        )
        self.pseudonym_writes = PseudonymWrites(dynamodb, tables, self.audit_log)
        self.pseudonyms = Pseudonyms(self.pseudonym_writes.all, lambda: KEY)
        self.snapshots = Snapshots(dynamodb, tables.registry)
        self.profiles = Profiles(dynamodb, tables.registry, backoff)
        self.pseudonymisation = Pseudonymisation(
            writes=self.pseudonym_writes,
            pseudonyms=self.pseudonyms,
            registry=self.registry,
            reads=self.reads,
            audit_log=self.audit_log,
            disqualifications=self.disqualifications,
            disqualified_players=DisqualifiedPlayers(self.audit_log, self.work),
            final_results=self.final_results,
            snapshots=self.snapshots,
            profiles=self.profiles,
            work_list=self.work,
            cache=self.cache,
            fence_ms=FENCE_MS,
            now_ms=self.clock,
        )
        self.progress = Progress(dynamodb, tables.registry)
        self.losses = Losses(dynamodb, tables.registry)
        for name in self.losses.ends():  # the topics of other tests are none that this one was fed from
            self.losses.forget(name)
        self.broker = Broker()
        self.told: list[WindowFinal] = []
        self.notifications: Any = SimpleNamespace(send=self.told.append)
        self.committer = Committer(Commits(dynamodb, tables), self.reads, threads, backoff)
        self.projector = Projector(self.cache, None, threads, self.clock)  # type: ignore[arg-type]
        created = (first_day - 1) * DAY_MS
        self.id = leaderboard_id
        self.registry.save(
            Leaderboard(
                id=leaderboard_id,
                name="Cup",
                **{"aggregation": Aggregation.SUM, **rules},
                shards=2,
                filters=filters,
                created_at_ms=created,
            )
        )
        self.registry.lock_rules(self.leaderboard)
        self.builder.rebuild_leaderboard(self.leaderboard)
        self.offsets = count(100)
        self.play("ann", 5)
        self.play("bob", 7)
        self.play("cat", 7)
        self.pass_partition(10, first=0)

    def clock(self) -> int:
        return self.now_ms

    def archive(self, at_ms: int) -> None:
        """Delete the leaderboard, as the API does."""
        self.registry.save(archive(self.leaderboard, at_ms))

    def restore(self) -> None:
        """Put it again, as it was before."""
        self.cache.mark_incomplete(self.id)
        restored, _ = revise(self.leaderboard, self.leaderboard)
        self.registry.save(restored)

    @property
    def leaderboard(self) -> Leaderboard:
        found = self.registry.leaderboard(self.id)
        assert found is not None
        return found

    def play(
        self,
        user: str,
        points: int,
        day: Day | None = None,
        event_id: str | None = None,
        leaderboard: Leaderboard | None = None,
        **attributes: str,
    ) -> Candidate:
        """Commit one event, as ingest does, and show it; by a definition that was kept, if one is given."""
        start_ms = self.leaderboard.calendar.day_start_ms(self.first_day if day is None else day)
        at_ms = start_ms + next(self.offsets)
        event = ScoreEvent(event_id or f"{user}-{at_ms}", self.id, user, points, at_ms, attributes)
        return self.replay(event, leaderboard)

    def replay(
        self, event: ScoreEvent, leaderboard: Leaderboard | None = None, appended_at_ms: int | None = None
    ) -> Candidate:
        at_ms = event.occurred_at_ms if appended_at_ms is None else appended_at_ms
        source = Source(self.broker.name, 0, next(self.offsets), at_ms)
        candidate = Candidate(Record(source, None, None))
        counted = (leaderboard or self.leaderboard).for_event(event, at_ms)
        candidate.entry, candidate.leaderboard = LedgerEntry(event, source), counted
        candidate.scores_id = counted.scores_id
        try:
            candidate.leaderboard.admit(event, source.appended_at_ms)
        except Rejection as refusal:
            candidate.refusal = refusal
        standings = self.committer.commit([candidate]) | self.committer.settle_refused([candidate])
        assert not self.projector.project({counted.scores_id: counted}, standings)
        return candidate

    def pass_partition(self, offset: int, partition: int = 0, first: int | None = None) -> None:
        """Commit a partition up to an offset, as an ingest call does that was handed the last record, or all from
        `first` on.
        """
        handed = range(offset - 1 if first is None else first, offset)
        position = Position(self.broker.name, partition, offset, 0)
        self.progress.advance(position, self.now_ms, dict.fromkeys(handed, APPLIED))

    def run(self, before: Iterable[Leaderboard] = ()) -> ClosingRun:
        """Run over other leaderboards, if any are given, and this one, until none of its days is closing any more.

        Returns:
            What the last run did.
        """
        run = self.closing(before).run()
        seals_at_ms = self.leaderboard.seals_at_ms
        if not self.leaderboard.is_sealing or seals_at_ms is None:
            return run
        self.now_ms = max(self.now_ms, seals_at_ms)
        return self.closing(before).run()

    def closing(self, before: Iterable[Leaderboard] = ()) -> Closing:
        """Of other leaderboards, if any are given, and this one."""
        finalizer = Finalizer(
            reads=self.reads,
            cache=self.cache,
            builder=self.builder,
            final_results=self.final_results,
            registry=self.registry,
            pseudonyms=self.pseudonym_writes,
            disqualified_players=DisqualifiedPlayers(self.audit_log, self.work),
            amended_players=AmendedPlayers(self.audit_log, self.reads),
            s3=self.s3,
            bucket=BUCKET,
            now_ms=self.clock,
        )
        registry: Any = OnlyThis(self.registry, self.id)
        registry.before += before
        work_list: Any = SimpleNamespace(all=self._all_work, of=self.work.of)
        work = ClosingSteps(
            registry=registry,
            final_results=self.final_results,
            work=self.work,
            audit_log=self.audit_log,
            disqualifications=self.disqualifications,
            pseudonymisation=self.pseudonymisation,
            finalizer=finalizer,
            notifications=self.notifications,
            now_ms=self.clock,
        )
        return Closing(
            registry=registry,
            coverage=self.coverage,
            days=DaySealing(registry=registry, final_results=self.final_results, reads=self.reads, now_ms=self.clock),
            work=work,
            work_list=work_list,
            series=self.series,
            occurrences=self.occurrences,
            rounds=self.rounds,
            now_ms=self.clock,
        )

    def _all_work(self) -> dict[str, Work]:
        """Without that of other tests."""
        work = self.work.of(self.id)
        return {} if work == Work() else {self.id: work}

    @property
    def coverage(self) -> Coverage:
        broker: Any = self.broker
        return Coverage(self.progress, self.losses, broker, self.clock)

    def stored(self, window: Window) -> list[tuple[str, str, str]] | None:
        """Rank, user and score of each line of a window's result; None while it has none."""
        final = self.final_results.final(self.id, window.id)
        if final is None:
            return None
        content = self.content(final.object_key, final.sha256)
        assert len(content) == final.bytes
        return [(line["rank"], line["user_id"], line["score"]) for line in to_lines(content)]

    def content(self, key: str, sha256: str | None) -> bytes:
        """An object of a result, which is the one that the result names."""
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert hashlib.sha256(content).hexdigest() == sha256
        return content


def close(final_results: FinalResults, leaderboard: Leaderboard, through: Day, due: Sequence[Window]) -> None:
    """Close the days of a leaderboard at once, as its closing does when time has gone by."""
    final_results.start_sealing(leaderboard, through)
    final_results.seal(replace(leaderboard, sealing_through=through), through, due)


def to_lines(content: bytes) -> list[dict[str, str]]:
    """The lines of a file."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


class OnlyThis:
    """The registry with the leaderboards of other tests out of sight."""

    def __init__(self, registry: Registry, leaderboard_id: str) -> None:
        self._registry = registry
        self._id = leaderboard_id
        self.before: list[Leaderboard] = []
        """What is looked after first."""
        self.periods, self.rules = registry.periods, registry.rules

    def leaderboard(self, leaderboard_id: str) -> Leaderboard | None:
        if leaderboard_id == self._id:
            return self._registry.leaderboard(self._id)
        return next((one for one in self.before if one.id == leaderboard_id), None)

    def leaderboards(self, _limit: int, _after: str | None, *, archived: bool) -> list[Leaderboard]:
        assert archived
        found = self._registry.leaderboard(self._id)
        return [*self.before, *([] if found is None else [found])]


class KeptRounds:
    """Rounds in memory: tests that run beside each other have one registry."""

    def __init__(self) -> None:
        self.rounds: dict[str, Round] = {}

    def read(self, name: str) -> Round:
        return self.rounds.get(name, Round())

    def record(self, name: str, after: str | None, *, ended: bool) -> None:
        self.rounds[name] = Round(after, ended)


def cause_of(run: ClosingRun, window: Window) -> Cause | None:
    """What kept a window from becoming final."""
    return next((one.cause for one in run.blocked if one.what == window.id), None)


RANKING = [("1", "bob", "7"), ("2", "cat", "7"), ("3", "ann", "5")]
