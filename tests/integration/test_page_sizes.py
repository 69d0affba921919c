"""A page costs what it shows: no query reads more items than are asked for, however many there are."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient
from msgspec.structs import replace

from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.events import ScoreEvent
from shared.domain.records import Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.parallel import read_sequentially
from shared.retries import Backoff
from shared.truth.audit_log import AuditLog
from shared.truth.items import LedgerEntry, ledger_item
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

THERE, ASKED = 40, 7


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Items that each query read, in whichever client."""
    counts: list[int] = []
    original: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(self: Any, operation_name: str, api_params: Any) -> Any:
        answer = original(self, operation_name, api_params)
        if operation_name == "Query":
            counts.append(answer["ScannedCount"])
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return counts


def test_a_page_of_events_reads_no_more_events(
    dynamodb: "DynamoDBClient", tables: Tables, leaderboard_id: str, read: list[int]
) -> None:
    ids = [f"e-{number:03}" for number in range(THERE)]
    for number, event_id in enumerate(ids):
        event = ScoreEvent(event_id, leaderboard_id, "ann", 1, number, {})
        item: Any = ledger_item(LedgerEntry(event, Source("topic", 0, number, number)), leaderboard_id)
        dynamodb.put_item(TableName=tables.ledger, Item=item)
    reads = Reads(dynamodb, tables, read_sequentially, Backoff())

    found = list(reads.ledger(leaderboard_id, "ann", ids[3], ASKED))

    assert [one.event.event_id for one in found] == ids[4 : 4 + ASKED]
    assert read == [ASKED]
    assert len(list(reads.ledger(leaderboard_id, "ann"))) == THERE


def test_a_page_of_the_audit_log_reads_no_more_entries(
    dynamodb: "DynamoDBClient", tables: Tables, leaderboard_id: str, read: list[int]
) -> None:
    audit_log = AuditLog(dynamodb, tables.registry)
    for number in range(1, THERE + 1):
        audit_log.append(
            leaderboard_id, AuditEntry(number=number, kind=AuditAction.REBUILD, actor="a", reason="r", at_ms=number)
        )

    assert [entry.number for entry in audit_log.read(leaderboard_id, 3, ASKED)] == list(range(4, 4 + ASKED))
    assert read == [ASKED]
    assert len(list(audit_log.read(leaderboard_id))) == THERE


def test_a_page_of_leaderboards_reads_no_more_than_those_and_the_deleted_between(
    dynamodb: "DynamoDBClient", dynamodb_url: str, leaderboard_id: str, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    registry = Registry("leaderboard-registry", region="eu-central-1", host=dynamodb_url)
    boards = [
        Leaderboard(id=f"{leaderboard_id}-{number:03}", name="B", aggregation=Aggregation.SUM)
        for number in range(THERE)
    ]
    for board in boards:
        registry.save(board)
    registry.save(replace(boards[2], archived=True, version=2))

    found = registry.leaderboards(ASKED, boards[0].id)

    assert [board.id for board in found] == [board.id for board in [boards[1], *boards[3 : 3 + ASKED - 1]]]
    assert sum(read) <= 2 * ASKED
    assert max(read) == ASKED
    everything = registry.leaderboards(ASKED, boards[0].id, archived=True)
    assert [board.id for board in everything] == [board.id for board in boards[1 : 1 + ASKED]]
