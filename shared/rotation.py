"""Who is looked after when: all leaderboards, one page after another, or those with work, in turn.

A run begins where the last one ended, whether it had no time left or was killed; so none that takes a whole run keeps
others waiting for good.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from shared.domain.rules import Leaderboard
from shared.truth.registry import Registry
from shared.truth.rounds import Rounds

PAGE_LEADERBOARDS: Final = 5_000
"""Definitions that stand in memory at once, about 1 KB each."""

Step = Callable[[], None]
"""A piece of work that may take long, such as a window."""
HasTime = Callable[[], bool]


def always() -> bool:
    """Whether there is time, for who has no limit."""
    return True


class Rotation:
    """Goes over all leaderboards by id."""

    def __init__(self, registry: Registry, rounds: Rounds, name: str) -> None:
        self._registry = registry
        self._rounds = rounds
        self._name = name

    def go(self, work: Callable[[Leaderboard], None], has_time: HasTime = always) -> int:
        """Look after all leaderboards that are not deleted, from the one that follows where the last run ended.

        Args:
            work: looks after one. What it raises ends the run; the next one begins behind that leaderboard or before.
            has_time: asked before each; what is left when it says no comes first in the next run.

        Returns:
            How many leaderboards are left.

        Raises:
            Unavailable: if the registry is out of reach.
        """
        last = self._rounds.read(self._name)
        after, left = last.after, 0
        self._rounds.note(self._name, after, ended=False)
        for leaderboard in self._from(after):
            if left or not has_time():
                left += 1
                continue
            after = leaderboard.id
            if not last.ended:  # at one of them the last run died: not at the same one again
                self._rounds.note(self._name, after, ended=False)
            work(leaderboard)
        self._rounds.note(self._name, after if left else None, ended=True)
        return left

    def _from(self, start: str | None) -> Iterator[Leaderboard]:
        yield from pages(self._registry, start)
        if start is not None:
            for leaderboard in pages(self._registry):
                if leaderboard.id > start:
                    return
                yield leaderboard


def pages(registry: Registry, after: str | None = None) -> Iterator[Leaderboard]:
    """All leaderboards that are not deleted, by id, from the one that follows `after`.

    Raises:
        Unavailable: if the registry is out of reach.
    """
    while page := registry.leaderboards(PAGE_LEADERBOARDS, after):
        yield from page
        if len(page) < PAGE_LEADERBOARDS:
            return
        after = page[-1].id


class Turns:
    """Does the work of several leaderboards in turn, one step of each after another.

    A leaderboard at which the last run ended, since one step took the rest of its time or killed it, comes when all
    others have no work left.
    """

    def __init__(self, rounds: Rounds, name: str) -> None:
        self._rounds = rounds
        self._name = name

    def take(
        self, steps: Mapping[str, Iterator[Step]], has_time: HasTime, failed: Callable[[str, Exception], None]
    ) -> tuple[set[str], set[str]]:
        """Do the steps of all leaderboards, until they are done or there is no time left.

        Args:
            steps: by leaderboard id, in their order; each is only asked for when the one before it is done.
            has_time: asked before each step.
            failed: is told what a leaderboard raised. The rest of its steps is for the next run.

        Returns:
            Those that had no turn, and those that had one and have steps left.

        Raises:
            Unavailable: if it can't be noted whose turn it is.
        """
        if not steps:
            return set(), set()
        last = self._rounds.read(self._name).after
        order = sorted(steps, key=lambda one: (one == last, last is not None and one < last, one))
        served: set[str] = set()
        waiting = set(order)
        queue = deque(order)
        while queue and has_time():
            name = queue.popleft()
            if name == last and queue:
                queue.append(name)
                continue
            step = _next(name, steps[name], failed)
            if step is not None:
                self._rounds.note(self._name, name, ended=False)
                served.add(name)
                if _done(name, step, failed):
                    queue.append(name)
                    continue
            waiting.discard(name)
        unfinished = [one for one in order if one in waiting & served]
        begun = {one for one in unfinished if _next(one, steps[one], failed) is not None}
        if not (left := (waiting - served) | begun) and (served or last is not None):
            self._rounds.note(self._name, None, ended=True)
        return left - begun, begun


def _next(name: str, steps: Iterator[Step], failed: Callable[[str, Exception], None]) -> Step | None:
    try:
        return next(steps, None)
    except Exception as error:  # noqa: BLE001 - one leaderboard keeps no other waiting
        failed(name, error)
        return None


def _done(name: str, step: Step, failed: Callable[[str, Exception], None]) -> bool:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - as above
        failed(name, error)
        return False
    return True
