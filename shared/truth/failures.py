"""What the failure of a request to DynamoDB means: the one place that looks into its error codes.

- A condition that does not hold is an answer: another writer was first. `ConditionFailed`.
- Throttling, a conflict with another transaction, a server's fault, a connection that broke: these pass. `Unavailable`.
- Everything else is lasting, a fault of ours or of the settings, and is raised as it came.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from msgspec import Struct

from shared.truth.guard import LeftAlone

_CONFLICTS: Final = frozenset({"TransactionConflict", "TransactionConflictException", "TransactionInProgressException"})
_PASSING: Final = _CONFLICTS | {
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingError",
    "ThrottlingException",
}
_PASSING_ERRORS: Final = (
    HTTPClientError,
    BotoConnectionError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    LeftAlone,
)
"""Of the client's own errors; the others are wrong settings."""
_CONDITIONS: Final = frozenset({"ConditionalCheckFailed", "ConditionalCheckFailedException"})
_CANCELLED: Final = "TransactionCanceledException"


class Cause(Enum):
    """What one item of a cancelled transaction has to do with it."""

    NONE = "none"
    CONDITION = "condition"
    """Its condition does not hold."""
    CONFLICT = "conflict"
    """Another transaction on it is under way."""
    THROTTLED = "throttled"
    """Or a server's fault: whatever else passes."""


class ItemCause(Struct, frozen=True):
    """The cause of one item, and the item as it is stored, if the request asks for it and there is one."""

    cause: Cause
    item: Mapping[str, Any] | None = None


class Unavailable(Exception):
    """The truth did not take the request and may take it later: throttled, in conflict, or out of reach.

    After a timeout it may even have taken it; the next try then finds its own events as duplicates.
    """


class Cancelled(Unavailable):
    """A transaction was cancelled by what passes, though all its conditions hold. Nothing was written."""

    def __init__(self, message: str, causes: Sequence[ItemCause]) -> None:
        super().__init__(message)
        self.causes = causes

    @property
    def is_in_conflict(self) -> bool:
        """Whether another transaction on one of the items is under way."""
        return any(one.cause is Cause.CONFLICT for one in self.causes)


class ConditionFailed(Exception):
    """A condition of the write does not hold. Nothing was written."""

    def __init__(self, message: str, causes: Sequence[ItemCause]) -> None:
        super().__init__(message)
        self.causes = causes
        """One for each item of a transaction, one in all for a single write."""

    @property
    def item(self) -> Mapping[str, Any]:
        """The item for which the condition of a single write does not hold; empty if there is none."""
        return self.causes[0].item or {}


@contextmanager
def passing_as_unavailable() -> Iterator[None]:
    """Turns the errors of a boto3 client into what they mean.

    Raises:
        ConditionFailed: if a condition of the write does not hold.
        Unavailable: for what may pass by itself; `Cancelled` if that has cancelled a transaction.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        meant = meaning(error)
        if meant is error:
            raise
        raise meant from error


def meaning(error: ClientError | BotoCoreError) -> Exception:
    """What an error means; the error itself if it is lasting: a missing table, a denied permission, a wrong request.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
    """
    if isinstance(error, BotoCoreError):
        return Unavailable(str(error)) if isinstance(error, _PASSING_ERRORS) else error
    response: Mapping[str, Any] = error.response
    code = response["Error"]["Code"]
    if code in _CONDITIONS:
        return ConditionFailed(str(error), [ItemCause(Cause.CONDITION, response.get("Item"))])
    if code == _CANCELLED:
        return _meaning_of_cancelled(error, response.get("CancellationReasons", ()))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Unavailable(str(error)) if code in _PASSING or status >= 500 else error


def _meaning_of_cancelled(error: ClientError, reasons: Sequence[Mapping[str, Any]]) -> Exception:
    causes = []
    for reason in reasons:
        cause = _cause(reason["Code"])
        if cause is None:  # such as ValidationError: it would be cancelled again and again
            return error
        causes.append(ItemCause(cause, reason.get("Item")))
    kind = ConditionFailed if any(one.cause is Cause.CONDITION for one in causes) else Cancelled
    return kind(str(error), causes)


def _cause(code: str) -> Cause | None:
    if code == "None":
        return Cause.NONE
    if code in _CONDITIONS:
        return Cause.CONDITION
    if code in _CONFLICTS:
        return Cause.CONFLICT
    return Cause.THROTTLED if code in _PASSING else None
