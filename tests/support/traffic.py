"""What is sent to a stack under test: leaderboards, good events and bad records of every kind."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

LARGEST = 2**53 - 1
Pair = tuple[bytes | None, bytes | None]
"""Key and value of a record."""

BOARDS: dict[str, dict[str, Any]] = {
    "sum": {
        "name": "Points of the season",
        "aggregation": "sum",
        "order": "desc",
        "lateness": "P60D",
        "shards": 4,
        "tiers": [
            {"name": "gold", "topN": 10},
            {"name": "silver", "topPercent": 12.5},
            {"name": "bronze", "minScore": 20},
        ],
    },
    "best": {
        "name": "Fastest lap",
        "aggregation": "best",
        "order": "asc",
        "lateness": "P60D",
        "shards": 3,
        "tiers": [{"name": "podium", "topN": 3}, {"name": "top", "topPercent": 33.33}, {"name": "par", "maxScore": 0}],
    },
    "latest": {
        "name": "Rating",
        "aggregation": "latest",
        "order": "desc",
        "lateness": "P60D",
        "shards": 1,
        "tiers": [{"name": "one", "topN": 1}, {"name": "half", "topPercent": 50}],
    },
}
STRICT: dict[str, Any] = {"name": "No delay", "aggregation": "sum", "lateness": "PT0S", "shards": 2}
DELETED: dict[str, Any] = {"name": "Gone", "aggregation": "sum"}

PLAYERS = [f"player-{number}" for number in range(120)] + [
    *(
        'quote"d',
        "com,ma",
        "semi;colon",
        "=1+1",
        "a b",
        "a/b",
        "per%cent",
        "Ünï-cödé",
        "\U0001f600",
        "\uffff",
        "x" * 128,
    ),
    *("Player-1", "\u00a0", "#", "?", "+"),
]


class Traffic:
    """Events over four weeks before `now`, made from a seed: the same for the same now."""

    def __init__(self, seed: int, now: datetime) -> None:
        self._rng = random.Random(seed)
        self._now = now
        self._numbers = iter(range(10**9))
        today = now.date()
        back = (1, 2, 3, 5, 8, 13, 14, 20, 26)
        self.days = [today - timedelta(days=days) for days in reversed(back)]
        """Over several weeks, with gaps, the last one yesterday."""

    def good(self, board: str, count: int) -> list[Pair]:
        """Events with few different points and times, so that many tie."""
        return [self._event(board, self._rng.choice(PLAYERS), self._rng.randint(-15, 20)) for _ in range(count)]

    def with_duplicates(self, pairs: list[Pair], percent: int) -> list[Pair]:
        """The pairs and copies of some of them, shuffled."""
        copies = self._rng.choices(pairs, k=len(pairs) * percent // 100)
        return self.shuffled(pairs + copies)

    def shuffled(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs in any order."""
        return self._rng.sample(pairs, len(pairs))

    def conflicting(self, pairs: list[Pair], count: int) -> list[Pair]:
        """Other content under the ids of some of the events."""
        conflicts: list[Pair] = []
        for key, value in self._rng.sample(pairs, count):
            event = json.loads(value or b"")
            change = self._rng.choice([{"points": event["points"] + 1}, {"attributes": {"changed": "yes"}}])
            conflicts.append((key, json.dumps(event | change).encode()))
        return conflicts

    def overflowing(self, board: str, players: int) -> list[Pair]:
        """Per player, in this order: the largest sum, one point too much, and a copy of what counted."""
        pairs = []
        for number in range(players):
            user = f"whale-{number}"
            first, second = self._event(board, user, LARGEST), self._event(board, user, 1)
            pairs += [first, second, first]
        return pairs

    def bad(self, board: str, strict: str, deleted: str, rounds: int) -> list[Pair]:
        """Records that are refused for what they are, `rounds` of each kind."""
        return [pair for _ in range(rounds) for pair in self._one_of_each(board, strict, deleted)]

    def _one_of_each(self, board: str, strict: str, deleted: str) -> list[Pair]:
        good = self._fields(board, "player-0", 1)
        key, whole = _pair(good)
        assert whole is not None
        ahead = (self._now + timedelta(hours=1)).isoformat()
        malformed = [
            b"",
            b"not json",
            whole[:-1],
            b"[" + whole + b"]",
            whole.replace(b"player-0", b"player-\xff"),
            None,
        ]
        invalid: list[dict[str, Any]] = [
            {"eventId": ""},
            {"eventId": 7},
            {"leaderboardId": "Not An Id"},
            {"userId": ""},
            {"userId": "a\u0000"},
            {"userId": "é" * 65},
            {"points": LARGEST + 1},
            {"points": 1.5},
            {"points": None},
            {"occurredAt": "2026-02-29T00:00:00Z"},
            {"occurredAt": "2026-02-28T00:00:00"},
            {"attributes": {f"a{number}": "" for number in range(17)}},
            {"attributes": {"a": 1}},
        ]
        return [
            *((key, value) for value in malformed),
            (None, b"without key"),
            (key, b"[" * 100_000 + b"]" * 100_000),
            _pair(good | {"userId": "u" * 450_000}),
            *((key, json.dumps(good | change).encode()) for change in invalid),
            *((key, json.dumps({k: v for k, v in good.items() if k != field}).encode()) for field in list(good)[:5]),
            self._event("no-such-board", "player-1", 1),
            self._event(deleted, "player-1", 1),
            self._event(strict, "player-1", 1),
            _pair(self._fields(board, "player-2", 1) | {"occurredAt": ahead}),
        ]

    def _event(self, board: str, user: str, points: int) -> Pair:
        return _pair(self._fields(board, user, points))

    def _fields(self, board: str, user: str, points: int) -> dict[str, Any]:
        number = next(self._numbers)
        fields: dict[str, Any] = {
            "eventId": f"{board}-{number}",
            "leaderboardId": board,
            "userId": user,
            "points": points,
            "occurredAt": self._instant(self._rng.choice(self.days)),
        }
        if number % 3 == 0:
            fields["attributes"] = {"country": self._rng.choice(["DE", "FR"])}
        return fields

    def _instant(self, day: date) -> str:
        """On few different instants, also the first and the last of the day, written in different ways."""
        second = self._rng.choice([0, 1, 36_000, 36_001, 86_399])
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
        written = self._rng.randrange(4)
        if written == 0:
            return f"{at:%Y-%m-%dT%H:%M:%S}Z"
        if written == 1:
            return f"{at:%Y-%m-%dT%H:%M:%S}.9999999Z"
        if written == 2:
            return f"{at + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}.5+02:00"
        return f"{at - timedelta(minutes=570):%Y-%m-%dt%H:%M:%S}.500-09:30"


def _pair(fields: dict[str, Any]) -> Pair:
    key = f"{fields['leaderboardId']}:{fields['userId']}".encode()
    return key, json.dumps(fields, ensure_ascii=False).encode()
