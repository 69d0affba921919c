"""What a breaker is said to do."""

import time

import pytest
from circuitbreaker import CircuitBreaker

from shared.breakers import BreakerState, worst_state


def breaker(state: BreakerState) -> CircuitBreaker:
    made = CircuitBreaker(1, 3_600, ValueError)
    if state != "closed":
        with pytest.raises(ValueError), made:  # noqa: PT011 - whatever it is
            raise ValueError
    if state == "trial":
        made._opened = time.monotonic() - 3_601
    return made


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ((), "closed"),
        (("closed",), "closed"),
        (("trial",), "trial"),
        (("closed", "open", "trial"), "open"),
        (("closed", "trial", "closed"), "trial"),
    ],
)
def test_the_breaker_that_keeps_most_back_is_told(states: tuple[BreakerState, ...], worst: BreakerState) -> None:
    assert worst_state([None, *map(breaker, states)]) == worst
