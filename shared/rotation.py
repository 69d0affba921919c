"""The order in which schedules work on leaderboards: all of them by id, or those with work in turn.

A run begins where the last one ended, whether that had no time left or was killed. So a leaderboard that takes a whole
run does not starve the others.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from shared.domain.rules import Leaderboard
from shared.truth.registry import Registry
from shared.truth.rounds import Rounds

PAGE_LEADERBOARDS: Final = 5_000
"""Definitions in memory at once, about 1 KB each."""

Step = Callable[[], None]
"""A piece of work that may take long, such as a window."""
HasTime = Callable[[], bool]
Failed = Callable[[str, Exception], None]
"""Is called with a leaderboard id and what the work on it raised."""


def always() -> bool:
    """There is always time: for callers without a limit."""
    return True


class Rotation:
    """Works on all leaderboards, by id."""

    def __init__(
        self,
        registry: Registry,
        rounds: Rounds,
        name: str,
        includes: Callable[[Leaderboard], bool] = lambda one: not one.archived,
    ) -> None:
        """`includes` says which leaderboards are worked on: by default those that are not archived."""
        self._registry = registry
        self._rounds = rounds
        self._name = name
        self._includes = includes

    def run(self, work: Callable[[Leaderboard], None], has_time: HasTime = always) -> int:
        """Work on all leaderboards that are included, from the one that follows the end of the last run.

        Args:
            work: is called with each. What it raises ends the run; the next run begins at that leaderboard or after it.
            has_time: is called before each; those that are left when it returns False come first in the next run.

        Returns:
            How many leaderboards are left.

        Raises:
            Unavailable: if DynamoDB is out of reach.
        """
        last = self._rounds.read(self._name)
        after, left = last.after, 0
        self._rounds.record(self._name, after, ended=False)
        for leaderboard in self._from(after):
            if left or not has_time():
                left += 1
                continue
            after = leaderboard.id
            if not last.ended:  # the last run died at one of them: begin the next run after it
                self._rounds.record(self._name, after, ended=False)
            work(leaderboard)
        self._rounds.record(self._name, after if left else None, ended=True)
        return left

    def _from(self, start: str | None) -> Iterator[Leaderboard]:
        yield from filter(self._includes, pages(self._registry, start))
        if start is not None:
            for leaderboard in pages(self._registry):
                if leaderboard.id > start:
                    return
                if self._includes(leaderboard):
                    yield leaderboard


def pages(registry: Registry, after: str | None = None) -> Iterator[Leaderboard]:
    """All leaderboards, archived ones too, by id, from the one that follows `after`.

    Raises:
        Unavailable: if DynamoDB is out of reach.
    """
    while page := registry.leaderboards(PAGE_LEADERBOARDS, after, archived=True):
        yield from page
        if len(page) < PAGE_LEADERBOARDS:
            return
        after = page[-1].id


class Turns:
    """Works on several leaderboards in turn, one step of each after another.

    The leaderboard at which the last run ended, since a step took the rest of its time or killed it, comes after all
    others have no steps left.
    """

    def __init__(self, rounds: Rounds, name: str) -> None:
        self._rounds = rounds
        self._name = name

    def run(self, steps: Mapping[str, Iterator[Step]], has_time: HasTime, failed: Failed) -> tuple[set[str], set[str]]:
        """Take the steps of all leaderboards, until all are taken or there is no time left.

        Args:
            steps: by leaderboard id, in their order; each is computed when the one before it is done.
            has_time: is called before each step.
            failed: is called with what a leaderboard raises. The rest of its steps is left to the next run.

        Returns:
            Leaderboards that had no turn, and those that had one and have steps left.

        Raises:
            Unavailable: if DynamoDB is out of reach.
        """
        if not steps:
            return set(), set()
        last = self._rounds.read(self._name).after
        order = sorted(steps, key=lambda one: (one == last, last is not None and one < last, one))
        waiting, served = self._take(order, last, steps, has_time, failed)
        unfinished = [one for one in order if one in waiting & served]
        begun = {one for one in unfinished if _next(one, steps[one], failed) is not None}
        left = (waiting - served) | begun
        if not left and (served or last is not None):
            self._rounds.record(self._name, None, ended=True)
        return left - begun, begun

    def _take(
        self,
        order: Sequence[str],
        last: str | None,
        steps: Mapping[str, Iterator[Step]],
        has_time: HasTime,
        failed: Failed,
    ) -> tuple[set[str], set[str]]:
        """Leaderboards whose steps are not known to be done, and those that had a turn."""
        waiting, served, queue = set(order), set[str](), deque(order)
        while queue and has_time():
            name = queue.popleft()
            if name == last and queue:
                queue.append(name)
                continue
            step = _next(name, steps[name], failed)
            if step is not None:
                self._rounds.record(self._name, name, ended=False)
                served.add(name)
                if _done(name, step, failed):
                    queue.append(name)
                    continue
            waiting.discard(name)
        return waiting, served


def _next(name: str, steps: Iterator[Step], failed: Failed) -> Step | None:
    try:
        return next(steps, None)
    except Exception as error:  # noqa: BLE001 - a leaderboard that fails does not stop the others
        failed(name, error)
        return None


def _done(name: str, step: Step, failed: Failed) -> bool:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - a leaderboard that fails does not stop the others
        failed(name, error)
        return False
    return True
