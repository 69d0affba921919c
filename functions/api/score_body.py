"""The bodies of score events, checked at the edge as ingest checks their records."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from functions.api.bodies import AttributeName, AttributeValue
from functions.api.models import Points, Sent
from shared.domain.events import (
    ATTRIBUTES_MAX,
    EVENT_ID_CHARACTERS_MAX,
    USER_ID_BYTES_MAX,
    ScoreEvent,
    check_user_id,
    parse_instant,
)
from shared.domain.rejections import Rejection

BATCH_MAX: Final = 100
"""Events of one batch: the ledger is asked for as many in one request, and they are followed together."""


def _instant(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 timestamp with an offset")  # noqa: TRY004 - pydantic reports it so
    try:
        return parse_instant(value)
    except Rejection as rejection:
        raise ValueError(rejection.detail.removeprefix("occurredAt").lstrip(": ")) from None


class ScoreBody(Sent):
    """A score event of the player in the path."""

    event_id: Annotated[
        str,
        Field(
            strict=True,
            min_length=1,
            max_length=EVENT_ID_CHARACTERS_MAX,
            description="One for each fact, unique for the player: the same id again counts once",
        ),
    ]
    points: Annotated[Points, Field(description="What it adds; what it is, with `best` and `latest`")]
    occurred_at: Annotated[
        int | None,
        BeforeValidator(_instant, json_schema_input_type=str),
        Field(
            json_schema_extra={"format": "date-time"},
            description="When it happened, with an offset from UTC; absent: when the request came",
        ),
    ] = None
    attributes: Annotated[
        dict[AttributeName, AttributeValue],
        Field(
            default_factory=dict,
            max_length=ATTRIBUTES_MAX,
            description="What rankings can be filtered by, and whatever else is to be kept",
        ),
    ]

    def to_event(self, leaderboard_id: str, user_id: str, now_ms: int) -> ScoreEvent:
        """The event, as the topic has it."""
        occurred_at_ms = now_ms if self.occurred_at is None else self.occurred_at
        return ScoreEvent(self.event_id, leaderboard_id, user_id, self.points, occurred_at_ms, self.attributes)


def _user_id(value: str) -> str:
    try:
        check_user_id(value)
    except Rejection as rejection:
        raise ValueError(rejection.detail.removeprefix("userId ")) from None
    return value


class BatchedScoreBody(ScoreBody):
    """A score event of a batch."""

    user_id: Annotated[
        str,
        AfterValidator(_user_id),
        Field(strict=True, min_length=1, max_length=USER_ID_BYTES_MAX, description="The player, as in the topic"),
    ]


class WrongScore(Struct, frozen=True):
    """An item of a batch that is no score event; the others are none the worse for it."""

    user_id: str | None
    event_id: str | None
    errors: Sequence[Mapping[str, Any]]
    """As pydantic tells them."""


def _each_by_itself(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(value)
    except ValidationError as error:
        sent = value if isinstance(value, dict) else {}
        errors = error.errors(include_url=False, include_input=False)
        return WrongScore(_told(sent.get("userId")), _told(sent.get("eventId")), errors)


def _told(value: object) -> str | None:
    """As much of an id as can be said back, whatever was sent."""
    return value[:EVENT_ID_CHARACTERS_MAX].encode(errors="replace").decode() if isinstance(value, str) else None


if TYPE_CHECKING:
    Item = BatchedScoreBody | WrongScore
else:  # what is sent is one; what is wrong with it is no part of the contract
    Item = Annotated[BatchedScoreBody, WrapValidator(_each_by_itself)]


class ScoresBody(Sent):
    """Score events of several players."""

    scores: Annotated[
        list[Item],
        Field(min_length=1, max_length=BATCH_MAX, description="The events, each answered on its own"),
    ]
