"""What clients send, checked at the edge: query parameters and bodies, camelCase on the wire."""

import re
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core.core_schema import ValidationInfo

from functions.api.durations import parse_duration
from shared.domain.calendar import Window, WindowKind, parse_day, parse_id
from shared.domain.events import LEADERBOARD_ID_PATTERN, POINTS_MAX
from shared.domain.labels import FILTER_NAME_PATTERN, FILTERS_MAX
from shared.domain.periods import Period
from shared.domain.rejections import Reason
from shared.domain.rules import LATENESS_MAX_MS, SHARDS_DEFAULT, SHARDS_MAX, Aggregation, Leaderboard, Order
from shared.domain.tiers import Tier, TierRule, Ties
from shared.truth.export_jobs import Compression, ExportFormat
from shared.truth.keys import AUDIT_NUMBER_MAX

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1_000
"""Entries of one page: some 150 KB, far from the 6 MB that a function may answer with."""
OFFSET_MAX: Final = 1_000_000_000
"""Past any ranking that one Redis holds."""
CONTEXT_DEFAULT: Final = 5
CONTEXT_MAX: Final = 50
LIST_DEFAULT: Final = 50
LIST_MAX: Final = 100
NAME_CHARACTERS_MAX: Final = 64
TIERS_MAX: Final = 20
CURSOR_CHARACTERS_MAX: Final = 1_024
"""Longer than any cursor: ids of at most 64 and 128 bytes, numbers and a signature."""
PLAYERS_MAX: Final = 100
"""Players of one query: four commands each, so some 0.3 ms of Redis."""
EVENTS_MAX: Final = 100
"""Events of one page: up to 31 KB each with the longest attributes, together half of what a function may answer."""
EVENT_ID_CHARACTERS_MAX: Final = 128
AUDIT_LOG_PAGE_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 500
"""A sentence or two, and the number of a case."""
PARAMETER_CHARACTERS_MAX: Final = 64
"""Longest of dates and ids, which then say themselves what they take."""

Name = Annotated[str, Field(strict=True, min_length=1, max_length=NAME_CHARACTERS_MAX)]
Parameter = Annotated[str, Field(max_length=PARAMETER_CHARACTERS_MAX)]
Points = Annotated[StrictInt, Field(ge=-POINTS_MAX, le=POINTS_MAX)]
_DATE: Final[dict[str, JsonValue]] = {"format": "date"}
UserIds = Annotated[tuple[str, ...], Field(max_length=PLAYERS_MAX)]
LISTS: Final = frozenset({"userIds"})
"""Parameters with several values."""
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_PERCENT = re.compile(r"(0|[1-9][0-9]{0,2})(\.[0-9]+)?")
ID_PATTERN: Final = LEADERBOARD_ID_PATTERN.replace(r"\Z", "$")
"""The same in the dialect of pydantic's engine, whose `$` is the very end."""
FILTER_PATTERN: Final = FILTER_NAME_PATTERN.replace(r"\Z", "$")
"""Likewise."""
ATTRIBUTE_PREFIX: Final = "attr."
"""What a parameter begins with that names one of a leaderboard's filters: no part of a model, for each has its own."""
FilterName = Annotated[str, Field(strict=True, pattern=FILTER_PATTERN)]


class _Sent(BaseModel):
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


class WindowQuery(_Sent):
    """Which window: `date` goes with daily and weekly, `period` or `from` and `to` with custom."""

    window: Annotated[
        WindowKind, Field(description="How time is cut: days, weeks, not at all, or dates of your own")
    ] = WindowKind.ALL_TIME
    date: Annotated[
        Parameter | None,
        Field(
            description="With `daily` a day, `2026-11-23`, with `weekly` also a week, `2026-W48`; without it, today's"
        ),
    ] = None
    period: Annotated[Parameter | None, Field(description="With `custom`: the id of a registered period")] = None
    first: Annotated[
        Parameter | None,
        Field(alias="from", json_schema_extra=_DATE, description="With `custom`, in place of `period`: the first day"),
    ] = None
    last: Annotated[
        Parameter | None,
        Field(alias="to", json_schema_extra=_DATE, description="The last day, itself included; 366 days at the most"),
    ] = None


class RankingQuery(WindowQuery):
    """A page of a window."""

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

    context: Annotated[QueryInt, Field(ge=0, le=CONTEXT_MAX, description="Entries above and below to show")] = (
        CONTEXT_DEFAULT
    )


class PlayerOfQuery(PlayerQuery):
    """A player by a parameter."""

    user_id: Annotated[str, Field(description="The player, percent-encoded")]


class NoQuery(_Sent):
    """No parameters."""


class EventsQuery(_Sent):
    """A page of a player's events, by event id."""

    limit: Annotated[QueryInt, Field(ge=1, le=EVENTS_MAX, description="Events of a page")] = EVENTS_MAX
    after: Annotated[
        str | None,
        Field(min_length=1, max_length=EVENT_ID_CHARACTERS_MAX, description="`nextAfter` of the page before"),
    ] = None


def _hundredths(value: object) -> int:
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
        return _hundredths(float(_PERCENT.fullmatch(str(value))[0]))  # type: ignore[index]
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
        Field(alias="topPercent", description="Only the first so many percent, two decimals at the most"),
    ] = None

    @property
    def chosen(self) -> list[str]:
        """The parameters that choose among the entries, by their names on the wire."""
        chosen = {"tier": self.tier, "topN": self.top_n, "topPercent": self.top_percent}
        return [name for name, value in chosen.items() if value is not None]


class AuditLogQuery(_Sent):
    """A page of audit entries, by number."""

    limit: Annotated[QueryInt, Field(ge=1, le=AUDIT_LOG_PAGE_MAX, description="Entries of a page")] = AUDIT_LOG_PAGE_MAX
    after: Annotated[QueryInt, Field(ge=0, le=AUDIT_NUMBER_MAX, description="`nextAfter` of the page before")] = 0


class ListQuery(_Sent):
    """A page of leaderboards, by id."""

    limit: Annotated[QueryInt, Field(ge=1, le=LIST_MAX, description="Leaderboards of a page")] = LIST_DEFAULT
    after: Annotated[str | None, Field(pattern=ID_PATTERN, description="`nextAfter` of the page before")] = None


class TierBody(_Sent):
    """A reward tier: a name and exactly one rule."""

    name: Annotated[Name, Field(description="What entries and awards call it; each once")]
    top_n: Annotated[StrictInt | None, Field(alias="topN", ge=1, le=POINTS_MAX, description="Ranks 1 to this one")] = (
        None
    )
    top_percent: Annotated[
        int | None,
        BeforeValidator(_hundredths, json_schema_input_type=float),
        Field(description="The first so many percent, rounded up to whole players; two decimals at the most"),
    ] = None
    min_score: Annotated[Points | None, Field(description="This score or more; with order `desc`")] = None
    max_score: Annotated[Points | None, Field(description="This score or less; with order `asc`")] = None
    ties: Annotated[
        Ties,
        Field(
            description="With topN and topPercent: of those who share the score of the last place, `first` takes those "
            "who reached it first, `shared` takes all (it goes by `competitionRank`)"
        ),
    ] = Ties.FIRST
    windows: Annotated[
        tuple[WindowKind, ...],
        Field(
            min_length=1,
            max_length=len(WindowKind),
            description="The kinds of windows that have this tier, each once; absent: all. Other windows are ranked "
            "and paid as if it weren't there; a registered period is `custom`",
        ),
    ] = tuple(WindowKind)

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if len(self.model_fields_set - {"name", "ties", "windows"}) != 1 or self.rule is None:
            raise ValueError("must have exactly one of topN, topPercent, minScore and maxScore")
        if "ties" in self.model_fields_set and self.rule[0] in (TierRule.MIN_SCORE, TierRule.MAX_SCORE):
            raise ValueError("must have ties only with topN or topPercent: equal scores meet a rule on the score alike")
        if len(set(self.windows)) < len(self.windows):
            raise ValueError("must name each of its windows once")
        return self

    @property
    def rule(self) -> tuple[TierRule, int] | None:
        """Its rule and the rule's value."""
        values = {
            TierRule.TOP_N: self.top_n,
            TierRule.TOP_PERCENT: self.top_percent,
            TierRule.MIN_SCORE: self.min_score,
            TierRule.MAX_SCORE: self.max_score,
        }
        return next(((rule, value) for rule, value in values.items() if value is not None), None)

    def to_tier(self) -> Tier:
        """The domain's tier."""
        if self.rule is None:
            raise AssertionError("a tier without a rule passed validation")
        windows = self.windows if "windows" in self.model_fields_set else ()
        return Tier(self.name, *self.rule, self.ties, windows)


def _lateness(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 duration, e.g. PT1H")  # noqa: TRY004 - pydantic reports it so
    milliseconds = parse_duration(value)
    if milliseconds > LATENESS_MAX_MS:
        raise ValueError("must be PT0S to P366D")
    return milliseconds


class LeaderboardBody(_Sent):
    """A leaderboard's definition."""

    name: Annotated[Name, Field(description="For people")]
    aggregation: Annotated[
        Aggregation,
        Field(
            description="What a player's events make together: their sum, the best one, the latest one. Of equal "
            "scores the one with the earlier `reachedAt` ranks first: the time of the latest event that carried "
            "points other than 0 with `sum` (of the earliest, if all carried 0), of the earliest event with the best "
            "points with `best`, of the latest event with `latest`"
        ),
    ]
    order: Annotated[Order, Field(description="Whether the highest score ranks first, or the lowest")] = Order.DESC
    lateness: Annotated[int, BeforeValidator(_lateness, json_schema_input_type=str)] = Field(
        "PT1H",
        validate_default=True,
        description="How long after its end a day still takes events, an ISO 8601 duration to `P366D`",
    )
    shards: Annotated[
        StrictInt, Field(ge=1, le=SHARDS_MAX, description="Partitions that its writes are spread over")
    ] = SHARDS_DEFAULT
    tiers: Annotated[
        tuple[TierBody, ...], Field(max_length=TIERS_MAX, description="Rewards, best first: the first that fits counts")
    ] = ()
    filters: Annotated[
        tuple[FilterName, ...],
        Field(max_length=FILTERS_MAX, description="Attributes of events that rankings can be filtered by: `attr.*`"),
    ] = ()

    @field_validator("tiers")
    @classmethod
    def _fitting(cls, tiers: tuple[TierBody, ...], info: ValidationInfo) -> tuple[TierBody, ...]:
        if len({tier.name for tier in tiers}) < len(tiers):
            raise ValueError("must name each one once")
        order = info.data.get("order")
        for number, tier in enumerate(tiers):
            if tier.min_score is not None and order is Order.ASC:
                raise ValueError(f"[{number}].minScore goes with order desc; where the lowest ranks first, maxScore")
            if tier.max_score is not None and order is Order.DESC:
                raise ValueError(f"[{number}].maxScore goes with order asc; where the highest ranks first, minScore")
        return tiers

    @field_validator("filters")
    @classmethod
    def _once(cls, filters: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(filters)) < len(filters):
            raise ValueError("must name each one once")
        return filters

    def to_leaderboard(self, leaderboard_id: str, now_ms: int) -> Leaderboard:
        """Version 1 of the domain's definition."""
        return Leaderboard(
            id=leaderboard_id,
            name=self.name,
            aggregation=self.aggregation,
            order=self.order,
            lateness_ms=self.lateness,
            shards=self.shards,
            tiers=tuple(tier.to_tier() for tier in self.tiers),
            filters=self.filters,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )


class ReasonBody(_Sent):
    """Why something is done; who does it is the subject of their token."""

    reason: Annotated[
        str, Field(strict=True, min_length=1, max_length=REASON_CHARACTERS_MAX, description="Kept in the audit log")
    ]


class DisqualifyBody(ReasonBody):
    """Why a player is taken out."""

    strict: Annotated[
        StrictBool, Field(description="Refuse (404) a player without events, who may be a typing mistake")
    ] = False


class RebuildBody(ReasonBody):
    """What is to be rebuilt."""

    window: Annotated[
        Parameter | None, Field(strict=True, description="Id of a window, as answers name it: `2026-W48`")
    ] = None

    def to_window(self) -> Window | None:
        """The domain's window.

        Raises:
            InvalidWindow: naming what is wrong with it.
        """
        return None if self.window is None else parse_id(self.window)


class RedriveBody(ReasonBody):
    """Which letters are to be sent back."""

    rejected_as: Annotated[Reason | None, Field(description="Only those that were rejected for this reason")] = None


class PeriodBody(_Sent):
    """A period; both dates are inclusive."""

    name: Annotated[Name, Field(description="For people")]
    first: Annotated[Parameter, Field(alias="from", strict=True, json_schema_extra=_DATE, description="The first day")]
    last: Annotated[
        Parameter,
        Field(alias="to", strict=True, json_schema_extra=_DATE, description="The last day, itself included"),
    ]

    def to_period(self, period_id: str) -> Period:
        """The domain's period.

        Raises:
            InvalidWindow: naming `from` or `to`.
        """
        first, last = parse_day(self.first, "from"), parse_day(self.last, "to")
        period = Period(id=period_id, name=self.name, first=first, last=last)
        _ = period.window  # raises if no window has these dates
        return period
