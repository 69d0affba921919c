"""What becomes of a transaction that DynamoDB cancels."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.truth.commits import Unavailable
from shared.truth.finals import AlreadyDone, Finals


def cancelling(*codes: str) -> Finals:
    def transact_write_items(**_: Any) -> None:
        reasons: Any = [{"Code": code} for code in codes]
        answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise ClientError(answer, "TransactWriteItems")

    exceptions = SimpleNamespace(TransactionCanceledException=ClientError)
    client: Any = SimpleNamespace(transact_write_items=transact_write_items, exceptions=exceptions)
    return Finals(client, "registry")


@pytest.mark.parametrize(
    "codes", [("None", "ConditionalCheckFailed"), ("TransactionConflict", "ConditionalCheckFailed")]
)
def test_a_condition_that_does_not_hold_says_that_it_is_done(codes: tuple[str, str]) -> None:
    with pytest.raises(AlreadyDone):
        cancelling(*codes).strike("cup", "2026-W48", 0)


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_throttling_and_conflicts_do_not_pass_for_done(code: str) -> None:
    with pytest.raises(Unavailable):
        cancelling("None", code).strike("cup", "2026-W48", 0)
