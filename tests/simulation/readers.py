"""Whoever reads rankings, and what may never be shown to them."""

import csv
import io
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from greenlet import getcurrent
from redis import Redis

from shared.cache import keys as live_keys
from shared.cache.errors import CacheUnavailable
from shared.cache.range_budget import RangeRefused
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.domain.audit import AuditEntry
from shared.domain.calendar import ALL_TIME, Day, Window, daily, monthly, parse_id, to_date, weekly
from shared.domain.rules import Leaderboard, Order
from shared.domain.selections import Selection
from shared.messaging.queues import QueueUnavailable
from shared.reads.answers import Ranking, RankingSource
from shared.reads.rankings import Rankings, Rebuilding
from shared.rebuild.on_demand import Building
from shared.truth.commits import Unavailable
from shared.truth.final_results import FinalResult
from shared.truth.keys import final_sort, leaderboard_partition, version_sort
from tests.simulation.boards import VALUES
from tests.simulation.course import Fault
from tests.simulation.process import Process
from tests.support.oracle import in_force

if TYPE_CHECKING:
    from tests.simulation.world import World

Carriers = dict[tuple[str, str], list[tuple[int, str, int, int]]]
"""(filter, value) → rank in the window, user, score and instant of those who carry it."""


OF_THE_CACHE = (
    Fault.CACHE_AWAY,
    Fault.CACHE_LOSES,
    Fault.SLOW,
    Fault.FLUSH,
    Fault.FAILOVER,
    Fault.FULL,
    Fault.SCRIPT_ERROR,
)
"""By which it doesn't follow what it is told."""


NOT_NOW = (Rebuilding, CacheUnavailable, Unavailable, Building, RangeRefused, QueueUnavailable)
"""What a reader is told who has to ask again."""


def every_label(board: Leaderboard) -> list[tuple[str, str]]:
    """Every value of every filter, of those that events have."""
    return [(name, value) for name in board.filters for value in VALUES]


def carriers(
    redis: Redis, board: Leaderboard, window: Window, now_ms: int, labels: Iterable[tuple[str, str]]
) -> Carriers:
    """What the product answers for some values of filters."""
    searches = WindowSearches(WindowCache(redis))
    found = {}
    for label in labels:
        chosen = searches.select(board, window, Selection(limit=1_000, label=label), now_ms)
        shown = [(one.index + 1, one.user_id, one.score.points, one.score.reached_at_ms) for one in chosen.found]
        assert (chosen.first, chosen.stop) == (0, len(shown))
        if shown:
            found[label] = shown
    return found


def read(world: "World") -> None:
    """A reader: what it is shown is in order, lacks nothing that was shown to the cache, or says that it may."""
    process = Process(world).api()
    rankings, leaderboards = process.rankings, process.leaderboards
    remembered: set[str] = set()
    while not world.is_quiet():
        world.scheduler.sleep(0.8)
        name = world.rng.choice(world.open)
        process.begin_request()
        if name not in remembered:
            with suppress(Unavailable):
                if leaderboards.find(name) is not None:
                    remembered.add(name)
            continue
        versions, behind = dict(world.shown.versions), set(world.lost_outside_builds)
        hung, waited = world.dynamo.hangs, process.truth.unanswered[getcurrent()]
        board = leaderboards.find(name, or_older=True)
        assert board is not None
        if board.archived:
            continue
        if not board.keeps_all_time:
            let_go(world, board, ALL_TIME)
        try:
            page = rankings.page(board, ALL_TIME, 0, 1_000)
        except (Rebuilding, CacheUnavailable, Building, RangeRefused, QueueUnavailable):
            continue
        except Unavailable as error:
            if board.keeps_all_time and not _while_handling(error, Rebuilding, CacheUnavailable):
                raise  # the cache answers, and the truth was asked all the same
            continue
        if page.source is RankingSource.LIVE:
            if board.keeps_all_time:  # who reads what is not kept may have had it built
                assert process.truth.unanswered[getcurrent()] == waited, "nobody waits for the truth beside the cache"
            world.served_in_silence += hung and world.dynamo.hangs
        world.served[page.source] += 1
        _check_page(world, board, page, {} if board.scores_id in behind else versions)
        process.begin_request()
        _read_player(world, rankings, board)
        process.begin_request()
        _read_range(world, rankings)
        process.begin_request()
        _read_closing(world, rankings, board)
        process.begin_request()
        _read_final(world, rankings, board)


def _check_page(world: "World", board: Leaderboard, page: Ranking, versions: dict[tuple[str, str], int]) -> None:
    """Entries are in their order, and those of a live page are or were the truth's."""
    sign = -1 if board.order is Order.DESC else 1
    keys = [(sign * entry.score, entry.reached_at_ms, entry.user_id.encode()) for entry in page.entries]
    assert keys == sorted(keys)
    assert page.total == len(keys)
    if page.source is RankingSource.LIVE:
        shown = {one.user_id: (one.score, one.reached_at_ms) for one in page.entries}
        if not any(map(world.scheduler.has, OF_THE_CACHE)):
            both = [name for name, user in world.pseudonyms(board.id).items() if {name, user} <= shown.keys()]
            assert both == [], "nobody stands under two names, unless the cache could not be told"
        for user in shown.keys() - _out_for_days(world, board.id):
            standing = shown[user]
            assert standing in world.dynamo.all_time[board.scores_id, user].values(), "the truth knows it"
        is_there = board.keeps_all_time or not has_gone(world, board.scores_id, ALL_TIME)
        if is_there and board.scores_id not in world.lost_outside_builds:
            _check_versions(world, board, shown, versions)


def _check_versions(
    world: "World", board: Leaderboard, shown: dict[str, tuple[int, int]], versions: dict[tuple[str, str], int]
) -> None:
    """No live window shows an older standing than the cache was brought up to before it was read."""
    for (name, user), version in versions.items():
        if name != board.scores_id:
            continue
        if user in _out_for_days(world, board.id):
            continue
        if user in shown:
            known = world.dynamo.all_time[name, user]
            assert shown[user] in [known[number] for number in known if number >= version], (name, user, version)
        else:
            assert user in _acted_upon(world, board.id), (name, user, "is missing")


def _acted_upon(world: "World", name: str) -> set[str]:
    return {entry.user_id or "" for entry in _log(world, name)} | {*world.pseudonyms(name).values()}


def _out_for_days(world: "World", name: str) -> set[str]:
    """Who was ever disqualified for some days, by id and pseudonym: their scores of all time are checked at the end."""
    out = {entry.user_id or "" for entry in _log(world, name) if entry.run is not None}
    return out | {user_id for pseudonym, user_id in world.pseudonyms(name).items() if pseudonym in out}


def _log(world: "World", name: str) -> list[AuditEntry]:
    registry = world.dynamo.tables["registry"]
    log = leaderboard_partition(name)
    bodies = [registry[of, sort]["body"]["S"] for of, sort in registry if of == log and sort.startswith("audit#")]
    return [msgspec.json.decode(body, type=AuditEntry) for body in bodies]


def _read_player(world: "World", rankings: Rankings, board: Leaderboard) -> None:
    with suppress(*NOT_NOW):
        found = rankings.player(board, ALL_TIME, world.user(), 2)
        if found is not None:
            ranks = [one.rank for one in (*found.above, found.player, *found.below)]
            assert ranks == list(range(ranks[0], ranks[0] + len(ranks)))
            assert found.rank_is_approximate == (found.ranking.source is RankingSource.SNAPSHOT)


def _read_range(world: "World", rankings: Rankings) -> None:
    let_range_go(world)
    if world.registry.current(world.ranged.id).archived:
        return
    try:
        page = rankings.page(world.ranged, world.range, 0, 1_000)
    except Building:
        world.built_behind += 1
    except (Rebuilding, CacheUnavailable, RangeRefused, Unavailable, QueueUnavailable):
        return
    else:
        assert [entry.rank for entry in page.entries] == list(range(1, page.total + 1))
        world.ranges_served += 1


def _read_closing(world: "World", rankings: Rankings, board: Leaderboard) -> None:
    """A window that is over shows the rules that were in force at its end, whatever has changed since."""
    day = Day(board.calendar.day_of(world.scheduler.now_ms) - world.rng.randrange(1, 4))
    window = world.rng.choice([daily, weekly, monthly])(day)
    try:
        page = rankings.page(board, window, 0, 1_000)
    except NOT_NOW:
        return
    if page.result_version is not None or world.scheduler.fault_counts[Fault.RESTORE]:
        return  # a restore takes versions back that a reader knows
    known = [one for one in world.registry.written(board.id) if one[1] <= board.version]
    number = in_force(world.boards[board.id], known, to_date(window.last))
    assert page.rules_version == number, (board.id, window.id, known)
    world.closing_by_earlier_rules += number < board.version


def _read_final(world: "World", rankings: Rankings, board: Leaderboard) -> None:
    """A window that is shown as final is the file of the version that it names, line by line."""
    partition, prefix = leaderboard_partition(board.id), final_sort("")
    results = sorted(
        sort for of, sort in world.dynamo.tables["registry"] if of == partition and sort.startswith(prefix)
    )
    if not results:
        return
    window = parse_id(world.rng.choice(results).removeprefix(prefix))
    behind = set(world.lost_outside_builds)
    try:
        page = rankings.page(board, window, 0, 1_000)
    except NOT_NOW:
        return
    world.corrections_seen += page.pending_version is not None
    if page.source is not RankingSource.FINAL or board.scores_id in behind | world.lost_outside_builds:
        return
    assert page.pending_version is None
    version = page.result_version
    assert version is not None
    sort = final_sort(window.id) if version == 1 else version_sort(window.id, version)
    final = msgspec.json.decode(world.dynamo.tables["registry"][partition, sort]["body"]["S"], type=FinalResult)
    lines = csv.DictReader(io.StringIO(world.s3.objects[final.object_key].decode()))
    expected = [(int(one["rank"]), one["user_id"], int(one["score"]), one["tier"] or None) for one in lines]
    shown = [(one.rank, one.user_id, one.score, one.tier) for one in page.entries]
    if names := world.pseudonyms(board.id):  # who had the same score at the same time may change places
        now = {user: name for name, user in names.items()}
        expected = sorted((0, now.get(user, user), points, None) for _, user, points, _ in expected)
        shown = sorted((0, user, points, None) for _, user, points, _ in shown)
    assert shown == expected, (board.id, window.id, version, "is not what the result says")
    world.results_served += 1


def has_gone(world: "World", scores_id: str, window: Window) -> bool:
    """Whether Redis would have dropped a window that was built on demand: its clock is not the one of this world."""
    kept: Any = world.redis.hget(live_keys.ranges(scores_id), window.id)
    return kept is None or int(kept.rpartition(b" ")[2]) <= world.scheduler.now_ms


def let_range_go(world: "World") -> None:
    let_go(world, world.ranged, world.range)


def let_go(world: "World", board: Leaderboard, window: Window) -> None:
    """What Redis does by its own clock with a window that was built on demand."""
    if has_gone(world, board.scores_id, window):
        world.redis.delete(*live_keys.own(board.scores_id, window))


def _while_handling(error: BaseException | None, *kinds: type[Exception]) -> bool:
    """Whether an error came up while another of these kinds was handled."""
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__context__
    return False
