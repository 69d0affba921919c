"""What a final window is said to show while its result, its audit log or the registry changes around the read."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.audit import AuditAction, AuditEntry, Disqualified
from shared.domain.calendar import Day, daily
from shared.domain.rules import Aggregation, Leaderboard
from shared.lookups.results import Result
from shared.reads.corrections import Corrections, ResultState
from shared.truth.failures import Unavailable
from shared.truth.work import Due, Work

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
WINDOW = daily(Day(20_000))
ENTRY = AuditEntry(number=1, kind=AuditAction.DISQUALIFY, actor="admin", reason="why", at_ms=1, user_id="ann")


class Truth:
    """An audit log, a work list and results; counts the requests."""

    def __init__(self) -> None:
        self.audit_sequence, self.version, self.work = 0, 1, Work()
        self.requests = 0

    def now(self, _: str) -> Disqualified:
        self.requests += 1
        return Disqualified(audit_sequence=self.audit_sequence)

    def of(self, _: str) -> Work:
        self.requests += 1
        return self.work

    def latest(self, *_: Any) -> Result:
        self.requests += 1
        final: Any = SimpleNamespace(version=self.version)
        return Result(final, BOARD)


@pytest.fixture
def truth() -> Truth:
    return Truth()


@pytest.fixture
def corrections(truth: Truth) -> Corrections:
    parts: Any = truth
    return Corrections(parts, parts, parts)


def test_a_settled_window_costs_one_request_until_the_audit_log_grows(corrections: Corrections, truth: Truth) -> None:
    for requests in (3, 4, 5):
        assert corrections.state(BOARD, WINDOW) == ResultState(1, is_pending=False)
        assert truth.requests == requests

    truth.audit_sequence = 1
    assert corrections.state(BOARD, WINDOW) == ResultState(1, is_pending=False)
    assert truth.requests == 8


@pytest.mark.parametrize("work", [Work(audit_entries=[ENTRY]), Work(due=[Due(WINDOW, 1)])])
def test_what_is_on_the_work_list_is_pending_and_asked_for_each_time(
    corrections: Corrections, truth: Truth, work: Work
) -> None:
    corrections.state(BOARD, WINDOW)
    truth.audit_sequence, truth.work = 1, work
    for _ in range(2):
        assert corrections.state(BOARD, WINDOW) == ResultState(1, is_pending=True)

    truth.work, truth.version = Work(due=[Due(daily(Day(20_001)), 1)]), 2
    assert corrections.state(BOARD, WINDOW) == ResultState(2, is_pending=False), "that is another window's"


def test_a_registry_that_does_not_answer_settles_nothing(corrections: Corrections, truth: Truth) -> None:
    def away(_: str) -> Work:
        raise Unavailable("away")

    truth.of = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        corrections.state(BOARD, WINDOW)
    del truth.of
    truth.work = Work(audit_entries=[ENTRY])
    assert corrections.state(BOARD, WINDOW).is_pending
