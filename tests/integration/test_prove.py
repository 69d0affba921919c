"""The proof of an export finds what is not as the ledger says, on real DynamoDB and S3."""

import json
import re
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from infra.prove import main, prove
from infra.prove_files import CannotProve
from shared.admin.as_of import AmendedPlayers
from shared.admin.disqualifications import DisqualifiedPlayers
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.calendar import ALL_TIME, Day, Window, WindowKind, custom, daily
from shared.domain.events import ScoreEvent
from shared.domain.records import Record, Source
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.tiers import Tier, TierRule, Ties
from shared.exports.jobs import Exports
from shared.exports.runner import ExportRunner
from shared.files.links import Downloads
from shared.files.manifest import manifest_key
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate
from shared.lookups.zones import calendar_of
from shared.messaging.queues import Queue
from shared.parallel import ParallelReader, ThreadPool
from shared.retries import Backoff
from shared.truth.audit_log import AuditLog
from shared.truth.commits import Commits
from shared.truth.export_jobs import Compression, ExportFormat, ExportJobs, ExportPart, ExportRequest, ExportState
from shared.truth.items import LedgerEntry
from shared.truth.reads import Reads
from shared.truth.registry import Registry
from shared.truth.tables import Tables
from shared.truth.work import WorkList
from tests.support.closing import BUCKET

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MONDAY = Day(20_780)
TIERS = (
    Tier("gold", TierRule.TOP_N, 2),
    Tier("silver", TierRule.TOP_PERCENT, 3_334, Ties.SHARED),
    Tier("daily", TierRule.TOP_N, 7, windows=(WindowKind.DAILY,)),
)
VALUES = ("DE", "", 'two\nlines, "quoted"', "\x00é\r")
NOW_MS = 1_795_700_000_000


Exported = Callable[..., tuple[Path, Path]]


RULES = [
    (Aggregation.SUM, Order.DESC, None, ("UTC", 0)),
    (Aggregation.SUM, Order.DESC, 5, ("Pacific/Kiritimati", 0)),
    (Aggregation.BEST, Order.ASC, -1, ("UTC", 0)),
    (Aggregation.LATEST, Order.DESC, 1, ("America/Sao_Paulo", 720)),
]


@pytest.fixture(params=RULES)
def exported(
    request: pytest.FixtureRequest,
    dynamodb: "DynamoDBClient",
    aws: Any,
    leaderboard_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Exported:
    """Exports a leaderboard on which nine players have played on three days; the file and its manifest."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    aggregation, order, qualify, clocks = request.param
    calendar = calendar_of(*clocks)
    board = Leaderboard(
        id=leaderboard_id,
        name="Cup",
        aggregation=aggregation,
        order=order,
        shards=2,
        calendar=calendar,
        tiers=TIERS,
        qualify=qualify,
        filters=("country", "Country"),
        has_events=True,
    )
    tables, threads, backoff = Tables(), ThreadPool(4), Backoff(base_ms=1)
    registry = Registry(tables.registry, region="eu-central-1", host=dynamodb.meta.endpoint_url)
    registry.save(board)
    reads = Reads(dynamodb, tables, ParallelReader(4), backoff)
    candidates = []
    for number in range(60):
        at_ms = calendar.day_start_ms(Day(MONDAY + number // 9 % 3)) + number * 7 % 11
        attributes = {"country": VALUES[number % 4]} if number % 5 else {"Country": VALUES[number % 3]}
        event = ScoreEvent(f"e{number}", board.id, f'u"{number * 5 % 9},', number * 3 % 7 - 2, at_ms, attributes)
        source = Source("score-events", 0, number, at_ms)
        candidate = Candidate(Record(source, None, None))
        candidate.entry, candidate.leaderboard = LedgerEntry(event, source), board
        candidates.append(candidate)
    Committer(Commits(dynamodb, tables), reads, threads, backoff).commit(candidates)
    results: Any = SimpleNamespace(
        find=lambda *_: None,
        latest=lambda *_: None,
        rules_in_force=lambda board, window: board.for_kind(window.kind),
    )
    leaderboards: Any = SimpleNamespace(read=lambda _: board)
    jobs, now = ExportJobs(dynamodb, tables.registry), count(NOW_MS)
    shared: dict[str, Any] = {"jobs": jobs, "results": results}
    downloads, queue = Downloads(aws.s3, BUCKET), Queue(aws.sqs, aws.queue_url)
    exports = Exports(**shared, downloads=downloads, queue=queue, now_ms=lambda: next(now))
    audit_log = AuditLog(dynamodb, tables.registry)
    runs = ExportRunner(
        **shared,
        s3=aws.s3,
        bucket=BUCKET,
        leaderboards=leaderboards,
        disqualified_players=DisqualifiedPlayers(audit_log, WorkList(dynamodb, tables.registry)),
        amended_players=AmendedPlayers(audit_log, reads),
        reads=reads,
        now_ms=lambda: next(now),
        new_token=lambda: "token",
    )

    def export(window: Window = ALL_TIME, **asked: Any) -> tuple[Path, Path]:
        job = runs.run(board.id, exports.request(board, window, ExportRequest(window.id, **asked)).id)
        assert job is not None
        assert job.state is ExportState.DONE
        file, manifest = tmp_path / "export", tmp_path / "manifest"
        file.write_bytes(aws.s3.get_object(Bucket=BUCKET, Key=job.object_key)["Body"].read())
        manifest.write_bytes(aws.s3.get_object(Bucket=BUCKET, Key=manifest_key(job.object_key))["Body"].read())
        return file, manifest

    return export


@pytest.fixture
def environment(dynamodb_url: str) -> dict[str, str]:
    return {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_ENDPOINT_URL": dynamodb_url,
        "LEDGER_TABLE": Tables().ledger,
        "REGISTRY_TABLE": Tables().registry,
    }


def test_what_was_exported_is_proved_in_every_form(exported: Exported, environment: dict[str, str]) -> None:
    for window in (ALL_TIME, daily(MONDAY), custom(MONDAY, Day(MONDAY + 1)), daily(Day(MONDAY + 9))):
        assert prove(*exported(window), environment) == []
    for export_format in ExportFormat:
        if export_format is ExportFormat.XLSX:
            continue
        for compression in Compression:
            assert prove(*exported(format=export_format, compression=compression), environment) == []
    for part in (ExportPart(tier="gold"), ExportPart(top_n=4), ExportPart(top_basis_points=5_000)):
        assert prove(*exported(part=part), environment) == []


def test_a_part_by_values_of_filters_is_proved(exported: Exported, environment: dict[str, str]) -> None:
    for value in VALUES:
        for more in ({}, {"top_n": 1}, {"top_basis_points": 5_000}, {"tier": "silver"}):
            assert prove(*exported(part=ExportPart(attr={"country": value}, **more)), environment) == []
    both = ExportPart(attr={"Country": "DE", "country": VALUES[2]})
    for export_format in (ExportFormat.NDJSON, ExportFormat.PARQUET):
        assert prove(*exported(part=both, format=export_format), environment) == []


def test_a_value_that_was_altered_is_named(exported: Exported, environment: dict[str, str]) -> None:
    file, manifest = exported(part=ExportPart(attr={"country": "DE"}))
    file.write_bytes(file.read_bytes().replace(b",DE,", b",FR,", 1))

    first, second = prove(file, manifest, environment)

    assert first.startswith("sha256: ")
    assert "FR" in second


def test_a_sheet_is_not_proved_but_says_what_is(exported: Exported, environment: dict[str, str]) -> None:
    with pytest.raises(CannotProve, match=r"^xlsx is not a format to prove: prove the csv export of the same part$"):
        prove(*exported(format=ExportFormat.XLSX), environment)


def test_what_was_exported_without_some_days_of_a_player_is_proved(
    exported: Exported, environment: dict[str, str], dynamodb: "DynamoDBClient", leaderboard_id: str
) -> None:
    out, back = AuditAction.DISQUALIFY, AuditAction.REINSTATE
    log = [(out, 'u"3,', 0, 0), (out, 'u"4,', 1, 2), (out, 'u"5,', 2, 2), (out, 'u"5,', 0, 9), (back, 'u"5,', 2, 2)]
    for number, (kind, user_id, first, last) in enumerate(log, start=1):
        entry = AuditEntry(
            number=number,
            kind=kind,
            actor="admin",
            reason="why",
            at_ms=0,
            user_id=user_id,
            first_day=Day(MONDAY + first),
            last_day=Day(MONDAY + last),
        )
        AuditLog(dynamodb, Tables().registry).append(leaderboard_id, entry)
    players = []
    for window in (ALL_TIME, daily(MONDAY), custom(MONDAY, Day(MONDAY + 1))):
        file, manifest = exported(window)
        assert prove(file, manifest, environment) == []
        players.append(json.loads(manifest.read_text())["players"])
    assert players == [9, 7, 8]


def alter(file: Path, line: int) -> None:
    """Add a point to the score of a line; values of filters may hold line feeds and commas."""
    content = file.read_bytes()
    score = list(re.finditer(rb",(-?\d+)(?=,\d{4}-\d\d-\d\dT)", content))[line - 1]
    file.write_bytes(content[: score.start(1)] + b"%d" % (int(score[1]) + 1) + content[score.end(1) :])


def test_a_line_that_was_altered_by_one_point_is_named(exported: Exported, environment: dict[str, str]) -> None:
    file, manifest = exported()
    alter(file, 4)

    first, second = prove(file, manifest, environment)

    assert first.startswith("sha256:")
    assert second.startswith("line 4: the file says 4, ")


def test_a_line_too_few_and_a_false_sum_are_named(exported: Exported, environment: dict[str, str]) -> None:
    file, manifest = exported()
    file.write_bytes(b"\r\n".join(file.read_bytes().split(b"\r\n")[:-2]) + b"\r\n")
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(said | {"sumOfPoints": str(int(said["sumOfPoints"]) + 1)}))

    found = prove(file, manifest, environment)

    assert [one.split(":")[0] for one in found] == ["sha256", "line 9", "manifest"]
    assert "the file says nothing" in found[1]


@pytest.mark.parametrize(
    ("export_format", "damage"),
    [
        (ExportFormat.CSV, lambda content: content.replace(b",", b"\xff", 9)),
        (ExportFormat.CSV, lambda _: b"<html>\n<body>no such file\n</html>\n"),
        (ExportFormat.NDJSON, lambda content: content[:-20]),
        (ExportFormat.PARQUET, lambda content: content[:-20]),
        (ExportFormat.PARQUET, lambda _: b""),
    ],
)
def test_a_damaged_file_is_one_line_that_says_so(
    exported: Exported,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    export_format: ExportFormat,
    damage: Callable[[bytes], bytes],
) -> None:
    file, manifest = exported(format=export_format)
    file.write_bytes(damage(file.read_bytes()))

    status = run(monkeypatch, environment, file, manifest)

    *_, last = capsys.readouterr().out.splitlines()
    assert (status, last[:17]) == (2, "cannot be proved:")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"sha256": null, "leaderboardId": []}'])
def test_what_is_no_manifest_is_one_line_that_says_so(
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
) -> None:
    file, manifest = tmp_path / "export", tmp_path / "manifest"
    file.write_bytes(b"")
    manifest.write_text(text)

    status = run(monkeypatch, environment, file, manifest)

    (line,) = capsys.readouterr().out.splitlines()
    assert (status, line[:17]) == (2, "cannot be proved:")


def test_a_ledger_out_of_reach_is_one_line_that_says_so(
    exported: Exported,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment |= {"REGISTRY_TABLE": "no-such-table"}

    assert run(monkeypatch, environment, *exported()) == 2
    assert capsys.readouterr().out.startswith("cannot be proved:")


def test_a_field_that_is_no_number_is_a_line_that_differs(exported: Exported, environment: dict[str, str]) -> None:
    file, manifest = exported()
    file.write_bytes(re.sub(rb"(?<=Z,)\d+\.\d\d", b"most", file.read_bytes(), count=1))

    _, difference = prove(file, manifest, environment)

    assert "most" in difference.split(";")[0]


def run(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], file: Path, manifest: Path) -> int:
    """The exit status of the tool."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB", raising=False)
    monkeypatch.setattr(sys, "argv", ["prove", str(file), str(manifest)])
    return main()
