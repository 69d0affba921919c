"""What the API answers is what the oracle says: at the sizes where cutoffs fall awkwardly, and over long ranges."""

import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis

from shared.domain.records import Record, Source
from tests.support.oracle import Entry, Oracle, Produced, competition_rank, selected

Call = Callable[..., Any]
START_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z
DAY_MS = 86_400_000
TIERS = [
    {"name": "gold", "topN": 10},
    {"name": "silver", "topPercent": 10.01},
    {"name": "bronze", "topPercent": 50},
    {"name": "copper", "topPercent": 60, "ties": "shared"},
    {"name": "iron", "topN": 64, "ties": "shared"},
    {"name": "tin", "minScore": 5},
]
BY_ORDER: dict[str, list[dict[str, Any]]] = {"desc": TIERS, "asc": [*TIERS[:5], {"name": "tin", "maxScore": 30}]}


class Board:
    """A leaderboard, in the product and in the oracle."""

    def __init__(self, call: Call, module: Any, leaderboard_id: str, definition: dict[str, Any]) -> None:
        assert call("put-leaderboard", body=definition).status == 201
        self.definition, self.id = definition, leaderboard_id
        self.call, self._assembly = call, module.assembly
        self._oracle = Oracle({leaderboard_id: definition})
        self._offset = 0

    def play(self, events: list[tuple[str, int, int]], country: str | None = None) -> None:
        """Ingest (user, points, when in ms), each appended when it occurred, and all from one country."""
        produced, records = [], []
        for user_id, points, at_ms in events:
            moment = datetime.fromtimestamp(at_ms // 1000, UTC)
            event = {
                "eventId": f"e-{self._offset}",
                "leaderboardId": self.id,
                "userId": user_id,
                "points": points,
                "occurredAt": f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z",
            }
            if country is not None:
                event["attributes"] = {"country": country}
            value = json.dumps(event).encode()
            produced.append(Produced(0, self._offset, at_ms, value))
            records.append(Record(Source("score-events", 0, self._offset, at_ms), None, value))
            self._offset += 1
        assert {one.kind for one in self._assembly.ingest.ingest(records)} <= {"applied"}
        self._oracle.take(produced)

    def carriers(self, country: str, first: date | None = None, last: date | None = None) -> list[Entry]:
        return self._oracle.carriers(self.id, "country", first, last).get(country, [])

    def ranking(self, first: date | None = None, last: date | None = None) -> list[Entry]:
        return self._oracle.ranking(self.id, first, last)

    def get(self, query: str) -> Any:
        answer = self.call("rankings", query=query)
        assert answer.status == 200, answer.json
        return answer.json

    def check(self, shown: list[Any], expected: list[Entry], ranking: list[Entry]) -> None:
        """Every field of every entry."""
        keys = ("rank", "competitionRank", "userId", "score", "percentile", "topPercent", "tier")
        assert [tuple(one[key] for key in keys) for one in shown] == [
            (
                one.rank,
                competition_rank(self.definition, ranking, one),
                one.user_id,
                one.score,
                float(one.percentile),
                float((Decimal(100 * one.rank) / len(ranking)).quantize(Decimal("0.01"), ROUND_UP)),
                one.tier,
            )
            for one in expected
        ]


@pytest.mark.parametrize("players", [0, 1, 2, 99, 100, 101])
@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("qualify", [None, 7])
def test_every_query_is_right_at_every_size_with_ties_at_the_cutoffs(
    call: Call, module: Any, leaderboard_id: str, order: str, players: int, qualify: int | None
) -> None:
    """Scores come in fives, so that the ends of all tiers fall among equal ones; who was first, or his id, decides."""
    definition = {"name": "Cup", "aggregation": "sum", "order": order, "shards": 2, "tiers": BY_ORDER[order]}
    if qualify is not None:
        definition["qualify"] = {"minScore" if order == "desc" else "maxScore": qualify}
    board = Board(call, module, leaderboard_id, definition)
    shuffled = random.Random(players).sample(range(players), players)
    board.play([(f"u{number}", number // 5, START_MS + number % 3) for number in shuffled])
    ranking = board.ranking()
    assert len(ranking) == players

    whole = board.get("window=all-time&limit=1000")
    assert (whole["total"], whole["matched"]) == (players, players)
    board.check(whole["entries"], ranking, ranking)
    for tier in BY_ORDER[order]:
        shown = board.get(f"window=all-time&limit=1000&tier={tier['name']}")["entries"]
        board.check(shown, selected(ranking, tier_name=tier["name"]), ranking)
    for low, high in ((0, 0), (1, 4), (3, 30), (21, 99)):
        shown = board.get(f"window=all-time&limit=1000&minScore={low}&maxScore={high}")["entries"]
        board.check(shown, selected(ranking, low, high), ranking)
    friends = [f"u{number}" for number in range(0, max(players, 1), 7)]
    shown = board.get(f"window=all-time&userIds={','.join(friends)}")["entries"]
    board.check(shown, [one for one in ranking if one.user_id in friends], ranking)
    board.check(paged(board, 7), ranking, ranking)
    for at in {0, 9, 10, 49, 50, players - 1} & set(range(players)):
        path = f"/leaderboards/{leaderboard_id}/players/{quote(ranking[at].user_id)}"
        found = call("player", path=path, query="window=all-time&context=3").json
        around = [*found["above"], found["player"], *found["below"]]
        board.check(around, ranking[max(0, at - 3) : at + 4], ranking)


@pytest.mark.parametrize("players", [0, 1, 2, 100])
@pytest.mark.parametrize("aggregation", ["sum", "best", "latest"])
def test_every_country_has_its_players_with_their_ranks_among_all(
    call: Call, module: Any, leaderboard_id: str, redis: Redis, aggregation: str, players: int
) -> None:
    """Of all windows, also of unseen ranges; some players have moved on the second day, some carry no country."""
    definition = {"name": "Cup", "aggregation": aggregation, "shards": 2, "tiers": TIERS, "filters": ["country"]}
    board = Board(call, module, leaderboard_id, definition)
    for day, countries in enumerate([("DE", "FR", None), ("FR", None, "DE"), (None, None, "")]):
        for number, country in enumerate(countries):
            users = range(number, players, 3 + day)
            at_ms = START_MS + day * DAY_MS
            board.play([(f"u{user}", user // 5, at_ms + user % 3) for user in users], country)
    first = datetime.fromtimestamp(START_MS / 1000, UTC).date()
    second = first + timedelta(days=1)
    windows: list[tuple[str, tuple[date, ...]]] = [
        ("window=all-time", ()),
        (f"window=daily&date={first}", (first, first)),
        (f"window=custom&from={first}&to={second}", (first, second)),
    ]
    for query, days in windows:
        ranking = board.ranking(*days)
        for country in ("DE", "FR", "", "IT"):
            asked = f"{query}&attr.country={country}"
            expected = board.carriers(country, *days)
            shown = board.get(f"{asked}&limit=1000")
            board.check(shown["entries"], expected, ranking)
            assert (shown["total"], shown["matched"]) == (len(ranking), len(expected))
            board.check(paged(board, 7, asked), expected, ranking)
            gold = board.get(f"{asked}&limit=1000&tier=gold")["entries"]
            board.check(gold, selected(expected, tier_name="gold"), ranking)

    redis.flushall()
    refused = call("rankings", query="window=all-time&attr.country=DE")
    assert (refused.status, refused.json["type"]) == (503, "urn:leaderboards:problem:rebuilding")
    assert int(refused.headers["retry-after"]) > 0


def paged(board: Board, limit: int, asked: str = "window=all-time") -> list[Any]:
    """All entries, page by page."""
    entries: list[Any] = []
    following = ""
    while True:
        page = board.get(f"{asked}&limit={limit}{following}")
        entries += page["entries"]
        if page["nextCursor"] is None:
            return entries
        following = f"&cursor={page['nextCursor']}"


@pytest.mark.parametrize(("aggregation", "order"), [("sum", "desc"), ("best", "asc"), ("latest", "desc")])
def test_any_range_of_400_days_is_the_oracles(
    call: Call, module: Any, leaderboard_id: str, aggregation: str, order: str
) -> None:
    definition = {"name": "Cup", "aggregation": aggregation, "order": order, "shards": 1, "tiers": BY_ORDER[order]}
    board = Board(call, module, leaderboard_id, definition)
    chosen = random.Random(f"{aggregation} {order}")
    days = range(400)
    for start in range(0, 400, 100):
        board.play(
            [
                (f"u{chosen.randrange(12)}", chosen.randrange(-9, 30), START_MS + day * DAY_MS + chosen.randrange(9))
                for day in days[start : start + 100]
                for _ in range(2)
            ]
        )
    first_day = datetime.fromtimestamp(START_MS / 1000, UTC).date()
    spans = [(0, 0), (0, 365), (34, 399), (399, 399)]
    spans += [(begin, begin + chosen.randrange(min(366, 400 - begin))) for begin in chosen.sample(days, 5)]
    for begin, end in spans:
        first, last = first_day + timedelta(days=begin), first_day + timedelta(days=end)
        shown = board.get(f"window=custom&from={first}&to={last}&limit=1000")
        ranking = board.ranking(first, last)
        assert shown["window"]["id"] == f"{first}..{last}"
        board.check(shown["entries"], ranking, ranking)
