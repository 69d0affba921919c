"""What a breaker does at the moment, in words for people."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from circuitbreaker import CircuitBreaker

BreakerState = Literal["closed", "trial", "open"]
"""`closed` lets calls through, `open` keeps them back, `trial` lets the next one find out."""

_STATES: Final[tuple[tuple[str, BreakerState], ...]] = (("open", "open"), ("half_open", "trial"))
"""The library's word and ours, the worst first."""


def worst_state(breakers: "Iterable[CircuitBreaker | None]") -> BreakerState:
    """The state of the breaker that keeps most from its store; `closed` if there is none."""
    found = {one.state for one in tuple(breakers) if one is not None}
    return next((ours for theirs, ours in _STATES if theirs in found), "closed")
