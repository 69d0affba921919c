"""Clients, stores and queues: what the use cases are made of."""

import time
from functools import cached_property
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from botocore.session import Session
from circuitbreaker import CircuitBreaker

from shared import clients
from shared.files.links import Downloads
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.remembered import InBackground, Lookup, at_once
from shared.messaging.dead_letters import DeadLetterQueue
from shared.messaging.notifications import Notifications
from shared.messaging.queues import Queue
from shared.parallel import ParallelReader, RunParallel, SourceReader, ThreadPool
from shared.retries import Backoff
from shared.settings import Settings
from shared.telemetry import traces
from shared.truth.audit_log import AuditLog
from shared.truth.client import skip_model
from shared.truth.closing_reports import ClosingReports
from shared.truth.counters import FunctionCounters
from shared.truth.export_jobs import ExportJobs
from shared.truth.final_results import FinalResults
from shared.truth.guard import SILENT, Guard
from shared.truth.letters import LetterRegister
from shared.truth.losses import Losses
from shared.truth.profiles import Profiles
from shared.truth.progress import Progress
from shared.truth.reads import SHARDS_AT_ONCE, Reads
from shared.truth.receipts import Receipts
from shared.truth.registry import Registry
from shared.truth.rounds import Rounds
from shared.truth.series import SeriesRecords
from shared.truth.tables import Tables
from shared.truth.work import WorkList

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from redis import Redis

    from shared.cache.leases import BuildLeases
    from shared.cache.windows import WindowCache
    from shared.messaging.topic import Topic

TRUTH_BREAKER_FAILURES: Final = 3
"""Attempts in a row that DynamoDB leaves without an answer after which the API's breaker opens."""
TRUTH_BREAKER_REST_S: Final = 5
"""How long the breaker stays open; then it lets one attempt through."""
TRUTH_BUDGET_MS: Final = 4_000
"""How long one request to the API may begin attempts to reach DynamoDB."""
TRUTH_PATIENCE_MS: Final = 2_000
"""How long one attempt of the API may take: a hundred times what it usually does. A request therefore waits for
DynamoDB for 6 s at most, this and the budget."""


def now_ms() -> int:
    """The clock: milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def new_token() -> str:
    """A name that no other process gives: 32 hexadecimal digits."""
    return uuid4().hex


class Parts:
    """The parts below the use cases, each made when it is first used: a function pays only for what it uses."""

    def __init__(self, settings: Settings, *, is_waited_for: bool = False) -> None:
        """`is_waited_for`: a client waits for each answer, so an older answer or an error is better than a late one.
        What works through a queue or a topic has all the time of its call."""
        self.settings = settings
        self.now_ms = now_ms
        self.new_token = new_token
        self.backoff = Backoff()
        self._is_waited_for = is_waited_for

    @cached_property
    def _session(self) -> Session:
        return clients.new_session(self.settings.aws_region)

    @cached_property
    def tables(self) -> Tables:
        """Names of the tables."""
        return Tables(self.settings.ledger_table, self.settings.standings_table, self.settings.registry_table)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The client of DynamoDB, guarded where a client waits."""
        connections_max = max(32, self.settings.truth_threads * 2)
        client = skip_model(clients.dynamodb(self._session, self._truth_timeout_ms, connections_max))
        if self.truth_guard is not None:
            self.truth_guard.watch(client)
        return client

    @property
    def _truth_timeout_ms(self) -> int:
        timeout_ms = self.settings.dynamodb_timeout_ms
        return min(timeout_ms, TRUTH_PATIENCE_MS) if self._is_waited_for else timeout_ms

    @cached_property
    def truth_guard(self) -> Guard | None:
        """Bounds how long a client waits for DynamoDB; None where no client waits."""
        if not self._is_waited_for:
            return None
        breaker = CircuitBreaker(TRUTH_BREAKER_FAILURES, TRUTH_BREAKER_REST_S, SILENT, name="dynamodb")
        return Guard(breaker, TRUTH_BUDGET_MS)

    @cached_property
    def lookup(self) -> Lookup:
        """How a remembered value is looked up again."""
        return InBackground() if self._is_waited_for else at_once

    @cached_property
    def run_parallel(self) -> RunParallel:
        """Runs calls on a pool of threads."""
        return ThreadPool(self.settings.truth_threads)

    @cached_property
    def read_parallel(self) -> SourceReader:
        """Reads shards on threads of their own."""
        return ParallelReader(SHARDS_AT_ONCE)

    @cached_property
    def s3(self) -> "S3Client":
        """S3 for files."""
        return clients.s3(self._session, clients.FILES)

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        return clients.sqs(self._session)

    @cached_property
    def sns(self) -> "SNSClient":
        """SNS."""
        return clients.sns(self._session)

    @cached_property
    def redis(self) -> "Redis":
        """The cache."""
        from shared.cache import server  # noqa: PLC0415 - loads redis-py, which not every function uses

        return server.cache(self.settings.cache_url, self.settings.cache_password, self.settings.cache_timeout_ms)

    @cached_property
    def cache(self) -> "WindowCache":
        """The cache of windows, behind a breaker."""
        from shared.cache import server, windows  # noqa: PLC0415 - likewise

        return windows.WindowCache(self.redis, server.cache_breaker(), self.now_ms)

    @cached_property
    def builds(self) -> "BuildLeases":
        """Leases of builds."""
        from shared.cache.leases import BuildLeases  # noqa: PLC0415 - likewise

        return BuildLeases(self.cache)

    @cached_property
    def registry(self) -> Registry:
        """Definitions and periods."""
        return Registry(
            self.settings.registry_table,
            region=self.settings.aws_region,
            client=self.dynamodb,
            now_ms=self.now_ms,
        )

    @cached_property
    def series(self) -> SeriesRecords:
        """Series of periods."""
        return SeriesRecords(self.dynamodb, self.tables.registry)

    @cached_property
    def leaderboards(self) -> Leaderboards:
        """Definitions, remembered for a few seconds."""
        return Leaderboards(self.registry, self.now_ms, self.lookup)

    @cached_property
    def reads(self) -> Reads:
        """Reads of the truth."""
        return Reads(self.dynamodb, self.tables, self.read_parallel, self.backoff)

    @cached_property
    def progress(self) -> Progress:
        """Committed offsets of the topic's partitions."""
        return Progress(self.dynamodb, self.tables.registry)

    @cached_property
    def receipts(self) -> Receipts:
        """Receipts of redriven records."""
        return Receipts(self.dynamodb, self.tables.registry, self.backoff)

    @cached_property
    def letter_register(self) -> LetterRegister:
        """The register of dead letters."""
        return LetterRegister(self.dynamodb, self.tables.registry)

    @cached_property
    def profiles(self) -> Profiles:
        """Profiles of players."""
        return Profiles(self.dynamodb, self.tables.registry, self.backoff)

    @cached_property
    def losses(self) -> Losses:
        """Records that the topic has lost."""
        return Losses(self.dynamodb, self.tables.registry)

    @cached_property
    def telemetry(self) -> FunctionCounters:
        """Counters that functions record for a scrape."""
        return FunctionCounters(self.dynamodb, self.tables.registry)

    @cached_property
    def final_results(self) -> FinalResults:
        """Sealed days and final results."""
        return FinalResults(self.dynamodb, self.tables.registry)

    @cached_property
    def closing_reports(self) -> ClosingReports:
        """What the last run of functions/close found blocked."""
        return ClosingReports(self.dynamodb, self.tables.registry)

    @cached_property
    def work_list(self) -> WorkList:
        """Work of functions/close."""
        return WorkList(self.dynamodb, self.tables.registry)

    @cached_property
    def rounds(self) -> Rounds:
        """How far rounds over all leaderboards have come."""
        return Rounds(self.dynamodb, self.tables.registry)

    @cached_property
    def audit_log(self) -> AuditLog:
        """The audit log."""
        return AuditLog(self.dynamodb, self.tables.registry)

    @cached_property
    def export_jobs(self) -> ExportJobs:
        """Export jobs."""
        return ExportJobs(self.dynamodb, self.tables.registry)

    @cached_property
    def downloads(self) -> Downloads:
        """Links to files."""
        return Downloads(self.s3, self.settings.export_bucket)

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
        s3 = clients.s3(self._session, clients.RECORDS)
        return DeadLetterQueue(Queue(self.sqs, self.settings.dlq_queue_url), s3, self.settings.export_bucket)

    @cached_property
    def notifications(self) -> Notifications | None:
        """The topic of results; None if there is none."""
        topic_arn = self.settings.result_topic_arn
        return Notifications(self.sns, topic_arn) if topic_arn else None

    @cached_property
    def topic(self) -> "Topic":
        """The topic of score events, for the few functions that query the broker."""
        from shared.messaging.topic import Topic  # noqa: PLC0415 - loads librdkafka, which the others do not use

        headers = list if traces is None else traces.carrier
        return Topic(self.settings.kafka_client, self.settings.kafka_topic, headers=headers)
