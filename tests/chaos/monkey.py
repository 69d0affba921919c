"""Strikes processes down, with whatever they are about to do and, of one, with all it knows."""

import shutil
import time
from typing import Final

from redis import Redis

from infra.local.stack import Stack
from tests.chaos.line import CUT_S, Line
from tests.chaos.plan import VICTIMS, Kind
from tests.chaos.timeline import Timeline
from tests.chaos.workers import Keeper

STRUCK_WITHIN_S: Final = 60
"""A process that is being started again after the strike before is waited for as long."""
RETRY_S: Final = 0.05
FLUSH_TIMEOUT_S: Final = 10


class Monkey:
    """Carries out strikes and sees when their victims are back."""

    def __init__(self, stack: Stack, truth_line: Line, keeper: Keeper, timeline: Timeline) -> None:
        self._stack = stack
        self._truth_line = truth_line
        self._keeper = keeper
        self._timeline = timeline

    def strike(self, kind: Kind) -> None:
        """Strike, as soon as there is a living process to be struck.

        Raises:
            TimeoutError: if there is none.
        """
        attempt = self._flush if kind is Kind.FLUSH else self._kill
        deadline = time.monotonic() + STRUCK_WITHIN_S
        while not attempt(kind):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{VICTIMS[kind]} did not come back to be struck by {kind}")
            time.sleep(RETRY_S)

    def watch(self) -> None:
        """Note which victims answer again."""
        for disturbance in self._timeline.open():
            if disturbance.struck_s is None or disturbance.back_s is not None:
                continue
            if self._stack.process(VICTIMS[disturbance.kind]).is_ready():
                disturbance.back_s = self._timeline.now_s()

    def _kill(self, kind: Kind) -> bool:
        name = VICTIMS[kind]
        with self._keeper.alone():
            if not self._stack.process(name).is_alive():
                return False
            disturbance = self._timeline.begin(kind)
            if kind is Kind.DYNAMODB:
                self._truth_line.cut()
                time.sleep(CUT_S)
            self._stack.kill(name)
            self._truth_line.mend()
            if kind is Kind.CACHE_EMPTIED:
                shutil.rmtree(self._stack.config.directory / "cache" / "appendonlydir")
            disturbance.struck_s = self._timeline.now_s()
        return True

    def _flush(self, kind: Kind) -> bool:
        if not self._stack.process(VICTIMS[kind]).is_ready():
            return False
        disturbance = self._timeline.begin(kind)
        with Redis.from_url(self._stack.environment["CACHE_URL"], socket_timeout=FLUSH_TIMEOUT_S) as client:
            client.flushall()
        disturbance.struck_s = self._timeline.now_s()
        return True
