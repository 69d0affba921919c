"""Kafka batches as Lambda hands them over, with players drawn by Zipf's law or all different."""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from infra.local.mapping import Message, record
from shared.domain.events import format_instant

TOPIC = "score-events"
PARTITIONS = 6


def zipf(rng: random.Random, players: int, batch: int, batches: int) -> Iterator[list[int]]:
    """Players of each batch, the k-th most active one 1/k as often as the first."""
    weights = list(accumulate(1 / rank for rank in range(1, players + 1)))
    for _ in range(batches):
        yield rng.choices(range(players), cum_weights=weights, k=batch)


def different(rng: random.Random, batch: int, batches: int) -> Iterator[list[int]]:
    """Players of each batch, nobody twice in one; each comes twice in all, so that half of the standings are there."""
    players = list(range(batch * -(-batches // 2)))
    order = [player for _ in range(2) for player in rng.sample(players, len(players))]
    for start in range(batches):
        yield order[start * batch : (start + 1) * batch]


class Batches:
    """Makes events; within a series no id comes twice, and each has partitions of its own."""

    def __init__(self, leaderboard_id: str, series: int, now_ms: int) -> None:
        self._leaderboard_id = leaderboard_id
        self._series = series
        self._rng = random.Random(series)
        self._now_ms = now_ms
        self._made = 0
        self._offsets = [0] * PARTITIONS

    def values(self, players: Sequence[int]) -> list[tuple[bytes, bytes]]:
        """Key and value of an event for each player."""
        records = []
        for player in players:
            user_id = f"u-{player:07d}"
            event = {
                "eventId": f"01JD{self._series:04d}{self._made:018d}",
                "leaderboardId": self._leaderboard_id,
                "userId": user_id,
                "points": self._rng.randrange(1, 100),
                "occurredAt": format_instant(self._now_ms - self._rng.randrange(1_000)),
                "attributes": {"country": "DE"},
            }
            self._made += 1
            records.append((f"{self._leaderboard_id}:{user_id}".encode(), msgspec.json.encode(event)))
        return records

    def event(self, players: Sequence[int]) -> dict[str, Any]:
        """One invocation's event, a record for each player, over the partitions of the topic."""
        partitions: dict[str, list[dict[str, Any]]] = {}
        for player, (key, value) in zip(players, self.values(players), strict=True):
            partition = player % PARTITIONS
            offset = self._offsets[partition]
            self._offsets[partition] += 1
            message = Message(
                TOPIC, self._series * PARTITIONS + partition, offset, self._now_ms, "LOG_APPEND_TIME", key, value
            )
            partitions.setdefault(f"{TOPIC}-{message.partition}", []).append(record(message))
        return {"eventSource": "SelfManagedKafka", "bootstrapServers": "", "records": partitions}
