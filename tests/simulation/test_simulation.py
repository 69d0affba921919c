"""All invariants, after faults at every point at which the product waits for the outside.

A course that fails is printed as the command that takes it again, and so is the smallest one that still fails.
"""

import csv
import hashlib
import io
import os
from base64 import b64decode
from collections import Counter
from datetime import date
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from redis import Redis

from shared.domain.acts import Act, ActKind
from shared.domain.windows import ALL_TIME, DAY_MS, Window, daily, parse_day, parse_id, to_date, weekly
from shared.live.windows import LiveWindows
from shared.queues import DeadLetter
from shared.truth.finals import FinalRanking, Finals
from shared.truth.items import to_ledger_entry, to_standing
from tests.oracle import APPLIED, DUPLICATE, Entry, Fact, Oracle, Produced, instant, overflows, parse, score
from tests.simulation.course import EVENTS as EVENTS_DEFAULT
from tests.simulation.course import Course, Fault, shrink
from tests.simulation.world import BOARDS, DLQ, Carriers, World, carriers, leaderboard

SEEDS = int(os.environ.get("SEEDS", "200"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
EVENTS = int(os.environ.get("EVENTS", EVENTS_DEFAULT))
WITHOUT = frozenset(Fault(name) for name in os.environ.get("WITHOUT", "").split(",") if name)
CHUNK = 20
START_MS = parse_day("2099-01-03") * DAY_MS + 20 * 3_600_000
"""A Saturday evening of a year in which Redis, by its own clock, lets no window go."""


@pytest.mark.parametrize("first", [pytest.param(seed, id=f"seeds-{seed}") for seed in range(0, SEEDS, CHUNK)])
def test_whatever_fails_every_event_counts_once_and_the_cache_equals_the_truth(redis: Redis, first: int) -> None:
    for seed in range(FIRST_SEED + first, FIRST_SEED + min(first + CHUNK, SEEDS)):
        taken = Course(seed, EVENTS, WITHOUT)
        try:
            take(taken, redis)
        except Exception:
            print(f"failed: {taken}")
            print(f"shrunk: {shrink(taken, lambda one: fails(one, redis))}")
            raise


def take(course: Course, redis: Redis) -> World:
    """Take a course to its end and check what has become of everything."""
    world = World(course, redis, START_MS)
    world.run()
    check(world)
    return world


def fails(course: Course, redis: Redis) -> bool:
    try:
        take(course, redis)
    except Exception:  # noqa: BLE001 - in whichever way
        return True
    return False


def check(world: World) -> None:
    """Section 9 of the design, against the oracle.

    Whether an event overflows depends on what is in the ledger when it is judged, and a redelivery after a crash judges
    it anew: of a player whose sums have left the exact integers, what the ledger says is taken over. No run of his days
    may overflow all the same, and each of his records has to be accounted for.
    """
    oracle = Oracle(BOARDS, closed=["closed"])
    records = [record for log in world.topic for record in log]
    oracle.take(records)
    oracle.acts = acts(world)
    letters, stored = dead_letters(world), ledger(world)
    places = {(record.partition, record.offset): record for record in records}
    enormous = {
        player_of(record)
        for place, record in places.items()
        if "score_overflow" in (oracle.outcomes[place], letters.get(place))
    }
    for place, record in places.items():
        outcome = oracle.outcomes[place]
        if outcome in (APPLIED, DUPLICATE, "score_overflow", "conflicting_duplicate") and player_of(record) in enormous:
            in_ledger = {fact.event_id for fact in stored.get(player_of(record), ())}
            assert place in letters or parse(record.value)["eventId"] in in_ledger
        else:
            assert letters.get(place) == (None if outcome in (APPLIED, DUPLICATE) else outcome)
    for player in enormous:
        assert not overflows(stored.get(player, []))
        oracle.facts[player] = stored.get(player, [])
    expected = {player: sorted(facts, key=str) for player, facts in oracle.facts.items() if facts}
    assert {player: sorted(facts, key=str) for player, facts in stored.items()} == expected
    assert_standings(world, oracle)
    assert_windows(world, oracle)
    assert_finals(world, oracle)
    assert_range(world, oracle)


def player_of(record: Produced) -> tuple[str, str]:
    """Leaderboard and user of a record that could be read."""
    event = parse(record.value)
    return event["leaderboardId"], event["userId"]


def dead_letters(world: World) -> dict[tuple[int, int], str]:
    """Partition and offset → reason. Redelivery may bring a letter more than once, always with the original."""
    letters: dict[tuple[int, int], str] = {}
    for body in world.sqs.messages.get(DLQ, ()):
        letter = msgspec.json.decode(body, type=DeadLetter)
        assert b64decode(letter.value or "") == world.topic[letter.partition][letter.offset].value
        letters[letter.partition, letter.offset] = letter.reason
    return letters


def ledger(world: World) -> dict[tuple[str, str], list[Fact]]:
    """What the ledger holds of each player."""
    facts: dict[tuple[str, str], list[Fact]] = {}
    for item in world.dynamo.tables["leaderboard-ledger"].values():
        event = to_ledger_entry(item).event
        attributes = tuple(sorted(event.attributes.items()))
        fact = Fact(event.event_id, event.points, event.occurred_at_ms, attributes)
        facts.setdefault((event.leaderboard_id, event.user_id), []).append(fact)
    return facts


def acts(world: World) -> dict[str, list[tuple[str, str]]]:
    """Leaderboard id → what was done to whom, in the order of the log, which has no gaps."""
    found: dict[str, list[Act]] = {}
    for (partition, sort), item in world.dynamo.tables["registry"].items():
        if sort.startswith("act#"):
            found.setdefault(partition.removeprefix("leaderboard#"), []).append(
                msgspec.json.decode(item["body"]["S"], type=Act)
            )
    logs = {name: sorted(log, key=lambda act: act.number) for name, log in found.items()}
    for log in logs.values():
        assert [act.number for act in log] == list(range(1, len(log) + 1))
        last: dict[str | None, ActKind] = {}
        for act in log:
            assert last.get(act.user_id, ActKind.REINSTATE) != act.kind, "nothing is done twice"
            last[act.user_id] = act.kind
    return {name: [(act.kind, act.user_id or "") for act in log] for name, log in logs.items()}


def assert_standings(world: World, oracle: Oracle) -> None:
    stored = {}
    for (partition, user), item in world.dynamo.tables["leaderboard-standings"].items():
        board, bucket, _ = partition.split("#")
        standing = to_standing(item)
        labels = {label.filter: label.value for label in standing.labels}
        stored[board, bucket, user] = (standing.points, standing.reached_at_ms, standing.events, labels)
    expected = {}
    for (board, user), facts in oracle.facts.items():
        for day in {fact.day for fact in facts}:
            members = [fact for fact in facts if fact.day == day]
            expected[board, to_date(day).isoformat(), user] = summed_up(board, members)
        expected[board, "all-time", user] = summed_up(board, facts)
    assert stored == expected


def summed_up(board: str, facts: list[Fact]) -> tuple[int, int, int, dict[str, str]]:
    """What a standing is to hold of events."""
    in_time = sorted(facts, key=lambda fact: (fact.at_ms, fact.event_id))
    filters = BOARDS[board].get("filters", ())
    labels = {name: value for fact in in_time for name, value in fact.attributes if name in filters}
    return (*score(BOARDS[board], facts), len(facts), labels)


def assert_windows(world: World, oracle: Oracle) -> None:
    live = LiveWindows(world.redis)
    for name in BOARDS:
        days = oracle.days(name)
        windows: list[Window] = [ALL_TIME]
        windows += [daily(parse_day(day.isoformat())) for day in days]
        windows += {weekly(parse_day(day.isoformat())) for day in days}
        for window in windows:
            if name == "closed":
                continue
            page = live.page(leaderboard(name), window, 0, 1_000, world.scheduler.now_ms)
            assert page.complete
            shown = [(user, one.points, one.reached_at_ms) for user, one in page.lines]
            first, last = (None, None) if window is ALL_TIME else (to_date(window.first), to_date(window.last))
            ranking = oracle.ranking(name, first, last)
            assert shown == [(one.user_id, one.score, one.reached_at_ms) for one in ranking], window.id
            found = carriers(world.redis, leaderboard(name), window, world.scheduler.now_ms)
            assert found == expected_carriers(oracle, name, first, last), window.id
            members = live.labels(leaderboard(name), window, 0, 1_000, world.scheduler.now_ms)
            assert members.total == sum(map(len, found.values())), "and nobody else"


def expected_carriers(
    oracle: Oracle, name: str, first: date | None, last: date | None, acts: int | None = None
) -> Carriers:
    return {
        (filter_name, value): [(one.rank, one.user_id, one.score, one.reached_at_ms) for one in entries]
        for filter_name in BOARDS[name].get("filters", ())
        for value, entries in oracle.carriers(name, filter_name, first, last, acts).items()
    }


def assert_range(world: World, oracle: Oracle) -> None:
    """The range that a reader had built holds what came meanwhile, if it is vouched for at all."""
    if world.range_healed.complete:
        shown = [(user, one.points, one.reached_at_ms) for user, one in world.range_healed.lines]
        days = to_date(world.range.first), to_date(world.range.last)
        ranking = oracle.ranking("best", *days, world.acts_by_then)
        assert shown == [(one.user_id, one.score, one.reached_at_ms) for one in ranking]
        assert world.range_carriers == expected_carriers(oracle, "best", *days, world.acts_by_then)


def assert_finals(world: World, oracle: Oracle) -> None:
    """Every day, week and period in which somebody played is final, and as the oracle ranks it; so is each version."""
    client: Any = world.dynamo
    world.scheduler.calm = True
    finals = Finals(client, "registry")
    results: dict[str, set[str]] = {}
    for partition, sort in list(world.dynamo.tables["registry"]):
        if not sort.startswith("final#"):
            continue
        name, window_id = partition.removeprefix("leaderboard#"), sort.removeprefix("final#")
        results.setdefault(name, set()).add(window_id)
        versions = finals.versions(name, window_id)
        for number, final in enumerate(versions, start=1):
            assert final.version == number
            assert_version(world, oracle, final)
        window = parse_id(window_id)
        days = to_date(window.first), to_date(window.last)
        for before, after in pairwise(versions):
            assert before.acts < after.acts
            rankings = [oracle.ranking(name, *days, acts=one.acts) for one in (before, after)]
            assert_difference(world, after, *rankings)
        assert oracle.ranking(name, *days) == oracle.ranking(name, *days, acts=versions[-1].acts), "is up to date"
        assert finals.final(name, window_id) == versions[-1]
    for name in BOARDS:
        if name == "closed":
            continue
        days_played = [parse_day(day.isoformat()) for day in oracle.days(name)]
        played = {daily(day).id for day in days_played} | {weekly(day).id for day in days_played}
        played |= {period.window.id for period in world.periods.get(name, ())}
        assert played <= results.get(name, set())
    assert set(world.told) == {(name, window_id) for name, windows in results.items() for window_id in windows}
    left = ("due#", "notice#", "open-act#")
    assert not [sort for _, sort in world.dynamo.tables["registry"] if sort.startswith(left)]


def assert_version(world: World, oracle: Oracle, final: FinalRanking) -> None:
    """A version is what the oracle ranks without those who were disqualified as of its act."""
    window = parse_id(final.window_id)
    days = to_date(window.first), to_date(window.last)
    ranking = oracle.ranking(final.leaderboard_id, *days, acts=final.acts)
    lines = table(world, final.object_key, final.sha256)
    stored = [(line["user_id"], int(line["score"]), instant(line["reached_at"])) for line in lines]
    assert stored == [(one.user_id, one.score, one.reached_at_ms) for one in ranking], final.window_id
    assert (final.players, int(final.sum_of_points)) == (len(ranking), sum(one.score for one in ranking))


def assert_difference(world: World, final: FinalRanking, before: list[Entry], after: list[Entry]) -> None:
    """The difference between two versions turns the one into the other, and says nothing else."""
    assert final.difference_key is not None
    old, new = ({one.user_id: (str(one.rank), str(one.score)) for one in ranking} for ranking in (before, after))
    told = {
        line["user_id"]: ((line["rank_before"], line["score_before"]), (line["rank_after"], line["score_after"]))
        for line in table(world, final.difference_key, final.difference_sha256)
    }
    nothing = ("", "")
    changed = {user for user in old | new if old.get(user) != new.get(user)}
    assert told == {user: (old.get(user, nothing), new.get(user, nothing)) for user in changed}


def table(world: World, key: str, sha256: str | None) -> list[dict[str, str]]:
    """The lines of a file, which is the one that its result names."""
    content = world.s3.objects[key]
    assert hashlib.sha256(content).hexdigest() == sha256
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_the_same_seed_takes_the_same_course(redis: Redis) -> None:
    courses = []
    for _ in range(2):
        world = World(Course(4), redis, START_MS)
        world.run()
        courses.append((world.topic, world.scheduler.now_ms, world.scheduler.crashes, world.sqs.messages))

    assert courses[0] == courses[1]


def test_the_faults_do_strike(redis: Redis) -> None:
    """A simulation in which nothing goes wrong would pass for the wrong reason."""
    crashes = finished = done = revised = ranges = built_behind = healed = 0
    served: Counter[str] = Counter()
    reasons: set[str] = set()
    for seed in range(12):
        world = World(Course(seed), redis, START_MS)
        world.run()
        crashes += world.scheduler.crashes
        served.update(world.served)
        finished += world.finished
        ranges += world.ranges_served
        built_behind += world.built_behind
        healed += world.range_healed.complete
        done += sum(len(log) for log in acts(world).values())
        revised += sum(sort.startswith("result-version#") for _, sort in world.dynamo.tables["registry"])
        reasons |= {msgspec.json.decode(body, type=DeadLetter).reason for body in world.sqs.messages[DLQ]}

    assert crashes > 50
    assert served["live"] > 50
    assert served["snapshot"] > 50
    assert finished > 5, "before everything was over"
    assert done > 50
    assert ranges > 50
    assert built_behind > 50
    assert healed > 5
    assert revised > 5
    assert reasons == {
        "malformed",
        "invalid",
        "unknown_leaderboard",
        "leaderboard_closed",
        "conflicting_duplicate",
        "too_late",
        "from_the_future",
        "score_overflow",
    }


def test_a_failure_shrinks_to_what_it_takes() -> None:
    taken: list[Course] = []

    def needs_flushes_crashes_and_seven_events(one: Course) -> bool:
        taken.append(one)
        return one.events >= 7 and not one.without & {Fault.FLUSH, Fault.CRASH}

    smallest = shrink(Course(5), needs_flushes_crashes_and_seven_events)

    assert smallest == Course(5, 7, frozenset(Fault) - {Fault.FLUSH, Fault.CRASH})
    assert str(smallest).startswith("FIRST_SEED=5 SEEDS=1 EVENTS=7 WITHOUT=broker-away,")
    assert len(taken) < 30


def test_a_fault_that_is_left_out_does_not_strike(redis: Redis) -> None:
    world = take(Course(1, 40, frozenset(Fault)), redis)

    assert world.scheduler.crashes == 0
    assert world.owner == ["one"] * len(world.owner)
