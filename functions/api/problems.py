"""Every error that leaves the API, as problem+json (RFC 9457): one table from error types to problems."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from functions.api.security import Forbidden, Unauthenticated
from shared.admin.amendments import (
    AmendmentOverflow,
    DayIsSealing,
    EventExists,
    InvalidCorrection,
    TooManyEvents,
    UnknownEvent,
)
from shared.admin.disqualifications import AuditLogFull
from shared.admin.pseudonyms import HasPseudonym, IsPseudonym, TooMuchToMove
from shared.cache.errors import CacheUnavailable
from shared.cache.range_budget import FULL_RETRY_S, NoRoomForRanges, RangeBudgetSpent, RangeRefused
from shared.domain.calendar import InvalidWindow
from shared.domain.rules import LockedRule, TooManyPurges
from shared.messaging.queues import QueueUnavailable
from shared.reads.rankings import Rebuilding, UnknownFilter, UnknownTier
from shared.rebuild.on_demand import TooManyRanges
from shared.scores.errors import BrokerUnavailable, EventConflict, EventRejected
from shared.telemetry import logger
from shared.truth.audit_log import AuditLogConflict
from shared.truth.commits import Unavailable
from shared.truth.export_jobs import TooManyRows
from shared.truth.registry import Conflict

CONTENT_TYPE: Final = "application/problem+json"
FIELDS_MAX: Final = 20
"""Errors named in one problem; a body of a thousand wrong tiers is not answered with a thousand messages."""
NAME_CHARACTERS_MAX: Final = 64
"""Longest name of a client's own making that is given back."""
INSTANCE_CHARACTERS_MAX: Final = 256


class ApiError(Exception):
    """An error that the API itself finds. `field` is what the client sent, by the name they wrote."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class InvalidRequest(ApiError):
    """A parameter or field that the request may not have, or not so."""


class InvalidFields(Exception):
    """Fields that are not as their model has them: what pydantic says of each, with its place in the request."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(errors)
        self._errors = errors

    def errors(self) -> Sequence[Mapping[str, Any]]:
        """As FastAPI's own error of this kind has them, which is turned into this one."""
        return self._errors


class NotText(ApiError):
    """A path with control characters, or a query that is not UTF-8."""


class UnknownLeaderboard(ApiError):
    """No leaderboard of this id, or a deleted one."""


class UnknownPeriod(ApiError):
    """No period of this id."""


class UnknownPlayer(ApiError):
    """A player without points in the window."""


class UnknownExport(ApiError):
    """No export of this id."""


class NotFinal(ApiError):
    """A window that has no result yet."""

    def __init__(self, detail: str, expected_final_at: str | None = None) -> None:
        """`expected_final_at`: when it is due if nothing blocks; None if that is not known."""
        super().__init__(detail)
        self.expected_final_at = expected_final_at


class NeverFinal(ApiError):
    """A window that never has a result: all time, a range that is no registered period, what was over too early."""


class FinalResultExists(ApiError):
    """A change of what a final result was made of, or that it rules out."""


class TooLarge(ApiError):
    """A body past the limit."""


class NeverDisqualified(ApiError):
    """A player who can't be reinstated, since they were never out."""


class TooManyPeriods(Exception):
    """The leaderboard has as many periods or series as it may have."""


class Kind(Struct, frozen=True):
    """One kind of problem."""

    slug: str
    title: str
    status: int
    retry_after_s: int | None = None
    detail: str | None = None
    """Said in place of the error's own words, where those are not for clients."""

    @property
    def urn(self) -> str:
        """The problem's `type`."""
        return f"urn:leaderboards:problem:{self.slug}"


class FieldError(Struct):
    """What is wrong with one field, named as the client wrote it."""

    field: str
    message: str


class Problem(Struct, omit_defaults=True, rename="camel"):
    """The body of an error."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = []
    expected_final_at: str | None = None
    """Of `not-final`: when the result is due if nothing blocks; `closing` says what does."""


_MALFORMED: Final = Kind("malformed-request", "The request cannot be read", 400)
_INVALID: Final = Kind("invalid-request", "The request is invalid", 422)
_NO_ROUTE: Final = Kind("unknown-route", "There is nothing here", 404)
_NO_METHOD: Final = Kind("method-not-allowed", "The resource doesn't take this method", 405)
UNEXPECTED: Final = Kind("internal-error", "Something went wrong on our side", 500)
_CONFLICT: Final = Kind(
    "conflict", "Another caller is changing the same thing", 409, detail="Read it again, then decide."
)
_LATER: Final = "Ask again after the seconds in Retry-After."

KINDS: Final[Mapping[type[Exception], Kind]] = {
    InvalidFields: _INVALID,
    InvalidRequest: _INVALID,
    InvalidWindow: _INVALID,
    UnknownTier: _INVALID,
    TooManyRows: _INVALID,
    UnknownFilter: _INVALID,
    InvalidCorrection: _INVALID,
    NotText: _MALFORMED,
    Unauthenticated: Kind("unauthenticated", "The request needs a bearer token", 401),
    Forbidden: Kind("forbidden", "The token doesn't allow this", 403),
    TooLarge: Kind("too-large", "The request is too large", 413),
    NeverDisqualified: Kind("never-disqualified", "The player was never disqualified", 409),
    AuditLogFull: Kind("audit-log-full", "The leaderboard's audit log is full", 409),
    UnknownEvent: Kind("unknown-event", "The player has no such event", 404),
    EventExists: Kind("event-exists", "The player has another event of this id", 409),
    AmendmentOverflow: Kind("score-overflow", "A score would leave ±(2^53−1)", 409),
    DayIsSealing: Kind("day-is-sealing", "The day takes corrections again once it is sealed", 503, 60),
    TooManyEvents: Kind("too-many-events", "The player has more events than can be folded again", 409),
    UnknownLeaderboard: Kind("unknown-leaderboard", "There is no such leaderboard", 404),
    UnknownPeriod: Kind("unknown-period", "There is no such period", 404),
    UnknownPlayer: Kind("unknown-player", "The player is not in this ranking", 404),
    UnknownExport: Kind("unknown-export", "There is no such export", 404),
    NotFinal: Kind("not-final", "The window has no result yet", 404),
    TooManyPeriods: Kind("too-many-periods", "The leaderboard has as many periods or series as it may have", 409),
    HasPseudonym: Kind("has-pseudonym", "The player has a pseudonym", 409),
    IsPseudonym: Kind("is-pseudonym", "The id is a pseudonym", 409),
    TooMuchToMove: Kind("too-much-to-move", "The player has too much for a pseudonym to be begun", 409),
    TooManyPurges: Kind("too-many-purges", "The leaderboard was purged as often as it may be", 409),
    FinalResultExists: Kind("final-result-exists", "There is a final result", 409),
    NeverFinal: Kind("never-final", "The window never has a result", 422),
    EventRejected: Kind("event-rejected", "The event can't count", 422),
    EventConflict: Kind("conflicting-event", "The event id has other content", 409),
    LockedRule: Kind("locked-rule", "The rule cannot change once there are events", 409),
    Conflict: _CONFLICT,
    AuditLogConflict: _CONFLICT,
    TooManyRanges: Kind("too-many-ranges", "Too many custom ranges are in use", 429, 600),
    RangeBudgetSpent: Kind("range-budget-spent", "You have had as many new ranges built as one caller may", 429, 600),
    NoRoomForRanges: Kind("no-room-for-ranges", "There is no memory for one more range", 503, FULL_RETRY_S),
    Rebuilding: Kind(
        "rebuilding", "The ranking is being rebuilt", 503, 2, f"No rank is shown that could be wrong. {_LATER}"
    ),
    CacheUnavailable: Kind("cache-unavailable", "The live rankings are out of reach", 503, 1, _LATER),
    Unavailable: Kind("truth-unavailable", "The database is out of reach", 503, 1, _LATER),
    QueueUnavailable: Kind("queue-unavailable", "The queue is out of reach", 503, 1, _LATER),
    BrokerUnavailable: Kind(
        "broker-unavailable",
        "Kafka has not acknowledged the event",
        503,
        1,
        "It may have it all the same: send it again with the same eventId after the seconds in Retry-After.",
    ),
}
BY_STATUS: Final = {400: _MALFORMED, 404: _NO_ROUTE, 405: _NO_METHOD, 422: _INVALID}
"""Those that the framework raises itself."""


async def respond(request: Request, error: Exception) -> Response:
    """The problem of an error, as FastAPI's exception handler."""
    return problem_of(error, request.scope)


def problem_of(error: Exception, scope: Mapping[str, Any]) -> Response:
    """The response to an error that was raised while `scope` was served."""
    headers = {"cache-control": "no-store"}  # CloudFront and others keep errors for a while by themselves
    kind = _kind_of(error)
    if isinstance(error, HTTPException) and kind is not UNEXPECTED:
        headers.update(error.headers or {})
        kind = Kind(kind.slug, kind.title, error.status_code)
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, Forbidden):
        headers["www-authenticate"] = f'Bearer error="insufficient_scope", scope="{error.scope}"'
    if kind.retry_after_s is not None:
        after_s = error.retry_after_s if isinstance(error, RangeRefused) else kind.retry_after_s
        headers["retry-after"] = str(after_s)
        logger.warning(kind.title, extra={"error": str(error), "request": _request_id(scope)})
    if kind is UNEXPECTED:
        logger.error(kind.title, exc_info=error, extra={"request": _request_id(scope)})
    problem = _to_problem(kind, error, scope, _fields(error))
    return Response(msgspec.json.encode(problem), kind.status, headers, CONTENT_TYPE)


def problem_within(error: Exception, scope: Mapping[str, Any], place: str) -> Problem:
    """The problem of one part of a request that is answered as a whole; fields are named within `place`."""
    fields = _fields(error)
    if not isinstance(error, InvalidFields):  # whose places are those within the whole
        fields = [FieldError(f"{place}.{one.field}", one.message) for one in fields]
    return _to_problem(_kind_of(error), error, scope, fields)


def _to_problem(kind: Kind, error: Exception, scope: Mapping[str, Any], fields: list[FieldError]) -> Problem:
    return Problem(
        kind.urn,
        kind.title,
        kind.status,
        _detail(kind, error, scope),
        _instance(scope),
        fields[:FIELDS_MAX],
        error.expected_final_at if isinstance(error, NotFinal) else None,
    )


def _kind_of(error: Exception) -> Kind:
    if isinstance(error, InvalidFields) and any(one["type"] == "json_invalid" for one in error.errors()):
        return _MALFORMED
    if isinstance(error, HTTPException):
        return BY_STATUS.get(error.status_code, _MALFORMED if error.status_code < 500 else UNEXPECTED)
    return next((KINDS[ancestor] for ancestor in type(error).__mro__ if ancestor in KINDS), UNEXPECTED)


def _detail(kind: Kind, error: Exception, scope: Mapping[str, Any]) -> str:
    if kind is UNEXPECTED:
        return f"It is in the log as request {_request_id(scope)}."
    if kind.detail is not None:
        return kind.detail
    if isinstance(error, InvalidFields):
        return "; ".join(f"{one.field}: {one.message}" for one in _fields(error)[:FIELDS_MAX])
    if isinstance(error, HTTPException):
        return f"{scope['method']} is not among what it takes." if error.status_code == 405 else str(error.detail)
    return _text(str(error))


def _fields(error: Exception) -> list[FieldError]:
    if isinstance(error, InvalidFields):
        return [FieldError(_field(one["loc"]), _message(one)) for one in error.errors()[:FIELDS_MAX]]
    field = getattr(error, "field", None)
    return [] if field is None else [FieldError(_text(field)[:NAME_CHARACTERS_MAX], _text(str(error)))]


def _field(location: Sequence[str | int]) -> str:
    """`("body", "tiers", 0, "topN")` → `tiers[0].topN`."""
    if isinstance(location[-1], int) and len(location) == 2:  # where the JSON breaks off
        return "body"
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location[1:])
    return _text(name.removeprefix("."))[:NAME_CHARACTERS_MAX] or str(location[0])


def _message(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "json_invalid":
            return _text(f"is not valid JSON: {context.get('error', '')} at character {error['loc'][-1]}")
        case "extra_forbidden":
            return "is not known here"
        case "value_error":
            return _text(str(context["error"]))
        case "missing":
            return "is required"
        case _:
            return _text(str(error["msg"]))


def _instance(scope: Mapping[str, Any]) -> str:
    return quote(_text(scope.get("path", "")), safe="/:@!$&'()*+,;=~")[:INSTANCE_CHARACTERS_MAX]


def _text(text: str) -> str:
    """Text that can be encoded, whatever the client sent."""
    return text.encode(errors="replace").decode()


def _request_id(scope: Mapping[str, Any]) -> str:
    """The id that API Gateway gave the client in `apigw-requestid`."""
    event = scope.get("aws.event") or {}
    return str(event.get("requestContext", {}).get("requestId", "unknown"))
