"""Labels: which value of each of a leaderboard's filters a player carries. Folded like scores, in any order.

Of a day or a window a player carries the value of the latest of their accepted events in it that has the attribute:
by `occurredAt`, then by event id. That is a maximum, so it is commutative, associative and idempotent.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shared.domain.events import ScoreEvent

FILTER_NAME_PATTERN: Final = r"^[a-zA-Z][a-zA-Z0-9_]{0,31}\Z"
FILTERS_MAX: Final = 4
"""Attributes by which one leaderboard can be filtered: each makes an entry of a window take one more place of the
cache."""

COLUMN_PREFIX: Final = "attr."
"""What the name of a column begins with that holds the values of a filter."""

FilterName = Annotated[str, Meta(pattern=FILTER_NAME_PATTERN)]
"""Of an attribute that events may carry."""


class Label(msgspec.Struct, frozen=True, gc=False):
    """The value that a player carries of one filter, and the event that gave it to them."""

    filter: str
    value: str
    occurred_at_ms: int
    event_id: str


def labels_of(filters: Iterable[str], event: ScoreEvent) -> tuple[Label, ...]:
    """The labels that an event gives, in the order of the filters."""
    given = event.attributes
    return tuple(Label(name, given[name], event.occurred_at_ms, event.event_id) for name in filters if name in given)


def latest_labels(labels: Sequence[Label], others: Sequence[Label]) -> tuple[Label, ...]:
    """Of each filter the later label, by time, then by event id; by the filter's name, so that equal is equal."""
    if not labels or not others:
        return tuple(sorted(labels or others, key=_filter))
    latest = {label.filter: label for label in labels}
    for label in others:
        known = latest.get(label.filter)
        if known is None or _later(label) > _later(known):
            latest[label.filter] = label
    return tuple(sorted(latest.values(), key=_filter))


def columns_of(filters: Sequence[str]) -> list[str]:
    """The columns of a file that hold the values of filters, in their order: `attr.country`.

    No other column has a dot, and no filter. Readers of some formats take two names for one that differ in case alone:
    the later gets its number, `attr.Country.2`.
    """
    lower = [name.lower() for name in filters]
    return [
        f"{COLUMN_PREFIX}{name}" if lower.index(name.lower()) == number else f"{COLUMN_PREFIX}{name}.{number + 1}"
        for number, name in enumerate(filters)
    ]


def _later(label: Label) -> tuple[int, str]:
    return label.occurred_at_ms, label.event_id


def _filter(label: Label) -> str:
    return label.filter
