"""Valkey and Redis 7 hold the same windows of the same standings, and neither is handed what the other has saved."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from infra.local import packages
from infra.local.cache import Engine, cache_server
from infra.local.config import InvalidConfiguration
from infra.local.servers import PACKAGES, free_port
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.selections import Selection
from shared.domain.standings import Standing

MOST = 2**53 - 1
POINTS = (-MOST, 1 - MOST, -(10**17) // 13, -1, 0, 1, 10**15 + 1, MOST - 1, MOST)
"""Where texts of numbers differ between the engines: past 15 digits, of either sign, and the two zeros."""
NOW_MS = 4_102_444_800_000


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Engine, Redis]]:
    directory, servers, clients = tmp_path_factory.mktemp("engines"), [], {}
    for engine in Engine:
        try:
            packages.prepare_cache(PACKAGES, engine)
        except InvalidConfiguration as error:
            pytest.skip(f"{engine} can't be had here: {error}")
        server = cache_server(directory / engine, port := free_port(), engine=engine)
        server.start()
        servers.append(server)
        clients[engine] = Redis(port=port)
    yield clients
    for client in clients.values():
        client.close()
    for server in servers:
        server.stop()


def seen(client: Redis, leaderboard: Leaderboard, standings: list[dict[str, Any]]) -> list[Any]:
    """All that reads tell, but for revisions, which are times; and what the keys hold, byte for byte."""
    client.flushall()
    cache = WindowCache(client, now_ms=lambda: NOW_MS)
    searches = WindowSearches(cache)
    for one in standings:
        cache.apply(leaderboard, one, NOW_MS)
    page = cache.page(leaderboard, ALL_TIME, 0, 1_000, NOW_MS)
    users = [user for user, _ in page.lines]
    player = cache.player(leaderboard, ALL_TIME, users[len(users) // 2], 3, NOW_MS)
    least, most = sorted(score.points for _, score in page.lines)[:: len(users) - 1]
    bounded = searches.select(
        leaderboard, ALL_TIME, Selection(limit=50, offset=0, min_score=least + 1, max_score=most - 1), NOW_MS
    )
    found = searches.players(leaderboard, ALL_TIME, users[::7], NOW_MS)
    sets = {key: client.zrange(key, 0, -1, withscores=True) for key in client.scan_iter("*:z:*")}
    return [
        page.lines,
        page.total,
        player.page.lines,
        bounded.page.lines,
        bounded.first,
        bounded.stop,
        found.found,
        sets,
    ]


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("aggregation", Aggregation)
def test_both_engines_show_the_same_of_the_same_standings(
    engines: dict[Engine, Redis], aggregation: Aggregation, order: Order
) -> None:
    leaderboard = Leaderboard(id="cup", name="Cup", aggregation=aggregation, order=order)
    rng = random.Random(f"{aggregation} {order}")
    standings = [
        {
            f"u{rng.randrange(60)}": {
                ALL_TIME_DAY: Standing(rng.choice(POINTS), NOW_MS + rng.randrange(9), 1, version=turn)
            }
            for _ in range(20)
        }
        for turn in range(1, 20)
    ]
    by_valkey, by_redis = (seen(engines[engine], leaderboard, standings) for engine in (Engine.VALKEY, Engine.REDIS))
    assert by_valkey == by_redis
    points = [score.points for _, score in by_valkey[0]]
    assert points == sorted(points, reverse=order is Order.DESC)
    assert set(points) == set(POINTS)


def test_each_engine_starts_empty_where_the_other_has_been(engines: dict[Engine, Redis], tmp_path: Path) -> None:
    """There and back again: what the first one holds is old by then, and says that it is complete."""
    del engines  # they are there
    port = free_port()
    for engine in (Engine.REDIS, Engine.VALKEY, Engine.REDIS):
        for kept in (None, b"value"):
            with cache_server(tmp_path, port, engine=engine), Redis(port=port) as client:
                assert client.get("key") == kept
                client.set("key", "value")
