"""Examples of the parameters of the API."""

from typing import Any, Final

CURSOR: Final = "l6phdXR1bW4tY3VwqDIwMjYtVzQ4wqN1LTfNAljPAAABogkH-QABfS3W8mWzRHY0bVd4rRLUkQ"
"""A page's `nextCursor`."""

PARAMETERS: Final[dict[str, Any]] = {
    "id": "autumn-cup",
    "userId": "u-42",
    "eventId": "01JDH3Z8Q4",
    "periodId": "launch",
    "exportId": "2026-W48-csv-1795431341662",
    "window": "weekly",
    "date": "2026-W48",
    "preview": False,
    "version": 1,
    "context": 5,
    "reason": "entered twice",
    "after": "autumn-cup",
    "after (integer)": 2,
    "format": "csv",
    "compression": "gzip",
    "topN": 100,
    "If-None-Match": 'W/"0123456789abcdef01234567"',
    "Prefer": "wait=20",
}
"""Parameter → example. Tools send all examples of an operation at once: so of parameters that exclude each other, one
has an example at the most, and none that narrows what is shown has one."""

NARROWING: Final = frozenset({("query", "eventId")})
"""Parameters without an example, since they narrow what is shown, though others of their names have one."""
UNSENT: Final = frozenset({"limit", "offset"})
"""Parameters without a default in their schema: clients that are generated send defaults, also where others exclude the
parameter (`cursor`, `userIds`). The document has it as `x-default`."""
