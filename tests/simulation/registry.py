"""A stand-in of the registry: definitions in versions, and periods, which may change."""

import copy
from collections.abc import Iterable
from typing import Final, Self

import msgspec
from msgspec.structs import replace

from shared.domain.calendar import Day, Window
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.truth.failures import passing_as_unavailable
from shared.truth.items import period_text
from shared.truth.keys import LEADERBOARDS, SERIES, final_sort, leaderboard_partition, period_sort, series_sort
from shared.truth.registry import Conflict
from shared.truth.work import due_item
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
    ) -> None:
        self._scheduler = scheduler
        self._dynamo = dynamo
        self._items = dynamo.tables[_TABLE]
        self.history: dict[str, list[Leaderboard]] = {}
        """Every version of each leaderboard, from the first."""
        self.lateness_ms: dict[str, set[int]] = {}
        """How late events of each leaderboard ever might come, by versions that a restore took back, too."""
        self.period_changes: list[tuple[str, Period | None, Period | None]] = []
        """Leaderboard and a period before and after a change, in the order in which they were made."""
        self.archived_ms: dict[str, list[int]] = {}
        """When each leaderboard was ever archived, likewise."""
        self.unknown: set[str] = set()
        """Leaderboards that are still to be created."""
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
        is_known = leaderboard_id in self.history and leaderboard_id not in self.unknown
        return self.current(leaderboard_id) if is_known else None

    def rules(self, leaderboard_id: str, version: int) -> Leaderboard:
        self._reach()
        return self.history[leaderboard_id][version - 1].at(self._scheduler.now_ms)

    def rules_for(self, leaderboard: Leaderboard, window: Window) -> Leaderboard | None:
        self._reach()
        earlier = self.history[leaderboard.id][: leaderboard.version - 1]
        return next((one for one in reversed(earlier) if one.counts_for(window)), None)

    def leaderboards(self, limit: int, after: str | None = None, *, archived: bool = False) -> list[Leaderboard]:
        found = [self.leaderboard(name) for name in sorted(self.history) if after is None or name > after]
        return [one for one in found if one is not None and (archived or not one.archived)][:limit]

    def periods(self, leaderboard_id: str) -> list[Period]:
        self._reach()
        return self.registered(leaderboard_id)

    def registered(self, leaderboard_id: str) -> list[Period]:
        """The periods that are registered now."""
        partition, prefix = leaderboard_partition(leaderboard_id), period_sort("")
        sorts = sorted(sort for of, sort in self._items if of == partition and sort.startswith(prefix))
        return [msgspec.json.decode(self._items[partition, sort]["body"]["S"], type=Period) for sort in sorts]

    def period(self, leaderboard_id: str, period_id: str) -> Period | None:
        self._reach()
        return self.registered_as(leaderboard_id, period_id)

    def registered_as(self, leaderboard_id: str, period_id: str) -> Period | None:
        """A period as it is now."""
        return next((one for one in self.registered(leaderboard_id) if one.id == period_id), None)

    def save_period(self, leaderboard_id: str, period: Period, *, before: Period | None = None) -> None:
        """In one transaction, as in the product: with a note of work if its last day refuses events already."""
        self._reach()
        self._check_unchanged(leaderboard_id, period.id, before)
        if before is None and (SERIES, series_sort(leaderboard_id, period.id)) in self._items:
            raise Conflict(period.id)
        if before is not None and before.window != period.window:
            self._check_not_final(leaderboard_id, before)
        place = (leaderboard_partition(leaderboard_id), period_sort(period.id))
        self._items[place] = {"pk": {"S": place[0]}, "sk": {"S": place[1]}, "body": {"S": period_text(period)}}
        self.period_changes.append((leaderboard_id, before, period))
        if self.current(leaderboard_id).rejects(period.last):
            item = due_item(leaderboard_id, period.window.id)
            self._items[item["pk"]["S"], item["sk"]["S"]] = item
        self._scheduler.pause()

    def delete_period(self, leaderboard_id: str, period: Period) -> None:
        self._reach()
        self._check_unchanged(leaderboard_id, period.id, period)
        self._check_not_final(leaderboard_id, period)
        del self._items[leaderboard_partition(leaderboard_id), period_sort(period.id)]
        self.period_changes.append((leaderboard_id, period, None))
        self._scheduler.pause()

    def _check_unchanged(self, leaderboard_id: str, period_id: str, before: Period | None) -> None:
        if self.registered_as(leaderboard_id, period_id) != before:
            raise Conflict(period_id)

    def _check_not_final(self, leaderboard_id: str, period: Period) -> None:
        if (leaderboard_partition(leaderboard_id), final_sort(period.window.id)) in self._items:
            raise Conflict(period.id)

    def save(self, leaderboard: Leaderboard, *, has_events_as_read: bool = False) -> None:
        assert not has_events_as_read, "every one that changes has events"
        self._reach()
        begins = leaderboard.effective_from
        if begins is not None and self.current(leaderboard.id).rejects(begins):
            raise Conflict(leaderboard.id)
        if leaderboard.version != len(self.history[leaderboard.id]) + 1:
            raise Conflict(leaderboard.id)
        self._write(leaderboard)
        self._reach()

    def save_purge(self, leaderboard: Leaderboard) -> None:
        """As `save`, unless there is a result."""
        self._reach()
        item = self._items[LEADERBOARDS, leaderboard.id]
        if leaderboard.version != len(self.history[leaderboard.id]) + 1 or "has_results" in item:
            raise Conflict(leaderboard.id)
        self._write(leaderboard)
        item = self._items[LEADERBOARDS, leaderboard.id]
        self._items[LEADERBOARDS, leaderboard.id] = item | {"last_start": {"N": str(leaderboard.last_start_ms)}}
        self._reach()

    def starts_ms(self, leaderboard_id: str) -> tuple[int, ...]:
        """When a leaderboard starts over."""
        return self.history[leaderboard_id][-1].starts_ms if leaderboard_id in self.history else ()

    def _write(self, leaderboard: Leaderboard) -> None:
        self.history.setdefault(leaderboard.id, []).append(leaderboard)
        self.lateness_ms.setdefault(leaderboard.id, set()).add(leaderboard.lateness_ms)
        if leaderboard.archived:
            self.archived_ms.setdefault(leaderboard.id, []).append(leaderboard.updated_at_ms)
        place = (LEADERBOARDS, leaderboard.id)
        key = dict(zip(("pk", "sk"), ({"S": part} for part in place), strict=True))
        self._items[place] = key | self._items.get(place, {}) | {"version": {"N": str(leaderboard.version)}}

    def written(self, leaderboard_id: str) -> list[tuple[int, int]]:
        """When each version was written, as its definition has it, and its number."""
        return [(one.updated_at_ms, one.version) for one in self.history[leaderboard_id]]

    def current(self, leaderboard_id: str) -> Leaderboard:
        """A definition as it is now, with the scores of now."""
        item = self._items[LEADERBOARDS, leaderboard_id]
        names = ("sealing_through", "seals_at", "sealed_through", "results_from")
        refusing, at, closed, owed = (int(item[name]["N"]) if name in item else None for name in names)
        definition = self.history[leaderboard_id][-1]
        nothing_owed = item.get("nothing_owed_version") == {"N": str(definition.version)}
        return replace(
            definition,
            nothing_owed=definition.archived and nothing_owed,
            sealing_through=None if refusing is None else Day(refusing),
            seals_at_ms=at,
            sealed_through=None if closed is None else Day(closed),
            results_from=None if owed is None else Day(owed),
            pseudonyms=int(item["pseudonyms"]["N"]) if "pseudonyms" in item else 0,
            moving=item["moving"]["S"] if "moving" in item else None,
        ).at(self._scheduler.now_ms)
