"""Leaderboards over the primaries of a real cluster: every use, a failover, slots that move, one primary that fails."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from typing import Any

import pytest
from circuitbreaker import CircuitBreaker
from redis import Redis
from redis.exceptions import ResponseError

from infra.local.cache import BUS_PORTS, cluster_node, form_cluster
from infra.local.servers import Server, free_port
from shared.cache import server
from shared.cache.errors import CacheUnavailable
from shared.cache.leases import BuildLeases, Grant
from shared.cache.range_budget import NoRoomForRanges, RangeBudget, RangeLimits
from shared.cache.searches import WindowSearches
from shared.cache.waits import Waits
from shared.cache.windows import WindowCache
from shared.domain.audit import Disqualified
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, DAY_MS, Day, custom, daily, day_of
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.selections import Selection
from shared.domain.standings import Standing

NOW_MS = int(time.time() * 1000)
"""When the tests were collected: some time before they run."""
FIRST_DAY = Day(20_454)
PRIMARIES = 3
PLAYERS = 600
"""More than one call of the script takes."""
SOON_S = 20


class Cluster:
    """Three primaries, the first of them with a replica."""

    def __init__(self, servers: Sequence[Server], ports: Sequence[int]) -> None:
        self.servers, self.ports = servers, ports
        self.nodes: list[Any] = [Redis(port=port, socket_timeout=5) for port in ports]

    def cache(self, timeout_ms: int = 1_000, breaker: CircuitBreaker | None = None) -> WindowCache:
        """As a function has it, which knows the first server alone."""
        client = server.cache(f"redis://127.0.0.1:{self.ports[1]}", None, timeout_ms)
        return WindowCache(client, breaker, lambda: int(time.time() * 1000))

    def primary_of(self, board: Leaderboard) -> int:
        """Number of the server."""
        slot = self.slot_of(board)
        found = next(one[2][1] for one in self.nodes[1].execute_command("CLUSTER SLOTS") if one[0] <= slot <= one[1])
        return self.ports.index(found)

    def slot_of(self, board: Leaderboard) -> int:
        return int(self.nodes[1].execute_command("CLUSTER KEYSLOT", board.id))

    def board_at(self, number: int, nth: int = 0) -> Leaderboard:
        """One that a primary has."""
        found = (board(f"board-{number}-{nth}-{each}") for each in range(1_000))
        return next(one for one in found if self.primary_of(one) == number)


def board(name: str) -> Leaderboard:
    return Leaderboard(id=name, name="Cup", aggregation=Aggregation.SUM)


def standings(points: int, players: int = PLAYERS) -> dict[str, dict[Day, Standing]]:
    return {
        f"u{number:04}": {ALL_TIME_DAY: Standing(points + number, NOW_MS, 1, version=points)}
        for number in range(players)
    }


def test_every_server_says_how_full_and_busy_it_is(cluster: Cluster) -> None:
    cache = cluster.cache()
    cache.ping()  # by an answer from elsewhere it knows that there are several

    loads = cache.loads()

    assert PRIMARIES <= len(loads) <= len(cluster.ports), "a replica is seen once its primary names it"
    assert all(one.used_bytes > 100_000 and one.cpu_seconds > 0 for one in loads.values())


def soon(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not check():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(cache_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    del cache_url  # the engine is there
    ports = [free_port() for _ in range(PRIMARIES + 1)]
    directory = tmp_path_factory.mktemp("cluster")
    servers = [cluster_node(directory / str(port), port) for port in ports]
    with ExitStack() as running:
        for server in servers:
            running.enter_context(server)
        form_cluster(ports[:PRIMARIES])
        made = Cluster(servers, ports)
        replica, first = made.nodes[PRIMARIES], made.nodes[0]
        replica.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], ports[0] + BUS_PORTS)
        name: Any = first.execute_command("CLUSTER MYID")
        soon(lambda: replica.cluster("INFO")["cluster_known_nodes"] == str(PRIMARIES + 1))

        def replicates() -> bool:
            with suppress(ResponseError):  # it has not heard of the first one yet
                replica.execute_command("CLUSTER REPLICATE", name.decode())
                return True
            return False

        soon(replicates)
        soon(lambda: replica.info("replication").get("master_link_status") == "up")
        yield made
        for node in made.nodes:
            node.close()


@pytest.mark.parametrize("number", range(PRIMARIES))
def test_every_call_reaches_the_primary_of_its_leaderboard_in_one_slot(cluster: Cluster, number: int) -> None:
    """All that the cache is used for: a call whose keys had two slots would be refused."""
    cache, cup = cluster.cache(), cluster.board_at(number)
    searches, builds = WindowSearches(cache), BuildLeases(cache)
    today = day_of(NOW_MS)

    assert cache.apply(cup, standings(1), NOW_MS) == PLAYERS
    cache.apply(cup, {"u0001": {today: Standing(7, NOW_MS, 1, version=1)}}, NOW_MS)
    grant, build = builds.begin_rebuild(cup, "token", NOW_MS)
    assert grant is Grant.GRANTED
    cache.apply(cup, standings(2, 200), NOW_MS, build)
    builds.renew(build, NOW_MS)
    assert builds.finish_rebuild(cup, build)
    assert cache.is_complete(cup)
    assert builds.rebuild_state(cup, NOW_MS)[0] == "complete"

    page = cache.page(cup, ALL_TIME, 0, 3, NOW_MS)
    assert (page.complete, page.total) == (True, PLAYERS)
    assert (page.lines[0][0], page.lines[0][1].points) == ("u0599", 600)
    assert cache.revision(cup, ALL_TIME) == page.revision
    assert cache.shown_versions(cup, ["u0000", "nobody"], ALL_TIME_DAY) == [2, 0]
    assert cache.player(cup, ALL_TIME, "u0300", 2, NOW_MS).page.total == PLAYERS
    assert cache.snapshot(cup, ALL_TIME, NOW_MS)[0]
    assert searches.select(cup, ALL_TIME, Selection(limit=5, min_score=400), NOW_MS).stop == 201
    assert len(searches.players(cup, ALL_TIME, ["u0001", "u0002"], NOW_MS).found) == 2
    windows = [ALL_TIME, daily(today)]
    assert [len(one.found) for one in searches.player_windows(cup, windows, "u0001", NOW_MS)] == [1, 1]

    cache.show_disqualified(cup.scores_id, Disqualified(1, frozenset({"u0599"}), {}))
    cache.apply(cup, standings(3, 1), NOW_MS)

    used = custom(FIRST_DAY, Day(FIRST_DAY + 2))
    budget = RangeBudget(cache, RangeLimits(1 << 20, 75, 1_000_000), DAY_MS)
    assert budget.admit(cup.scores_id, used, "caller", 5, NOW_MS).is_granted
    _, one = builds.begin_window(cup.scores_id, used, "token", NOW_MS, NOW_MS + DAY_MS, asked=True)
    cache.fill(cup, used, {"u0001": {FIRST_DAY: Standing(1, NOW_MS, 1, version=1)}}, NOW_MS, build=one)
    assert builds.finish_window(cup, used, one)
    budget.settle(cup.scores_id, used, NOW_MS)
    budget.touch(cup.scores_id, used.id, NOW_MS)
    builds.extend(cup, used, NOW_MS + 2 * DAY_MS)
    assert cache.ranges(cup.scores_id, NOW_MS) == {used.id}
    budget.evict(cup.scores_id, used.id)
    assert cache.ranges(cup.scores_id, NOW_MS) == set()
    with Waits(cache, 10, lambda: "token").granted(1_000) as granted:
        assert granted

    cache.withdraw(cup, ALL_TIME, NOW_MS)
    assert not cache.is_complete(cup)
    cache.mark_incomplete(cup.scores_id)
    cache.forget(cup, NOW_MS)
    cache.ping()
    assert {one.used_bytes > 0 for one in cache.loads().values()} == {True}


def test_a_primary_that_is_nearly_full_gets_no_more_ranges_and_the_others_do(cluster: Cluster) -> None:
    cache = cluster.cache()
    budget = RangeBudget(cache, RangeLimits(1 << 20, 75, 1_000_000), DAY_MS)
    used = custom(FIRST_DAY, Day(FIRST_DAY + 3))
    tight, roomy = cluster.board_at(0), cluster.board_at(1)
    memory: Any = cluster.nodes[0].info("memory")
    cluster.nodes[0].config_set("maxmemory", memory["used_memory"] * 10 // 8)
    try:
        with pytest.raises(NoRoomForRanges):
            budget.admit(tight.scores_id, used, "caller", 5, NOW_MS)
        assert budget.admit(roomy.scores_id, used, "caller", 5, NOW_MS).is_granted
    finally:
        cluster.nodes[0].config_set("maxmemory", 0)


def test_a_primary_that_takes_no_writes_shows_nothing_and_the_others_go_on(cluster: Cluster) -> None:
    cache, away, here = cluster.cache(), cluster.board_at(2), cluster.board_at(1)
    for one in (away, here):
        cache.apply(one, standings(1, 3), NOW_MS)
    cluster.nodes[2].config_set("min-replicas-to-write", 1)
    try:
        fresh = cluster.cache()
        fresh.apply(here, standings(2, 3), NOW_MS)
        fresh.page(here, ALL_TIME, 0, 3, NOW_MS)
        with pytest.raises(CacheUnavailable):
            fresh.page(away, ALL_TIME, 0, 3, NOW_MS)
        with pytest.raises(CacheUnavailable):
            fresh.ping()
        assert fresh.page(here, ALL_TIME, 0, 3, NOW_MS).total == 3
    finally:
        cluster.nodes[2].config_set("min-replicas-to-write", 0)
    cache.ping()


def test_a_primary_that_hangs_is_left_alone_and_the_others_are_not(cluster: Cluster) -> None:
    cache = cluster.cache(200, server.cache_breaker())
    away, here = cluster.board_at(2, 1), cluster.board_at(1, 1)
    for one in (away, here):
        cache.apply(one, standings(1, 3), NOW_MS)
    pid = cluster.servers[2].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(server.CACHE_BREAKER_FAILURES):
            with pytest.raises(CacheUnavailable):
                cache.apply(away, standings(2, 3), NOW_MS)
            assert cache.page(here, ALL_TIME, 0, 3, NOW_MS).total == 3
        with pytest.raises(CacheUnavailable, match="left alone"):
            cache.apply(away, standings(2, 3), NOW_MS)
        assert cache.page(here, ALL_TIME, 0, 3, NOW_MS).total == 3
    finally:
        os.kill(pid, signal.SIGCONT)


class Load:
    """Applies versions of all standings of a leaderboard one after the other, and reads pages beside that."""

    def __init__(self, cluster: Cluster, cup: Leaderboard) -> None:
        self.cup, self.cache, self.reader = cup, cluster.cache(), cluster.cache()
        self.version, self.failures, self.reads = 1, 0, 0
        self.wrong: list[tuple[int, int]] = []
        self._over = Event()
        self.cache.apply(cup, standings(1), NOW_MS)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [Thread(target=self._write), Thread(target=self._read)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _write(self) -> None:
        while not self._over.is_set():
            try:
                self.cache.apply(self.cup, standings(self.version + 1), NOW_MS)
                self.version += 1
            except CacheUnavailable:  # as ingest does, which has the players repaired
                self.failures += 1

    def _read(self) -> None:
        while not self._over.is_set():
            with suppress(CacheUnavailable):
                before = self.version
                page = self.reader.page(self.cup, ALL_TIME, 0, 3, NOW_MS)
                self.reads += 1
                top = page.lines[0][1].points if page.lines else 0
                if page.total != PLAYERS or top < before + PLAYERS - 1:
                    self.wrong.append((page.total, top - before))

    def check(self) -> None:
        self.cache.apply(self.cup, standings(self.version + 2), NOW_MS)
        page = self.reader.page(self.cup, ALL_TIME, 0, PLAYERS, NOW_MS)
        expected = [(f"u{number:04}", self.version + 2 + number) for number in reversed(range(PLAYERS))]
        assert [(user, score.points) for user, score in page.lines] == expected


def test_a_slot_moves_while_ingest_and_reads_go_on(cluster: Cluster) -> None:
    """At once, as Valkey 9 moves slots: no call sees half of it."""
    cup = cluster.board_at(1, 2)
    load, slot = Load(cluster, cup), cluster.slot_of(cup)
    with load.running():
        for source, target in ((1, 2), (2, 1), (1, 2)):
            name: Any = cluster.nodes[target].execute_command("CLUSTER MYID")
            migrate = ("CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name.decode())
            cluster.nodes[source].execute_command(*migrate)
            soon(lambda target=target: cluster.primary_of(cup) == target)  # type: ignore[misc]
            before = load.reads, load.version
            soon(lambda before=before: load.reads > before[0] + 5 and load.version > before[1] + 1)  # type: ignore[misc]
    assert (load.wrong, load.failures) == ([], 0)
    load.check()


def test_a_slot_that_moves_key_by_key_makes_nothing_wrong_live(cluster: Cluster) -> None:
    """As Redis and older tools move slots: what a script finds at two servers is refused, and built anew."""
    cache, cup = cluster.cache(), cluster.board_at(1, 3)
    cache.apply(cup, standings(1), NOW_MS)
    builds = BuildLeases(cache)
    _, build = builds.begin_rebuild(cup, "token", NOW_MS)
    assert builds.finish_rebuild(cup, build)
    slot, source, target = cluster.slot_of(cup), cluster.nodes[1], cluster.nodes[2]
    names = [node.execute_command("CLUSTER MYID").decode() for node in (source, target)]
    target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
    source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
    found: Any = source.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
    for key in found:
        source.execute_command("MIGRATE", "127.0.0.1", cluster.ports[2], key, 0, 5_000)
        for call in (lambda: cache.apply(cup, standings(2), NOW_MS), lambda: cache.page(cup, ALL_TIME, 0, 3, NOW_MS)):
            with suppress(CacheUnavailable):
                answer: Any = call()
                if not isinstance(answer, int) and answer.complete:
                    assert answer.total == PLAYERS
    left: Any = source.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
    for key in left:
        with suppress(ResponseError):
            source.execute_command("MIGRATE", "127.0.0.1", cluster.ports[2], key, 0, 5_000, "REPLACE")
    for node in (target, source, cluster.nodes[0]):
        node.execute_command("CLUSTER SETSLOT", slot, "NODE", names[1])

    page = cache.page(cup, ALL_TIME, 0, 3, NOW_MS)
    assert not page.complete or page.total == PLAYERS
    cache.forget(cup, NOW_MS)
    cache.apply(cup, standings(4), NOW_MS)
    assert cache.page(cup, ALL_TIME, 0, 3, NOW_MS).total == PLAYERS


def test_a_replica_takes_over_and_reads_and_ingest_follow_it(cluster: Cluster) -> None:
    cup = cluster.board_at(0, 4)
    load = Load(cluster, cup)
    soon(lambda: cluster.nodes[0].execute_command("WAIT", 1, 1_000) == 1)
    with load.running():
        cluster.servers[0].kill()
        soon(lambda: cluster.primary_of(cup) == PRIMARIES)
        before = load.reads, load.version
        soon(lambda: load.reads > before[0] + 5 and load.version > before[1] + 1)
    assert {total for total, _ in load.wrong} <= {PLAYERS}, "the replica may lack writes, but no player"
    load.check()
    load.cache.ping()
