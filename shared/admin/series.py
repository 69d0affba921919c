"""Registers the occurrences of series: ahead of time, each once, and none too many."""

from collections.abc import Callable
from typing import Final

from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.domain.series import Series
from shared.truth.registry import Registry
from shared.truth.series import SeriesRecords

OCCURRENCES_AT_ONCE: Final = 50
"""Occurrences of one series that one call registers, one transaction each; the next call goes on."""


class Occurrences:
    """Makes registered periods of series. They are closed, paid and listed like any other."""

    def __init__(self, series: SeriesRecords, registry: Registry, now_ms: Callable[[], int]) -> None:
        self._series = series
        self._registry = registry
        self._now_ms = now_ms

    def make(self, leaderboard: Leaderboard, series: Series) -> tuple[Series, list[Period]]:
        """Register the occurrences that are due, also those that nobody has made in time.

        Args:
            leaderboard: whose series, as it was read.
            series: as it was read.

        Returns:
            The series as it is then, and what was registered; no more than OCCURRENCES_AT_ONCE.

        Raises:
            Conflict: if another worker makes them, or the series or the definition has been changed.
            Unavailable: if DynamoDB throttles or is out of reach.
        """
        made: list[Period] = []
        if leaderboard.archived:
            return series, made
        for _ in range(OCCURRENCES_AT_ONCE):
            period = series.due(leaderboard.calendar.day_of(self._now_ms()))
            if period is None:
                break
            if self._registry.period(leaderboard.id, period.id) is not None:
                series = self._series.pass_over(leaderboard.id, series)
                continue
            series = self._series.make(leaderboard, series, period)
            made.append(period)
        return series, made

    def is_up_to_date(self, leaderboard: Leaderboard, series: Series) -> bool:
        """Whether no occurrence is due."""
        return series.due(leaderboard.calendar.day_of(self._now_ms())) is None
