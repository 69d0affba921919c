"""Closing of buckets and windows on real DynamoDB, Redis and S3; the broker's answers are given."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from msgspec.structs import replace
from redis import Redis

from infra.local.servers import free_port, ministack
from shared.domain.events import ScoreEvent
from shared.domain.periods import Period
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.domain.windows import DAY_MS, Day, Window, custom, daily, day_of, weekly
from shared.live import keys
from shared.live.windows import LiveWindows
from shared.notices import NoticeUnavailable, WindowFinal
from shared.pipeline.candidates import Candidate, Disposition
from shared.pipeline.closing import CLOCK_SKEW_MS, Cause, Closing, Run
from shared.pipeline.commit import Committer
from shared.pipeline.finishing import Finishing
from shared.pipeline.projection import Projector
from shared.pipeline.rebuild import Rebuild
from shared.retries import Backoff, Threads
from shared.topic import Reach, TopicUnavailable
from shared.truth.commits import Commits
from shared.truth.finals import AlreadyDone, Finals
from shared.truth.items import LedgerEntry
from shared.truth.progress import Position, Progress
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BUCKET = "exports"
HOUR_MS = 3_600_000
MONDAY = Day(20_780)
SETTLED_MS = (MONDAY + 1) * DAY_MS + HOUR_MS + 2 * CLOCK_SKEW_MS + 1
"""The first instant at which Monday may be closed."""
_topics = count()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    port = free_port()
    with ministack(Path(tmp_path_factory.mktemp("aws")), port):
        client = boto3.client(
            "s3",
            region_name="eu-central-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(signature_version="s3v4"),
        )
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


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
        assert first < end
        return self.records


class Scene:
    """One leaderboard with events on Monday, and a clock that the test holds."""

    def __init__(self, dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str) -> None:
        self.now_ms = SETTLED_MS
        self.redis, self.s3 = redis, s3
        tables, threads, backoff = Tables(), Threads(4), Backoff(base_ms=1)
        self.reads = Reads(dynamodb, tables, threads, backoff)
        self.live = LiveWindows(redis)
        self.registry = Registry(tables.registry, region="eu-central-1", host=dynamodb.meta.endpoint_url)
        tokens = (str(number) for number in count())
        self.rebuild = Rebuild(self.reads, self.live, self.registry, self.clock, lambda: next(tokens))
        self.finals = Finals(dynamodb, tables.registry)
        self.progress = Progress(dynamodb, tables.registry)
        self.broker = Broker()
        self.told: list[WindowFinal] = []
        self.notices: Any = SimpleNamespace(send=self.told.append)
        self.committer = Committer(Commits(dynamodb, tables), self.reads, threads, backoff)
        self.projector = Projector(self.live, None, threads, self.clock)  # type: ignore[arg-type]
        created = (MONDAY - 1) * DAY_MS
        self.id = leaderboard_id
        self.registry.save(
            Leaderboard(id=leaderboard_id, name="Cup", aggregation=Aggregation.SUM, shards=2, created_at_ms=created)
        )
        self.registry.seal(self.leaderboard)
        self.rebuild.leaderboard(self.leaderboard)
        self.offsets = count(100)
        self.play("ann", 5)
        self.play("bob", 7)
        self.play("cat", 7)
        self.pass_partition(10)

    def clock(self) -> int:
        return self.now_ms

    @property
    def leaderboard(self) -> Leaderboard:
        found = self.registry.leaderboard(self.id)
        assert found is not None
        return found

    def play(self, user: str, points: int, day: Day = MONDAY, event_id: str | None = None) -> Candidate:
        """Commit one event, as ingest does, and show it."""
        at_ms = day * DAY_MS + next(self.offsets)
        event = ScoreEvent(event_id or f"{user}-{at_ms}", self.id, user, points, at_ms)
        return self.replay(event)

    def replay(self, event: ScoreEvent) -> Candidate:
        source = Source(self.broker.name, 0, next(self.offsets), event.occurred_at_ms)
        candidate = Candidate(Record(source, None, None))
        candidate.entry, candidate.leaderboard = LedgerEntry(event, source), self.leaderboard
        standings = self.committer.commit([candidate])
        assert not self.projector.project({self.id: self.leaderboard}, standings)
        return candidate

    def pass_partition(self, offset: int) -> None:
        self.progress.advance(Position(self.broker.name, 0, offset, 0))

    def run(self) -> Run:
        finishing = Finishing(
            reads=self.reads,
            live=self.live,
            rebuild=self.rebuild,
            finals=self.finals,
            s3=self.s3,
            bucket=BUCKET,
            now_ms=self.clock,
        )
        registry: Any = OnlyThis(self.registry, self.id)
        broker: Any = self.broker
        closing = Closing(
            registry=registry,
            finals=self.finals,
            progress=self.progress,
            topic=broker,
            finishing=finishing,
            notices=self.notices,
            now_ms=self.clock,
        )
        return closing.run()

    def stored(self, window: Window) -> list[tuple[str, str, str]] | None:
        """Rank, user and score of each line of a window's result; None while it has none."""
        final = self.finals.final(self.id, window.id)
        if final is None:
            return None
        content = self.s3.get_object(Bucket=BUCKET, Key=final.object_key)["Body"].read()
        assert hashlib.sha256(content).hexdigest() == final.sha256
        assert len(content) == final.bytes
        lines = csv.DictReader(io.StringIO(content.decode(), newline=""))
        return [(line["rank"], line["user_id"], line["score"]) for line in lines]


class OnlyThis:
    """The registry with the leaderboards of other tests out of sight."""

    def __init__(self, registry: Registry, leaderboard_id: str) -> None:
        self._registry = registry
        self._id = leaderboard_id
        self.periods = registry.periods

    def leaderboards(self, _limit: int) -> list[Leaderboard]:
        found = self._registry.leaderboard(self._id)
        return [] if found is None else [found]


def cause_of(run: Run, window: Window) -> Cause | None:
    """What kept a window from becoming final."""
    return next((one.cause for one in run.blocked if one.what == window.id), None)


RANKING = [("1", "bob", "7"), ("2", "cat", "7"), ("3", "ann", "5")]


@pytest.fixture
def scene(
    dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return Scene(dynamodb, redis, s3, leaderboard_id)


def test_a_day_becomes_final_once_every_partition_has_passed_its_cutoff(scene: Scene) -> None:
    run = scene.run()

    assert scene.leaderboard.closed_through == MONDAY
    assert scene.stored(daily(MONDAY)) == RANKING
    assert not run.blocked
    assert scene.broker.asked_ms == [(MONDAY + 1) * DAY_MS + HOUR_MS + CLOCK_SKEW_MS]
    assert scene.finals.final(scene.id, weekly(MONDAY).id) is None, "its week still runs"


def test_a_day_is_not_closed_a_millisecond_early(scene: Scene) -> None:
    scene.now_ms -= 1

    run = scene.run()

    assert scene.leaderboard.closed_through == MONDAY - 1
    assert not run.blocked
    assert scene.stored(daily(MONDAY)) is None


def test_a_result_is_written_once(scene: Scene) -> None:
    scene.run()
    before = scene.finals.final(scene.id, daily(MONDAY).id)

    scene.now_ms += 1_000
    assert scene.run().finals == []

    assert scene.finals.final(scene.id, daily(MONDAY).id) == before
    assert before is not None
    with pytest.raises(AlreadyDone):
        scene.finals.write(replace(before, players=0))
    assert scene.finals.final(scene.id, daily(MONDAY).id) == before


def test_a_partition_that_lags_behind_the_cutoff_blocks(scene: Scene) -> None:
    scene.broker.reached = Reach(0, 0, 11, 12)

    run = scene.run()

    assert [one.cause for one in run.blocked] == [Cause.LAG]
    assert run.delay_ms(scene.now_ms) > 0
    assert scene.leaderboard.closed_through == MONDAY - 1 or scene.leaderboard.closed_through is None
    assert scene.stored(daily(MONDAY)) is None

    scene.pass_partition(11)
    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


def test_offsets_without_records_do_not_block(scene: Scene) -> None:
    scene.broker.reached = Reach(0, 0, 12, 12)
    scene.broker.records = False

    scene.run()

    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_partition_that_was_never_read_blocks_only_if_it_holds_records(scene: Scene) -> None:
    scene.broker.name += "-other"  # no position is known of it
    scene.broker.reached = Reach(0, 4, 5, 5)
    assert [one.cause for one in scene.run().blocked] == [Cause.LAG]

    scene.broker.reached = Reach(0, 5, 5, 5)
    assert not scene.run().blocked


@pytest.mark.parametrize("reached", [Reach(0, 0, 4, 4), Reach(0, 11, 12, 12)], ids=["another topic", "lost records"])
def test_a_topic_that_does_not_fit_what_was_committed_blocks(scene: Scene, reached: Reach) -> None:
    scene.broker.reached = reached
    scene.broker.records = False

    run = scene.run()

    assert [one.cause for one in run.blocked] == [Cause.LAG]
    assert scene.stored(daily(MONDAY)) is None


def test_a_record_in_time_by_the_clock_of_a_new_leader_counts_though_one_before_it_was_late(scene: Scene) -> None:
    cutoff_ms = (MONDAY + 1) * DAY_MS + HOUR_MS
    appended_ms = {10: cutoff_ms + 50_000, 11: cutoff_ms - 5_000}

    def reach(moment_ms: int) -> list[Reach]:
        return [Reach(0, 0, next((at for at, ms in appended_ms.items() if ms > moment_ms), 12), 12)]

    scene.broker.reach = reach  # type: ignore[method-assign]
    scene.pass_partition(11)
    assert [one.cause for one in scene.run().blocked] == [Cause.LAG]

    scene.play("ann", 3)
    scene.pass_partition(12)
    scene.run()
    assert scene.stored(daily(MONDAY)) == [("1", "ann", "8"), ("2", "bob", "7"), ("3", "cat", "7")]


def test_a_broker_that_is_away_blocks(scene: Scene) -> None:
    scene.broker.failure = TopicUnavailable("away")

    assert [one.cause for one in scene.run().blocked] == [Cause.TOPIC]
    assert scene.stored(daily(MONDAY)) is None


def test_a_cache_that_has_missed_a_standing_is_mended_first(scene: Scene) -> None:
    before = {name: scene.redis.dump(name) for name in scene.redis.scan_iter()}
    scene.play("ann", 100)
    for name, dump in before.items():  # as a failover loses the last writes
        scene.redis.restore(name, 0, dump, replace=True)

    scene.run()

    assert scene.stored(daily(MONDAY)) == [("1", "ann", "105"), ("2", "bob", "7"), ("3", "cat", "7")]
    page = scene.live.page(scene.leaderboard, daily(MONDAY), 0, 10, scene.now_ms)
    assert [user for user, _ in page.lines] == ["ann", "bob", "cat"]


def test_a_cache_that_shows_what_the_truth_does_not_blocks_until_it_is_built_anew(scene: Scene) -> None:
    ghost = (1).to_bytes(6, "big") + b"ghost"
    scene.redis.zadd(keys.ranking(scene.id, daily(MONDAY).id), {ghost: -9})

    assert cause_of(scene.run(), daily(MONDAY)) is Cause.DIFFERENCE
    assert scene.stored(daily(MONDAY)) is None
    assert not scene.live.page(scene.leaderboard, daily(MONDAY), 0, 10, scene.now_ms).complete

    assert cause_of(scene.run(), daily(MONDAY)) is Cause.CACHE, "it is not vouched for yet"
    scene.rebuild.leaderboard(scene.leaderboard)
    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_rebuild_that_had_passed_the_withdrawn_window_does_not_vouch_for_it(scene: Scene) -> None:
    scene.live.begin_rebuild(scene.id, "under way")

    scene.live.withdraw(scene.leaderboard, daily(MONDAY), scene.now_ms)

    assert not scene.live.finish_rebuild(scene.id, "under way")


def test_a_flushed_cache_blocks(scene: Scene) -> None:
    scene.redis.flushall()

    assert cause_of(scene.run(), daily(MONDAY)) is Cause.CACHE
    assert scene.stored(daily(MONDAY)) is None


def test_a_period_becomes_final_with_its_last_day_also_when_it_is_registered_later(scene: Scene) -> None:
    scene.run()
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 2), last=MONDAY)
    scene.registry.save_period(scene.id, period)
    assert scene.stored(period.window) is None

    assert len(scene.run().finals) == 1

    assert scene.stored(period.window) == RANKING
    assert period.window == custom(Day(MONDAY - 2), MONDAY)


def test_days_for_which_records_may_have_waited_when_the_leaderboard_was_created_get_results_too(scene: Scene) -> None:
    scene.play("ann", 1, Day(MONDAY - 3))

    scene.run()

    assert scene.stored(daily(Day(MONDAY - 3))) == [("1", "ann", "1")]
    assert scene.stored(daily(Day(MONDAY - 2))) == []
    assert not scene.finals.due(scene.id)


def test_a_backlog_over_several_days_closes_those_that_are_done(scene: Scene) -> None:
    scene.now_ms += 2 * DAY_MS
    cutoff_ms = (MONDAY + 2) * DAY_MS + HOUR_MS + CLOCK_SKEW_MS

    def reach(moment_ms: int) -> list[Reach]:
        return [Reach(0, 0, 10 if moment_ms <= cutoff_ms else 12, 12)]

    scene.broker.reach = reach  # type: ignore[method-assign]
    run = scene.run()

    assert scene.leaderboard.closed_through == MONDAY + 1
    assert [one.cause for one in run.blocked] == [Cause.LAG]
    assert scene.stored(daily(MONDAY)) == RANKING


def test_rules_that_were_changed_meanwhile_close_nothing(scene: Scene) -> None:
    as_read = scene.leaderboard
    scene.registry.save(replace(as_read, version=2, lateness_ms=DAY_MS))

    with pytest.raises(AlreadyDone):
        scene.finals.close(as_read, MONDAY, [daily(MONDAY)])

    assert scene.leaderboard.closed_through is None
    assert not scene.finals.due(scene.id)


def test_a_closed_day_stays_closed_whatever_becomes_of_the_lateness(scene: Scene) -> None:
    known = scene.play("ann", 1)
    scene.run()
    current = scene.leaderboard
    scene.registry.save(replace(current, version=2, lateness_ms=300 * DAY_MS))
    assert scene.leaderboard.closed_through == MONDAY

    late, again = scene.play("ann", 1_000), scene.replay(known.event)

    assert late.rejection is not None
    assert late.rejection.reason is Reason.TOO_LATE
    assert again.disposition is Disposition.DUPLICATE
    assert scene.play("ann", 2, Day(MONDAY + 1)).disposition is Disposition.APPLIED
    standings = dict(scene.reads.bucket(scene.leaderboard, MONDAY, 0)) | dict(
        scene.reads.bucket(scene.leaderboard, MONDAY, 1)
    )
    assert standings["ann"].points == 6


def test_a_conflict_on_a_closed_day_is_told_from_a_late_event(scene: Scene) -> None:
    known = scene.play("ann", 1)
    scene.run()

    other = scene.replay(replace(known.event, points=2))

    assert other.rejection is not None
    assert other.rejection.reason is Reason.CONFLICTING_DUPLICATE


def test_the_days_of_a_long_wait_close_in_several_steps(scene: Scene) -> None:
    scene.registry.save(replace(scene.leaderboard, version=2, lateness_ms=200 * DAY_MS))
    scene.now_ms = SETTLED_MS + 200 * DAY_MS

    run = scene.run()

    assert not run.blocked
    assert scene.leaderboard.closed_through == day_of((MONDAY + 1) * DAY_MS + HOUR_MS) - 1
    assert scene.stored(daily(MONDAY)) == RANKING


def test_a_result_is_told_until_somebody_has_taken_it(scene: Scene) -> None:
    def away(_notice: WindowFinal) -> None:
        raise NoticeUnavailable("away")

    scene.notices.send = away
    assert [one.cause for one in scene.run().blocked] == [Cause.NOTICE]
    assert scene.stored(daily(MONDAY)) == RANKING

    scene.notices.send = scene.told.append
    assert not scene.run().blocked
    scene.run()

    (monday,) = [one for one in scene.told if one.window_id == daily(MONDAY).id]
    final = scene.finals.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert (monday.leaderboard_id, monday.players, monday.sha256) == (scene.id, 3, final.sha256)


def test_every_player_in_a_tier_has_an_award_of_his_own(scene: Scene) -> None:
    tiers = (Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.MIN_SCORE, 6))
    scene.registry.save(replace(scene.leaderboard, version=2, tiers=tiers))
    scene.run()

    final = scene.finals.final(scene.id, daily(MONDAY).id)
    assert final is not None
    content = scene.s3.get_object(Bucket=BUCKET, Key=final.awards_key)["Body"].read()
    assert (final.awards, hashlib.sha256(content).hexdigest()) == (2, final.awards_sha256)
    lines = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [(one["user_id"], one["tier"], one["rank"], one["score"]) for one in lines] == [
        ("bob", "gold", "1", "7"),
        ("cat", "silver", "2", "7"),
    ]
    named = json.dumps([scene.id, daily(MONDAY).id, 1, "bob"], separators=(",", ":"))
    assert lines[0]["award_id"] == hashlib.sha256(named.encode()).hexdigest()[:32]
    assert lines[0]["award_id"] != lines[1]["award_id"]
