"""A stand-in of the registry: definitions in versions, and periods."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

from msgspec.structs import replace

from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.domain.windows import Day
from shared.truth.failures import passing_as_unavailable
from shared.truth.keys import LEADERBOARDS
from shared.truth.registry import Conflict
from tests.simulation.aws import Dynamo
from tests.simulation.scheduler import Scheduler

_TABLE: Final = "registry"


class Registry:
    """Definitions stand beside what closing writes to their items, as in the product: conditions hold for both."""

    def __init__(
        self,
        scheduler: Scheduler,
        dynamo: Dynamo,
        leaderboards: Iterable[Leaderboard],
        periods: Mapping[str, Sequence[Period]],
    ) -> None:
        self._scheduler = scheduler
        self._dynamo = dynamo
        self._periods = periods
        self._items = dynamo.tables[_TABLE]
        self.history: dict[str, list[Leaderboard]] = {}
        """Every version of each leaderboard, from the first."""
        self.lateness_ms: dict[str, set[int]] = {}
        """How late events of each leaderboard ever might come, by versions that a restore took back, too."""
        for one in leaderboards:
            self._write(one)

    def by(self, client: Dynamo) -> Self:
        """The same registry by another client."""
        registry = copy.copy(self)
        registry._dynamo = client
        return registry

    def _reach(self) -> None:
        """As PynamoDB does: what is no answer is raised as what it means."""
        self._scheduler.pause()
        with passing_as_unavailable():
            self._dynamo.wait_for_answer()

    def leaderboard(self, leaderboard_id: str) -> Leaderboard | None:
        self._reach()
        return self.current(leaderboard_id) if leaderboard_id in self.history else None

    def rules(self, leaderboard_id: str, version: int) -> Leaderboard:
        self._reach()
        return self.history[leaderboard_id][version - 1]

    def leaderboards(self, _limit: int) -> list[Leaderboard]:
        found = [self.leaderboard(name) for name in self.history]
        return [one for one in found if one is not None and not one.closed]

    def periods(self, leaderboard_id: str) -> Sequence[Period]:
        self._reach()
        return self._periods.get(leaderboard_id, [])

    def save(self, leaderboard: Leaderboard) -> None:
        self._reach()
        if leaderboard.version != len(self.history[leaderboard.id]) + 1:
            raise Conflict(leaderboard.id)
        self._write(leaderboard)
        self._reach()

    def _write(self, leaderboard: Leaderboard) -> None:
        self.history.setdefault(leaderboard.id, []).append(leaderboard)
        self.lateness_ms.setdefault(leaderboard.id, set()).add(leaderboard.lateness_ms)
        place = (LEADERBOARDS, leaderboard.id)
        self._items[place] = {**self._items.get(place, {}), "version": {"N": str(leaderboard.version)}}

    def current(self, leaderboard_id: str) -> Leaderboard:
        """A definition as it is now."""
        item, names = self._items[LEADERBOARDS, leaderboard_id], ("refusing_through", "closes_at", "closed_through")
        refusing, at, closed = (int(item[name]["N"]) if name in item else None for name in names)
        return replace(
            self.history[leaderboard_id][-1],
            refusing_through=None if refusing is None else Day(refusing),
            closes_at_ms=at,
            closed_through=None if closed is None else Day(closed),
        )
