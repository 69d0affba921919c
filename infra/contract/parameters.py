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
    "period": "launch",
    "from": "2026-11-01",
    "to": "2026-11-15",
    "preview": False,
    "limit": 100,
    "version": 1,
    "offset": 0,
    "context": 5,
    "cursor": CURSOR,
    "userIds": ["u-42", "u-7"],
    "minScore": 500,
    "maxScore": 999,
    "tier": "gold",
    "reason": "entered twice",
    "attr.country": "DE",
    "after": "autumn-cup",
    "after (integer)": 2,
    "format": "csv",
    "compression": "gzip",
    "topN": 100,
    "topPercent": 2.5,
    "If-None-Match": 'W/"0123456789abcdef01234567"',
    "Prefer": "wait=20",
}
"""Parameter → example."""
