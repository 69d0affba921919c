"""Accounts of what is registered for series."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.domain.calendar import Window
from shared.domain.periods import Period
from shared.domain.series import Series
from shared.truth.keys import SERIES, leaderboard_partition, period_sort
from tests.support.dynamodb import Place, Table


class SeriesAccounts:
    """What transactions have registered for series."""

    def __init__(self) -> None:
        self.windows: dict[str, set[Window]] = {}
        """Leaderboard → of every occurrence that there ever was."""
        self.registered: set[tuple[str, str]] = set()
        """Leaderboard and id of occurrences, since their series was last changed."""
        self.twice: list[tuple[str, str]] = []
        """Those that were registered again, though nobody had changed the series."""

    def note(self, actions: Sequence[Mapping[str, Any]], table: Table) -> None:
        """Take in what a transaction is about to write."""
        written = [action for action in actions if _place(action)[0] == SERIES and "UpdateExpression" not in action]
        if not written:
            return
        periods = [one["Item"] for one in actions if "Item" in one and one["Item"]["sk"]["S"].startswith("period#")]
        for item in periods:
            period = msgspec.json.decode(item["body"]["S"], type=Period)
            name = item["pk"]["S"].removeprefix("leaderboard#")
            self.windows.setdefault(name, set()).add(period.window)
            if (name, period.id) in self.registered:
                self.twice.append((name, period.id))
            self.registered.add((name, period.id))
        if not periods and not _passes_over(written[0], table):
            name, _, series_id = _place(written[0])[1].partition("#")
            deleted = {_place(one) for one in actions if "Item" not in one and "body = " in one["ConditionExpression"]}
            self._forget(name, series_id, table.keys() - deleted)

    def _forget(self, name: str, series_id: str, stay: Set[Place]) -> None:
        """A series that is changed may register again what was deleted."""
        partition = leaderboard_partition(name)
        self.registered -= {
            (of, period_id)
            for of, period_id in self.registered
            if of == name and period_id.startswith(f"{series_id}~") and (partition, period_sort(period_id)) not in stay
        }


def _passes_over(written: Mapping[str, Any], table: Table) -> bool:
    before = table.get(_place(written))
    if before is None or "Item" not in written:
        return False
    was, becomes = (msgspec.json.decode(item["body"]["S"], type=Series) for item in (before, written["Item"]))
    return replace(was, next=was.next + 1) == becomes


def _place(action: Mapping[str, Any]) -> Place:
    key = action.get("Item") or action["Key"]
    return key["pk"]["S"], key["sk"]["S"]
