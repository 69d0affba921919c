"""Bodies that clients send, checked at the edge; camelCase on the wire."""

from typing import Annotated, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    field_validator,
)
from pydantic_core.core_schema import ValidationInfo

from functions.api.durations import parse_duration
from functions.api.models import (
    DATE,
    REASON_CHARACTERS_MAX,
    FilterName,
    Name,
    Parameter,
    Points,
    Sent,
)
from functions.api.tier_bodies import QualifyBody, TierBody
from shared.domain.audit import Run
from shared.domain.calendar import UTC, InvalidWindow, Window, WindowKind, parse_day, parse_id
from shared.domain.events import (
    ATTRIBUTE_CHARACTERS_MAX,
    ATTRIBUTE_NAME_CHARACTERS_MAX,
    ATTRIBUTES_MAX,
    EVENT_ID_CHARACTERS_MAX,
    ScoreEvent,
    parse_instant,
)
from shared.domain.labels import FILTERS_MAX
from shared.domain.periods import Period
from shared.domain.rejections import Reason
from shared.domain.rules import LATENESS_MAX_MS, SHARDS_DEFAULT, SHARDS_MAX, WINDOWS, Aggregation, Leaderboard, Order
from shared.domain.series import Series, check, parse_every
from shared.lookups.zones import calendar_of, names

TIERS_MAX: Final = 20


def _lateness(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 duration, e.g. PT1H")  # noqa: TRY004 - pydantic reports it so
    milliseconds = parse_duration(value)
    if milliseconds > LATENESS_MAX_MS:
        raise ValueError("must be PT0S to P366D")
    return milliseconds


class LeaderboardBody(Sent):
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
    time_zone: Annotated[
        Annotated[str, Field(strict=True, min_length=1, max_length=64)],
        Field(description="IANA name of the time zone whose dates its days are, e.g. `Europe/Berlin`"),
    ] = UTC.zone
    day_starts_at: Annotated[
        Annotated[str, Field(strict=True, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")],
        Field(
            description="`HH:MM`: at what time by the clocks of `timeZone` a day begins. Where they skip it, the day "
            "begins when they jump; where they show it twice, at the first"
        ),
    ] = "00:00"
    windows: Annotated[
        tuple[Literal["daily", "weekly", "monthly", "all-time"], ...],
        Field(
            min_length=1,
            max_length=len(WINDOWS),
            description="The kinds of windows that the cache keeps, each once; each costs "
            "memory, and an update with every event. Windows of another kind are answered as a range is: built when "
            "they are read. Days and weeks have results in any case, months only if they are named here",
        ),
    ] = ("daily", "weekly", "all-time")
    tiers: Annotated[
        tuple[TierBody, ...], Field(max_length=TIERS_MAX, description="Rewards, best first: the first that fits counts")
    ] = ()
    qualify: Annotated[
        QualifyBody | None,
        Field(
            description="Who counts for tiers: others are ranked, but count for no percentage and are in no tier; "
            "absent or null: everybody"
        ),
    ] = None
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
            named, kept = tier.to_tier().windows, info.data.get("windows", WINDOWS)
            if WindowKind.MONTHLY in named and WindowKind.MONTHLY not in kept:
                raise ValueError(f"[{number}].windows must have monthly only if windows has it: else no month is paid")
        return tiers

    @field_validator("qualify")
    @classmethod
    def _by_order(cls, qualify: QualifyBody | None, info: ValidationInfo) -> QualifyBody | None:
        if qualify is None:
            return None
        wanted = "max_score" if info.data.get("order") is Order.ASC else "min_score"
        if getattr(qualify, wanted) is None:
            raise ValueError("must have minScore with order desc, maxScore where the lowest ranks first")
        return qualify

    @field_validator("time_zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        if zone not in names():
            raise ValueError("must be the IANA name of a time zone, e.g. Europe/Berlin")
        return zone

    @field_validator("windows", "filters")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("must name each one once")
        return names

    def to_leaderboard(self, leaderboard_id: str, now_ms: int) -> Leaderboard:
        """Version 1 of the domain's definition."""
        return Leaderboard(
            id=leaderboard_id,
            name=self.name,
            aggregation=self.aggregation,
            order=self.order,
            lateness_ms=self.lateness,
            shards=self.shards,
            calendar=calendar_of(self.time_zone, 60 * int(self.day_starts_at[:2]) + int(self.day_starts_at[3:])),
            windows=tuple(kind for kind in WINDOWS if kind in self.windows),
            tiers=tuple(tier.to_tier() for tier in self.tiers),
            qualify=None if self.qualify is None else self.qualify.value,
            filters=self.filters,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )


class ReasonBody(Sent):
    """Why something is done; who does it is the subject of their token."""

    reason: Annotated[
        str, Field(strict=True, min_length=1, max_length=REASON_CHARACTERS_MAX, description="Kept in the audit log")
    ]


class PseudonymiseBody(ReasonBody):
    """Why a player's id is replaced."""

    strict: Annotated[
        StrictBool, Field(description="Refuse (404) a player without events, who may be a typing mistake")
    ] = False


class DaysBody(ReasonBody):
    """Why something is done about some days of a player, or about all."""

    first: Annotated[
        Parameter | None,
        Field(
            alias="from",
            strict=True,
            json_schema_extra=DATE,
            description="Only the player's days from this one to `to` are meant, both inclusive; without both, all",
        ),
    ] = None
    last: Annotated[
        Parameter | None,
        Field(alias="to", strict=True, json_schema_extra=DATE, description="The last day that is meant"),
    ] = None

    def to_run(self) -> Run | None:
        """The days that are meant; None for all.

        Raises:
            InvalidWindow: naming `from` or `to`.
        """
        if self.first is None and self.last is None:
            return None
        if self.first is None or self.last is None:
            missing, other = ("from", "to") if self.first is None else ("to", "from")
            raise InvalidWindow(missing, f"{missing} must be given with {other}")
        first, last = parse_day(self.first, "from"), parse_day(self.last, "to")
        if last < first:
            raise InvalidWindow("to", "to must be a date on or after from")
        return first, last


class DisqualifyBody(DaysBody):
    """Why a player is taken out, and of which days."""

    strict: Annotated[
        StrictBool, Field(description="Refuse (404) a player without events, who may be a typing mistake")
    ] = False


AttributeName = Annotated[str, Field(strict=True, min_length=1, max_length=ATTRIBUTE_NAME_CHARACTERS_MAX)]
AttributeValue = Annotated[str, Field(strict=True, max_length=ATTRIBUTE_CHARACTERS_MAX)]
EventId = Annotated[str, Field(strict=True, min_length=1, max_length=EVENT_ID_CHARACTERS_MAX)]


class CorrectionBody(ReasonBody):
    """An event that is to be added."""

    event_id: Annotated[
        EventId,
        Field(description="Of your own choice, each once for a player: a correction that is sent again counts once"),
    ]
    points: Annotated[Points, Field(description="Negative ones take points back from a `sum`")]
    occurred_at: Annotated[
        Parameter,
        Field(
            strict=True,
            description="RFC 3339 with an offset, in the past: its day by the leaderboard's calendar is corrected",
        ),
    ]

    attributes: Annotated[
        dict[AttributeName, AttributeValue],
        Field(default_factory=dict, max_length=ATTRIBUTES_MAX, description="As those of any event"),
    ]

    def to_event(self, leaderboard_id: str, user_id: str) -> ScoreEvent:
        """The domain's event.

        Raises:
            Rejection: naming `occurredAt`.
        """
        at_ms = parse_instant(self.occurred_at)
        return ScoreEvent(self.event_id, leaderboard_id, user_id, self.points, at_ms, self.attributes)


class ReinstateBody(DaysBody):
    """Why a player is put back, and on which days."""


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
    """Which dead letters are to be sent back."""

    rejected_as: Annotated[
        Reason | None,
        Field(
            description="Only those that were rejected for this reason; of `malformed` and `invalid` also those that "
            "name no leaderboard, unless their key names another one"
        ),
    ] = None


class PeriodBody(Sent):
    """A period, with `to`, or a series of periods, with `every`; all dates are inclusive."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["to"]}, {"required": ["every"]}]})

    name: Annotated[Name, Field(description="For people; of a series that of each occurrence")]
    first: Annotated[
        Parameter,
        Field(
            alias="from",
            strict=True,
            json_schema_extra=DATE,
            description="The first day; of a series that of the first occurrence, from which all are counted",
        ),
    ]
    last: Annotated[
        Parameter | None,
        Field(
            alias="to",
            strict=True,
            json_schema_extra=DATE,
            description="The last day, itself included; not of a series",
        ),
    ] = None
    every: Annotated[
        Parameter | None,
        Field(
            strict=True,
            description="How often a series recurs, an ISO 8601 duration: `P1D` to `P366D`, `P1W` to `P52W`, `P1M` to "
            "`P12M`, `P1Y`",
        ),
    ] = None
    until: Annotated[
        Parameter | None,
        Field(
            strict=True,
            json_schema_extra=DATE,
            description="The last day on which an occurrence of a series may end; without it there is no last one",
        ),
    ] = None
    reason: Annotated[
        str | None,
        Field(
            strict=True,
            min_length=1,
            max_length=REASON_CHARACTERS_MAX,
            description="Why, kept in the audit log; required to change the days of a period that is over",
        ),
    ] = None

    def to_period(self, period_id: str) -> Period:
        """The domain's period.

        Raises:
            InvalidWindow: naming `from`, `to` or `until`.
        """
        if self.last is None:
            raise InvalidWindow("to", "to is required: the last day; or every, of a series")
        if self.until is not None:
            raise InvalidWindow("until", "until is only for a series, with every")
        first, last = parse_day(self.first, "from"), parse_day(self.last, "to")
        period = Period(id=period_id, name=self.name, first=first, last=last)
        _ = period.window  # raises if no window has these dates
        return period

    def to_series(self, series_id: str) -> Series:
        """The domain's series.

        Raises:
            InvalidWindow: naming `from`, `to`, `every` or `until`.
        """
        if self.every is None or self.last is not None:
            raise InvalidWindow("to", "to must not be given with every: until is the last day of a series")
        until = None if self.until is None else parse_day(self.until, "until")
        _ = parse_every(self.every)
        first = parse_day(self.first, "from")
        series = Series(id=series_id, name=self.name, every=self.every, first=first, until=until)
        check(series)
        return series
