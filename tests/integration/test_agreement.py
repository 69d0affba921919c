"""Exports, results and the cache are the same ranking, line by line, on real DynamoDB, Redis and S3.

`make agree` does it with a window of a million players.
"""

import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import islice, zip_longest
from typing import Any, Final

import pytest

from infra.local import resources
from infra.local.config import Config, free_ports
from infra.local.dynamodb import dynamodb_server
from infra.local.servers import ministack
from shared import settings
from shared.assembly import Assembly
from shared.closing.finalizer import Finalizer
from shared.domain.calendar import ALL_TIME_DAY, DAY_MS, Day, format_day, weekly
from shared.domain.rules import SHARDS_DEFAULT, Aggregation, Leaderboard, Order
from shared.domain.standings import Standing
from shared.domain.tiers import Tier, TierRule
from shared.reads.answers import RankingSource
from shared.rebuild.builder import RebuildOutcome
from shared.truth import keys
from shared.truth.export_jobs import ExportFormat, ExportJob, ExportRequest, ExportState
from shared.truth.final_results import FinalResult
from shared.truth.items import standing_item
from tests.support import oracle
from tests.support.closing import close
from tests.support.windows import from_csv, from_ndjson, from_parquet

AGREE_PLAYERS: Final = int(os.environ.get("AGREE_PLAYERS", "0"))
FEW: Final = 1_000
SIZES: Final = sorted({0, 1, FEW, AGREE_PLAYERS})
KINDS: Final = (("sum", "desc"), ("best", "asc"))
"""Aggregation and order of the leaderboards; in both directions a tie goes to who was first."""
BOARDS: Final = [(kind, size) for kind in KINDS for size in SIZES if size <= FEW or kind == KINDS[0]]
MONDAY: Final = Day(47_121)
"""2099-01-05. Redis forgets windows by its own clock, so that one in the past would be gone at once."""
WEEK: Final = weekly(MONDAY)
SETTLED_MS: Final = (WEEK.last + 1) * DAY_MS + 2 * 3_600_000
TIERS: Final = (Tier("gold", TierRule.TOP_N, 100), Tier("silver", TierRule.TOP_PERCENT, 1_250))
BRONZE: Final = {
    "desc": (Tier("bronze", TierRule.MIN_SCORE, 0), {"name": "bronze", "minScore": 0}),
    "asc": (Tier("#bronze", TierRule.MAX_SCORE, 0), {"name": "#bronze", "maxScore": 0}),
}
NAMES: Final = ("u", "U", "é", "\uffff", "\U0001f600", '"', ", ", "#", "#,", " ", "=", "-", "'", "\\", "a b", ";")
"""Beginnings of user ids: their order by bytes is not that of UTF-16, some have to be quoted in CSV, and some are what
one library or another takes for something else."""
BATCH_ITEMS: Final = 25
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""
WRITERS: Final = 4
PAGE: Final = 1_000

Line = tuple[Day, str, int, int]
"""Day, user id, points, and when they were reached."""


def standings(players: int) -> Iterator[Line]:
    """Everybody's of Monday, and every seventh player's of Tuesday; many scores are equal, some to the millisecond."""
    rng = random.Random(players)
    for day, step in ((MONDAY, 1), (Day(MONDAY + 1), 7)):
        for number in range(0, players, step):
            points = rng.randrange(-max(5, players // 20), max(5, players // 20))
            yield day, f"{NAMES[number % len(NAMES)]}{number}", points, day * DAY_MS + rng.randrange(50)


class Board:
    """A leaderboard whose week has ended, with its truth written and its windows built from it."""

    def __init__(self, assembly: Assembly, kind: tuple[str, str], players: int, patch: pytest.MonkeyPatch) -> None:
        self.assembly = assembly
        self.players = players
        self.aggregation, order = kind
        tier, as_defined = BRONZE[order]
        tiers = [{"name": "gold", "topN": 100}, {"name": "silver", "topPercent": 12.5}, as_defined]
        self.definition: dict[str, Any] = {"aggregation": self.aggregation, "order": order, "tiers": tiers}
        self.now_ms = SETTLED_MS
        patch.setattr(assembly, "now_ms", lambda: self.now_ms)
        self.id = f"agree-{order}-{players}"
        shards = SHARDS_DEFAULT if players > FEW else 2
        board = Leaderboard(
            id=self.id,
            name="Cup",
            aggregation=Aggregation(self.aggregation),
            order=Order(order),
            tiers=(*TIERS, tier),
            shards=shards,
        )
        assembly.registry.save(board)
        self.leaderboard_as_sealed = assembly.registry.lock_rules(board)
        self._write(standings(players))
        assert assembly.window_builder.rebuild_leaderboard(self.leaderboard) is RebuildOutcome.DONE

    @property
    def leaderboard(self) -> Leaderboard:
        found = self.assembly.registry.leaderboard(self.id)
        assert found is not None
        return found

    def _write(self, lines: Iterator[Line]) -> None:
        """In batches and without a ledger: events committed one by one would be three times the items."""
        with ThreadPoolExecutor(WRITERS) as pool:
            left_over = pool.map(self._put, iter(lambda: list(islice(lines, BATCH_ITEMS)), []))
            assert not any(left_over)

    def _put(self, lines: Sequence[Line]) -> Any:
        board, table = self.leaderboard_as_sealed, self.assembly.tables.standings
        puts: list[Any] = [
            {"PutRequest": {"Item": standing_item(board, user_id, day, Standing(points, at_ms, 1, version=1))}}
            for day, user_id, points, at_ms in lines
        ]
        for day in {line[0] for line in lines} - {ALL_TIME_DAY}:
            item = {"pk": {"S": keys.days_partition(board.id)}, "sk": {"S": format_day(day)}}
            self.assembly.dynamodb.put_item(TableName=table, Item=item)
        return self.assembly.dynamodb.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]

    def ranking(self) -> list[oracle.Entry]:
        """The week's, as the oracle has it."""
        scores: dict[str, tuple[int, int]] = {}
        for _, user_id, points, at_ms in standings(self.players):
            if user_id not in scores:
                scores[user_id] = points, at_ms
            elif self.aggregation == "sum":
                scores[user_id] = scores[user_id][0] + points, max(scores[user_id][1], at_ms)
            else:  # best, where the lowest is: the earlier of two that are equal
                scores[user_id] = min(scores[user_id], (points, at_ms))
        return oracle.ranked(self.definition, ((*score, user_id) for user_id, score in scores.items()))

    def shown(self) -> Iterator[oracle.Entry]:
        """Every entry of the week in the cache."""
        board = self.leaderboard
        for offset in range(0, self.players + 1, PAGE):
            page = self.assembly.rankings.page(board, WEEK, offset, PAGE)
            assert page.source in (RankingSource.LIVE, RankingSource.FINAL)
            assert page.total == self.players
            for one in page.entries:
                percentile = Decimal(one.percentile_hundredths) / 100
                yield oracle.Entry(
                    one.rank, one.user_id, one.score, one.reached_at_ms, percentile, one.tier, one.competition_rank
                )

    def export(self, export_format: ExportFormat = ExportFormat.CSV) -> ExportJob:
        """An export of the week, made anew unless a file of it is there that is good for who asks now."""
        job = self.assembly.exports.request(self.leaderboard, WEEK, ExportRequest(WEEK.id, export_format))
        done = self.assembly.export_runner.run(self.id, job.id)
        assert done is not None
        assert (done.state, done.error) == (ExportState.DONE, None)
        assert done.rows_written == self.players
        return done

    def forget(self, job: ExportJob) -> None:
        """Lose the place of a request, as if nobody had asked before."""
        request = keys.export_request_sort(WEEK.id, job.request.digest)
        key: Any = {"pk": {"S": keys.leaderboard_partition(self.id)}, "sk": {"S": request}}
        self.assembly.dynamodb.delete_item(TableName=self.assembly.tables.registry, Key=key)

    def content(self, job: ExportJob) -> bytes:
        """The file of a job, which is the one that it names."""
        content = self.assembly.s3.get_object(Bucket=self.assembly.settings.export_bucket, Key=job.object_key)[
            "Body"
        ].read()
        assert hashlib.sha256(content).hexdigest() == job.sha256
        return content

    def finish(self) -> FinalResult:
        """Close the week's days and write its result."""
        parts = self.assembly
        close(parts.final_results, self.leaderboard, WEEK.last, [WEEK])
        finalizer = Finalizer(
            reads=parts.reads,
            cache=parts.cache,
            builder=parts.window_builder,
            final_results=parts.final_results,
            registry=parts.registry,
            pseudonyms=parts.pseudonym_writes,
            disqualified_players=parts.disqualified_players,
            amended_players=parts.amended_players,
            s3=parts.s3,
            bucket=parts.settings.export_bucket,
            now_ms=lambda: self.now_ms,
        )
        final = finalizer.finalize(self.leaderboard, WEEK)
        assert final is not None
        self.now_ms += DAY_MS
        return final


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, cache_url: str) -> Iterator[Assembly]:
    """The service on servers of its own; DynamoDB in memory, where it takes a million items three times as fast."""
    directory, ports = tmp_path_factory.mktemp("agree"), free_ports()
    environment = Config(directory, directory, ports).environment()
    environment |= {"CACHE_URL": cache_url, "CACHE_TIMEOUT_MS": "20000", "DYNAMODB_TIMEOUT_MS": "60000"}
    with (
        dynamodb_server(directory / "dynamodb", ports.dynamodb, in_memory=True),
        ministack(directory / "aws", ports.aws),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        resources.create(environment, topic=False)
        yield Assembly(settings.load())


@pytest.fixture(scope="module", params=BOARDS, ids=lambda board: f"{'-'.join(board[0])}-{board[1]}")
def board(request: pytest.FixtureRequest, parts: Assembly) -> Iterator[Board]:
    with pytest.MonkeyPatch.context() as patch:
        kind, players = request.param
        yield Board(Assembly(parts.settings), kind, players, patch)


@pytest.fixture(scope="module")
def expected(board: Board) -> list[oracle.Entry]:
    return board.ranking()


@pytest.fixture(scope="module")
def moving(board: Board) -> ExportJob:
    """An export of before the window was final."""
    job = board.export()
    assert not job.final
    return job


@pytest.fixture(scope="module")
def final(board: Board, moving: ExportJob) -> FinalResult:
    return board.finish()


def differences(expected: Sequence[oracle.Entry], found: Any) -> list[Any]:
    """The first few lines that differ; to compare whole lists would take pytest for ever to explain."""
    pairs = zip_longest(expected, found)
    return [pair for pair in pairs if pair[0] != pair[1]][:3]


def test_the_cache_shows_the_ranking(board: Board, expected: list[oracle.Entry]) -> None:
    assert len(expected) == board.players
    assert differences(expected, board.shown()) == []


def test_an_export_is_the_ranking(board: Board, expected: list[oracle.Entry], moving: ExportJob) -> None:
    assert differences(expected, from_csv(board.content(moving).decode())) == []


def test_the_result_is_the_bytes_of_the_export_before(board: Board, moving: ExportJob, final: FinalResult) -> None:
    """Ranked by Python and written beside a comparison with the cache; the export by DuckDB."""
    assert (final.players, final.sha256) == (board.players, moving.sha256)
    now = board.export()
    assert now.final
    assert board.content(now) == board.content(moving)


@pytest.mark.parametrize(
    ("export_format", "read"),
    [(ExportFormat.NDJSON, lambda content: from_ndjson(content.decode())), (ExportFormat.PARQUET, from_parquet)],
    ids=["ndjson", "parquet"],
)
def test_exports_of_a_final_window_made_on_different_days_are_the_same_bytes(
    board: Board, expected: list[oracle.Entry], final: FinalResult, export_format: ExportFormat, read: Any
) -> None:
    first = board.export(export_format)
    content = board.content(first)
    assert differences(expected, read(content)) == []

    board.now_ms += 400 * DAY_MS
    assert board.export(export_format).id == first.id
    board.forget(first)
    again = board.export(export_format)

    assert again.id != first.id
    assert board.content(again) == content
