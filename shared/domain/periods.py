"""Registered periods: custom windows with a name."""

import msgspec

from shared.domain.calendar import Day, Window, custom


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A range of days that a leaderboard ranks by name. Both days are inclusive."""

    id: str
    name: str
    first: Day
    last: Day

    @property
    def window(self) -> Window:
        """The custom window it names; two periods over the same days share one."""
        return custom(self.first, self.last)
