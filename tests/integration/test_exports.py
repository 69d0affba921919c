"""Export jobs against real DynamoDB, S3 and SQS."""

import csv
import hashlib
import io
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.calendar import ALL_TIME
from shared.domain.tiers import Tier, TierRule
from shared.exports.jobs import REUSE_MS
from shared.files.manifest import manifest_key
from shared.reads.rankings import UnknownFilter, UnknownTier
from shared.truth.export_jobs import (
    Compression,
    ExportFormat,
    ExportPart,
    ExportState,
)
from tests.support.closing import BUCKET
from tests.support.exporting import YEARS_MS, Bench, result_of
from tests.support.parts import make_parts_small

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def bench(dynamodb: "DynamoDBClient", aws: Any, leaderboard_id: str) -> Bench:
    return Bench(dynamodb, aws, leaderboard_id)


@pytest.mark.parametrize("players", [0, 1, 1_000])
def test_a_file_and_its_manifest_hold_every_player(bench: Bench, players: int) -> None:
    bench.fill(players)

    done = bench.run(bench.ask())

    assert (done.state, done.rows, done.rows_written, done.error) == (ExportState.DONE, players, players, None)
    shown = bench.exports.job(bench.leaderboard.id, done.id)
    assert shown is not None
    assert shown.url is not None
    with urllib.request.urlopen(shown.url) as response:
        content = response.read()
        assert f'filename="{bench.leaderboard.id}-{done.id}.csv"' in response.headers["content-disposition"]
    assert hashlib.sha256(content).hexdigest() == done.sha256
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    ranked = sorted(range(players), key=lambda number: (-(number % 7), number))
    assert [row["user_id"] for row in rows] == [f"u{number}" for number in ranked]
    manifest = json.loads(bench.aws.s3.get_object(Bucket=BUCKET, Key=manifest_key(done.object_key))["Body"].read())
    assert (manifest["rows"], manifest["sha256"], manifest["bytes"]) == (players, done.sha256, len(content))
    assert manifest["sumOfPoints"] == str(sum(number % 7 for number in range(players)))


def test_a_large_file_goes_up_in_parts_and_is_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fill(200)
    whole = bench.run(bench.ask())
    make_parts_small(monkeypatch, 1_000)
    bench.now_ms += REUSE_MS

    parts = bench.run(bench.ask())

    assert parts.id != whole.id
    assert parts.sha256 == whole.sha256
    stored = bench.aws.s3.get_object(Bucket=BUCKET, Key=parts.object_key)["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == parts.sha256
    assert bench.uploads() == []


def test_everybody_who_asks_at_a_time_gets_one_job(bench: Bench) -> None:
    first = bench.ask()
    assert bench.ask().id == first.id

    done = bench.run(first)
    bench.now_ms += REUSE_MS - 1
    again = bench.ask()
    assert (again.id, again.state) == (done.id, ExportState.DONE)
    assert again.url is not None

    bench.now_ms += 1
    assert bench.ask().id != first.id


def test_a_job_is_run_once_though_its_message_comes_twice(bench: Bench) -> None:
    done = bench.run(bench.ask())

    assert bench.run(done) == done


def test_requests_that_differ_in_anything_are_different_jobs(bench: Bench) -> None:
    requests: list[dict[str, Any]] = [
        {},
        {"format": ExportFormat.NDJSON},
        {"format": ExportFormat.PARQUET, "compression": Compression.ZSTD},
        {"compression": Compression.GZIP},
        {"part": ExportPart(tier="gold")},
        {"part": ExportPart(top_n=10)},
        {"part": ExportPart(top_basis_points=10)},
    ]
    bench.fill(3)

    jobs = [bench.ask(**request) for request in requests]

    assert len({job.id for job in jobs}) == len({job.object_key for job in jobs}) == len(requests)
    assert [bench.ask(**request).id for request in requests] == [job.id for job in jobs]
    assert {bench.run(job).state for job in jobs} == {ExportState.DONE}
    assert len(bench.objects()) == 2 * len(requests)


def test_the_whole_of_a_final_window_is_the_file_of_its_result(bench: Bench) -> None:
    moving = bench.run(bench.ask())
    bench.now_ms += 1
    bench.result = result_of(bench, 5)

    done = bench.ask()

    assert done.id != moving.id
    assert (done.state, done.rows, done.sha256) == (ExportState.DONE, 5, bench.result.final.sha256)
    assert done.url is not None
    with urllib.request.urlopen(done.url) as response:
        assert response.read() == b"the result itself"
    bench.now_ms += YEARS_MS
    assert bench.ask().sha256 == done.sha256


@pytest.mark.parametrize("export_format", ExportFormat)
def test_an_export_of_a_final_window_is_made_once_and_stands_where_nothing_expires(
    bench: Bench, export_format: ExportFormat
) -> None:
    bench.fill(200)
    bench.result = result_of(bench, 200)
    request: dict[str, Any] = {"format": export_format, "part": ExportPart(top_n=100)}
    first = bench.run(bench.ask(**request))
    assert first.state is ExportState.DONE

    bench.now_ms += YEARS_MS
    again = bench.ask(**request)

    assert (again.id, again.state, again.sha256) == (first.id, ExportState.DONE, first.sha256)
    assert again.object_key.startswith(f"finals/{bench.leaderboard.id}/{ALL_TIME.id}/exports/")


def test_the_disqualified_are_in_no_export_and_the_manifest_says_as_of_which_act(bench: Bench) -> None:
    bench.fill(20)
    for number, kind in enumerate((AuditAction.DISQUALIFY, AuditAction.REINSTATE, AuditAction.DISQUALIFY), start=1):
        act = AuditEntry(number=number, kind=kind, actor="admin", reason="why", at_ms=0, user_id="u6")
        bench.audit_log.append(bench.leaderboard.id, act)

    done = bench.run(bench.ask())

    content = bench.aws.s3.get_object(Bucket=BUCKET, Key=done.object_key)["Body"].read()
    lines = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [line["rank"] for line in lines] == [str(rank) for rank in range(1, 20)]
    assert {line["user_id"] for line in lines} == {f"u{number}" for number in range(20)} - {"u6"}
    manifest = json.loads(bench.aws.s3.get_object(Bucket=BUCKET, Key=manifest_key(done.object_key))["Body"].read())
    assert (manifest["auditSequence"], manifest["rows"], manifest["players"]) == (3, 19, 19)


def test_a_tier_of_a_final_window_is_one_that_it_was_ranked_with(bench: Bench) -> None:
    bench.fill(20)
    bench.result = result_of(bench, 20)
    bench.leaderboard = replace(bench.leaderboard, tiers=(Tier("champion", TierRule.TOP_N, 2),))

    with pytest.raises(UnknownTier):
        bench.ask(part=ExportPart(tier="champion"))
    gold = bench.run(bench.ask(part=ExportPart(tier="gold")))

    assert (gold.state, gold.rows) == (ExportState.DONE, 2)


def test_a_tier_of_a_window_that_moves_is_one_of_today(bench: Bench) -> None:
    bench.fill(20)

    with pytest.raises(UnknownTier):
        bench.ask(part=ExportPart(tier="champion"))
    job = bench.ask(part=ExportPart(tier="gold"))
    bench.leaderboard = replace(bench.leaderboard, tiers=(Tier("champion", TierRule.TOP_N, 2),))
    ended = bench.run(job)

    assert (ended.state, ended.tries_again) == (ExportState.FAILED, False)
    assert "no such tier" in (ended.error or "")
    assert bench.objects() == []


def test_a_process_that_knows_an_older_result_exports_the_latest_version(bench: Bench) -> None:
    bench.fill(20)
    bench.kept_result = result_of(bench, 20)
    final = replace(bench.kept_result.final, version=2)
    bench.result = replace(bench.kept_result, final=final)

    done = bench.run(bench.ask(format=ExportFormat.NDJSON))

    assert (done.state, done.result_version) == (ExportState.DONE, 2)


def test_an_export_after_a_disqualification_is_of_the_version_that_the_result_is_of(bench: Bench) -> None:
    bench.fill(20)
    bench.kept_result = bench.result = result_of(bench, 20)
    assert bench.ask().result_version == 1

    bench.result = replace(bench.result, final=replace(bench.result.final, version=2))
    bench.now_ms += 1

    assert bench.ask().result_version == 2, "though this process remembers the version before"


def test_an_export_of_a_result_that_another_version_follows_is_to_be_asked_for_again(bench: Bench) -> None:
    bench.fill(20)
    bench.result = result_of(bench, 20)
    job = bench.ask(format=ExportFormat.NDJSON)
    bench.result = replace(bench.result, final=replace(bench.result.final, version=2))

    ended = bench.run(job)

    assert (ended.state, ended.tries_again) == (ExportState.FAILED, False)
    bench.now_ms += 1
    assert bench.run(bench.ask(format=ExportFormat.NDJSON)).result_version == 2


def test_a_part_by_values_of_filters_has_its_own_ranks_and_its_manifest_says_so(bench: Bench) -> None:
    bench.leaderboard = replace(bench.leaderboard, filters=("country", "platform"))
    bench.fill(30, lambda number: {"country": ("DE", "FR", "")[number % 3], "platform": ("pc", "tv")[number % 2]})

    done = bench.run(bench.ask(part=ExportPart(top_n=3, attr={"country": "FR", "platform": "pc"})))

    content = bench.aws.s3.get_object(Bucket=BUCKET, Key=done.object_key)["Body"].read().decode()
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    ranked = sorted(range(30), key=lambda number: (-(number % 7), number))
    carriers = [number for number in ranked if number % 3 == 1 and number % 2 == 0]
    assert [row["user_id"] for row in rows] == [f"u{number}" for number in carriers[:3]]
    assert [int(row["rank"]) for row in rows] == [ranked.index(number) + 1 for number in carriers[:3]]
    assert [row["attr_rank"] for row in rows] == ["1", "2", "3"]
    assert {(row["attr.country"], row["attr.platform"]) for row in rows} == {("FR", "pc")}
    manifest = json.loads(bench.aws.s3.get_object(Bucket=BUCKET, Key=manifest_key(done.object_key))["Body"].read())
    assert (manifest["rows"], manifest["players"], manifest["attrPlayers"]) == (3, 30, len(carriers))
    assert manifest["part"]["attr"] == {"country": "FR", "platform": "pc"}
    assert manifest["filters"] == ["country", "platform"]


def test_a_filter_that_the_leaderboard_has_not_is_refused_at_once_and_in_the_job(bench: Bench) -> None:
    bench.fill(1)
    with pytest.raises(UnknownFilter):
        bench.ask(part=ExportPart(attr={"country": "FR"}))
    bench.leaderboard = replace(bench.leaderboard, filters=("country",))
    job = bench.ask(part=ExportPart(attr={"country": "FR"}))
    bench.leaderboard = replace(bench.leaderboard, filters=())  # as an administrator may while there are no events

    failed = bench.run(job)

    assert (failed.state, failed.tries_again) == (ExportState.FAILED, False)
    assert failed.error == "is not a filter of this leaderboard: it has none"
