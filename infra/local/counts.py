"""What became of the records, as the API's /metrics counts them: for the dashboard and `make status`."""

import urllib.request
from collections import Counter
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final

from msgspec import Struct
from prometheus_client.openmetrics.parser import text_string_to_metric_families

TIMEOUT_S: Final = 10
"""The API gives its own dependencies 4 s at most."""


class Counts(Struct, frozen=True):
    """Records by what became of them, since the topic was made; None is what could not be had."""

    applied: int
    duplicate: int
    rejected: Mapping[str, int]
    """By reason, those that there are."""
    dead_letters: int | None
    """Records that wait on the dead-letter queue, approximately."""

    @property
    def is_clean(self) -> bool:
        """Whether no record was rejected, nor waits as a dead letter."""
        return not self.rejected and not self.dead_letters

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.rejected.items()))
        rejected = f"{sum(self.rejected.values()):,} rejected" + (f" ({reasons})" if reasons else "")
        letters = "unknown" if self.dead_letters is None else f"{self.dead_letters:,}"
        return f"{self.applied:,} applied · {self.duplicate:,} duplicate · {rejected} · dead letters {letters}"


def fetch(url: str, timeout_s: float = TIMEOUT_S) -> Counts | None:
    """The counts of the API at `url`; None if it does not answer, or does not know them."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=timeout_s) as response:  # noqa: S310 - our own http URL
            return parse(response.read().decode())
    except (OSError, ValueError, HTTPException):
        return None


def parse(text: str) -> Counts | None:
    """The counts in OpenMetrics text; None if those of records are left out."""
    settled: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    dead_letters, is_told = None, False
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            if sample.name == "leaderboards_events_total":
                settled[sample.labels["result"]] += int(sample.value)
            elif sample.name == "leaderboards_events_rejected_total":
                rejected[sample.labels["reason"]] += int(sample.value)
            elif sample.name == "leaderboards_dead_letters":
                dead_letters = int(sample.value)
        is_told = is_told or family.name == "leaderboards_events"
    return Counts(settled["applied"], settled["duplicate"], +rejected, dead_letters) if is_told else None
