"""The leaderboards that a stack under test is fed with."""

from collections.abc import Sequence
from datetime import date, timedelta

from tests.support import oracle, rejections
from tests.support.stack import System, TopicRecord
from tests.support.traffic import BOARDS, DELETED, STRICT
from tests.support.windows import Window, calendar


class Boards:
    """The leaderboards of the traffic, made over the API, and their windows."""

    def __init__(self, days: Sequence[date], prefixes: Sequence[str] = ("",)) -> None:
        """`days` are those on which events occur; every leaderboard is there once for each prefix of its id."""
        self.days = days
        self.prefixes = prefixes
        named = {**BOARDS, "strict": STRICT}
        self.definitions = {f"{prefix}{name}": body for prefix in self.prefixes for name, body in named.items()}
        self.deleted = [f"{prefix}deleted" for prefix in self.prefixes]
        self.with_period = [f"{prefix}{name}" for prefix in self.prefixes for name in BOARDS]

    @property
    def period(self) -> tuple[date, date]:
        """The days of the period that is registered before the first event."""
        return self.days[2], self.days[2] + timedelta(days=13)

    def make(self, system: System) -> None:
        """Put all of them over the API, and delete what is to be deleted."""
        for board, body in self.definitions.items():
            system.put(f"/leaderboards/{board}", body)
        for board in self.deleted:
            system.put(f"/leaderboards/{board}", DELETED)
            assert system.request("DELETE", f"/leaderboards/{board}").status_code == 204
        first, last = self.period
        period = {"name": "Fortnight", "from": first.isoformat(), "to": last.isoformat()}
        for board in self.with_period:
            system.put(f"/leaderboards/{board}/periods/fortnight", period)

    def windows(self, board: str) -> list[Window]:
        """Every window that holds an event, and some that hold none."""
        found = calendar(self.days[0], self.days[-1])
        bounds = {"from": self.days[1].isoformat(), "to": self.days[-2].isoformat()}
        found.append(Window({"window": "custom", **bounds}, self.days[1], self.days[-2]))
        if board in self.with_period:
            found.append(Window({"window": "custom", "period": "fortnight"}, *self.period))
        return found

    def reference(self, records: Sequence[TopicRecord]) -> oracle.Oracle:
        """An oracle that has seen all of the records."""
        definitions = self.definitions | dict.fromkeys(self.deleted, DELETED)
        return rejections.reference_of(definitions, self.deleted, records)
