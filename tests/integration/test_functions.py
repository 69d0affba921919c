"""The functions behind queues and the schedule, called with Lambda's events on real servers."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from redis import Redis

from infra.local import resources
from infra.local.config import Config, Ports, free_port
from infra.local.servers import ministack
from shared.assembly import now_ms
from shared.cache import keys
from shared.closing.runs import ClosingRun
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, Day, daily, day_of
from shared.domain.events import ScoreEvent
from shared.domain.records import Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.exports.table import RankedTable
from shared.messaging.topic import Reach
from shared.truth.commits import Commits, PlayerCommit, Unavailable
from shared.truth.export_jobs import ExportFormat, ExportRequest, ExportState
from shared.truth.items import LedgerEntry
from shared.truth.progress import APPLIED, Position

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVENTS = Path(__file__).parents[2] / "events"
CONTEXT = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:000000000000:function:function",
    aws_request_id="request-1",
    get_remaining_time_in_millis=lambda: 900_000,
)
NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture(scope="module")
def load(
    cache_url: str, dynamodb_url: str, dynamodb: "DynamoDBClient", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Loads the handler of a function in the environment of these servers."""
    ports = Ports(cache=_port(cache_url), dynamodb=_port(dynamodb_url), aws=free_port())
    config = Config(tmp_path_factory.mktemp("state"), Path("packages"), ports)
    # tables of their own: a schedule goes through all leaderboards that there are
    tables = {f"{name}_TABLE": f"functions-{name.lower()}" for name in ("LEDGER", "STANDINGS", "REGISTRY")}
    environment = config.environment() | tables
    names = [f"functions.{name}.handler" for name in ("repair", "export", "close")]
    with ministack(tmp_path_factory.mktemp("aws"), ports.aws), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        resources.create(environment, topic=False)
        for name in names:
            sys.modules.pop(name, None)
        yield lambda function: importlib.import_module(f"functions.{function}.handler")
        for name in names:
            sys.modules.pop(name, None)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture
def repair(load: Any) -> Any:
    return load("repair")


@pytest.fixture
def leaderboard(repair: Any, dynamodb: "DynamoDBClient", leaderboard_id: str) -> Leaderboard:
    """A leaderboard with two players in the truth, of which the cache knows nothing."""
    leaderboard = Leaderboard(id=leaderboard_id, name="Cup", aggregation=Aggregation.SUM, shards=2)
    repair.assembly.registry.save(leaderboard)
    sealed: Leaderboard = repair.assembly.registry.lock_rules(leaderboard)
    at_ms = now_ms()
    players = []
    for number, user_id in enumerate(("u-42", "u-43")):
        event = ScoreEvent("e-1", leaderboard.id, user_id, 10 + number, at_ms)
        standing = Standing(10 + number, at_ms, 1, version=1)
        entry = LedgerEntry(event, Source("score-events", 0, number, at_ms))
        players.append(PlayerCommit(sealed, user_id, [entry], {day_of(at_ms): standing, ALL_TIME_DAY: standing}))
    assert Commits(dynamodb, repair.assembly.tables).commit(players) == []
    return sealed


def sample(name: str, leaderboard_id: str) -> Any:
    """A sample event, `autumn-cup` in it being this test's leaderboard and its day today."""
    text = (EVENTS / f"{name}.json").read_text()
    return msgspec.json.decode(text.replace("autumn-cup", leaderboard_id).replace("20780", str(day_of(now_ms()))))


def shown(module: Any, leaderboard: Leaderboard, window: Any = ALL_TIME) -> list[tuple[str, int]]:
    page = module.assembly.cache.page(leaderboard, window, 0, 10, now_ms())
    return [(user_id, score.points) for user_id, score in page.lines]


def test_players_whose_cache_write_failed_are_applied_from_the_truth(
    redis: Redis, repair: Any, leaderboard: Leaderboard
) -> None:
    assert repair.handler(sample("repair-players", leaderboard.id), CONTEXT) == NOTHING_FAILED

    assert shown(repair, leaderboard) == [("u-43", 11), ("u-42", 10)]
    assert shown(repair, leaderboard, daily(Day(day_of(now_ms())))) == [("u-42", 10)]
    assert not repair.assembly.cache.is_complete(leaderboard)


def test_a_leaderboard_is_rebuilt_and_marked_as_complete(redis: Redis, repair: Any, leaderboard: Leaderboard) -> None:
    assert repair.handler(sample("repair-rebuild", leaderboard.id), CONTEXT) == NOTHING_FAILED

    assert repair.assembly.cache.is_complete(leaderboard)
    assert shown(repair, leaderboard) == [("u-43", 11), ("u-42", 10)]


def test_the_documented_restore_shows_what_the_tables_say_and_goes_on_from_there(
    redis: Redis, repair: Any, leaderboard: Leaderboard, dynamodb: "DynamoDBClient"
) -> None:
    """The steps of docs/runbook.md, as far as there is something here to run them on."""
    steps = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text().partition("## Setting the tables back")[2]
    (forget,) = re.findall(r"--function-name <repair> --payload '(.+?)'", steps)
    (topic,) = re.findall(r"--expression-attribute-values '(.+?)' --projection-expression", steps)
    position = Position("score-events", 0, 2, 0)
    tables = repair.assembly.tables
    repair.handler(sample("repair-schedule", leaderboard.id), CONTEXT)
    repair.assembly.progress.advance(position, now_ms(), {0: APPLIED, 1: APPLIED})
    backup = {name: items(dynamodb, name) for name in (tables.ledger, tables.standings, tables.registry)}
    for number, points in enumerate((100, 200), start=2):
        at_version(repair, dynamodb, leaderboard, number, points)
    assert shown(repair, leaderboard) == [("u-42", 200), ("u-43", 11)]

    set_back(dynamodb, backup)
    restored = dynamodb.query(
        TableName=tables.registry,
        ConsistentRead=True,
        KeyConditionExpression="pk = :topic",
        ExpressionAttributeValues=msgspec.json.decode(topic),
    )["Items"]
    assert [one["next_offset"]["N"] for one in restored] == ["2"]
    assert shown(repair, leaderboard) == [("u-42", 200), ("u-43", 11)], "which Redis would go on showing"
    assert repair.handler(msgspec.json.decode(forget), CONTEXT) == NOTHING_FAILED

    assert repair.assembly.cache.is_complete(leaderboard)
    assert shown(repair, leaderboard) == [("u-43", 11), ("u-42", 10)]
    at_version(repair, dynamodb, leaderboard, 2, 12)
    assert shown(repair, leaderboard) == [("u-42", 12), ("u-43", 11)]


def at_version(repair: Any, dynamodb: "DynamoDBClient", leaderboard: Leaderboard, version: int, points: int) -> None:
    """One more event of u-42, by which the score is what is given, in the truth and in the cache."""
    at_ms = now_ms()
    event = ScoreEvent(f"e-{version}", leaderboard.id, "u-42", points, at_ms)
    days = {day: Standing(points, at_ms, version, version=version) for day in (day_of(at_ms), ALL_TIME_DAY)}
    entry = LedgerEntry(event, Source("score-events", 0, version, at_ms))
    assert Commits(dynamodb, repair.assembly.tables).commit([PlayerCommit(leaderboard, "u-42", [entry], days)]) == []
    repair.assembly.cache.apply(leaderboard, {"u-42": days}, at_ms)


def items(dynamodb: "DynamoDBClient", table: str) -> list[Any]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def set_back(dynamodb: "DynamoDBClient", backup: dict[str, list[Any]]) -> None:
    """DynamoDB Local restores nothing: so the items are."""
    for table, kept in backup.items():
        for item in items(dynamodb, table):
            dynamodb.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})
        for item in kept:
            dynamodb.put_item(TableName=table, Item=item)


def test_the_schedule_rebuilds_what_was_flushed_and_repairs_what_drifted(
    redis: Redis, repair: Any, leaderboard: Leaderboard
) -> None:
    assert repair.handler(sample("repair-schedule", leaderboard.id), CONTEXT) == NOTHING_FAILED
    assert shown(repair, leaderboard) == [("u-43", 11), ("u-42", 10)]

    redis.delete(keys.ranking(leaderboard.id, "all-time"), keys.parts(leaderboard.id, ALL_TIME))
    assert repair.assembly.repair.anti_entropy()[0][leaderboard.id] == 2

    assert shown(repair, leaderboard) == [("u-43", 11), ("u-42", 10)]
    assert repair.assembly.repair.anti_entropy()[0][leaderboard.id] == 0


def test_repaired_entries_are_counted_and_a_count_that_fails_fails_no_repair(
    redis: Redis, repair: Any, leaderboard: Leaderboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repaired() -> int:
        count: int = repair.assembly.telemetry.noted("any").repaired
        return count

    repair.handler(sample("repair-schedule", leaderboard.id), CONTEXT)
    before = repaired()
    redis.delete(keys.ranking(leaderboard.id, "all-time"), keys.parts(leaderboard.id, ALL_TIME))
    repair.handler(sample("repair-schedule", leaderboard.id), CONTEXT)
    assert repaired() == before + 2

    refused: list[int] = []

    def refuse(count: int) -> None:
        refused.append(count)
        raise Unavailable("away")

    monkeypatch.setattr(repair.assembly.telemetry, "count_repaired", refuse)
    redis.delete(keys.ranking(leaderboard.id, "all-time"), keys.parts(leaderboard.id, ALL_TIME))
    assert repair.handler(sample("repair-players", leaderboard.id), CONTEXT) == NOTHING_FAILED
    assert shown(repair, leaderboard) == [("u-43", 11), ("u-42", 10)]
    assert refused == [2]


def test_each_run_of_closing_notes_how_far_the_commits_are_behind(
    load: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = load("close")
    topic = SimpleNamespace(name=leaderboard_id, settings=dict, reach=lambda _: [Reach(0, 2, 2, 9)])
    monkeypatch.setitem(vars(close.assembly), "topic", topic)
    monkeypatch.setitem(vars(close.assembly), "closing", SimpleNamespace(run=lambda _: ClosingRun()))

    assert close.handler(msgspec.json.decode((EVENTS / "close-schedule.json").read_bytes()), CONTEXT) == {
        "final": 0,
        "blocked": 0,
    }

    assert close.assembly.telemetry.noted(leaderboard_id).lag.records == {0: 7}


def test_a_message_that_cannot_be_read_fails_alone(redis: Redis, repair: Any, leaderboard: Leaderboard) -> None:
    event = sample("repair-undecodable", leaderboard.id)

    answer = repair.handler(event, CONTEXT)

    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}


def test_an_export_that_was_asked_for_is_made(load: Any, leaderboard: Leaderboard) -> None:
    export = load("export")
    job = export.assembly.exports.request(leaderboard, ALL_TIME, ExportRequest(ALL_TIME.id))
    event = sample("export-job", leaderboard.id)
    event["Records"][0]["body"] = event["Records"][0]["body"].replace("all-time-csv-1795430507000", job.id)

    assert export.handler(event, CONTEXT) == NOTHING_FAILED

    done = export.assembly.exports.job(leaderboard.id, job.id)
    assert (done.state, done.rows) == (ExportState.DONE, 2)


def test_an_export_that_fails_comes_again(load: Any, leaderboard: Leaderboard, monkeypatch: pytest.MonkeyPatch) -> None:
    export = load("export")
    job = export.assembly.exports.request(leaderboard, ALL_TIME, ExportRequest(ALL_TIME.id, ExportFormat.PARQUET))
    event = sample("export-job", leaderboard.id)
    event["Records"][0]["body"] = event["Records"][0]["body"].replace("all-time-csv-1795430507000", job.id)
    with monkeypatch.context() as patch:
        patch.setattr(RankedTable, "write", lambda *_: 1 // 0)
        failed = export.handler(event, CONTEXT)
    assert failed == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert export.assembly.exports.job(leaderboard.id, job.id).state is ExportState.FAILED

    assert export.handler(event, CONTEXT) == NOTHING_FAILED

    assert export.assembly.exports.job(leaderboard.id, job.id).state is ExportState.DONE


def test_an_export_that_nobody_asked_for_is_no_failure(load: Any, leaderboard: Leaderboard) -> None:
    assert load("export").handler(sample("export-job", leaderboard.id), CONTEXT) == NOTHING_FAILED
