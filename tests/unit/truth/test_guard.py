"""A DynamoDB that does not answer is left alone, and no request waits for longer than its budget."""

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from circuitbreaker import CircuitBreaker

from shared.truth.failures import Unavailable, meaning
from shared.truth.guard import SILENT, Guard, LeftAlone

FAILURES, BUDGET_MS = 3, 4_000
SILENCE = ReadTimeoutError(endpoint_url="dynamodb")


class Clock:
    """Seconds of a monotonic clock."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(CircuitBreaker(FAILURES, 3_600, SILENT), BUDGET_MS, clock)


def attempt(guard: Guard, failure: Exception | None = None) -> None:
    guard.before()
    guard.after(exception=failure)


def test_attempts_in_a_row_without_an_answer_are_the_last(guard: Guard) -> None:
    for _ in range(FAILURES):
        attempt(guard, SILENCE)
    with pytest.raises(LeftAlone, match="without an answer"):
        guard.before()


@pytest.mark.parametrize("answer", [None, ConnectionClosedError(endpoint_url="dynamodb")])
def test_whatever_answers_is_no_silence(guard: Guard, answer: Exception | None) -> None:
    for _ in range(3 * FAILURES):
        attempt(guard, SILENCE)
        attempt(guard, answer)


def test_a_request_begins_no_attempt_past_its_budget(guard: Guard, clock: Clock) -> None:
    attempt(guard)
    guard.begin()
    clock.now_s += BUDGET_MS / 1000
    attempt(guard)
    clock.now_s += 0.001
    with pytest.raises(LeftAlone, match="the time that it may wait"):
        guard.before()

    guard.begin(longer_ms=20_000)
    clock.now_s += 20
    attempt(guard)


def test_what_was_not_sent_is_not_counted_and_may_succeed_later(guard: Guard) -> None:
    left = LeftAlone(why="it is late")
    for _ in range(FAILURES):
        guard.after(exception=left)
    attempt(guard)
    assert isinstance(meaning(left), Unavailable)
