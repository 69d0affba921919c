"""The one place where real parts are put together."""

import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import boto3
from circuitbreaker import CircuitBreaker
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared import clients as aws
from shared.admin.disqualifications import Disqualifications, DisqualifiedPlayers
from shared.admin.gauges import Gauges
from shared.cache.leases import Builds
from shared.cache.range_budget import RangeBudget, RangeLimits
from shared.cache.searches import WindowSearches
from shared.cache.waits import Waits
from shared.cache.windows import WindowCache
from shared.exports.jobs import Exports
from shared.files.links import Downloads
from shared.ingest.committer import Committer
from shared.ingest.projector import Projector
from shared.ingest.service import Ingest
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.remembered import InBackground, Lookup, at_once
from shared.lookups.results import Results
from shared.messaging.notifications import Notifications
from shared.messaging.queues import DeadLetterQueue, Queue
from shared.reads.cursors import Cursors
from shared.reads.fallback import Fallback
from shared.reads.players import Players
from shared.reads.rankings import Rankings
from shared.reads.result_versions import ResultVersions
from shared.rebuild.anti_entropy import Repair
from shared.rebuild.builder import IDLE_MS, WindowBuilder
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.requests import RebuildRequests
from shared.rebuild.snapshots import WindowSnapshots
from shared.retries import Backoff, Threads
from shared.settings import Settings
from shared.streams import ParallelReader
from shared.truth.audit_log import AuditLog
from shared.truth.client import skip_model
from shared.truth.commits import Commits
from shared.truth.counters import FunctionCounters
from shared.truth.export_jobs import ExportJobs
from shared.truth.finals import FinalResults
from shared.truth.guard import SILENT, Guard
from shared.truth.losses import Losses
from shared.truth.older_work import OlderWork
from shared.truth.progress import Progress
from shared.truth.reads import SHARDS_AT_ONCE, Reads
from shared.truth.registry import Registry
from shared.truth.rounds import Rounds
from shared.truth.snapshots import Snapshots
from shared.truth.tables import Tables
from shared.truth.work import WorkList

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

    from shared.admin.redrive import Redrive
    from shared.closing.coverage import Coverage
    from shared.closing.lag import Lag
    from shared.closing.service import Closing
    from shared.exports.runner import ExportRunner
    from shared.messaging.topic import Topic

REDIS_CONNECTIONS_MAX: Final = 64
RETRIED: Final = (RedisConnectionError, ReadOnlyError)
"""What the client asks again after, on a new connection. redis-py's own list has timeouts, too."""
S3_ENDPOINTS: Final = frozenset({"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"})
"""The variables by which S3 is another server than AWS's."""
BREAKER_FAILURES: Final = 3
"""Commands in a row that Redis leaves without an answer before it is left alone."""
BREAKER_REST_S: Final = 2
"""For how long; then one command tries."""
TRUTH_ATTEMPTS: Final = 3
"""How often a request to DynamoDB is sent."""
TRUTH_BREAKER_FAILURES: Final = 3
"""Attempts in a row that DynamoDB leaves without an answer before the API leaves it alone."""
TRUTH_BREAKER_REST_S: Final = 5
"""For how long; then one attempt tries."""
TRUTH_BUDGET_MS: Final = 4_000
"""How long one request to the API may begin attempts to reach DynamoDB."""
TRUTH_PATIENCE_MS: Final = 2_000
"""How long one attempt of the API may take: a hundred times what it usually does. So nobody waits for DynamoDB longer
than 6 s, this and the budget."""
USER_AGENT: Final = "exact-leaderboards"
"""botocore puts its own together anew for each request, at 4 % of what ingest costs."""


def now_ms() -> int:
    """The clock: milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class Assembly:
    """Every part of the service, each made when it is first asked for: a function pays only for what it uses."""

    def __init__(self, settings: Settings, *, is_waited_for: bool = False) -> None:
        """`is_waited_for`: a client waits for each answer, and is better off with an older one, or an error, than with
        one that takes long. What works through a queue or a topic has the time that its call has."""
        self.settings = settings
        self._is_waited_for = is_waited_for
        self._session = boto3.Session(region_name=settings.aws_region)

    @cached_property
    def tables(self) -> Tables:
        """Names of the tables."""
        return Tables(self.settings.ledger_table, self.settings.standings_table, self.settings.registry_table)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The low-level client. Its requests are built by our own code, so botocore need not check them again."""
        limits = aws.Limits(connect_s=1, read_s=self._truth_timeout_ms / 1000, tries=TRUTH_ATTEMPTS)
        config = limits.config(
            max_pool_connections=max(32, self.settings.truth_threads * 2),
            parameter_validation=False,
            user_agent=USER_AGENT,
        )
        client = skip_model(aws.client("dynamodb", config, self._session))
        if self.truth_guard is not None:
            self.truth_guard.watch(client)
        return client

    @property
    def _truth_timeout_ms(self) -> int:
        timeout_ms = self.settings.dynamodb_timeout_ms
        return min(timeout_ms, TRUTH_PATIENCE_MS) if self._is_waited_for else timeout_ms

    @cached_property
    def truth_guard(self) -> Guard | None:
        """Keeps who waits for an answer from waiting for DynamoDB."""
        if not self._is_waited_for:
            return None
        breaker = CircuitBreaker(TRUTH_BREAKER_FAILURES, TRUTH_BREAKER_REST_S, SILENT, name="dynamodb")
        return Guard(breaker, TRUTH_BUDGET_MS)

    @cached_property
    def lookup(self) -> Lookup:
        """How what is known already is looked up again."""
        return InBackground() if self._is_waited_for else at_once

    @cached_property
    def s3(self) -> "S3Client":
        """S3 for files, signing as presigned URLs need it.

        botocore presigns for S3's global host, which redirects while a bucket is new, and a signature does not survive
        that. Virtual-hosted style makes it the region's host; servers of our own know buckets by their paths only.
        """
        return self._s3(aws.FILES)

    def _s3(self, limits: aws.Limits) -> "S3Client":
        style = "path" if S3_ENDPOINTS & os.environ.keys() else "virtual"
        s3: Any = {"addressing_style": style, "us_east_1_regional_endpoint": "regional"}
        client: S3Client = aws.client("s3", limits.config(signature_version="s3v4", s3=s3), self._session)
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        client: SQSClient = aws.client("sqs", aws.QUEUES.config(), self._session)
        return client

    @cached_property
    def sns(self) -> "SNSClient":
        """SNS."""
        client: SNSClient = aws.client("sns", aws.QUEUES.config(), self._session)
        return client

    @cached_property
    def redis(self) -> "Redis":
        """Redis; one retry at once, for a connection that was closed while it idled, or leads to what is a replica now.

        None after a timeout: whoever waits would wait twice, and a Redis that is late would have twice as much to do.
        """
        timeout = self.settings.redis_timeout_ms / 1000
        return Redis.from_url(
            self.settings.redis_url,
            password=self.settings.redis_password,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1, RETRIED),
            max_connections=REDIS_CONNECTIONS_MAX,
        )

    @cached_property
    def registry(self) -> Registry:
        """Definitions and periods."""
        return Registry(
            self.settings.registry_table,
            region=self.settings.aws_region,
            host=self.dynamodb.meta.endpoint_url,
            timeout_ms=self._truth_timeout_ms,
            guard=self.truth_guard,
        )

    @cached_property
    def leaderboards(self) -> Leaderboards:
        """Definitions, kept for a few seconds."""
        return Leaderboards(self.registry, now_ms, self.lookup)

    @cached_property
    def cache(self) -> WindowCache:
        """The live windows."""
        breaker = CircuitBreaker(
            BREAKER_FAILURES, BREAKER_REST_S, (RedisConnectionError, RedisTimeoutError), name="redis"
        )
        return WindowCache(self.redis, breaker, now_ms)

    @cached_property
    def waits(self) -> Waits:
        """Who may wait for a change."""
        return Waits(self.cache, self.settings.waits_max, lambda: uuid4().hex)

    @cached_property
    def searches(self) -> WindowSearches:
        """Searches in the live windows."""
        return WindowSearches(self.cache)

    @cached_property
    def cursors(self) -> Cursors:
        """Cursors of rankings.

        Raises:
            InvalidSettings: if there is no key to sign them with.
        """
        return Cursors(self.settings.cursor_signing_key)

    @cached_property
    def result_versions(self) -> ResultVersions:
        """Versions of results."""
        return ResultVersions(self.finals, self.downloads)

    @cached_property
    def rebuild_requests(self) -> RebuildRequests:
        """Rebuilds that an operator requests."""
        return RebuildRequests(self.cache, self.repairs, now_ms)

    @cached_property
    def reads(self) -> Reads:
        """Reads of the truth."""
        return Reads(self.dynamodb, self.tables, ParallelReader(SHARDS_AT_ONCE), Backoff())

    @cached_property
    def progress(self) -> Progress:
        """Positions of the topic's partitions."""
        return Progress(self.dynamodb, self.tables.registry)

    @cached_property
    def telemetry(self) -> FunctionCounters:
        """What functions leave for a scrape."""
        return FunctionCounters(self.dynamodb, self.tables.registry)

    @cached_property
    def gauges(self) -> Gauges:
        """What a scrape shows."""
        return Gauges(
            topic=self.settings.kafka_topic,
            progress=self.progress,
            telemetry=self.telemetry,
            registry=self.registry,
            work=self.work_list,
            cache=self.cache,
            dead_letters=self.dead_letters,
            now_ms=now_ms,
        )

    @cached_property
    def finals(self) -> FinalResults:
        """Closed buckets and results."""
        return FinalResults(self.dynamodb, self.tables.registry)

    @cached_property
    def work_list(self) -> WorkList:
        """What functions/close has to do."""
        return WorkList(self.dynamodb, self.tables.registry)

    @cached_property
    def rounds(self) -> Rounds:
        """How far runs over all leaderboards have come."""
        return Rounds(self.dynamodb, self.tables.registry)

    @cached_property
    def threads(self) -> Threads:
        """Calls side by side."""
        return Threads(self.settings.truth_threads)

    @cached_property
    def repairs(self) -> Queue:
        """The cache-repair queue."""
        return Queue(self.sqs, self.settings.repair_queue_url)

    @cached_property
    def export_queue(self) -> Queue:
        """The export-jobs queue."""
        return Queue(self.sqs, self.settings.export_queue_url)

    @cached_property
    def range_builds(self) -> Queue:
        """The queue of custom ranges to build."""
        return Queue(self.sqs, self.settings.range_queue_url)

    @cached_property
    def dead_letters(self) -> DeadLetterQueue:
        """The dead-letter queue of the topic."""
        s3 = self._s3(aws.RECORDS)
        return DeadLetterQueue(Queue(self.sqs, self.settings.dlq_queue_url), s3, self.settings.export_bucket)

    @cached_property
    def window_builder(self) -> WindowBuilder:
        """Windows from the truth."""
        return WindowBuilder(
            reads=self.reads,
            cache=self.cache,
            leases=self.builds,
            registry=self.registry,
            disqualified_players=self.disqualified_players,
            now_ms=now_ms,
            new_token=lambda: uuid4().hex,
        )

    @cached_property
    def builds(self) -> Builds:
        """Who builds which windows."""
        return Builds(self.cache)

    @cached_property
    def range_budget(self) -> RangeBudget:
        """What ranges that are built on demand may take."""
        settings = self.settings
        memory_bytes = settings.ranges_memory_mb << 20
        limits = RangeLimits(memory_bytes, settings.ranges_cache_percent, settings.ranges_caller_reads)
        return RangeBudget(self.cache, limits, IDLE_MS)

    @cached_property
    def on_demand_builds(self) -> OnDemandBuilds:
        """Windows that are built when somebody asks for them."""
        return OnDemandBuilds(
            builder=self.window_builder,
            leases=self.builds,
            cache=self.cache,
            registry=self.registry,
            reads=self.reads,
            budget=self.range_budget,
            queue=self.range_builds,
            now_ms=now_ms,
            new_token=lambda: uuid4().hex,
        )

    @cached_property
    def audit_log(self) -> AuditLog:
        """The log of acts of administration."""
        return AuditLog(self.dynamodb, self.tables.registry)

    @cached_property
    def disqualified_players(self) -> DisqualifiedPlayers:
        """Who is disqualified."""
        return DisqualifiedPlayers(self.audit_log)

    @cached_property
    def disqualifications(self) -> Disqualifications:
        """Disqualifies and reinstates."""
        return Disqualifications(
            audit_log=self.audit_log,
            disqualified_players=self.disqualified_players,
            reads=self.reads,
            cache=self.cache,
            now_ms=now_ms,
        )

    @cached_property
    def rankings(self) -> Rankings:
        """Reads of rankings."""
        fallback = Fallback(self.snapshots, self.reads, self.disqualified_players, now_ms)
        return Rankings(
            cache=self.cache,
            searches=self.searches,
            on_demand=self.on_demand_builds,
            repairs=self.repairs,
            results=self.results,
            fallback=fallback,
            now_ms=now_ms,
        )

    @cached_property
    def players(self) -> Players:
        """Reads of one player."""
        return Players(
            rankings=self.rankings,
            searches=self.searches,
            reads=self.reads,
            registry=self.registry,
            results=self.results,
            now_ms=now_ms,
            lookup=self.lookup,
        )

    @cached_property
    def results(self) -> Results:
        """Which windows are final."""
        return Results(self.finals, self.registry, now_ms, self.lookup)

    @cached_property
    def snapshots(self) -> WindowSnapshots:
        """Snapshots of windows."""
        store = Snapshots(self.dynamodb, self.tables.registry)
        return WindowSnapshots(
            cache=self.cache,
            store=store,
            reads=self.reads,
            registry=self.registry,
            disqualified_players=self.disqualified_players,
            now_ms=now_ms,
        )

    @cached_property
    def export_jobs(self) -> ExportJobs:
        """Export jobs."""
        return ExportJobs(self.dynamodb, self.tables.registry)

    @cached_property
    def downloads(self) -> Downloads:
        """Links to files."""
        return Downloads(self.s3, self.settings.export_bucket)

    @cached_property
    def exports(self) -> Exports:
        """Exports, as functions/api starts and shows them."""
        return Exports(
            jobs=self.export_jobs,
            results=self.results,
            downloads=self.downloads,
            queue=self.export_queue,
            now_ms=now_ms,
        )

    @cached_property
    def export_runs(self) -> "ExportRunner":
        """Exports, as functions/export makes them."""
        from shared.exports.runner import ExportRunner  # noqa: PLC0415 - loads DuckDB

        return ExportRunner(
            jobs=self.export_jobs,
            leaderboards=self.leaderboards,
            results=self.results,
            disqualified_players=self.disqualified_players,
            reads=self.reads,
            s3=self.s3,
            bucket=self.settings.export_bucket,
            now_ms=now_ms,
            new_token=lambda: uuid4().hex,
        )

    @cached_property
    def topic(self) -> "Topic":
        """The topic, for the few functions that ask the broker themselves."""
        from shared.messaging.topic import Topic  # noqa: PLC0415 - loads librdkafka, which the others have no use for

        return Topic(self.settings.kafka_client, self.settings.kafka_topic)

    @cached_property
    def coverage(self) -> "Coverage":
        """What is committed of the topic, for functions/close."""
        from shared.closing.coverage import Coverage  # noqa: PLC0415 - as above

        return Coverage(self.progress, Losses(self.dynamodb, self.tables.registry), self.topic, now_ms)

    @cached_property
    def closing(self) -> "Closing":
        """The use case of functions/close."""
        from shared.closing.finalizer import Finalizer  # noqa: PLC0415
        from shared.closing.sealing import DaySealing  # noqa: PLC0415
        from shared.closing.service import Closing  # noqa: PLC0415 - as above
        from shared.closing.steps import ClosingSteps  # noqa: PLC0415

        finalizer = Finalizer(
            reads=self.reads,
            cache=self.cache,
            builder=self.window_builder,
            finals=self.finals,
            registry=self.registry,
            disqualified_players=self.disqualified_players,
            s3=self.s3,
            bucket=self.settings.export_bucket,
            now_ms=now_ms,
        )
        work = ClosingSteps(
            registry=self.registry,
            finals=self.finals,
            work=self.work_list,
            audit_log=self.audit_log,
            disqualifications=self.disqualifications,
            finalizer=finalizer,
            notifications=Notifications(self.sns, self.settings.result_topic_arn)
            if self.settings.result_topic_arn
            else None,
        )
        return Closing(
            registry=self.registry,
            coverage=self.coverage,
            days=DaySealing(registry=self.registry, finals=self.finals, reads=self.reads, now_ms=now_ms),
            work=work,
            work_list=self.work_list,
            older_work=OlderWork(self.dynamodb, self.tables.registry, self.finals),
            rounds=self.rounds,
            now_ms=now_ms,
        )

    @cached_property
    def lag(self) -> "Lag":
        """What functions/close notes for a scrape."""
        from shared.closing.lag import Lag  # noqa: PLC0415 - as above

        return Lag(self.topic, self.progress, self.telemetry, now_ms)

    @cached_property
    def redrive(self) -> "Redrive":
        """The use case of functions/redrive."""
        from shared.admin.redrive import Redrive  # noqa: PLC0415 - as above

        return Redrive(self.dead_letters, self.topic, now_ms)

    @cached_property
    def repair(self) -> Repair:
        """The use case of functions/repair."""
        return Repair(
            registry=self.registry,
            leaderboards=self.leaderboards,
            reads=self.reads,
            cache=self.cache,
            builder=self.window_builder,
            on_demand=self.on_demand_builds,
            snapshots=self.snapshots,
            rounds=self.rounds,
            now_ms=now_ms,
        )

    @cached_property
    def projector(self) -> Projector:
        """From the truth to the live windows."""
        return Projector(self.cache, self.repairs, self.threads, now_ms)

    @cached_property
    def ingest(self) -> Ingest:
        """The use case of functions/ingest."""
        return Ingest(
            leaderboards=self.leaderboards,
            committer=Committer(Commits(self.dynamodb, self.tables), self.reads, self.threads, Backoff()),
            projector=self.projector,
            dead_letters=self.dead_letters,
            progress=self.progress,
            run_parallel=self.threads,
            now_ms=now_ms,
        )
