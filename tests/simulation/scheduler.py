"""Who runs next, what time it is, and who crashes: all of it from one seed."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from greenlet import getcurrent, greenlet

from shared.cache import leases as builds
from shared.lookups.remembered import PATIENCE_MS
from shared.truth import work
from shared.truth.failures import Unavailable
from tests.simulation.course import SHARES, Course, Fault

TICK_MS_MAX = 40
EASES_STEPS = 100_000
"""From which on faults are a tenth as many. Few courses take so long: where one request in twenty fails, what takes
hundreds of them never comes to its end; a move to a pseudonym after several purges, say."""
HELD_S_MAX = 400
"""How long a process may stand still: for longer than anything waits that the past must be over for."""


class Crash(BaseException):
    """The process of an actor ends here, as by kill -9; nothing in the product may catch it.

    What the product would do on its way out, a process that is killed does not do: until the actor lives again, each of
    its calls to the outside ends as this one, without effect.
    """


class Scheduler:
    """Runs actors in turns. An actor gives up its turn at every call to the outside."""

    def __init__(self, course: Course, start_ms: int) -> None:
        self.rng = random.Random(course.seed)
        self._shares = {fault: share for fault, share in SHARES.items() if fault not in course.without}
        self._without = course.without
        self._is_faultless = course.is_faultless
        self.now_ms = start_ms
        self.calm = False
        """Nothing fails any more."""
        self._wake_ms: dict[greenlet, int] = {}
        """Until when each actor sleeps."""
        self._hub = getcurrent()
        self._killed: set[greenlet] = set()
        self._immortal: set[greenlet] = set()
        self._stoppable: set[greenlet] = set()
        self._holdable: set[greenlet] = set()
        self.held: set[greenlet] = set()
        """Who stands still now."""
        self._limits_ms: dict[greenlet, int] = {}
        """Until when the call that an actor is in may go on."""
        self.crashes = 0
        self.timeouts = 0
        """Calls that took longer than they may."""
        self.fault_counts: Counter[Fault] = Counter()
        self._ids = random.Random(f"ids {course.seed}")
        for module in (builds, work):
            module.uuid4 = self.new_id  # type: ignore[attr-defined]

    def new_id(self) -> UUID:
        """An id as the product draws them, the same one when the seed is taken again."""
        return UUID(int=self._ids.getrandbits(128), version=4)

    def spawn(
        self, life: Callable[[], None], *, mortal: bool = True, stoppable: bool = False, holdable: bool = False
    ) -> None:
        """Add an actor. It lives its life again from the start after each crash, until it ends by itself."""

        def live() -> None:
            while True:
                try:
                    life()
                except Crash:
                    self._killed.discard(getcurrent())
                    self._limits_ms.pop(getcurrent(), None)
                    self.held.discard(getcurrent())
                    continue
                return

        actor = greenlet(live, self._hub)
        if not mortal:
            self._immortal.add(actor)
        if stoppable:
            self._stoppable.add(actor)
        if holdable:
            self._holdable.add(actor)
        self._wake_ms[actor] = 0

    def stop(self) -> None:
        """End the lives of all that can be stopped, at once; they begin again."""
        for actor in self._stoppable & self._wake_ms.keys():
            self._killed.add(actor)
            self._wake_ms[actor] = 0

    def run(self, done: Callable[[], bool], steps_max: int = 200_000) -> None:
        """Give turns until `done`."""
        for step in range(steps_max):
            if done():
                return
            if step == EASES_STEPS:
                self._shares = {fault: share / 10 for fault, share in self._shares.items()}
            ready = [actor for actor, wake_ms in self._wake_ms.items() if wake_ms <= self.now_ms]
            if not ready:
                self.now_ms = min(self._wake_ms.values())
                continue
            actor = ready[int(self.rng.random() * len(ready))]
            self.now_ms += int(self.rng.random() * TICK_MS_MAX)
            if actor and actor not in self._immortal and self.fails(Fault.CRASH):
                self._killed.add(actor)
                self.crashes += 1
                actor.throw(Crash)
            else:
                actor.switch()
            if actor.dead:
                del self._wake_ms[actor]
        raise AssertionError(f"not done after {steps_max} steps")

    def pause(self) -> None:
        """A point at which others may run, and at which a process may die."""
        current = getcurrent()
        if current is self._hub:
            return
        if current not in self._killed:
            self._hub.switch()
            if self.now_ms > self._limits_ms.get(current, self.now_ms):
                self._killed.add(current)
                self.timeouts += 1
        if current in self._killed:
            raise Crash

    @contextmanager
    def time_limit(self, ms: int) -> Iterator[None]:
        """A call of a function, which Lambda kills when its time is up: closing counts on that."""
        if not self._is_faultless:
            self._limits_ms[getcurrent()] = self.now_ms + ms
        try:
            yield
        finally:
            self._limits_ms.pop(getcurrent(), None)

    def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        current = getcurrent()
        if current in self._wake_ms:
            self._wake_ms[current] = self.now_ms + int(seconds * 1000)
        self.pause()

    def hold(self) -> None:
        """Where something is about to be sent: maybe let its process stand still. It dies once that is sent."""
        current = getcurrent()
        if current in self._holdable and current not in self._killed and self.fails(Fault.HELD):
            self.held.add(current)
            self._limits_ms.pop(current, None)
            self.sleep(self.rng.uniform(0, HELD_S_MAX))
            self.held.discard(current)
            self._limits_ms[current] = self.now_ms - 1

    def has(self, fault: Fault) -> bool:
        """Whether a fault is part of this course."""
        return fault not in self._without

    def fails(self, fault: Fault) -> bool:
        """Whether a fault strikes here."""
        if self.calm or self.rng.random() >= self._shares.get(fault, 0):
            return False
        self.fault_counts[fault] += 1
        return True

    def clock(self) -> int:
        """The virtual time, in the form the product asks for it."""
        return self.now_ms


class InBackground:
    """Looks things up beside an actor, who waits for it a moment; as the product's, by the time of the world."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._running: set[Any] = set()

    def __call__(self, key: Any, read: Callable[[], Any]) -> Any:
        if key in self._running:
            raise Unavailable("it is being looked up")
        self._running.add(key)
        found: list[Any] = []

        def look() -> None:
            try:
                found.append(read())
            except Exception as error:  # noqa: BLE001 - as a future keeps it
                found.append(error)
            self._running.discard(key)

        self._scheduler.spawn(look, mortal=False)
        self._scheduler.sleep(PATIENCE_MS / 1000)
        if not found:
            raise Unavailable("no answer yet")
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]


def one_after_another(calls: Any) -> Any:
    """Runs independent calls in turn; their pauses let everybody else in between."""
    return [call() for call in calls]
