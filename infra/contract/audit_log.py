"""Examples of entries of the audit log, and of what asks for them."""

from typing import Final

PERIOD: Final = {"name": "Launch", "from": "2026-11-01", "to": "2026-11-15"}
SERIES: Final = {"name": "Fortnight", "from": "2026-11-02", "every": "P14D", "until": "2027-01-31"}
ENTRY: Final = {
    "number": 3,
    "kind": "disqualify",
    "actor": "admin@example.com",
    "reason": "bought points, case 1234",
    "at": "2026-11-25T12:00:00.000Z",
    "userId": "u-42",
    "subject": None,
    "points": None,
    "occurredAt": None,
}
DAYS: Final = {"from": "2026-11-25", "to": "2026-11-26"}
PLAYER_DAYS: Final = {"userId": "u-7", **DAYS}
REINSTATED: Final = ENTRY | {"number": 4, "kind": "reinstate", "reason": "case 1234 was another player"}
REBUILD: Final = ENTRY | {
    "number": 5,
    "kind": "rebuild",
    "reason": "to be sure, case 1235",
    "userId": None,
    "subject": "2026-W48",
}
REDRIVE: Final = ENTRY | {
    "number": 6,
    "kind": "redrive",
    "reason": "the leaderboard was missing",
    "userId": None,
    "subject": "unknown_leaderboard",
}
MOVED: Final = ENTRY | {
    "number": 7,
    "kind": "define-period",
    "reason": "a day was lost, case 1236",
    "userId": None,
    "subject": "launch",
    "periodBefore": {"id": "launch", **PERIOD},
    "periodAfter": {"id": "launch", **PERIOD, "to": "2026-11-16"},
}
PURGE: Final = ENTRY | {
    "number": 8,
    "kind": "purge",
    "reason": "the rehearsal is over",
    "userId": None,
    "subject": "from 2026-11-25T12:02:30.000Z",
}
PSEUDONYM: Final = "p-9f86d081884c7d659a2feaa0c55ad015"
PSEUDONYMISE: Final = ENTRY | {
    "number": 9,
    "kind": "pseudonymise",
    "reason": "asked to be forgotten, case 1237",
    "userId": PSEUDONYM,
}
VOID: Final = ENTRY | {
    "number": 7,
    "kind": "void",
    "reason": "a foul, case 1236",
    "subject": "01JDH3Z8Q4",
    "points": 25,
    "occurredAt": "2026-11-24T18:00:00.000Z",
}
CORRECTION: Final = VOID | {"number": 8, "kind": "correct", "reason": "a goal that was not seen, case 1236"}
CORRECTED: Final = {"eventId": "case-1236", "points": 20, "occurredAt": "2026-11-24T18:00:00.000Z"}
