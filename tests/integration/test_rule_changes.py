"""Prizes that change: a window is ranked and paid by the rules in force when its last day ended, on real stores."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from infra.prove import prove
from shared.admin.as_of import AmendedPlayers
from shared.admin.disqualifications import DisqualifiedPlayers
from shared.cache.searches import WindowSearches
from shared.closing.schedule import CLOCK_SKEW_MS, LAST_CALLS_MS
from shared.domain.calendar import DAY_MS, Day, Window, daily, weekly
from shared.domain.rules import Leaderboard, archive, revise
from shared.domain.tiers import Tier, TierRule
from shared.exports.jobs import Exports
from shared.exports.runner import ExportRunner
from shared.files.links import Downloads
from shared.files.manifest import manifest_key
from shared.lookups.results import Results
from shared.messaging.queues import Queue
from shared.reads.corrections import Corrections
from shared.reads.rankings import Rankings, UnknownTier
from shared.truth.export_jobs import ExportJobs, ExportPart, ExportRequest
from shared.truth.registry import VERSIONS_AT_ONCE, Conflict
from shared.truth.tables import Tables
from tests.integration.test_prove import environment
from tests.support.closing import BUCKET, HOUR_MS, MONDAY, Scene, to_lines

__all__ = ["environment"]

END_MS = (MONDAY + 1) * DAY_MS
NOON_MS = END_MS - 12 * HOUR_MS


def gold(scene: Scene, players: int, at_ms: int, name: str = "gold") -> Leaderboard:
    """The leaderboard, which pays so many from that time on."""
    current = scene.leaderboard
    tiers = (Tier(name, TierRule.TOP_N, players),)
    after, _ = revise(current, replace(current, tiers=tiers, updated_at_ms=at_ms))
    scene.registry.save(after)
    return after


def paid(scene: Scene, window: Window) -> tuple[int, list[str]]:
    """By which version of the rules, and who."""
    final = scene.final_results.final(scene.id, window.id)
    assert final is not None
    return final.rules_version, [
        one["user_id"] for one in to_lines(scene.content(final.awards_key, final.awards_sha256))
    ]


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [(END_MS - 1, (3, ["bob"])), (END_MS, (2, ["bob", "cat"])), (END_MS + HOUR_MS, (2, ["bob", "cat"]))],
    ids=["a millisecond before the end", "at the end", "an hour after the end"],
)
def test_a_day_is_paid_by_the_rules_that_were_in_force_when_it_ended(
    scene: Scene, at_ms: int, expected: tuple[int, list[str]]
) -> None:
    gold(scene, 2, NOON_MS)
    gold(scene, 1, at_ms)

    scene.run()

    assert paid(scene, daily(MONDAY)) == expected


def test_a_later_version_of_a_result_pays_by_the_rules_of_the_first_one(scene: Scene) -> None:
    gold(scene, 2, NOON_MS)
    gold(scene, 1, END_MS)
    scene.run()
    gold(scene, 3, scene.now_ms)

    scene.disqualifications.disqualify(scene.leaderboard, "bob", "admin", "why")
    scene.run()

    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert final.version == 2
    assert paid(scene, daily(MONDAY)) == (2, ["cat", "ann"])


def test_each_window_is_paid_by_the_rules_of_its_own_end(scene: Scene) -> None:
    gold(scene, 2, NOON_MS)
    gold(scene, 1, END_MS)
    scene.play("ann", 1, Day(MONDAY + 1))
    scene.play("bob", 1, Day(MONDAY + 1))
    scene.now_ms += 7 * DAY_MS

    scene.run()

    assert paid(scene, daily(MONDAY)) == (2, ["bob", "cat"])
    assert paid(scene, daily(Day(MONDAY + 1))) == (3, ["ann"])
    assert paid(scene, weekly(MONDAY)) == (3, ["bob"])


def test_a_leaderboard_that_is_put_anew_pays_what_was_over_by_the_old_rules(scene: Scene) -> None:
    gold(scene, 2, NOON_MS)
    scene.registry.save(archive(scene.leaderboard, END_MS + 1))
    gold(scene, 1, END_MS + HOUR_MS, "diamond")

    scene.run()

    assert paid(scene, daily(MONDAY)) == (2, ["bob", "cat"])


def test_however_many_changes_followed_the_one_before_the_end_is_found(scene: Scene) -> None:
    gold(scene, 2, NOON_MS)
    for number in range(2 * VERSIONS_AT_ONCE + 3):
        gold(scene, 1 + number % 2 * 4, END_MS + number)

    scene.run()

    assert paid(scene, daily(MONDAY)) == (2, ["bob", "cat"])


def test_no_change_is_written_for_a_day_that_has_begun_to_be_sealed(scene: Scene) -> None:
    gold(scene, 2, NOON_MS)
    current = scene.leaderboard
    late = replace(current, tiers=(), version=3, updated_at_ms=END_MS - 1, effective_from=MONDAY)
    scene.closing().run()
    assert scene.leaderboard.is_sealing

    with pytest.raises(Conflict):
        scene.registry.save(late)
    scene.now_ms += LAST_CALLS_MS
    scene.run()
    assert scene.leaderboard.sealed_through == MONDAY
    with pytest.raises(Conflict):
        scene.registry.save(late)

    by_a_clock_that_is_behind = gold(scene, 1, END_MS - 1)
    assert by_a_clock_that_is_behind.effective_from == MONDAY + 1
    assert paid(scene, daily(MONDAY)) == (2, ["bob", "cat"])


def test_while_a_day_is_closing_it_is_read_by_the_rules_that_will_pay_it(scene: Scene) -> None:
    gold(scene, 2, NOON_MS)
    results = Results(scene.final_results, scene.registry, scene.clock)
    parts: Any = None
    rankings = Rankings(
        cache=scene.cache, searches=WindowSearches(scene.cache), on_demand=parts, repairs=parts, results=results,
        corrections=Corrections(results, DisqualifiedPlayers(scene.audit_log, scene.work), scene.work), fallback=parts,
        now_ms=scene.clock,
    )  # fmt: skip

    def shown(window: Window) -> tuple[str, int, list[str | None]]:
        page = rankings.page(scene.leaderboard, window, 0, 9)
        player = rankings.player(scene.leaderboard, window, "cat", 0)
        players = rankings.players(scene.leaderboard, window, ["cat"])
        assert player is not None
        tiers = [entry.tier for entry in page.entries]
        assert [player.player.tier, players.entries[0].tier] == [tiers[1], tiers[1]]
        assert player.ranking.rules_version == players.rules_version == page.rules_version
        return page.status, page.rules_version, tiers

    scene.now_ms = NOON_MS + 1
    assert shown(daily(MONDAY)) == ("open", 2, ["gold", "gold", None])
    gold(scene, 1, scene.now_ms)
    assert shown(daily(MONDAY)) == ("open", 3, ["gold", None, None]), "players see it at once"

    scene.now_ms = END_MS + 5
    gold(scene, 3, scene.now_ms)
    assert shown(daily(MONDAY)) == ("closing", 3, ["gold", None, None])
    assert shown(weekly(MONDAY)) == ("open", 4, ["gold"] * 3)

    scene.now_ms = END_MS + HOUR_MS + 2 * CLOCK_SKEW_MS + 1
    scene.run()
    assert shown(daily(MONDAY)) == ("final", 3, ["gold", None, None])


def test_an_export_of_a_closing_day_is_by_the_rules_that_will_pay_it_and_proved(
    scene: Scene, aws: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    gold(scene, 2, NOON_MS)
    gold(scene, 1, END_MS, "diamond")
    results = Results(scene.final_results, scene.registry, scene.clock)
    jobs = ExportJobs(scene.reads._client, Tables().registry)
    leaderboards: Any = SimpleNamespace(read=scene.registry.leaderboard)
    exports = Exports(
        jobs=jobs, results=results, downloads=Downloads(aws.s3, BUCKET), queue=Queue(aws.sqs, aws.queue_url),
        now_ms=scene.clock,
    )  # fmt: skip
    runs = ExportRunner(
        jobs=jobs, leaderboards=leaderboards, results=results, reads=scene.reads, s3=aws.s3, bucket=BUCKET,
        disqualified_players=DisqualifiedPlayers(scene.audit_log, scene.work),
        now_ms=scene.clock, new_token=lambda: "token", amended_players=AmendedPlayers(scene.audit_log, scene.reads),
    )  # fmt: skip

    def export(part: ExportPart) -> tuple[Path, Path]:
        asked = exports.request(scene.leaderboard, daily(MONDAY), ExportRequest(daily(MONDAY).id, part=part))
        job = runs.run(scene.id, asked.id)
        assert job is not None
        files = tmp_path / "export", tmp_path / "manifest"
        for file, key in zip(files, (job.object_key, manifest_key(job.object_key)), strict=True):
            file.write_bytes(aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        return files

    whole, manifest = export(ExportPart())
    assert [one["tier"] for one in to_lines(whole.read_bytes())] == ["gold", "gold", ""]
    assert prove(whole, manifest, environment) == []
    assert [one["user_id"] for one in to_lines(export(ExportPart(tier="gold"))[0].read_bytes())] == ["bob", "cat"]
    with pytest.raises(UnknownTier):
        export(ExportPart(tier="diamond"))

    whole, manifest = export(ExportPart())
    for wrong, right in ((3, 2), (1, 2)):
        manifest.write_text(manifest.read_text().replace(f'"rulesVersion":{right}', f'"rulesVersion":{wrong}'))
        said = prove(whole, manifest, environment)
        assert said[0] == f"manifest: version {wrong} of the rules was not in force when the window's last day ended"
        manifest.write_text(manifest.read_text().replace(f'"rulesVersion":{wrong}', f'"rulesVersion":{right}'))
