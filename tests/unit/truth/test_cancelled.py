"""What becomes of a transaction that DynamoDB cancels."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.domain.acts import Act, ActKind
from shared.truth.acts import Acts, Taken
from shared.truth.commits import Unavailable
from shared.truth.finals import AlreadyDone, Finals

ACT = Act(number=1, kind=ActKind.DISQUALIFY, actor="admin", reason="cheated", at_ms=0, user_id="ann")


def cancelling(*codes: str) -> Any:
    """A client."""

    def transact_write_items(**_: Any) -> None:
        reasons: Any = [{"Code": code} for code in codes]
        answer: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise ClientError(answer, "TransactWriteItems")

    exceptions = SimpleNamespace(TransactionCanceledException=ClientError)
    return SimpleNamespace(transact_write_items=transact_write_items, exceptions=exceptions)


@pytest.mark.parametrize(
    "codes", [("None", "ConditionalCheckFailed"), ("TransactionConflict", "ConditionalCheckFailed")]
)
def test_a_condition_that_does_not_hold_says_that_it_is_done(codes: tuple[str, str]) -> None:
    with pytest.raises(AlreadyDone):
        Finals(cancelling(*codes), "registry").strike("cup", "2026-W48", 0)


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_throttling_and_conflicts_do_not_pass_for_done(code: str) -> None:
    with pytest.raises(Unavailable):
        Finals(cancelling("None", code), "registry").strike("cup", "2026-W48", 0)


@pytest.mark.parametrize("code", ["ConditionalCheckFailed", "TransactionConflict"])
def test_the_number_of_an_act_is_taken_by_whoever_writes_it(code: str) -> None:
    with pytest.raises(Taken):
        Acts(cancelling(code, "None"), "registry").append("cup", ACT)


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_throttling_does_not_pass_for_an_act_of_somebody_else(code: str) -> None:
    with pytest.raises(Unavailable):
        Acts(cancelling(code, "None"), "registry").append("cup", ACT)
