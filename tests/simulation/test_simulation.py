"""All invariants, after faults at every point at which the product waits for the outside.

A course that fails is printed as the command that takes it again, and so is the smallest one that still fails.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from redis import Redis

from shared.messaging.dead_letters import DeadLetter
from tests.simulation.__main__ import changed
from tests.simulation.boards import ARCHIVED, BOARDS
from tests.simulation.checks import START_MS, audit_logs, failure, take
from tests.simulation.course import Course, Fault, draw, shrink
from tests.simulation.progress import DLQ
from tests.simulation.readers import OF_THE_CACHE
from tests.simulation.scheduler import Scheduler
from tests.simulation.world import World

SEEDS = 200
CHUNK = 20
REFUSED_SEEDS = 40
COURSE = """
import sys
from redis import Redis
from tests.simulation.checks import START_MS
from tests.simulation.course import Course
from tests.simulation.world import World
for seed in (4, 6, 9):
    world = World(Course(seed), Redis.from_url(sys.argv[1]), START_MS)
    world.run()
    print(seed, world.topic, world.scheduler.now_ms, world.scheduler.crashes, world.sqs.messages, file=sys.stderr)
"""


@pytest.mark.parametrize("first", [pytest.param(seed, id=f"seeds-{seed}") for seed in range(0, SEEDS, CHUNK)])
def test_whatever_fails_every_event_counts_once_and_the_cache_equals_the_truth(redis: Redis, first: int) -> None:
    for seed in range(first, first + CHUNK):
        assert failure(draw(seed), redis) is None


@pytest.mark.parametrize("first", [pytest.param(seed, id=f"seeds-{seed}") for seed in range(0, REFUSED_SEEDS, CHUNK)])
def test_no_read_takes_for_live_what_the_cache_refused_or_what_a_restore_took_back(redis: Redis, first: int) -> None:
    """Without the faults by which Redis itself takes back what it has said: then every read can be held to it."""
    for seed in range(first, first + CHUNK):
        drawn = draw(seed)
        left_out = drawn.without - {Fault.FULL, Fault.SCRIPT_ERROR, Fault.RESTORE}
        assert (
            failure(replace(drawn, without=left_out | {Fault.CACHE_LOSES, Fault.FAILOVER, Fault.RETENTION}), redis)
            is None
        )


def test_nobody_stands_under_two_names_while_the_cache_follows(redis: Redis) -> None:
    for seed in range(30):
        drawn = draw(seed)
        left_out = (drawn.without | {*OF_THE_CACHE}) - {Fault.PSEUDONYM}
        assert failure(replace(drawn, without=left_out), redis) is None


def test_the_same_seed_takes_the_same_course_in_every_process(cache_url: str) -> None:
    """Whatever order its sets have: a course that failed elsewhere can be looked at here."""
    courses = [
        subprocess.run(
            [sys.executable, "-c", COURSE, cache_url],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        ).stderr
        for hash_seed in ("1", "2")
    ]

    assert courses[0] == courses[1]
    assert len(courses[0].splitlines()) == 3


def test_the_faults_do_strike(redis: Redis) -> None:
    """A simulation in which nothing goes wrong would pass for the wrong reason."""
    fault_counts: Counter[Fault] = Counter()
    lost = crashes = finished = done = moved = recurred = paid = revised = ranges = built_behind = healed = (
        readmitted
    ) = 0
    closing_by_earlier_rules = taken_over_http = shown_over_http = 0
    served: Counter[str] = Counter()
    reasons: set[str] = set()
    for seed in range(24):
        world = World(Course(seed), redis, START_MS)
        world.run()
        crashes += world.scheduler.crashes
        fault_counts.update(world.scheduler.fault_counts)
        served.update(world.served)
        finished += world.finished
        ranges += world.ranges_served
        built_behind += world.built_behind
        healed += world.range_healed.complete
        readmitted += world.readmitted
        closing_by_earlier_rules += world.closing_by_earlier_rules
        taken_over_http += world.taken_over_http
        shown_over_http += world.shown_over_http
        lost += len(world.lost())
        done += sum(entry[1] != "" for log in audit_logs(world).values() for entry in log)
        moved += len(world.registry.period_changes)
        paid += len(world.dynamo.paid_for)
        recurred += sum("~" in one for paid_for in world.dynamo.paid_for.values() for one in paid_for)
        revised += sum(sort.startswith("result-version#") for _, sort in world.dynamo.tables["registry"])
        reasons |= {msgspec.json.decode(body, type=DeadLetter).reason for body in world.sqs.messages[DLQ]}

    assert crashes > 50
    assert all(fault_counts[fault] > 5 for fault in Fault if fault not in (Fault.SKEW, Fault.RESTORE))
    assert served["live"] > 50
    assert served["snapshot"] > 50
    assert finished > 5, "before everything was over"
    assert done > 50
    assert moved > 50
    assert paid > 20
    assert recurred > 20
    assert ranges > 50
    assert built_behind > 50
    assert healed > 5
    assert readmitted > 1
    assert closing_by_earlier_rules > 50
    assert taken_over_http > 50
    assert shown_over_http > 5
    assert lost > 20
    assert revised > 5
    assert reasons == {
        "malformed",
        "invalid",
        "unknown_leaderboard",
        "leaderboard_archived",
        "conflicting_duplicate",
        "too_late",
        "from_the_future",
        "score_overflow",
        "untrusted_timestamp",
    }


def test_readers_are_served_from_the_cache_while_the_truth_hangs_and_nothing_is_lost(redis: Redis) -> None:
    """With nothing else wrong: where the cache is flushed, too, nobody can fill it again before the truth answers."""
    served = 0
    for seed in range(12):
        world = take(Course(seed, without=frozenset(Fault) - {Fault.HANG}), redis)
        served += world.served_in_silence

    assert served > 20


def test_a_failure_shrinks_to_what_it_takes() -> None:
    taken: list[Course] = []

    def needs_flushes_crashes_and_seven_events(one: Course) -> bool:
        taken.append(one)
        return one.events >= 7 and not one.without & {Fault.FLUSH, Fault.CRASH}

    smallest = shrink(Course(5), needs_flushes_crashes_and_seven_events)

    assert smallest == Course(5, 7, boards=("fewest",), without=frozenset(Fault) - {Fault.FLUSH, Fault.CRASH})
    assert str(smallest).startswith(
        "FIRST_SEED=5 SEEDS=1 EVENTS=7 PLAYERS=9 BOARDS=fewest WITHOUT=archive,broker-away,"
    )
    assert len(taken) < len(Fault) + len(BOARDS) + 16, "each fault and board once, and the events by halves"


def test_a_fault_that_is_left_out_does_not_strike(redis: Redis) -> None:
    world = take(Course(1, 40, without=frozenset(Fault)), redis)

    assert world.scheduler.crashes == 0
    assert world.owner == ["one"] * len(world.owner)


def test_seeds_draw_courses_of_every_kind() -> None:
    courses = [draw(seed) for seed in range(SEEDS)]

    assert {name for course in courses for name in course.boards} == set(BOARDS)
    assert all(set(course.boards) - {ARCHIVED} for course in courses)
    assert all(any(fault in course.without for course in courses) for fault in Fault)
    assert sum(not course.without for course in courses) > SEEDS // 5


def test_what_the_environment_says_takes_a_failed_course_again() -> None:
    failed = replace(draw(7), events=12, boards=("best",), without=frozenset({Fault.CRASH, Fault.FLUSH}))
    said = dict(part.split("=") for part in str(failed).split() if "=" in part)

    assert changed(draw(int(said["FIRST_SEED"])), said) == failed


def test_a_process_that_is_killed_does_nothing_on_its_way_out() -> None:
    scheduler = Scheduler(Course(0), START_MS)
    done: list[str] = []

    def live() -> None:
        try:
            with scheduler.time_limit(1_000):
                scheduler.pause()
                done.append("in time")
                scheduler.now_ms += 2_000
                scheduler.pause()
                done.append("too late")
        finally:
            scheduler.pause()
            done.append("on its way out")

    scheduler.spawn(live)
    with pytest.raises(AssertionError, match="not done"):
        scheduler.run(lambda: False, 60)

    assert scheduler.timeouts > 5
    assert set(done) == {"in time"}
