"""Who runs next, what time it is, and who crashes: all of it from one seed."""

import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

from tests.simulation.course import SHARES, Course, Fault

TICK_MS_MAX = 40


class Crash(BaseException):
    """The process of an actor ends here, as by kill -9; nothing in the product may catch it."""


class Scheduler:
    """Runs actors in turns. An actor gives up its turn at every call to the outside."""

    def __init__(self, course: Course, start_ms: int) -> None:
        self.rng = random.Random(course.seed)
        self._without = course.without
        self.now_ms = start_ms
        self.calm = False
        """Nothing fails any more."""
        self._actors: dict[str, greenlet] = {}
        self._wake_ms: dict[str, int] = {}
        self._hub = getcurrent()
        self.crashes = 0

    def spawn(self, name: str, life: Callable[[], None]) -> None:
        """Add an actor. It lives its life again from the start after each crash, until it ends by itself."""

        def live() -> None:
            while True:
                try:
                    life()
                except Crash:
                    self.crashes += 1
                    continue
                return

        self._actors[name] = greenlet(live, self._hub)
        self._wake_ms[name] = 0

    def run(self, done: Callable[[], bool], steps_max: int = 200_000) -> None:
        """Give turns until `done`."""
        for _ in range(steps_max):
            if done():
                return
            ready = [name for name in self._actors if self._wake_ms[name] <= self.now_ms]
            if not ready:
                self.now_ms = min(self._wake_ms.values())
                continue
            name = self.rng.choice(ready)
            self.now_ms += self.rng.randrange(TICK_MS_MAX)
            actor = self._actors[name]
            if actor and self.fails(Fault.CRASH):
                actor.throw(Crash)
            else:
                actor.switch()
            if actor.dead:
                del self._actors[name], self._wake_ms[name]
        raise AssertionError(f"not done after {steps_max} steps")

    def pause(self) -> None:
        """A point at which others may run, and at which a process may die."""
        if getcurrent() is not self._hub:
            self._hub.switch()

    def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        current = getcurrent()
        for name, actor in self._actors.items():
            if actor is current:
                self._wake_ms[name] = self.now_ms + int(seconds * 1000)
        self.pause()

    def fails(self, fault: Fault) -> bool:
        """Whether a fault strikes here."""
        return not self.calm and fault not in self._without and self.rng.random() < SHARES[fault]

    def clock(self) -> int:
        """The virtual time, in the form the product asks for it."""
        return self.now_ms


def one_after_another(calls: Any) -> Any:
    """Runs independent calls in turn; their pauses let everybody else in between."""
    return [call() for call in calls]
