"""What functions leave for a scrape, on a real DynamoDB engine."""

from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from shared.truth.counters import ERRORS, REFUSED, THROTTLED, Function, FunctionCounters, Run, RunNote
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TOPIC = "noted-runs"


def test_runs_are_replaced_counts_add_up_and_a_failed_call_is_one(dynamodb: "DynamoDBClient") -> None:
    counters = FunctionCounters(dynamodb, Tables().registry)
    before = counters.noted(TOPIC).counts
    note = RunNote(5_000, 2, 60_000, {"drift": 1}, is_lost=True)

    for one in (RunNote(1), note):
        counters.record_run(Run.CLOSE, one)
    counters.count({REFUSED[Function.INGEST]: 2, THROTTLED["ledger"]: 3, THROTTLED["standings"]: 0})
    with pytest.raises(ValueError, match="whatever"), counters.counting_errors(Function.EXPORT):
        raise ValueError("whatever")
    with counters.counting_errors(Function.EXPORT):
        pass

    found = counters.noted(TOPIC)
    assert found.runs[Run.CLOSE] == note
    added = {name: count - before.get(name, 0) for name, count in found.counts.items() if count > before.get(name, 0)}
    assert added == {REFUSED[Function.INGEST]: 2, THROTTLED["ledger"]: 3, ERRORS[Function.EXPORT]: 1}


def test_without_dynamodb_no_run_and_no_call_fails_for_a_scrape() -> None:
    nobody = boto3.client(
        "dynamodb",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )
    counters = FunctionCounters(nobody, "registry")

    counters.record_run(Run.SNAPSHOTS, RunNote(1))
    counters.count({ERRORS[Function.CLOSE]: 1})
    with pytest.raises(KeyError), counters.counting_errors(Function.CLOSE):
        raise KeyError("what went wrong is what is told")
