"""What is known already is said while the truth keeps silent; nobody waits for it twice."""

from collections.abc import Callable
from threading import Event

import pytest

from shared.lookups.remembered import InBackground, Lookup, Remembered, at_once
from shared.truth.failures import Unavailable
from tests.support.stack import until

KEEP_MS = 5_000
HANGS_S = 30
"""Longer than twenty reads that do not wait ever take; a test that fails ends all the same."""


class Truth:
    """Answers with how often it was asked; while it hangs, not at all."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.asked = 0
        self.answers = Event()
        self.answers.set()
        self.failure: Exception | None = None

    def read(self) -> int:
        self.asked += 1
        asked = self.asked
        self.answers.wait(HANGS_S)
        if self.failure is not None:
            raise self.failure
        return asked


@pytest.fixture
def truth() -> Truth:
    return Truth()


def kept(truth: Truth, lookup: Lookup = at_once, most: int = 10) -> Callable[[str], int]:
    values: Remembered[str, int] = Remembered(KEEP_MS, most, lambda: truth.now_ms, lookup)
    return lambda key: values.get(key, truth.read)


def test_a_value_is_kept_for_a_while_and_no_more_of_them_than_there_is_room_for(truth: Truth) -> None:
    get = kept(truth, most=2)

    assert [get("a"), get("a"), get("b"), get("a")] == [1, 1, 2, 1]
    assert [get("c"), get("a")] == [3, 4]
    truth.now_ms += KEEP_MS
    assert get("c") == 5


def test_what_is_known_is_said_while_the_truth_is_out_of_reach_and_nothing_else(truth: Truth) -> None:
    get = kept(truth)
    assert get("a") == 1
    truth.now_ms += KEEP_MS
    truth.failure = Unavailable("away")

    assert get("a") == 1
    with pytest.raises(Unavailable):
        get("b")


def test_what_is_gone_is_not_said_again(truth: Truth) -> None:
    get = kept(truth)
    assert get("a") == 1
    truth.now_ms += KEEP_MS
    truth.failure = KeyError("gone")
    with pytest.raises(KeyError):
        get("a")
    truth.failure = Unavailable("away")
    with pytest.raises(Unavailable):
        get("a")


def test_a_truth_that_hangs_is_asked_once_and_what_it_says_at_last_is_taken(truth: Truth) -> None:
    get = kept(truth, InBackground(patience_ms=1))
    assert get("a") == 1
    truth.now_ms += KEEP_MS
    truth.answers.clear()

    assert [get("a") for _ in range(20)] == [1] * 20
    assert [get("a") for _ in range(20)] == [1] * 20
    truth.answers.set()
    until(lambda: get("a") == 2, "the late answer")
    assert truth.asked == 2
