"""Query parameters that clients send, checked at the edge; camelCase on the wire. Bodies are in bodies.py."""

import re
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
)
from pydantic.alias_generators import to_camel

from shared.domain.calendar import WindowKind
from shared.domain.events import EVENT_ID_CHARACTERS_MAX, LEADERBOARD_ID_PATTERN, POINTS_MAX
from shared.domain.labels import FILTER_NAME_PATTERN
from shared.domain.rejections import Reason
from shared.domain.series import PERIOD_ID_PATTERN
from shared.truth.export_jobs import Compression, ExportFormat
from shared.truth.keys import AUDIT_NUMBER_MAX

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1_000
"""Entries of one page: some 150 KB, far from the 6 MB that a function may answer with."""
OFFSET_MAX: Final = 1_000_000_000
"""Past any ranking that one cache holds."""
CONTEXT_DEFAULT: Final = 5
CONTEXT_MAX: Final = 50
LIST_DEFAULT: Final = 50
LIST_MAX: Final = 100
NAME_CHARACTERS_MAX: Final = 64
REASON_CHARACTERS_MAX: Final = 500
"""A sentence or two, and the number of a case."""
CURSOR_CHARACTERS_MAX: Final = 1_024
"""Longer than any cursor: ids of at most 64 and 128 bytes, numbers and a signature."""
PLAYERS_MAX: Final = 100
"""Players of one query: four commands each, so some 0.3 ms of the cache."""
EVENTS_MAX: Final = 100
"""Events of one page: up to 31 KB each with the longest attributes, together half of what a function may answer."""
AUDIT_LOG_PAGE_MAX: Final = 100
LETTERS_MAX: Final = 100
"""Dead letters of a page: up to 32 KB each where all is control characters, half of what a function may answer."""
PARAMETER_CHARACTERS_MAX: Final = 64
"""Longest of dates and ids, which then say themselves what they take."""

Name = Annotated[str, Field(strict=True, min_length=1, max_length=NAME_CHARACTERS_MAX)]
Parameter = Annotated[str, Field(max_length=PARAMETER_CHARACTERS_MAX)]
Points = Annotated[StrictInt, Field(ge=-POINTS_MAX, le=POINTS_MAX)]
DATE: Final[dict[str, JsonValue]] = {"format": "date"}
UserIds = Annotated[tuple[str, ...], Field(max_length=PLAYERS_MAX)]
LISTS: Final = frozenset({"userIds"})
"""Parameters with several values."""
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_PERCENT = re.compile(r"(0|[1-9][0-9]{0,2})(\.[0-9]+)?")
ID_PATTERN: Final = LEADERBOARD_ID_PATTERN.replace(r"\Z", "$")
"""The same in the dialect of pydantic's engine, whose `$` is the very end."""
PERIOD_PATTERN: Final = PERIOD_ID_PATTERN.replace(r"\Z", "$")
"""Likewise."""
FILTER_PATTERN: Final = FILTER_NAME_PATTERN.replace(r"\Z", "$")
"""Likewise."""
CLOSING_PATTERN: Final = "^[A-Za-z0-9.-]{1,64}$"
"""What places in the list of what is due are made of."""
ATTRIBUTE_PREFIX: Final = "attr."
"""What a parameter begins with that names one of a leaderboard's filters: no part of a model, for each has its own."""
FilterName = Annotated[str, Field(strict=True, pattern=FILTER_PATTERN)]


class Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


def _listed(value: object) -> object:
    """A list, none of it twice."""
    return tuple(dict.fromkeys(value)) if isinstance(value, list) else value


def _integer(value: object) -> object:
    """An integer of a query as JSON has it; pydantic would take `1_0`, spaces and digits of other scripts as well."""
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        raise ValueError("must be an integer in decimal digits")
    return value


QueryInt = Annotated[int, BeforeValidator(_integer)]
QueryPoints = Annotated[QueryInt, Field(ge=-POINTS_MAX, le=POINTS_MAX)]


class Query(Sent):
    """Parameters of a route; what checks them is made when the route is first asked for."""

    model_config = ConfigDict(defer_build=True)


class WindowQuery(Query):
    """Which window: `date` goes with daily, weekly and monthly, `period` or `from` and `to` with custom."""

    window: Annotated[
        WindowKind, Field(description="How time is cut: days, weeks, months, not at all, or dates of your own")
    ] = WindowKind.ALL_TIME
    date: Annotated[
        Parameter | None,
        Field(
            description="With `daily` a day, `2026-11-23`, with `weekly` also a week, `2026-W48`, with `monthly` "
            "also a month, `2026-11`; without it, today's"
        ),
    ] = None
    period: Annotated[Parameter | None, Field(description="With `custom`: the id of a registered period")] = None
    first: Annotated[
        Parameter | None,
        Field(alias="from", json_schema_extra=DATE, description="With `custom`, in place of `period`: the first day"),
    ] = None
    last: Annotated[
        Parameter | None,
        Field(alias="to", json_schema_extra=DATE, description="The last day, itself included; 366 days at the most"),
    ] = None


Include = Annotated[
    Literal["profile"] | None,
    Field(description="`profile`: what to paint each player with, beside their entry"),
]


class RankingQuery(WindowQuery):
    """A page of a window."""

    include: Include = None

    limit: Annotated[QueryInt, Field(ge=1, le=LIMIT_MAX, description="Entries of a page")] = LIMIT_DEFAULT
    offset: Annotated[QueryInt, Field(ge=0, le=OFFSET_MAX, description="Entries to pass over")] = 0
    cursor: Annotated[
        str | None,
        Field(
            max_length=CURSOR_CHARACTERS_MAX,
            description="`nextCursor` or `prevCursor` of another page, with the same filters, and no others. "
            "In place of `offset`",
        ),
    ] = None
    user_ids: Annotated[
        UserIds | None,
        BeforeValidator(_listed),
        Field(
            description="These players alone, in order of their ranks. Given several times, or separated by bare "
            "commas; a comma that belongs to an id is `%2C`"
        ),
    ] = None
    min_score: Annotated[QueryPoints | None, Field(description="Entries with this score or more")] = None
    max_score: Annotated[QueryPoints | None, Field(description="Entries with this score or less")] = None
    tier: Annotated[
        str | None, Field(min_length=1, max_length=NAME_CHARACTERS_MAX, description="Entries of this tier")
    ] = None


class PlayerQuery(WindowQuery):
    """How many entries around a player."""

    include: Include = None

    context: Annotated[QueryInt, Field(ge=0, le=CONTEXT_MAX, description="Entries above and below to show")] = (
        CONTEXT_DEFAULT
    )


class PlayerOfQuery(PlayerQuery):
    """A player by a parameter."""

    user_id: Annotated[str, Field(description="The player, percent-encoded")]


class NoQuery(Query):
    """No parameters."""


class EventsQuery(Query):
    """A page of a player's events, by event id."""

    limit: Annotated[QueryInt, Field(ge=1, le=EVENTS_MAX, description="Events of a page")] = EVENTS_MAX
    after: Annotated[
        str | None,
        Field(min_length=1, max_length=EVENT_ID_CHARACTERS_MAX, description="`nextAfter` of the page before"),
    ] = None


def hundredths(value: object) -> int:
    """A percentage as whole hundredths, decided in decimal: 0.29 is 29, whatever a double makes of it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number above 0, up to 100")  # noqa: TRY004 - pydantic asks for ValueError
    percent = Decimal(repr(value))
    if not percent.is_finite() or not 0 < percent <= 100:
        raise ValueError("must be a number above 0, up to 100")
    if percent * 100 % 1:
        raise ValueError("must have at most two decimals")
    return int(percent * 100)


def _hundredths_of_text(value: object) -> int:
    """The same of a query parameter."""
    try:
        return hundredths(float(_PERCENT.fullmatch(str(value))[0]))  # type: ignore[index]
    except (ValueError, TypeError):
        raise ValueError("must be a number above 0, up to 100, with at most two decimals") from None


class ExportQuery(WindowQuery):
    """Which file of a window."""

    format: Annotated[ExportFormat, Field(description="Of the file")] = ExportFormat.CSV
    compression: Annotated[
        Compression | None, Field(description="Of the file; of Parquet its pages, `zstd` if nothing is said")
    ] = None
    tier: Annotated[str | None, Field(max_length=NAME_CHARACTERS_MAX, description="Only the players of this tier")] = (
        None
    )
    top_n: Annotated[
        QueryInt | None, Field(alias="topN", ge=1, le=POINTS_MAX, description="Only the first so many")
    ] = None
    top_percent: Annotated[
        int | None,
        BeforeValidator(_hundredths_of_text, json_schema_input_type=float),
        Field(
            alias="topPercent",
            description="Only the first so many percent of those who qualify, two decimals at the most",
        ),
    ] = None

    @property
    def chosen(self) -> list[str]:
        """The parameters that choose among the entries, by their names on the wire."""
        chosen = {"tier": self.tier, "topN": self.top_n, "topPercent": self.top_percent}
        return [name for name, value in chosen.items() if value is not None]


def _truth(value: object) -> object:
    """A boolean of a query; pydantic would take `1`, `on` and `yes` as well."""
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("must be true or false")
        return value == "true"
    return value


class ResultQuery(WindowQuery):
    """A result, or a page of what it would be."""

    preview: Annotated[
        bool,
        BeforeValidator(_truth),
        Field(description="`true`: the awards as if the window closed now, whether it is final or not"),
    ] = False
    limit: Annotated[QueryInt, Field(ge=1, le=LIMIT_MAX, description="With `preview`: awards of a page")] = (
        LIMIT_DEFAULT
    )
    cursor: Annotated[
        str | None,
        Field(max_length=CURSOR_CHARACTERS_MAX, description="With `preview`: `nextCursor` of the page before"),
    ] = None


class ClosingQuery(Query):
    """A page of what is due."""

    limit: Annotated[QueryInt, Field(ge=1, le=LIST_MAX, description="Items of a page")] = LIST_MAX
    after: Annotated[str | None, Field(pattern=CLOSING_PATTERN, description="`nextAfter` of the page before")] = None


class AuditLogQuery(Query):
    """A page of audit entries, by number."""

    limit: Annotated[QueryInt, Field(ge=1, le=AUDIT_LOG_PAGE_MAX, description="Entries of a page")] = AUDIT_LOG_PAGE_MAX
    after: Annotated[QueryInt, Field(ge=0, le=AUDIT_NUMBER_MAX, description="`nextAfter` of the page before")] = 0


class DeadLettersQuery(Query):
    """A page of dead letters, the newest first."""

    reason: Annotated[Reason | None, Field(description="Only those with this reason, which is read by itself")] = None
    leaderboard_id: Annotated[
        str | None, Field(pattern=ID_PATTERN, description="Only those whose value names this leaderboard")
    ] = None
    event_id: Annotated[
        str | None,
        Field(min_length=1, max_length=EVENT_ID_CHARACTERS_MAX, description="Only those whose value names this event"),
    ] = None
    limit: Annotated[QueryInt, Field(ge=1, le=LETTERS_MAX, description="Dead letters of a page")] = LIST_DEFAULT
    cursor: Annotated[
        str | None,
        Field(max_length=CURSOR_CHARACTERS_MAX, description="`nextCursor` of the page before"),
    ] = None


class DeletePeriodQuery(Query):
    """Why a period is deleted."""

    reason: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=REASON_CHARACTERS_MAX,
            description="Why, kept in the audit log; required of a period that is over, not of a series",
        ),
    ] = None


class DefinitionQuery(Query):
    """Which version of a definition."""

    version: Annotated[
        QueryInt | None, Field(ge=1, description="Of its versions, as `rulesVersion` names it; without it, that of now")
    ] = None


class ListQuery(Query):
    """A page of leaderboards, by id."""

    limit: Annotated[QueryInt, Field(ge=1, le=LIST_MAX, description="Leaderboards of a page")] = LIST_DEFAULT
    after: Annotated[str | None, Field(pattern=ID_PATTERN, description="`nextAfter` of the page before")] = None
