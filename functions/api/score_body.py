"""The body of a score event, checked at the edge as ingest checks its record."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from functions.api.bodies import AttributeName, AttributeValue
from functions.api.models import Points, Sent
from shared.domain.events import ATTRIBUTES_MAX, EVENT_ID_CHARACTERS_MAX, ScoreEvent, parse_instant
from shared.domain.rejections import Rejection


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
