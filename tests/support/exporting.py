"""Export jobs over real DynamoDB, S3 and SQS, with a clock that the test holds."""

import hashlib
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from shared.admin.as_of import AmendedPlayers
from shared.admin.disqualifications import DisqualifiedPlayers
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, Window
from shared.domain.events import ScoreEvent
from shared.domain.labels import labels_of
from shared.domain.records import Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.exports.jobs import EXPIRING, KEPT, Exports
from shared.exports.runner import ExportRunner
from shared.files.links import Downloads
from shared.lookups.results import Result
from shared.messaging.queues import Queue
from shared.parallel import ParallelReader
from shared.retries import Backoff
from shared.truth.audit_log import AuditLog
from shared.truth.commits import Commits, PlayerCommit
from shared.truth.export_jobs import (
    ExportJob,
    ExportJobs,
    ExportRequest,
)
from shared.truth.final_results import FinalResult
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.tables import Tables
from shared.truth.work import WorkList
from tests.support.closing import BUCKET

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


YEARS_MS = 3 * 366 * 86_400_000


class Bench:
    """Exports over real parts, with a clock that the test holds."""

    def __init__(self, dynamodb: "DynamoDBClient", aws: Any, leaderboard_id: str) -> None:
        self.now_ms = 1_700_000_000_000
        self.aws = aws
        self.leaderboard = Leaderboard(
            id=leaderboard_id,
            name="Cup",
            aggregation=Aggregation.SUM,
            shards=4,
            tiers=(Tier("gold", TierRule.TOP_N, 2),),
        )
        self.jobs = ExportJobs(dynamodb, Tables().registry)
        self.commits = Commits(dynamodb, Tables())
        self.audit_log = AuditLog(dynamodb, Tables().registry)
        reads: Any = SimpleNamespace(standings_on=self._standings_on)
        self.source: Any = Reads(dynamodb, Tables(), ParallelReader(4), Backoff()).standings_on
        """Where exports read standings."""
        tokens = count()
        registry: Any = SimpleNamespace(read=lambda _: self.leaderboard)
        self.result: Result | None = None
        self.kept_result: Result | None = None
        """What a process that has looked before knows of it."""
        results: Any = SimpleNamespace(
            find=self._find,
            latest=lambda *_: self.result,
            rules_in_force=lambda board, window: board.for_kind(window.kind),
        )
        self.exports = Exports(
            jobs=self.jobs,
            results=results,
            downloads=Downloads(aws.s3, BUCKET),
            queue=Queue(aws.sqs, aws.queue_url),
            now_ms=lambda: self.now_ms,
        )
        self.runs = ExportRunner(
            jobs=self.jobs,
            leaderboards=registry,
            results=results,
            disqualified_players=DisqualifiedPlayers(self.audit_log, WorkList(dynamodb, Tables().registry)),
            amended_players=AmendedPlayers(self.audit_log, reads),
            reads=reads,
            s3=aws.s3,
            bucket=BUCKET,
            now_ms=lambda: self.now_ms,
            new_token=lambda: f"token-{next(tokens)}",
        )

    def _standings_on(self, leaderboard: Leaderboard, days: Any) -> Any:
        return self.source(leaderboard, days)

    def _find(self, _leaderboard: Leaderboard, _window: Window) -> Result | None:
        return self.kept_result or self.result

    def fill(self, players: int, attributes: Callable[[int], dict[str, str]] = lambda _: {}) -> None:
        numbers = range(players)
        for start in range(0, players, 50):
            group = []
            for number in numbers[start : start + 50]:
                given = attributes(number)
                event = ScoreEvent(f"e{number}", self.leaderboard.id, f"u{number}", number % 7, number, given)
                entry = LedgerEntry(event, Source("score-events", 0, number, 0))
                labels = labels_of(self.leaderboard.filters, event)
                standing = Standing(number % 7, number, 1, version=1, labels=labels)
                group.append(PlayerCommit(self.leaderboard, f"u{number}", [entry], {ALL_TIME_DAY: standing}))
            assert self.commits.commit(group) == []

    def ask(self, **request: Any) -> ExportJob:
        return self.exports.request(self.leaderboard, ALL_TIME, ExportRequest(ALL_TIME.id, **request))

    def run(self, job: ExportJob) -> ExportJob:
        ended = self.runs.run(self.leaderboard.id, job.id)
        assert ended is not None
        return ended

    def shown(self, job: ExportJob) -> ExportJob:
        found = self.exports.job(self.leaderboard.id, job.id)
        assert found is not None
        return found

    def stored(self, job: ExportJob) -> ExportJob:
        found = self.jobs.job(self.leaderboard.id, job.id)
        assert found is not None
        return found

    def objects(self) -> list[str]:
        folders = [f"{EXPIRING}{self.leaderboard.id}/", f"{KEPT}{self.leaderboard.id}/{ALL_TIME.id}/exports/"]
        pages = [self.aws.s3.list_objects_v2(Bucket=BUCKET, Prefix=folder) for folder in folders]
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def uploads(self) -> list[Any]:
        found: list[Any] = self.aws.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return found


def result_of(bench: Bench, players: int) -> Result:
    key = f"finals/{bench.leaderboard.id}/all-time/rules-1.csv"
    bench.aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"the result itself")
    final = FinalResult(
        leaderboard_id=bench.leaderboard.id,
        window_id=ALL_TIME.id,
        rules_version=1,
        players=players,
        sum_of_points=str(sum(number % 7 for number in range(players))),
        object_key=key,
        bytes=17,
        sha256=hashlib.sha256(b"the result itself").hexdigest(),
        awards_key="finals/awards.csv",
        awards_sha256="",
        code_version="1",
        finalised_at_ms=bench.now_ms,
    )
    return Result(final, bench.leaderboard)
