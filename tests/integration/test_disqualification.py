"""Players taken out of rankings and put back, on real DynamoDB, Redis and S3."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from shared.admin.disqualifications import (
    AUDIT_ENTRIES_MAX,
    ROUTINE_AUDIT_ENTRIES_MAX,
    AuditLogFull,
    DisqualifiedPlayers,
)
from shared.cache import keys
from shared.cache.errors import CacheUnavailable
from shared.cache.pages import Page
from shared.cache.searches import WindowSearches
from shared.closing.runs import Cause
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.awards import award_id
from shared.domain.calendar import ALL_TIME, DAY_MS, RETENTION_MS, Day, Window, custom, daily, weekly
from shared.domain.periods import Period
from shared.domain.rules import Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.lookups.results import READ_AGAIN_MS, Results
from shared.messaging.notifications import NotificationUnavailable, WindowFinal
from shared.reads.corrections import Corrections
from shared.reads.rankings import Rankings
from shared.reads.result_versions import ResultVersions
from shared.rebuild.builder import RebuildOutcome
from shared.truth.audit_log import AuditLogConflict
from shared.truth.final_results import AlreadyDone, FinalResult
from tests.support.closing import HOUR_MS, MONDAY, RANKING, Scene, to_lines

if TYPE_CHECKING:
    from redis import Redis

WITHOUT_BOB = [("1", "cat", "7"), ("2", "ann", "5")]
RANGE = custom(Day(MONDAY - 3), Day(MONDAY + 3))


def shown(scene: Scene, window: Window) -> list[str]:
    """Who stands in a live window, best first; the cache holds it completely."""
    page = scene.cache.page(scene.leaderboard, window, 0, 100, scene.now_ms)
    assert page.complete
    assert page.total == len(page.lines)
    return [user_id for user_id, _ in page.lines]


def test_a_disqualified_player_leaves_every_window_and_returns_with_all_points(
    scene: Scene,
) -> None:
    scene.builder.rebuild_window(scene.leaderboard, RANGE)
    windows = [daily(MONDAY), weekly(MONDAY), ALL_TIME, RANGE]
    assert [shown(scene, window) for window in windows] == [["bob", "cat", "ann"]] * 4

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "bought points")
    scene.play("bob", 1)
    scene.play("bob", 1, Day(MONDAY + 1))

    assert [shown(scene, window) for window in windows] == [["cat", "ann"]] * 4
    assert shown(scene, daily(Day(MONDAY + 1))) == []

    scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "it was another player")

    assert [shown(scene, window) for window in windows] == [["bob", "cat", "ann"]] * 4
    page = scene.cache.page(scene.leaderboard, ALL_TIME, 0, 1, scene.now_ms)
    assert page.lines[0][1].points == 9


def test_a_disqualified_player_is_found_nowhere(scene: Scene) -> None:
    queries = WindowSearches(scene.cache)
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")

    board, now_ms = scene.leaderboard, scene.now_ms
    assert scene.cache.player(board, ALL_TIME, "bob", 5, now_ms).index is None
    assert [one.user_id for one in queries.players(board, ALL_TIME, ["ann", "bob"], now_ms).found] == ["ann"]
    assert queries.player_windows(board, [ALL_TIME], "bob", now_ms)[0].found == []


def test_an_act_asked_for_twice_is_done_once(scene: Scene) -> None:
    first = scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    second = scene.disqualifications.disqualify(scene.leaderboard, "bob", "other", "why else")

    assert (first[1], second[1]) == (True, False)
    assert first[0] == second[0]
    assert list(scene.audit_log.read(scene.id)) == [first[0]]


def test_who_never_was_out_can_t_be_reinstated(scene: Scene) -> None:
    assert scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "why") == (None, False)
    assert list(scene.audit_log.read(scene.id)) == []


def test_entries_at_the_same_time_get_numbers_of_their_own(scene: Scene) -> None:
    act, _ = scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")

    with pytest.raises(AuditLogConflict):
        scene.audit_log.append(scene.id, replace(act, user_id="ann"))

    other, _ = scene.disqualifications.disqualify(scene.leaderboard, "ann", "other", "why")
    assert (act.number, other.number) == (1, 2)


def test_a_full_audit_log_takes_no_more_entries(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AUDIT_ENTRIES_MAX > 1
    monkeypatch.setattr("shared.admin.disqualifications.AUDIT_ENTRIES_MAX", 1)
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")

    with pytest.raises(AuditLogFull):
        scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "why")


def test_routine_entries_leave_room_for_disqualifications_and_definitions(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROUTINE_AUDIT_ENTRIES_MAX <= AUDIT_ENTRIES_MAX - 5_000
    monkeypatch.setattr("shared.admin.disqualifications.ROUTINE_AUDIT_ENTRIES_MAX", 1)
    scene.disqualifications.record(scene.id, AuditAction.REBUILD, "admin")

    for kind in (AuditAction.REBUILD, AuditAction.REDRIVE, AuditAction.DEFINE_PERIOD, AuditAction.DELETE_PERIOD):
        with pytest.raises(AuditLogFull, match="has 1 audit entries"):
            scene.disqualifications.record(scene.id, kind, "admin")

    scene.disqualifications.record(scene.id, AuditAction.DEFINE, "admin")
    assert scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")[1]
    assert scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "why not")[1]


def test_the_days_of_a_player_are_found_without_reading_his_events(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.admin.eligible.DAYS_AT_ONCE", 2)
    days = {Day(MONDAY - distance) for distance in (0, 1, 5, 6)}
    for day in days - {MONDAY}:
        scene.play("bob", 1, day)
    monkeypatch.setattr(scene.reads, "ledger", None)

    assert scene.disqualifications.days(scene.leaderboard, "bob") == days
    assert scene.disqualifications.days(scene.leaderboard, "nobody") == set()


def test_events_of_now_are_not_taken_for_those_of_a_day_that_was_not_looked_at_yet(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.admin.eligible.DAYS_AT_ONCE", 2)
    scene.play("bob", 1, Day(MONDAY - 5))
    standings, to_play = scene.reads.standings, [1]

    def play_meanwhile(wanted: Any) -> Any:
        asked = list(wanted)
        if MONDAY in {day for _, _, day in asked} and to_play:
            scene.play("bob", to_play.pop())
        return standings(asked)

    monkeypatch.setattr(scene.reads, "standings", play_meanwhile)

    assert scene.disqualifications.days(scene.leaderboard, "bob") == {MONDAY, MONDAY - 5}


def test_a_flushed_cache_is_rebuilt_without_the_disqualified(scene: Scene, redis: "Redis") -> None:
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    redis.flushall()
    scene.play("bob", 1)  # by a worker that does not know of it yet

    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE

    assert shown(scene, ALL_TIME) == ["cat", "ann"]
    scene.builder.rebuild_window(scene.leaderboard, RANGE)
    assert shown(scene, RANGE) == ["cat", "ann"]


def test_anti_entropy_makes_windows_follow_an_act_that_the_cache_missed(scene: Scene) -> None:
    scene.audit_log.append(scene.id, bob_out())
    assert shown(scene, ALL_TIME) == ["bob", "cat", "ann"]

    assert scene.builder.reapply(scene.leaderboard, everything=True) == 3  # his day, week and all-time

    assert shown(scene, ALL_TIME) == ["cat", "ann"]
    assert scene.builder.reapply(scene.leaderboard, everything=True) == 0


def test_a_stale_set_of_the_disqualified_is_ignored(scene: Scene) -> None:
    before = scene.builder
    stale = before._disqualified_players.now(scene.id)
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")

    scene.cache.show_disqualified(scene.id, stale)
    scene.play("bob", 1)

    assert shown(scene, ALL_TIME) == ["cat", "ann"]


def test_a_day_past_its_time_in_the_cache_that_was_built_for_a_query_is_rebuilt(scene: Scene) -> None:
    scene.now_ms += RETENTION_MS
    scene.builder.rebuild_window(scene.leaderboard, daily(MONDAY))
    assert shown(scene, daily(MONDAY)) == ["bob", "cat", "ann"]

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")

    assert not scene.cache.page(scene.leaderboard, daily(MONDAY), 0, 1, scene.now_ms).complete
    scene.builder.rebuild_window(scene.leaderboard, daily(MONDAY))
    assert shown(scene, daily(MONDAY)) == ["cat", "ann"]


def test_a_day_is_ranked_without_who_was_disqualified_before(scene: Scene) -> None:
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")

    scene.run()

    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert (final.version, final.audit_sequence, final.difference_key) == (1, 1, None)
    assert scene.stored(daily(MONDAY)) == WITHOUT_BOB


def test_a_disqualification_writes_a_second_version_and_the_difference(scene: Scene) -> None:
    scene.registry.save(replace(scene.leaderboard, tiers=(Tier("gold", TierRule.TOP_N, 1),), version=2))
    scene.run()
    window = daily(MONDAY)
    first = scene.final_results.final(scene.id, window.id)
    assert first is not None
    content = scene.content(first.object_key, first.sha256)
    scene.registry.save(replace(scene.leaderboard, tiers=(), version=3))

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    run = scene.run()

    second = scene.final_results.final(scene.id, window.id)
    assert second is not None
    assert run.final_results == [second]
    assert (second.version, second.audit_sequence, second.rules_version) == (2, 1, 2), "by the rules of the first"
    assert scene.stored(window) == WITHOUT_BOB
    assert scene.final_results.versions(scene.id, window.id) == [first, second]
    assert scene.content(first.object_key, first.sha256) == content
    assert second.difference_key is not None
    difference = to_lines(scene.content(second.difference_key, second.difference_sha256))
    bobs, cats = (award_id(scene.id, window.id, user, "gold") for user in ("bob", "cat"))
    columns = ("user_id", "rank_before", "rank_after", "tier_before", "tier_after", "award_id_before", "award_id_after")
    assert [tuple(line[name] for name in columns) for line in difference] == [
        ("cat", "2", "1", "", "gold", "", cats),
        ("ann", "3", "2", "", "", "", ""),
        ("bob", "1", "", "gold", "", bobs, ""),
    ]
    assert second.award_changes_key is not None
    changes = to_lines(scene.content(second.award_changes_key, second.award_changes_sha256))
    assert [tuple(line.values()) for line in changes] == [
        ("grant", "cat", "gold", cats),
        ("revoke", "bob", "gold", bobs),
    ]
    assert second.award_changes == len(changes)
    assert [notice.version for notice in scene.told if notice.window_id == window.id] == [1, 2]
    assert scene.run().final_results == []


def test_no_version_gives_an_award_another_id(scene: Scene) -> None:
    tiers = (Tier("gold", TierRule.TOP_N, 1), Tier("rest", TierRule.TOP_PERCENT, 10_000))
    scene.registry.save(replace(scene.leaderboard, tiers=tiers, version=2))
    scene.run()
    for act in (scene.disqualifications.disqualify, scene.disqualifications.reinstate):
        act(scene.leaderboard, "bob", "admin", "why")
        scene.run()

    versions = scene.final_results.versions(scene.id, daily(MONDAY).id)
    awards = [
        {
            (one["user_id"], one["tier"]): one["award_id"]
            for one in to_lines(scene.content(at.awards_key, at.awards_sha256))
        }
        for at in versions
    ]
    assert awards[0] == awards[2]
    assert awards[0]["ann", "rest"] == awards[1]["ann", "rest"]
    changes = [
        to_lines(scene.content(at.award_changes_key, at.award_changes_sha256))
        for at in versions
        if at.award_changes_key
    ]
    assert [tuple(line.values()) for line in changes[1]] == [
        ("grant", "bob", "gold", awards[0]["bob", "gold"]),
        ("revoke", "cat", "gold", awards[1]["cat", "gold"]),
        ("grant", "cat", "rest", awards[0]["cat", "rest"]),
    ]


def test_a_result_whose_first_version_named_awards_otherwise_revokes_without_an_id(scene: Scene) -> None:
    scene.registry.save(replace(scene.leaderboard, tiers=(Tier("gold", TierRule.TOP_N, 1),), version=2))
    write = scene.final_results.write

    def written_before(final: FinalResult, period: Period | None = None, last_start_ms: int = 0) -> None:
        write(replace(final, award_ids_stay=False) if final.version == 1 else final, period, last_start_ms)

    scene.final_results.write = written_before  # type: ignore[method-assign]
    scene.run()
    for act in (scene.disqualifications.disqualify, scene.disqualifications.reinstate):
        act(scene.leaderboard, "bob", "admin", "why")
        scene.run()

    third = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert third is not None
    assert third.award_changes_key is not None
    assert third.difference_key is not None
    bobs = award_id(scene.id, daily(MONDAY).id, "bob", "gold")
    changes = to_lines(scene.content(third.award_changes_key, third.award_changes_sha256))
    assert [tuple(line.values()) for line in changes] == [("grant", "bob", "gold", bobs), ("revoke", "cat", "gold", "")]
    difference = to_lines(scene.content(third.difference_key, third.difference_sha256))
    assert {line["user_id"]: line["award_id_before"] for line in difference} == {"ann": "", "bob": "", "cat": ""}


def test_a_reinstatement_writes_a_third_version(scene: Scene) -> None:
    scene.run()
    for act in (scene.disqualifications.disqualify, scene.disqualifications.reinstate):
        act(scene.leaderboard, "bob", "admin", "why")
        scene.run()

    assert scene.stored(daily(MONDAY)) == RANKING
    assert [one.version for one in scene.final_results.versions(scene.id, daily(MONDAY).id)] == [1, 2, 3]


def test_a_window_that_an_act_does_not_change_keeps_its_result(scene: Scene) -> None:
    scene.play("dan", 3, Day(MONDAY + 1))
    scene.run()

    scene.disqualifications.disqualify(scene.leaderboard, "dan", "admin", "has no points on Monday")
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "in and out again")
    scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "before anybody looked")
    assert scene.run().final_results == []

    assert [one.version for one in scene.final_results.versions(scene.id, daily(MONDAY).id)] == [1]
    assert scene.work.of(scene.id).due == []
    assert scene.work.of(scene.id).audit_entries == []


def test_a_window_that_is_kept_by_the_lateness_of_now_is_compared_as_it_is_kept(scene: Scene) -> None:
    scene.run()
    scene.registry.save(replace(scene.leaderboard, version=2, lateness_ms=60 * DAY_MS))
    scene.now_ms += RETENTION_MS + DAY_MS
    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.run()

    assert scene.stored(daily(MONDAY)) == WITHOUT_BOB
    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert (final.version, final.rules_version) == (2, 1)
    assert not scene.redis.hexists(keys.state(scene.id, daily(MONDAY).id), "\0complete"), "as one that is built"


def test_a_period_s_result_gets_a_second_version_too(scene: Scene) -> None:
    period = Period(id="p", name="P", first=Day(MONDAY - 1), last=MONDAY)
    scene.registry.save_period(scene.id, period)
    scene.run()
    assert scene.stored(period.window) == RANKING

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.run()

    assert scene.stored(period.window) == WITHOUT_BOB


def test_a_result_is_not_written_if_somebody_was_disqualified_since_it_was_ranked(scene: Scene) -> None:
    scene.run()
    first = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert first is not None
    scene.audit_log.append(scene.id, bob_out())

    with pytest.raises(AlreadyDone):
        scene.final_results.write(replace(first, window_id=weekly(MONDAY).id))
    with pytest.raises(AlreadyDone):
        scene.final_results.write(replace(first, version=2))
    with pytest.raises(AlreadyDone):
        scene.final_results.clear_due(scene.id, daily(MONDAY).id, first.audit_sequence)

    assert scene.final_results.versions(scene.id, daily(MONDAY).id) == [first]
    assert scene.final_results.final(scene.id, weekly(MONDAY).id) is None


def test_each_version_of_a_result_is_told_once_also_when_nobody_was_there_to_be_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_notice: WindowFinal) -> None:
        raise NotificationUnavailable("away")

    monkeypatch.setattr(scene.notifications, "send", away)
    scene.run()
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.run()
    assert scene.stored(daily(MONDAY)) == WITHOUT_BOB

    monkeypatch.undo()
    scene.run()

    told = [one for one in scene.told if one.window_id == daily(MONDAY).id]
    assert [(one.version, one.players) for one in told] == [(1, 3), (2, 2)]
    assert not scene.work.of(scene.id).pending_notifications


def test_a_result_says_that_it_was_announced_once_it_was(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_notice: WindowFinal) -> None:
        raise NotificationUnavailable("away")

    downloads: Any = SimpleNamespace(url=lambda _board, key: key)
    results = ResultVersions(scene.final_results, downloads)

    def told() -> list[tuple[int, int | None, bool]]:
        found = results.find(scene.leaderboard, daily(MONDAY))
        return [(one.final.version, one.announced_at_ms, one.announcement_pending) for one in found]

    scene.run()
    first_ms = scene.clock()
    assert told() == [(1, first_ms, False)]
    monkeypatch.setattr(scene.notifications, "send", away)
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.run()
    assert told() == [(1, first_ms, False), (2, None, True)]
    latest = results.latest(scene.leaderboard, daily(MONDAY))
    assert latest is not None
    assert latest.announcement_pending

    monkeypatch.undo()
    scene.run()
    assert told() == [(1, first_ms, False), (2, scene.clock(), False)]


def test_a_result_that_nobody_was_told_of_is_not_called_announced(scene: Scene) -> None:
    scene.notifications = None
    scene.run()
    assert scene.final_results.final(scene.id, daily(MONDAY).id) is not None
    found = scene.final_results.announcements(scene.id, daily(MONDAY).id)
    assert not found.at_ms
    assert not found.waiting


def test_who_has_told_a_version_strikes_no_later_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_notice: WindowFinal) -> None:
        raise NotificationUnavailable("away")

    monkeypatch.setattr(scene.notifications, "send", away)
    scene.run()
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.run()

    scene.final_results.mark_published(scene.id, daily(MONDAY).id, 1)

    assert (daily(MONDAY).id, 1) not in scene.work.of(scene.id).pending_notifications
    assert (daily(MONDAY).id, 2) in scene.work.of(scene.id).pending_notifications


def test_an_audit_entry_during_the_comparison_of_a_window_is_no_drift(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = scene.cache.page

    def page(leaderboard: Leaderboard, window: Window, *place: int) -> Page:
        if window == daily(MONDAY):
            monkeypatch.setattr(scene.cache, "page", read)
            scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
        return read(leaderboard, window, *place)

    monkeypatch.setattr(scene.cache, "page", page)
    run = scene.run()

    assert not run.blocked
    assert scene.stored(daily(MONDAY)) is None
    assert shown(scene, daily(MONDAY)) == ["cat", "ann"], "nothing was withdrawn"
    scene.run()
    assert scene.stored(daily(MONDAY)) == WITHOUT_BOB


def test_an_act_that_was_not_carried_out_is_by_the_next_run(scene: Scene) -> None:
    scene.now_ms -= HOUR_MS  # Monday is not compared yet, which would repair it, too
    scene.audit_log.append(scene.id, bob_out())

    scene.run()

    assert shown(scene, weekly(MONDAY)) == ["cat", "ann"]
    assert scene.work.of(scene.id).audit_entries == []


def test_an_entry_that_can_t_be_applied_waits_and_is_reported(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise CacheUnavailable("away")

    scene.audit_log.append(scene.id, bob_out())
    monkeypatch.setattr(scene.cache, "show_disqualified", fail)

    run = scene.run()

    assert (run.blocked[0].what, run.blocked[0].cause) == ("audit entry 1", Cause.CACHE)
    assert [act.number for act in scene.work.of(scene.id).audit_entries] == [1]


def test_every_version_of_a_result_is_listed_with_its_files(scene: Scene, call: Any) -> None:
    scene.run()
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.run()

    path = f"/leaderboards/{scene.id}/result/versions"
    listed = call("result-versions", path=path, query=f"window=daily&date={daily(MONDAY).id}")

    assert listed.status == 200
    first, second = listed.json["versions"]
    assert (first["version"], first["players"], first["difference"]) == (1, 3, None)
    assert (second["version"], second["players"], second["auditSequence"]) == (2, 2, 1)
    assert ".difference.csv" in second["difference"]["url"]
    assert call("result-versions", path=path, query="window=all-time").json["versions"] == []


def bob_out() -> AuditEntry:
    """An audit entry that the cache has not got."""
    at_ms = MONDAY * DAY_MS + HOUR_MS
    return AuditEntry(number=1, kind=AuditAction.DISQUALIFY, actor="admin", reason="why", at_ms=at_ms, user_id="bob")


def test_a_final_window_is_final_only_as_its_result_says(scene: Scene) -> None:
    window = daily(MONDAY)
    results = Results(scene.final_results, scene.registry, scene.clock)
    corrections = Corrections(results, DisqualifiedPlayers(scene.audit_log, scene.work), scene.work)
    parts: Any = None
    rankings = Rankings(
        cache=scene.cache, searches=WindowSearches(scene.cache), on_demand=parts, repairs=parts, results=results,
        corrections=corrections, fallback=parts, now_ms=scene.clock,
    )  # fmt: skip

    def read() -> tuple[list[str], str, int | None, int | None]:
        page = rankings.page(scene.leaderboard, window, 0, 9)
        player = rankings.player(scene.leaderboard, window, "cat", 0)
        assert player is not None
        shown = page.source, page.result_version, page.pending_version
        assert (player.ranking.source, player.ranking.result_version, player.ranking.pending_version) == shown
        return [entry.user_id for entry in page.entries], *shown

    assert read()[1:] == ("live", None, None)
    scene.run()
    scene.now_ms += READ_AGAIN_MS
    assert read() == (["bob", "cat", "ann"], "final", 1, None)

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    assert read() == (["cat", "ann"], "live", 1, 2), "ahead of the result"

    scene.run()
    assert read() == (["cat", "ann"], "final", 2, None), "at once, whatever is remembered"

    scene.disqualifications.disqualify(scene.leaderboard, "nobody", "admin", "why")
    assert read()[1:] == ("live", 2, 3)
    scene.run()
    assert read()[1:] == ("final", 2, None), "nothing has changed, so there is no third version"


TUESDAY = Day(MONDAY + 1)


def scores(scene: Scene, window: Window) -> dict[str, int]:
    """Who has what in a live window."""
    page = scene.cache.page(scene.leaderboard, window, 0, 100, scene.now_ms)
    assert page.complete
    return {user_id: score.points for user_id, score in page.lines}


def test_days_that_are_out_are_in_no_window_and_the_others_are(scene: Scene) -> None:
    scene.play("bob", 20, TUESDAY)
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "a bot", run=(MONDAY, MONDAY))

    others = {"ann": 5, "cat": 7}
    assert scores(scene, daily(MONDAY)) == others
    assert scores(scene, daily(TUESDAY)) == {"bob": 20}
    assert scores(scene, weekly(MONDAY)) == scores(scene, ALL_TIME) == others | {"bob": 20}
    scene.play("bob", 1)
    scene.play("bob", 2, TUESDAY)
    scene.play("bob", 4, Day(MONDAY - 9))
    assert scores(scene, daily(MONDAY)) == others
    assert scores(scene, weekly(MONDAY)) == others | {"bob": 22}
    assert scores(scene, ALL_TIME) == others | {"bob": 26}

    scene.disqualifications.reinstate(scene.leaderboard, "bob", "admin", "no bot")
    assert scores(scene, ALL_TIME) == others | {"bob": 34}
    scene.play("bob", 1)
    assert scores(scene, ALL_TIME) == others | {"bob": 35}
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "a bot", run=(TUESDAY, TUESDAY))
    assert scores(scene, ALL_TIME) == others | {"bob": 13}
    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "whole")
    assert scores(scene, ALL_TIME) == others


def test_a_rebuild_and_anti_entropy_make_all_time_of_the_days_that_count(scene: Scene, redis: "Redis") -> None:
    scene.play("bob", 20, TUESDAY)
    scene.play("ann", 1, TUESDAY)
    scene.audit_log.append(scene.id, replace(bob_out(), first_day=MONDAY, last_day=MONDAY))
    assert scores(scene, ALL_TIME)["bob"] == 27, "nobody has told the cache"
    assert scene.builder.reapply(scene.leaderboard) > 0
    expected = {"bob": 20, "ann": 6, "cat": 7}
    assert scores(scene, ALL_TIME) == expected
    assert scene.builder.reapply(scene.leaderboard) == 0, "nothing is repaired twice"

    redis.flushdb()
    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE
    assert scores(scene, ALL_TIME) == expected


def test_a_result_keeps_the_awards_of_honest_days_and_is_revised_for_the_others(scene: Scene) -> None:
    scene.play("bob", 20, TUESDAY)
    scene.now_ms += 14 * DAY_MS
    assert not scene.run().blocked
    before = {one.id: scene.stored(one) for one in (daily(MONDAY), daily(TUESDAY), weekly(MONDAY))}
    assert before[daily(MONDAY).id] == [("1", "bob", "7"), ("2", "cat", "7"), ("3", "ann", "5")]

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "a bot", run=(MONDAY, MONDAY))
    assert not scene.run().blocked
    assert scene.stored(daily(MONDAY)) == WITHOUT_BOB
    assert scene.stored(daily(TUESDAY)) == before[daily(TUESDAY).id]
    assert scene.stored(weekly(MONDAY)) == [("1", "bob", "20"), *[(str(int(r) + 1), u, s) for r, u, s in WITHOUT_BOB]]
    week = scene.final_results.final(scene.id, weekly(MONDAY).id)
    assert week is not None
    assert week.difference_key is not None
    changed = to_lines(scene.content(week.difference_key, week.difference_sha256))
    assert [(one["user_id"], one["score_before"], one["score_after"]) for one in changed] == [("bob", "27", "20")]


def test_of_two_disqualifications_that_overlap_one_is_taken_back_and_the_other_stays(scene: Scene) -> None:
    wednesday = Day(MONDAY + 2)
    scene.play("bob", 20, TUESDAY)
    scene.play("bob", 100, wednesday)
    disqualifications, board = scene.disqualifications, scene.leaderboard
    disqualifications.disqualify(board, "bob", "admin", "a bot", run=(MONDAY, TUESDAY))
    disqualifications.disqualify(board, "bob", "admin", "another one", run=(TUESDAY, wednesday))
    assert "bob" not in scores(scene, ALL_TIME) | scores(scene, weekly(MONDAY))

    disqualifications.reinstate(board, "bob", "admin", "no bot on Monday", run=(MONDAY, MONDAY))
    assert scores(scene, ALL_TIME)["bob"] == scores(scene, weekly(MONDAY))["bob"] == scores(scene, daily(MONDAY))["bob"]
    assert scores(scene, ALL_TIME)["bob"] == 7
    assert "bob" not in scores(scene, daily(TUESDAY)) | scores(scene, daily(wednesday))
    disqualifications.disqualify(board, "bob", "admin", "whole")
    disqualifications.reinstate(board, "bob", "admin", "Tuesday alone", run=(TUESDAY, TUESDAY))
    assert scores(scene, ALL_TIME)["bob"] == scores(scene, weekly(MONDAY))["bob"] == 20
    scene.play("bob", 3, TUESDAY)
    scene.play("bob", 3)
    assert scores(scene, ALL_TIME)["bob"] == scores(scene, weekly(MONDAY))["bob"] == 23
    assert scene.builder.reapply(scene.leaderboard, everything=True) == 0


def test_only_windows_with_days_that_an_entry_is_about_are_ranked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.play("bob", 20, TUESDAY)
    scene.now_ms += 14 * DAY_MS
    scene.run()
    marked: list[Window] = []
    mark_due = scene.final_results.mark_due

    def noted(leaderboard_id: str, windows: list[Window]) -> None:
        marked.extend(windows)
        mark_due(leaderboard_id, windows)

    monkeypatch.setattr(scene.final_results, "mark_due", noted)
    for act in (scene.disqualifications.disqualify, scene.disqualifications.reinstate):
        act(scene.leaderboard, "bob", "admin", "why", run=(TUESDAY, TUESDAY))
        scene.run()
        assert sorted(one.id for one in marked) == sorted([daily(TUESDAY).id, weekly(MONDAY).id])
        marked.clear()
    versions = [len(scene.final_results.versions(scene.id, one.id)) for one in (daily(MONDAY), daily(TUESDAY))]
    assert versions == [1, 3]


def test_who_asks_twice_gets_the_entry_that_did_it_to_those_days(scene: Scene) -> None:
    disqualifications, board = scene.disqualifications, scene.leaderboard
    first, _ = disqualifications.disqualify(board, "bob", "admin", "why", run=(MONDAY, MONDAY))
    second, _ = disqualifications.disqualify(board, "bob", "admin", "why", run=(TUESDAY, TUESDAY))

    assert disqualifications.disqualify(board, "bob", "other", "again", run=(MONDAY, MONDAY)) == (first, False)
    assert disqualifications.disqualify(board, "bob", "other", "again", run=(MONDAY, TUESDAY)) == (second, False)
    far = Day(MONDAY + 9)
    assert disqualifications.reinstate(board, "bob", "other", "was not out", run=(far, far)) == (second, False)
    back, is_new = disqualifications.reinstate(board, "bob", "other", "not on Monday", run=(MONDAY, MONDAY))
    assert is_new
    assert disqualifications.reinstate(board, "bob", "other", "again", run=(MONDAY, MONDAY)) == (back, False)
