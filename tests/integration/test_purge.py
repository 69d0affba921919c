"""Purges on real DynamoDB, Redis and S3: what counts, what is shown, and which results come."""

from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from shared.admin.purges import HasResult, Purges
from shared.cache import keys
from shared.domain.audit import AuditAction
from shared.domain.calendar import DAY_MS, Day, daily, weekly
from shared.domain.events import ScoreEvent
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.ingest.outcomes import OutcomeKind
from shared.lookups.leaderboards import Leaderboards
from shared.rebuild.anti_entropy import Repair
from shared.rebuild.requests import RepairPlayers
from shared.truth.final_results import AlreadyDone, FinalResult
from shared.truth.registry import Conflict
from shared.truth.work import Work
from tests.support.closing import HOUR_MS, MONDAY, RANKING, SETTLED_MS, KeptRounds, OnlyThis, Scene

NOON_MS = MONDAY * DAY_MS + 12 * HOUR_MS
DELAY_MS = 150_000
START_MS = NOON_MS + DELAY_MS


def purges(scene: Scene) -> Purges:
    return Purges(
        registry=scene.registry,
        leaderboards=Leaderboards(scene.registry, scene.clock),
        final_results=scene.final_results,
        disqualifications=scene.disqualifications,
        audit_log=scene.audit_log,
        delay_ms=DELAY_MS,
        now_ms=scene.clock,
    )


def purge(scene: Scene) -> Leaderboard:
    return purges(scene).purge(scene.leaderboard, "admin", "rehearsal")[1]


def event(scene: Scene, event_id: str, user: str, points: int, at_ms: int) -> ScoreEvent:
    return ScoreEvent(event_id, scene.id, user, points, at_ms, {})


def shown(scene: Scene) -> list[tuple[str, int]]:
    page = scene.cache.page(scene.leaderboard, daily(MONDAY), 0, 10, scene.now_ms)
    assert page.complete
    return [(user, score.points) for user, score in page.lines]


def repair(scene: Scene) -> Repair:
    registry: Any = OnlyThis(scene.registry, scene.id)
    rounds: Any = KeptRounds()
    parts: Any = {"on_demand": None, "snapshots": None}

    class OnDemand:
        def build_periods(self, _: Leaderboard) -> None:
            pass

    return Repair(
        registry=registry,
        leaderboards=Leaderboards(registry, scene.clock),
        reads=scene.reads,
        cache=scene.cache,
        builder=scene.builder,
        rounds=rounds,
        now_ms=scene.clock,
        **parts | {"on_demand": OnDemand()},
    )


@pytest.fixture
def noon(scene: Scene) -> Scene:
    scene.now_ms = NOON_MS
    return scene


def test_a_purge_shows_what_was_until_its_start_and_then_only_what_came_since(noon: Scene) -> None:
    purged = purge(noon)
    assert purged.starts_ms == (START_MS,)
    before = event(noon, "e-1", "dan", 3, START_MS - 1)
    assert noon.replay(before).kind is OutcomeKind.APPLIED
    assert shown(noon) == [("bob", 7), ("cat", 7), ("ann", 5), ("dan", 3)]

    noon.now_ms = START_MS
    assert not noon.cache.is_complete(noon.leaderboard), "nothing is shown as live before it is built"
    assert noon.replay(event(noon, "e-2", "ann", 2, START_MS)).kind is OutcomeKind.APPLIED
    repair(noon).anti_entropy()
    assert shown(noon) == [("ann", 2)]


def test_what_counted_before_is_a_duplicate_for_ever_however_it_comes_again(noon: Scene) -> None:
    early = event(noon, "e-1", "dan", 3, NOON_MS)
    noon.replay(early)
    purge(noon)
    noon.now_ms = START_MS + HOUR_MS
    repair(noon).anti_entropy()

    assert noon.replay(early).kind is OutcomeKind.DUPLICATE, "delivered again"
    assert noon.replay(early, appended_at_ms=START_MS + HOUR_MS).kind is OutcomeKind.DUPLICATE, "sent again"
    assert noon.replay(event(noon, "e-1", "dan", 4, START_MS)).kind is OutcomeKind.APPLIED, "its id is free again"
    assert shown(noon) == [("dan", 4)]
    assert [one.event.points for one in noon.reads.ledger(noon.id, "dan")] == [3]
    assert [one.event.points for one in noon.reads.ledger(noon.leaderboard.scores_id, "dan")] == [4]


def test_a_backlog_of_before_counts_for_what_was_and_is_not_shown(noon: Scene, redis: Redis) -> None:
    purge(noon)
    noon.now_ms = START_MS + HOUR_MS
    repair(noon).anti_entropy()
    assert redis.keys(f"{keys.prefix(noon.id)}*") == []

    assert noon.replay(event(noon, "e-1", "dan", 3, NOON_MS)).kind is OutcomeKind.APPLIED
    assert shown(noon) == []
    assert not redis.exists(keys.ranking(noon.id, "all-time"))


def test_what_is_of_before_is_repaired_only_until_the_purge_takes_effect(noon: Scene, redis: Redis) -> None:
    purge(noon)
    request = RepairPlayers(leaderboard_id=noon.id, players={"ann": [MONDAY]})
    redis.delete(keys.ranking(noon.id, daily(MONDAY).id), keys.parts(noon.id, daily(MONDAY)))
    assert repair(noon).handle(request) == 2, "also of the week, which shares what it knows"
    noon.now_ms = START_MS
    noon.replay(event(noon, "e-1", "dan", 3, START_MS))
    for leaderboard in (noon.leaderboard, noon.leaderboard.at(NOON_MS)):
        noon.cache.forget(leaderboard, noon.now_ms)
    assert repair(noon).handle(request) == 0
    since = RepairPlayers(leaderboard_id=noon.id, players={"dan": [MONDAY]}, since_ms=START_MS)
    noon.now_ms -= 1
    assert repair(noon).handle(since) > 0, "by a clock that is behind, too"


def test_what_counts_since_a_purge_is_a_duplicate_though_its_day_takes_no_more(noon: Scene) -> None:
    purge(noon)
    noon.now_ms = START_MS
    since = event(noon, "e-1", "dan", 3, START_MS)
    assert noon.replay(since).kind is OutcomeKind.APPLIED
    assert noon.replay(since, appended_at_ms=SETTLED_MS + DAY_MS).kind is OutcomeKind.DUPLICATE
    late = event(noon, "e-2", "dan", 3, START_MS)
    assert noon.replay(late, appended_at_ms=SETTLED_MS + DAY_MS).kind is OutcomeKind.REJECTED


def test_the_day_of_the_purge_and_its_week_are_ranked_from_its_start_on(noon: Scene) -> None:
    purge(noon)
    noon.now_ms = START_MS
    noon.replay(event(noon, "e-1", "ann", 2, START_MS))
    repair(noon).anti_entropy()

    noon.now_ms = SETTLED_MS
    noon.run()
    assert noon.stored(daily(MONDAY)) == [("1", "ann", "2")]
    final = noon.final_results.final(noon.id, daily(MONDAY).id)
    assert final is not None
    manifest = noon.s3.get_object(Bucket="exports", Key=f"{final.object_key}.manifest.json")["Body"].read()
    assert b'"countsFrom":"2099-01-05T12:02:30.000Z"' in manifest


def test_no_window_that_was_over_gets_a_result_and_none_is_owed(scene: Scene) -> None:
    period = Period(id="launch", name="Launch", first=Day(MONDAY - 1), last=MONDAY)
    scene.registry.save_period(scene.id, period)
    purge(scene)
    assert scene.run().final_results == [], "while the purge is to come"
    assert scene.leaderboard.sealed_through == MONDAY

    scene.now_ms += DELAY_MS
    repair(scene).anti_entropy()
    run = scene.run()
    assert run.final_results == []
    assert not run.blocked
    assert not scene.leaderboard.owes(daily(MONDAY))
    assert scene.work.of(scene.id) == Work()

    scene.replay(event(scene, "e-1", "ann", 2, scene.now_ms))
    scene.now_ms += 7 * DAY_MS
    repair(scene).anti_entropy()
    scene.run()
    assert {one.id for one in scene.final_results.windows(scene.id)} >= {daily(Day(MONDAY + 1)).id, weekly(MONDAY).id}
    assert scene.stored(weekly(MONDAY)) == [("1", "ann", "2")]
    assert scene.stored(daily(MONDAY)) is None


def test_after_a_purge_nothing_is_owed_before_the_first_event_since(noon: Scene) -> None:
    purge(noon)
    noon.now_ms = SETTLED_MS + 2 * DAY_MS
    noon.replay(event(noon, "e-1", "ann", 2, (MONDAY + 2) * DAY_MS))
    repair(noon).anti_entropy()
    noon.run()
    assert [one.id for one in noon.final_results.windows(noon.id)] == [daily(Day(MONDAY + 2)).id]


def test_after_a_purge_nothing_is_owed_that_was_owed_before_it(scene: Scene) -> None:
    scene.redis.delete(keys.complete(scene.id))
    assert scene.run().final_results == []
    assert scene.leaderboard.results_from == MONDAY
    purge(scene)
    scene.now_ms = SETTLED_MS + 3 * DAY_MS
    scene.replay(event(scene, "e-1", "ann", 2, (MONDAY + 3) * DAY_MS))
    repair(scene).anti_entropy()
    scene.run()
    assert [one.id for one in scene.final_results.windows(scene.id)] == [daily(Day(MONDAY + 3)).id]


def test_a_leaderboard_with_a_result_is_never_purged(scene: Scene) -> None:
    scene.run()
    assert scene.stored(daily(MONDAY)) == RANKING
    with pytest.raises(HasResult):
        purge(scene)
    current = scene.leaderboard
    with pytest.raises(Conflict):
        scene.registry.save_purge(replace(current, starts_ms=(1,), version=current.version + 1))
    assert [one.kind for one in scene.audit_log.read(scene.id)] == []


def test_a_result_that_was_ranked_before_a_purge_is_not_written_after_it(scene: Scene) -> None:
    write = scene.final_results.write

    def purged_meanwhile(final: FinalResult, period: Period | None = None, last_start_ms: int = 0) -> None:
        purge(scene)
        entries = len(list(scene.audit_log.read(scene.id)))
        final = replace(final, audit_sequence=entries)  # as one that was ranked after the entry was written
        write(final, period, last_start_ms)

    scene.final_results.write = purged_meanwhile  # type: ignore[method-assign]
    run = scene.run()
    assert run.final_results == []
    assert not run.errors
    assert scene.stored(daily(MONDAY)) is None
    assert [one.kind for one in scene.audit_log.read(scene.id)] == [AuditAction.PURGE]


def test_a_result_needs_the_purges_as_they_were_read(noon: Scene) -> None:
    purge(noon)
    noon.now_ms = SETTLED_MS
    noon.replay(event(noon, "e-1", "ann", 2, START_MS))
    repair(noon).anti_entropy()
    noon.run()
    final = noon.final_results.final(noon.id, daily(MONDAY).id)
    assert final is not None
    other = replace(final, window_id=weekly(MONDAY).id)
    for last_start_ms in (0, START_MS - 1):
        with pytest.raises(AlreadyDone):
            noon.final_results.write(other, None, last_start_ms)
    noon.final_results.write(other, None, START_MS)


def test_disqualified_players_stay_out_after_a_purge(noon: Scene) -> None:
    noon.disqualifications.disqualify(noon.leaderboard, "ann", "admin", "bots")
    purge(noon)
    noon.now_ms = START_MS
    for user in ("ann", "bob"):
        noon.replay(event(noon, f"e-{user}", user, 2, START_MS))
    repair(noon).anti_entropy()
    assert shown(noon) == [("bob", 2)]
