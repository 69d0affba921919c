"""Examples of the contract: one of each request and each answer."""

from typing import Any, Final

from infra.contract import audit_log
from infra.contract.parameters import CURSOR

_WINDOW: Final = {
    "kind": "weekly",
    "id": "2026-W48",
    "from": "2026-11-23",
    "to": "2026-11-29",
    "startsAt": "2026-11-23T00:00:00.000Z",
    "endsAt": "2026-11-30T00:00:00.000Z",
    "status": "open",
}
_AS_READ: Final = {
    "revision": 1795430526698372,
    "total": 200,
    "asOf": "2026-11-25T12:00:00.000Z",
    "source": "live",
}


def _entry(rank: int, competition_rank: int, user_id: str, score: int, reached_at: str) -> dict[str, Any]:
    return {
        "rank": rank,
        "competitionRank": competition_rank,
        "userId": user_id,
        "score": score,
        "reachedAt": reached_at,
        "percentile": (200 - rank) * 10_000 // 200 / 100,
        "topPercent": rank * 10_000 / 200 / 100,
        "tier": "gold" if rank <= 100 else None,
    }


_FIRST: Final = _entry(1, 1, "u-7", 700, "2026-11-24T10:15:30.123Z")
_SECOND: Final = _entry(2, 2, "u-42", 625, "2026-11-24T18:00:00.000Z")
_THIRD: Final = _entry(3, 2, "u-9", 625, "2026-11-25T08:30:00.500Z")
_PLAYER: Final = _SECOND | {"pointsToNextRank": 76, "pointsToNextTier": None, "rankApproximate": False}
_EVENT: Final = {
    "eventId": "01JDH3Z8Q4",
    "points": 25,
    "occurredAt": "2026-11-24T18:00:00.000Z",
    "attributes": {"country": "DE"},
    "topic": "score-events",
    "partition": 3,
    "offset": 88412,
    "appendedAt": "2026-11-24T18:00:00.240Z",
    "addedByEntry": None,
    "voidedByEntry": None,
}
_PAINT: Final = {"name": "Ada", "avatar": "fox-3", "metadata": {"level": 12}}
_LETTER: Final = {
    "reason": "invalid",
    "detail": "Expected `int`, got `str` - at `$.points`",
    "topic": "score-events",
    "partition": 5,
    "offset": 1200,
    "appendedAt": "2026-11-24T10:15:30.123Z",
    "rejectedAt": "2026-11-24T10:15:30.640Z",
    "leaderboardId": "autumn-cup",
    "eventId": "01JDH3Z8Q4",
    "key": {"text": "autumn-cup:u-42", "encoding": "utf-8", "bytes": 15, "truncated": False},
    "value": {
        "text": '{"eventId": "01JDH3Z8Q4", "leaderboardId": "autumn-cup", "userId": "u-42", "points": "25"}',
        "encoding": "utf-8",
        "bytes": 90,
        "truncated": False,
    },
}
_OF_REJECTION: Final = ("reason", "detail", "topic", "partition", "offset", "appendedAt", "rejectedAt")
_SERIES: Final = {"id": "fortnight", **audit_log.SERIES, "nextFrom": "2026-12-28"}
_OCCURRENCE: Final = {"id": "fortnight~2026-11-16", "name": "Fortnight", "from": "2026-11-16", "to": "2026-11-29"}
_TIER: Final = {"name": "gold", "topN": 100}
_LEADERBOARD: Final = {
    "name": "Autumn cup",
    "aggregation": "sum",
    "order": "desc",
    "lateness": "PT1H",
    "shards": 16,
    "timeZone": "Europe/Berlin",
    "dayStartsAt": "00:00",
    "windows": ["daily", "weekly", "all-time"],
    "tiers": [_TIER, {"name": "silver", "topPercent": 10}, {"name": "bronze", "minScore": 500}],
    "qualify": {"minScore": 1},
    "filters": ["country", "platform"],
}
_STORED: Final = {
    "tzdata": "2026.6",
    "tzdataDiffersFrom": None,
    "id": "autumn-cup",
    **_LEADERBOARD,
    "version": 1,
    "effectiveFrom": None,
    "hasEvents": True,
    "countsFrom": None,
    "createdAt": "2026-11-01T09:00:00.000Z",
    "updatedAt": "2026-11-01T09:00:00.000Z",
}
_HEALTHY: Final = {"status": "up", "latencyMs": 1.4, "since": "2026-11-23T06:00:00.000Z"}
_EMPTY: Final = _HEALTHY | {"waiting": 0, "inFlight": 0, "notEmptySince": None}

_FILE: Final = {
    "url": "https://bucket.example.com/finals/autumn-cup/2026-W48/v2-rules-1-audit-3.csv?X-Amz-Signature=0123",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
_VERSION: Final = {
    "version": 2,
    "auditSequence": 3,
    "rulesVersion": 1,
    "players": 199,
    "awardCount": 100,
    "tiers": ["gold"],
    "sumOfPoints": "73125",
    "finalisedAt": "2026-12-01T09:00:00.000Z",
    "announcedAt": "2026-12-01T09:00:00.180Z",
    "announcementPending": False,
    "codeVersion": "3f2c9a7be0d14c5586f1a2b3c4d5e6f708192a3b",
    "ranking": _FILE | {"rows": 199},
    "manifest": "https://bucket.example.com/finals/autumn-cup/2026-W48/v2-rules-1-audit-3.csv.manifest.json?X-Amz-Signature=…",
    "awards": _FILE | {"rows": 100},
    "difference": _FILE,
    "awardChanges": _FILE | {"rows": 3},
}

_WHY_LATE: Final = "too_late: appended at 2026-11-25T12:00:00.000Z; its day took records until 2026-11-12T01:00:00.000Z"
_LATE: Final = {
    "type": "urn:leaderboards:problem:event-rejected",
    "title": "The event can't count",
    "status": 422,
    "detail": _WHY_LATE,
    "instance": "/leaderboards/autumn-cup/scores",
    "errors": [
        {
            "field": "scores[1].occurredAt",
            "message": _WHY_LATE,
        }
    ],
}

BODIES: Final[dict[str, Any]] = {
    "LeaderboardBody": _LEADERBOARD,
    "PeriodBody": audit_log.PERIOD | {"reason": "a day was lost, case 1236"},
    "ProfileBody": _PAINT,
    "ScoreBody": {
        "eventId": "run-77",
        "points": 25,
        "occurredAt": "2026-11-25T11:59:59Z",
        "attributes": {"country": "DE"},
    },
    "ScoresBody": {
        "scores": [
            {"userId": "u-42", "eventId": "run-77", "points": 25, "occurredAt": "2026-11-25T11:59:59Z"},
            {"userId": "u-7", "eventId": "run-78", "points": 40, "occurredAt": "2026-11-11T10:00:00Z"},
        ]
    },
    "ReasonBody": {"reason": "it was a rehearsal"},
    "DisqualifyBody": {
        "reason": "bought points, case 1234",
        "strict": True,
        **audit_log.DAYS,
    },
    "ReinstateBody": {"reason": "case 1234 was another player", "from": "2026-11-25", "to": "2026-11-25"},
    "CorrectionBody": audit_log.CORRECTED | {"reason": "a goal that was not seen, case 1236"},
    "RebuildBody": {"reason": "to be sure, case 1235", "window": "2026-W48"},
    "RedriveBody": {"reason": "the leaderboard was missing", "rejectedAs": "unknown_leaderboard"},
}
"""Body's model → example."""

VIEWS: Final[dict[str, Any]] = {
    "BuildingView": {
        "leaderboardId": "autumn-cup",
        "window": {
            "kind": "custom",
            "id": "2026-09-01..2026-11-25",
            "from": "2026-09-01",
            "to": "2026-11-25",
            "startsAt": "2026-09-01T00:00:00.000Z",
            "endsAt": "2026-11-26T00:00:00.000Z",
            "status": "open",
        },
        "state": "building",
        "daysRead": 31,
        "days": 86,
        "standingsRead": 410_332,
    },
    "RankingView": {
        "leaderboardId": "autumn-cup",
        "window": _WINDOW,
        **_AS_READ,
        "matched": 200,
        "entries": [_FIRST, _SECOND, _THIRD],
        "nextCursor": CURSOR,
        "prevCursor": None,
        "truncated": False,
        "rankApproximate": False,
        "rulesVersion": 1,
    },
    "NeighboursView": {
        "leaderboardId": "autumn-cup",
        "window": _WINDOW,
        **_AS_READ,
        "player": _PLAYER,
        "above": [_FIRST],
        "below": [_THIRD],
        "rulesVersion": 1,
    },
    "PlayerWindowsView": {
        "leaderboardId": "autumn-cup",
        "userId": "u-42",
        "windows": [{"window": _WINDOW, "periods": [], **_AS_READ, "rankApproximate": False, "entry": _SECOND}],
        "pending": [],
    },
    "ScoreView": {
        "leaderboardId": "autumn-cup",
        "userId": "u-42",
        "eventId": "run-77",
        "occurredAt": "2026-11-25T11:59:59.000Z",
        "windows": [{"window": _WINDOW, "periods": [], **_AS_READ, "rankApproximate": False, "entry": _SECOND}],
        "pending": [],
    },
    "ScoreAcceptedView": {
        "leaderboardId": "autumn-cup",
        "userId": "u-42",
        "eventId": "run-77",
        "occurredAt": "2026-11-25T11:59:59.000Z",
    },
    "BatchedScoresView": {
        "leaderboardId": "autumn-cup",
        "scores": [
            {
                "userId": "u-42",
                "eventId": "run-77",
                "occurredAt": "2026-11-25T11:59:59.000Z",
                "status": 200,
                "repeats": None,
                "windows": [{"window": _WINDOW, "periods": [], **_AS_READ, "rankApproximate": False, "entry": _SECOND}],
                "pending": [],
                "problem": None,
            },
            {
                "userId": "u-7",
                "eventId": "run-78",
                "occurredAt": None,
                "status": 422,
                "repeats": None,
                "windows": [],
                "pending": [],
                "problem": _LATE,
            },
        ],
    },
    "EventsView": {"leaderboardId": "autumn-cup", "userId": "u-42", "events": [_EVENT], "nextAfter": None},
    "PaintView": _PAINT,
    "ProfileView": {
        "leaderboardId": "autumn-cup",
        "userId": "u-42",
        "profile": _PAINT,
        "since": "2026-11-24T18:00:00.000Z",
    },
    "EventStatusView": {
        "leaderboardId": "autumn-cup",
        "userId": "u-42",
        "eventId": _EVENT["eventId"],
        "status": "applied",
        "event": _EVENT,
        "rejection": None,
        "committed": [],
    },
    "ExplanationView": {
        "leaderboardId": "autumn-cup",
        "window": _WINDOW,
        **_AS_READ,
        "aggregation": "sum",
        "order": "desc",
        "rulesVersion": 1,
        "player": _PLAYER,
        "days": [
            {"day": "2026-11-23", "points": 600, "reachedAt": "2026-11-23T20:01:02.003Z", "events": 31},
            {"day": "2026-11-24", "points": 25, "reachedAt": "2026-11-24T18:00:00.000Z", "events": 1},
        ],
        "disqualifiedDays": [audit_log.DAYS],
        "events": [{"event": _EVENT, "counts": True}],
        "eventsComplete": False,
        "agrees": True,
        "above": {"entry": _FIRST, "decidedBy": "score"},
        "below": {"entry": _THIRD, "decidedBy": "reachedAt"},
        "qualifies": True,
        "qualified": 200,
        "tiers": [{"rule": _TIER, "met": True, "cutoffRank": 100, "cutoffScore": 125, "pointsToReach": None}],
    },
    "LeaderboardView": _STORED,
    "LeaderboardsView": {"leaderboards": [_STORED], "nextAfter": None},
    "PeriodView": {"id": "launch", **audit_log.PERIOD},
    "SeriesView": _SERIES,
    "PeriodsView": {"periods": [_OCCURRENCE, {"id": "launch", **audit_log.PERIOD}], "series": [_SERIES]},
    "ExportView": {
        "id": "2026-W48-csv-1795431341662",
        "leaderboardId": "autumn-cup",
        "windowId": "2026-W48",
        "format": "csv",
        "state": "running",
        "rowsWritten": 100000,
        "rows": 250000,
        "url": None,
        "manifest": None,
        "sha256": None,
        "error": None,
        "createdAt": "2026-11-25T12:00:00.000Z",
    },
    "AuditEntryView": audit_log.ENTRY,
    "DisqualifiedDaysView": audit_log.DAYS,
    "PlayerDaysView": audit_log.PLAYER_DAYS,
    "DisqualificationView": audit_log.ENTRY | audit_log.DAYS | {"known": True},
    "AmendmentView": audit_log.VOID | {"already": False},
    "AmendmentView of correct": audit_log.CORRECTION | {"subject": "case-1236", "points": 20, "already": False},
    "AuditEntryView of reinstate": audit_log.REINSTATED,
    "AuditEntryView of rebuild": audit_log.REBUILD,
    "AuditLogView": {
        "leaderboardId": "autumn-cup",
        "entries": [audit_log.ENTRY, audit_log.REINSTATED, audit_log.REBUILD, audit_log.MOVED],
        "nextAfter": None,
    },
    "DisqualifiedView": {
        "leaderboardId": "autumn-cup",
        "auditSequence": 3,
        "userIds": ["u-42"],
        "days": [audit_log.PLAYER_DAYS],
    },
    "RebuildView": {
        "leaderboardId": "autumn-cup",
        "state": "running",
        "daysRead": 12,
        "days": 46,
        "standingsRead": 2310500,
    },
    "RedrivenView": {
        "auditEntry": audit_log.REDRIVE,
        "sent": 12,
        "failed": 0,
        "left": 0,
        "tooLate": 0,
        "complete": True,
    },
    "ExcerptView": _LETTER["value"],
    "DeadLetterView": _LETTER,
    "RejectionView": {name: _LETTER[name] for name in _OF_REJECTION},
    "DeadLettersView": {"deadLetters": [_LETTER], "nextCursor": None, "onlyInQueue": 0},
    "PseudonymView": {
        "auditEntry": audit_log.PSEUDONYMISE,
        "leaderboardId": "autumn-cup",
        "pseudonym": audit_log.PSEUDONYM,
        "known": True,
        "complete": True,
        "stays": ["finals/autumn-cup/2026-W48/v1-rules-1-audit-0.csv", "logs, until they expire"],
    },
    "PurgeView": {
        "auditEntry": audit_log.PURGE,
        "leaderboardId": "autumn-cup",
        "countsFrom": "2026-11-25T12:02:30.000Z",
    },
    "ResultFileView": _FILE,
    "ResultView": _VERSION
    | {"leaderboardId": "autumn-cup", "window": _WINDOW | {"status": "final"}, "tzdata": "2026.6"},
    "ResultVersionView": _VERSION,
    "ResultPreviewView": {
        "preview": True,
        "leaderboardId": "autumn-cup",
        "window": _WINDOW | {"expectedFinalAt": "2026-11-30T01:05:15.001Z"},
        "rulesVersion": 1,
        "asOf": "2026-11-25T12:00:00.000Z",
        "source": "live",
        "revision": 1795430526698372,
        "players": 200,
        "awardCount": 2,
        "tiers": [{"name": "gold", "awardCount": 1}, {"name": "silver", "awardCount": 1}],
        "awards": [
            {
                "awardId": "2c26b46b68ffc68ff99b453c1d304134",
                "userId": "u-7",
                "tier": "gold",
                "rank": 1,
                "competitionRank": 1,
                "score": 700,
            },
            {
                "awardId": "fcde2b2edba56bf408601fb721fe9b5c",
                "userId": "u-42",
                "tier": "silver",
                "rank": 2,
                "competitionRank": 2,
                "score": 625,
            },
        ],
        "nextCursor": None,
        "truncated": False,
        "days": [
            {"from": "2026-11-23", "to": "2026-11-24", "step": "sealed"},
            {"from": "2026-11-25", "to": "2026-11-29", "step": "open"},
        ],
        "step": "open",
        "blockers": [],
        "pendingAuditEntries": 0,
    },
    "ClosingView": {
        "leaderboardId": "autumn-cup",
        "archived": False,
        "asOf": "2026-11-25T12:00:00.000Z",
        "checkedAt": "2026-11-25T11:59:31.204Z",
        "sealedThrough": "2026-11-23",
        "items": [
            {
                "kind": "day",
                "id": "2026-11-24",
                "step": "committing",
                "cutoffAt": "2026-11-25T01:00:00.000Z",
                "expectedAt": "2026-11-25T01:05:15.001Z",
                "version": None,
                "blockers": [
                    {
                        "code": "lag",
                        "reason": "Records that were sent in time are not processed yet.",
                        "detail": "partition 3 of score-events is committed to 88412 of 90110",
                        "since": "2026-11-25T01:02:31.118Z",
                        "runbook": "docs/runbook.md#lag",
                    }
                ],
            },
            {
                "kind": "window",
                "id": "2026-W48",
                "step": "open",
                "cutoffAt": "2026-11-30T01:00:00.000Z",
                "expectedAt": "2026-11-30T01:05:15.001Z",
                "version": None,
                "blockers": [],
            },
        ],
        "nextAfter": None,
    },
    "ResultVersionsView": {"leaderboardId": "autumn-cup", "windowId": "2026-W48", "versions": [_VERSION]},
    "HealthView": {
        "status": "up",
        "dependencies": {
            "dynamodb": _HEALTHY | {"breaker": "closed"},
            "cache": _HEALTHY
            | {
                "breaker": "closed",
                "memoryUsedBytes": 412_316_860,
                "memoryLimitBytes": 1_073_741_824,
                "leaderboards": 2,
                "completeLeaderboards": 2,
            },
            "s3": _HEALTHY,
            "topic": _HEALTHY | {"lastCommitAt": "2026-11-23T10:15:31.250Z", "lastCommitAgeMs": 840},
            "queues": _HEALTHY
            | {
                "queues": {
                    "repairs": _EMPTY,
                    "ranges": _EMPTY,
                    "exports": _EMPTY | {"waiting": 2, "inFlight": 1, "notEmptySince": "2026-11-23T10:14:00.000Z"},
                    "deadLetters": _EMPTY,
                }
            },
        },
    },
    "HealthView of a failure": {
        "status": "down",
        "dependencies": {
            "dynamodb": {
                "status": "down",
                "latencyMs": 1500.0,
                "since": "2026-11-23T10:15:02.000Z",
                "detail": "no answer in time",
            },
            "cache": _HEALTHY,
        },
    },
}
"""View, or view and route, → example."""
