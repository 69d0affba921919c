"""What clients send, checked at the edge: query parameters and bodies, camelCase on the wire."""

from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core.core_schema import ValidationInfo

from functions.api.durations import parse_duration
from shared.domain.events import LEADERBOARD_ID_PATTERN, POINTS_MAX
from shared.domain.periods import Period
from shared.domain.rejections import Reason
from shared.domain.rules import LATENESS_MAX_MS, SHARDS_DEFAULT, SHARDS_MAX, Aggregation, Leaderboard, Order
from shared.domain.tiers import Tier, TierRule
from shared.domain.windows import Window, WindowKind, parse_day, parse_id
from shared.truth.export_jobs import Compression, ExportFormat
from shared.truth.keys import ACT_NUMBER_MAX

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
ACTS_PAGE_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 500
"""A sentence or two, and the number of a case."""
PARAMETER_CHARACTERS_MAX: Final = 64
"""Longest of dates and ids, which then say themselves what they take."""

Name = Annotated[str, Field(strict=True, min_length=1, max_length=NAME_CHARACTERS_MAX)]
Parameter = Annotated[str, Field(max_length=PARAMETER_CHARACTERS_MAX)]
Points = Annotated[StrictInt, Field(ge=-POINTS_MAX, le=POINTS_MAX)]
_DATE: Final[dict[str, JsonValue]] = {"format": "date"}
UserIds = Annotated[tuple[str, ...], Field(max_length=PLAYERS_MAX)]
QueryPoints = Annotated[int, Field(ge=-POINTS_MAX, le=POINTS_MAX)]
ID_PATTERN: Final = LEADERBOARD_ID_PATTERN.replace(r"\Z", "$")
"""The same in the dialect of pydantic's engine, whose `$` is the very end."""


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


def _listed(value: object) -> object:
    """The parts of a list in one parameter; none of them twice."""
    return tuple(dict.fromkeys(value.split(","))) if isinstance(value, str) else value


class WindowQuery(_Sent):
    """Which window: `date` goes with daily and weekly, `period` or `from` and `to` with custom."""

    window: WindowKind = WindowKind.ALL_TIME
    date: Parameter | None = None
    period: Parameter | None = None
    first: Annotated[Parameter | None, Field(alias="from", json_schema_extra=_DATE)] = None
    last: Annotated[Parameter | None, Field(alias="to", json_schema_extra=_DATE)] = None


class RankingQuery(WindowQuery):
    """A page of a window."""

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    offset: Annotated[int, Field(ge=0, le=OFFSET_MAX)] = 0
    cursor: Annotated[str | None, Field(max_length=CURSOR_CHARACTERS_MAX)] = None
    user_ids: Annotated[UserIds | None, BeforeValidator(_listed)] = None
    min_score: QueryPoints | None = None
    max_score: QueryPoints | None = None
    tier: Annotated[str | None, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)] = None


class PlayerQuery(WindowQuery):
    """How many entries around a player."""

    context: Annotated[int, Field(ge=0, le=CONTEXT_MAX)] = CONTEXT_DEFAULT


class PlayerOfQuery(PlayerQuery):
    """A player by a parameter."""

    user_id: str


class NoQuery(_Sent):
    """No parameters."""


class EventsQuery(_Sent):
    """A page of a player's events, by event id."""

    limit: Annotated[int, Field(ge=1, le=EVENTS_MAX)] = EVENTS_MAX
    after: Annotated[str | None, Field(min_length=1, max_length=EVENT_ID_CHARACTERS_MAX)] = None


def _hundredths(value: object) -> int:
    """A percentage as whole hundredths, decided in decimal: 0.29 is 29, whatever a double makes of it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("takes a number above 0, up to 100")  # noqa: TRY004 - pydantic asks for ValueError
    percent = Decimal(repr(value))
    if not percent.is_finite() or not 0 < percent <= 100:
        raise ValueError("takes a number above 0, up to 100")
    if percent * 100 % 1:
        raise ValueError("takes at most two decimals")
    return int(percent * 100)


def _hundredths_of_text(value: object) -> int:
    """The same of a query parameter."""
    try:
        return _hundredths(float(str(value)))
    except (ValueError, OverflowError):
        raise ValueError("takes a number above 0, up to 100, with at most two decimals") from None


class ExportQuery(WindowQuery):
    """Which file of a window."""

    format: ExportFormat = ExportFormat.CSV
    compression: Compression | None = None
    """None unless it is said; of Parquet zstd."""
    tier: Annotated[str | None, Field(max_length=NAME_CHARACTERS_MAX)] = None
    top_n: Annotated[int | None, Field(alias="topN", ge=1, le=POINTS_MAX)] = None
    top_percent: Annotated[
        int | None, BeforeValidator(_hundredths_of_text, json_schema_input_type=float), Field(alias="topPercent")
    ] = None

    @property
    def chosen(self) -> list[str]:
        """The parameters that choose among the entries, by their names on the wire."""
        chosen = {"tier": self.tier, "topN": self.top_n, "topPercent": self.top_percent}
        return [name for name, value in chosen.items() if value is not None]


class ActsQuery(_Sent):
    """A page of acts, by number."""

    limit: Annotated[int, Field(ge=1, le=ACTS_PAGE_MAX)] = ACTS_PAGE_MAX
    after: Annotated[int, Field(ge=0, le=ACT_NUMBER_MAX)] = 0


class ListQuery(_Sent):
    """A page of leaderboards, by id."""

    limit: Annotated[int, Field(ge=1, le=LIST_MAX)] = LIST_DEFAULT
    after: Annotated[str | None, Field(pattern=ID_PATTERN)] = None


class TierBody(_Sent):
    """A reward tier: a name and exactly one rule."""

    name: Name
    top_n: Annotated[StrictInt | None, Field(alias="topN", ge=1, le=POINTS_MAX)] = None
    top_percent: Annotated[int | None, BeforeValidator(_hundredths, json_schema_input_type=float)] = None
    min_score: Points | None = None
    max_score: Points | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if len(self.model_fields_set) != 2 or self.rule is None:
            raise ValueError("takes exactly one of topN, topPercent, minScore and maxScore")
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
        return Tier(self.name, *self.rule)


def _lateness(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("takes an ISO 8601 duration, e.g. PT1H")  # noqa: TRY004 - as above
    milliseconds = parse_duration(value)
    if milliseconds > LATENESS_MAX_MS:
        raise ValueError("takes PT0S to P366D")
    return milliseconds


class LeaderboardBody(_Sent):
    """A leaderboard's definition."""

    name: Name
    aggregation: Aggregation
    order: Order = Order.DESC
    lateness: Annotated[int, BeforeValidator(_lateness, json_schema_input_type=str)] = Field(
        "PT1H", validate_default=True
    )
    shards: Annotated[StrictInt, Field(ge=1, le=SHARDS_MAX)] = SHARDS_DEFAULT
    tiers: Annotated[tuple[TierBody, ...], Field(max_length=TIERS_MAX)] = ()

    @field_validator("tiers")
    @classmethod
    def _fitting(cls, tiers: tuple[TierBody, ...], info: ValidationInfo) -> tuple[TierBody, ...]:
        if len({tier.name for tier in tiers}) < len(tiers):
            raise ValueError("takes each name once")
        order = info.data.get("order")
        for number, tier in enumerate(tiers):
            if tier.min_score is not None and order is Order.ASC:
                raise ValueError(f"[{number}].minScore goes with order desc; where the lowest ranks first, maxScore")
            if tier.max_score is not None and order is Order.DESC:
                raise ValueError(f"[{number}].maxScore goes with order asc; where the highest ranks first, minScore")
        return tiers

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
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )


class ActBody(_Sent):
    """Why something is done; who does it is the subject of his token."""

    reason: Annotated[str, Field(strict=True, min_length=1, max_length=REASON_CHARACTERS_MAX)]


class RebuildBody(ActBody):
    """What is to be built anew."""

    window: Annotated[Parameter | None, Field(strict=True)] = None
    """Id of a window, e.g. `2026-W48`."""

    def to_window(self) -> Window | None:
        """The domain's window.

        Raises:
            InvalidWindow: naming what is wrong with it.
        """
        return None if self.window is None else parse_id(self.window)


class RedriveBody(ActBody):
    """Which letters are to be sent back."""

    rejected_as: Reason | None = None
    """Only those that were refused for this reason."""


class PeriodBody(_Sent):
    """A period; both dates are inclusive."""

    name: Name
    first: Annotated[Parameter, Field(alias="from", strict=True, json_schema_extra=_DATE)]
    last: Annotated[Parameter, Field(alias="to", strict=True, json_schema_extra=_DATE)]

    def to_period(self, period_id: str) -> Period:
        """The domain's period.

        Raises:
            InvalidWindow: naming `from` or `to`.
        """
        first, last = parse_day(self.first, "from"), parse_day(self.last, "to")
        period = Period(id=period_id, name=self.name, first=first, last=last)
        _ = period.window  # raises if no window has these dates
        return period
