"""What becomes of a write that DynamoDB refuses, and of a transaction that it cancels."""

import io
import re
import tokenize
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace
from pynamodb.exceptions import TransactWriteError, UpdateError, VerboseClientError

from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.rules import Aggregation, Leaderboard
from shared.truth.audit_log import AuditLog, AuditLogConflict
from shared.truth.commits import Unavailable
from shared.truth.conditions import delete_if, update_if
from shared.truth.export_jobs import ExportJob, ExportJobs, ExportRequest, JobTaken
from shared.truth.failures import Cause, ConditionFailed, passing_as_unavailable
from shared.truth.final_results import AlreadyDone, FinalResults
from shared.truth.registry import Conflict, Registry

ROOT = Path(__file__).parents[3]
ACT = AuditEntry(number=1, kind=AuditAction.DISQUALIFY, actor="admin", reason="cheated", at_ms=0, user_id="ann")
JOB = ExportJob(id="e-1", leaderboard_id="cup", request=ExportRequest("all-time"), object_key="k", created_at_ms=0)
BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
TRANSIENT = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
LASTING = ["ValidationError", "ItemCollectionSizeLimitExceeded", "AccessDenied", "SomethingNew"]

WRITES: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "a mark of a result": (
        lambda client: FinalResults(client, "registry").clear_due("cup", "2026-W48", 0),
        AlreadyDone,
    ),
    "an act": (lambda client: AuditLog(client, "registry").append("cup", ACT), AuditLogConflict),
    "an export job": (lambda client: ExportJobs(client, "registry").start(JOB, None), JobTaken),
    "an export job in place of another": (lambda client: ExportJobs(client, "registry").start(JOB, JOB), JobTaken),
}


def cancelled(*codes: str) -> ClientError:
    reasons: Any = [{"Code": code} for code in codes]
    answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
    return ClientError(answer, "TransactWriteItems")


def failing(error: Exception) -> Any:
    """A client all of whose writes fail."""

    def write(**_: Any) -> None:
        raise error

    return SimpleNamespace(transact_write_items=write, put_item=write, update_item=write, delete_item=write)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "codes", [("None", "ConditionalCheckFailed"), ("TransactionConflict", "ConditionalCheckFailed")]
)
def test_a_condition_that_does_not_hold_says_that_another_was_first(write: str, codes: tuple[str, str]) -> None:
    call, rival = WRITES[write]
    with pytest.raises(rival):
        call(failing(cancelled(*codes)))


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("code", TRANSIENT)
def test_throttling_and_conflicts_do_not_pass_for_a_rival(write: str, code: str) -> None:
    call, rival = WRITES[write]
    is_being_written = (rival, code) == (AuditLogConflict, "TransactionConflict")  # its number is as good as given away
    with pytest.raises(AuditLogConflict if is_being_written else Unavailable):
        call(failing(cancelled("None", code)))


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("code", LASTING)
def test_a_request_that_is_wrong_passes_neither_for_a_rival_nor_for_what_passes(write: str, code: str) -> None:
    call, _ = WRITES[write]
    error = cancelled("ConditionalCheckFailed", code)
    with pytest.raises(ClientError) as raised:
        call(failing(error))
    assert raised.value is error


def test_each_item_of_a_cancelled_transaction_has_its_cause() -> None:
    error = cancelled("None", "ThrottlingError", "TransactionConflict", "ConditionalCheckFailed")
    with pytest.raises(ConditionFailed) as raised, passing_as_unavailable():
        raise error
    assert [one.cause for one in raised.value.causes] == [
        Cause.NONE, Cause.THROTTLED, Cause.CONFLICT, Cause.CONDITION,
    ]  # fmt: skip


def test_a_condition_of_a_single_write_answers_with_the_item_that_is_there() -> None:
    found: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": {"next_offset": {"N": "7"}}}
    client = failing(ClientError(found, "UpdateItem"))
    assert update_if(client, "registry", {}, "SET a = :a", "b = :b", values={}) == {"next_offset": {"N": "7"}}
    delete_if(client, "registry", {}, "b = :b", values={})
    with pytest.raises(JobTaken):
        ExportJobs(client, "registry").update(JOB, JOB)


@pytest.mark.parametrize("code", ["ThrottlingException", "TransactionConflictException"])
def test_throttling_of_a_single_write_does_not_pass_for_a_condition(code: str) -> None:
    client = failing(ClientError({"Error": {"Code": code}}, "UpdateItem"))
    writes: list[Callable[[], object]] = [
        lambda: update_if(client, "registry", {}, "SET a = :a", "b = :b", values={}),
        lambda: delete_if(client, "registry", {}, "b = :b", values={}),
        lambda: ExportJobs(client, "registry").update(JOB, JOB),
    ]
    for write in writes:
        with pytest.raises(Unavailable):
            write()


def by_pynamodb(kind: type[Any], error: ClientError) -> Exception:
    """An error as PynamoDB raises it: it keeps a part of the client's and names that as the cause."""
    kept = VerboseClientError({"Error": error.response["Error"]}, "operation")
    kept.__cause__ = error
    raised: Exception = kind("failed", kept)
    return raised


@pytest.mark.parametrize(
    ("code", "expected"),
    [("ConditionalCheckFailed", Conflict), *((code, Unavailable) for code in TRANSIENT), ("Other", TransactWriteError)],
)
def test_a_definition_is_in_conflict_only_by_its_condition(
    monkeypatch: pytest.MonkeyPatch, code: str, expected: type[Exception]
) -> None:
    def commit(*_: Any) -> None:
        raise by_pynamodb(TransactWriteError, cancelled(code, "None"))

    monkeypatch.setattr("pynamodb.transactions.TransactWrite._commit", commit)
    with pytest.raises(expected):
        Registry("registry", region="eu-central-1").save(replace(BOARD, version=2))


@pytest.mark.parametrize(
    ("code", "expected"),
    [("ConditionalCheckFailedException", Conflict), ("TransactionConflictException", Unavailable), ("X", UpdateError)],
)
def test_a_leaderboard_is_marked_as_having_events_unless_its_rules_have_changed(
    monkeypatch: pytest.MonkeyPatch, code: str, expected: type[Exception]
) -> None:
    def update(*_: Any, **__: Any) -> None:
        raise by_pynamodb(UpdateError, ClientError({"Error": {"Code": code}}, "UpdateItem"))

    monkeypatch.setattr("pynamodb.models.Model.update", update)
    with pytest.raises(expected):
        Registry("registry", region="eu-central-1").lock_rules(BOARD)


def test_one_module_alone_looks_into_what_dynamodb_refuses() -> None:
    looks = re.compile(r"CancellationReasons|ConditionalCheckFailed|TransactionCancel|TransactionConflict")
    found = set()
    for folder in ("shared", "functions"):
        for path in (ROOT / folder).rglob("*.py"):
            tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
            code = [one.string for one in tokens if one.type != tokenize.COMMENT]
            if any(looks.search(one) for one in code):
                found.add(str(path.relative_to(ROOT)))
    assert found == {"shared/truth/failures.py"}
