"""Which problems docs/api.md says that a route answers with, and when each comes."""

from typing import Final

_BOARD: Final = ("unknown-leaderboard",)
_WINDOW: Final = (*_BOARD, "unknown-period")
_RANGES: Final = ("too-many-ranges", "range-budget-spent", "no-room-for-ranges")
_LIVE: Final = (*_RANGES, "cache-unavailable", "rebuilding")
_ACT: Final = (*_BOARD, "conflict", "audit-log-full")
_AMEND: Final = (*_ACT, "score-overflow", "too-many-events")
ERRORS: Final[dict[str, tuple[str, ...]]] = {
    "putLeaderboard": ("locked-rule", "conflict", "audit-log-full", "cache-unavailable"),
    "getLeaderboard": _BOARD,
    "getRankings": (*_WINDOW, *_LIVE),
    "getPlayer": (*_WINDOW, "unknown-player", *_LIVE),
    "getPlayerById": (*_WINDOW, "unknown-player", *_LIVE),
    "getPlayerWindows": (*_BOARD, "cache-unavailable", "rebuilding"),
    "listPlayerEvents": (*_BOARD, "unknown-player"),
    "getPlayerEvent": _BOARD,
    "explainPlayer": (*_WINDOW, "unknown-player", *_LIVE),
    "putProfile": (*_BOARD, "has-pseudonym", "is-pseudonym", "cache-unavailable"),
    "getProfile": _BOARD,
    "putPeriod": ("too-many-periods", "final-result-exists", *_ACT),
    "submitScores": _BOARD,
    "submitScore": (
        *_BOARD,
        "event-rejected",
        "conflicting-event",
        "broker-unavailable",
        "cache-unavailable",
        "rebuilding",
    ),
    "getPeriod": _WINDOW,
    "listPeriods": _BOARD,
    "deletePeriod": (*_WINDOW, "final-result-exists", "conflict", "audit-log-full"),
    "startExport": (*_WINDOW, "queue-unavailable"),
    "getExport": (*_BOARD, "unknown-export"),
    "getResult": (*_WINDOW, "not-final", "never-final", *_LIVE),
    "listResultVersions": _WINDOW,
    "getClosing": _BOARD,
    "disqualifyPlayer": (*_ACT, "unknown-player", "has-pseudonym"),
    "listDisqualified": _BOARD,
    "reinstatePlayer": (*_ACT, "never-disqualified", "has-pseudonym"),
    "addCorrection": (*_AMEND, "event-exists", "day-is-sealing", "has-pseudonym"),
    "voidEvent": (*_AMEND, "unknown-event", "has-pseudonym"),
    "listAuditLog": _BOARD,
    "startRebuild": (*_ACT, "queue-unavailable"),
    "getRebuild": (*_BOARD, "cache-unavailable"),
    "redriveDeadLetters": (*_ACT, "queue-unavailable"),
    "pseudonymisePlayer": (*_ACT, "unknown-player", "is-pseudonym", "too-much-to-move"),
    "purgeLeaderboard": (*_ACT, "final-result-exists", "too-many-purges"),
    "deleteLeaderboard": _ACT,
}
"""Operation → kinds of problems, beside those that any route answers with."""

ERRORS_HEAD: Final = """\
## Errors

Errors are `application/problem+json` (RFC 9457). `type` is `urn:leaderboards:problem:<kind>`, `detail` says it in
words, `errors` names each field that is wrong, as it was written:

```json
{"type": "urn:leaderboards:problem:invalid-request", "title": "The request is invalid", "status": 422,
 "detail": "limit: Input should be less than or equal to 1000", "instance": "/leaderboards/spring-cup/rankings",
 "errors": [{"field": "limit", "message": "Input should be less than or equal to 1000"}]}
```

Ask again after a 429 or 503, once `Retry-After` is over; after any other only with another request. Any route may
answer with `malformed-request`, `unauthenticated`, `forbidden`, `invalid-request`, `too-large`, `truth-unavailable`
and `internal-error`.
"""

WHEN: Final[dict[str, str]] = {
    "malformed-request": "The body is no JSON, the query no UTF-8, or a control character stands in the path",
    "unauthenticated": "There is no token, or its time is over",
    "forbidden": "The token lacks the route's scope; a path that is no route takes `leaderboards:admin`",
    "unknown-route": "The path is none of the routes above",
    "unknown-leaderboard": "There is no leaderboard of this id, or it was deleted",
    "unknown-period": "The leaderboard has no period of this id",
    "unknown-player": "The player has no points in this window, or is disqualified; with `strict`, no events at all",
    "unknown-event": "The player's ledger on this leaderboard holds no event of this id",
    "event-exists": "The player's ledger holds this event id with other points or another time, or from the topic",
    "score-overflow": "Without the event, or with it, some of the player's days would sum past ±(2^53−1)",
    "day-is-sealing": "The day's last events are being settled: ask again after `Retry-After`",
    "too-many-events": "The player has more than 20,000 events on this leaderboard",
    "unknown-export": "There is no export of this id",
    "not-final": "The window has no result yet; ask again later, or wait for the notification",
    "never-final": "All time, a month that `windows` doesn't name, a range that is no registered period: register it",
    "method-not-allowed": "`Allow` names the methods that the path takes",
    "conflict": "Another caller is changing the same thing: read it again, then decide",
    "event-rejected": "The event can't count, for the reason that the dead-letter queue would name: it was not sent",
    "conflicting-event": "The player's ledger holds this `eventId` with other content",
    "never-disqualified": "There is nobody to reinstate",
    "locked-rule": "Aggregation, order, shards and filters can't change once there are events",
    "too-many-periods": "The leaderboard has 500 periods that can still change, or 10 series",
    "final-result-exists": "The window has its result, so what it was made of can't change any more; or, of a "
    "purge, any window has",
    "has-pseudonym": "The player's id was replaced: name the pseudonym, which `pseudonymise` answers with again",
    "is-pseudonym": "The id is the pseudonym of a player already",
    "too-much-to-move": "The player has scores of some forty purges, or was disqualified and reinstated as often",
    "too-many-purges": "The leaderboard was purged 100 times: create another one",
    "audit-log-full": "The leaderboard's audit log is full: 20,000 entries, 15,000 for rebuilds, redrives, periods, "
    "voids and corrections",
    "too-large": "The body is over 64 KiB",
    "invalid-request": "A parameter or field is missing, unknown, out of range, or given with one that excludes it",
    "too-many-ranges": "200 custom ranges of the leaderboard are in use, or 20 that can still change, registered "
    "periods aside; each goes two hours after it was last read",
    "range-budget-spent": "Within ten minutes you have had as many new custom ranges built as one caller may, by "
    "their days with events; `Retry-After` says when there can be another, and what is built can be read",
    "no-room-for-ranges": "Custom ranges that were just read take all the memory that ranges may, or the cache has "
    "little left",
    "internal-error": "A mistake of ours; `detail` names the request in our log",
    "cache-unavailable": "The cache is out of reach, and no snapshot tells; or a leaderboard is to be reopened",
    "rebuilding": "The ranking is being rebuilt, and no snapshot (the first 1,000 entries) tells what was asked for",
    "truth-unavailable": "DynamoDB is out of reach",
    "broker-unavailable": "Kafka has not acknowledged the event within 5 s; it may have it: send the same `eventId`",
    "queue-unavailable": "SQS is out of reach",
}
"""Kind of problem → when it comes."""
