"""Periods that change while closing writes results: whichever is first wins, and nobody is paid twice."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from functions.api.periods import Periods
from functions.api.problems import FinalResultExists
from shared.domain.audit import AuditAction
from shared.domain.calendar import Day
from shared.domain.periods import Period
from shared.truth.final_results import FinalResult
from shared.truth.items import period_text
from shared.truth.registry import Conflict
from tests.support.closing import MONDAY, RANKING, Scene

CUP = Period(id="cup", name="Cup", first=Day(MONDAY - 1), last=MONDAY)
LONGER = replace(CUP, first=Day(MONDAY - 2))
WHY = "a day was lost"


@pytest.fixture
def periods(scene: Scene) -> Periods:
    parts: Any = SimpleNamespace(
        cache=scene.cache,
        disqualifications=scene.disqualifications,
        final_results=scene.final_results,
        on_demand_builds=SimpleNamespace(build_for_reader=lambda leaderboard, window: None),
        registry=scene.registry,
        series=scene.series,
    )
    return Periods(parts, scene.clock)


def changes(scene: Scene, periods: Periods) -> dict[str, Callable[[], object]]:
    """What an administrator may do to the cup."""
    return {
        "move": lambda: periods.put(scene.leaderboard, LONGER, WHY, "admin"),
        "delete": lambda: periods.delete(scene.leaderboard, CUP.id, WHY, "admin"),
    }


@pytest.mark.parametrize("change", ["move", "delete"])
def test_a_period_that_is_final_keeps_its_days_and_its_one_result(scene: Scene, periods: Periods, change: str) -> None:
    periods.put(scene.leaderboard, CUP, None, "admin")
    scene.run()
    entries = len(list(scene.audit_log.read(scene.id)))

    with pytest.raises(FinalResultExists):
        changes(scene, periods)[change]()

    scene.run()
    assert scene.registry.periods(scene.id) == [CUP]
    assert scene.stored(CUP.window) == RANKING
    assert [one.version for one in scene.final_results.versions(scene.id, CUP.window.id)] == [1]
    assert scene.stored(LONGER.window) is None
    assert len(list(scene.audit_log.read(scene.id))) == entries


def test_a_final_period_gets_another_name_and_no_other_result(scene: Scene, periods: Periods) -> None:
    periods.put(scene.leaderboard, CUP, None, "admin")
    scene.run()
    renamed = replace(CUP, name="The cup of 2099")

    assert not periods.put(scene.leaderboard, renamed, None, "admin")

    assert scene.run().final_results == []
    assert scene.registry.periods(scene.id) == [renamed]
    entry = list(scene.audit_log.read(scene.id))[-1]
    assert (entry.kind, entry.period_before, entry.period_after) == (AuditAction.DEFINE_PERIOD, CUP, renamed)


@pytest.mark.parametrize("change", ["move", "delete"])
def test_a_change_while_the_result_is_ranked_wins_over_it(
    scene: Scene, periods: Periods, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    periods.put(scene.leaderboard, CUP, None, "admin")
    write = scene.final_results.write

    def changed_just_before(final: FinalResult, period: Period | None = None, last_start_ms: int = 0) -> None:
        if final.window_id == CUP.window.id:
            monkeypatch.setattr(scene.final_results, "write", write)
            changes(scene, periods)[change]()
            entries = len(list(scene.audit_log.read(scene.id)))
            final = replace(final, audit_sequence=entries)  # as one that was ranked after the entry was written
        write(final, period, last_start_ms)

    monkeypatch.setattr(scene.final_results, "write", changed_just_before)
    scene.run()

    assert scene.stored(CUP.window) is None
    scene.run()
    assert scene.stored(CUP.window) is None
    assert scene.stored(LONGER.window) == (RANKING if change == "move" else None)
    assert not scene.work.of(scene.id).due


@pytest.mark.parametrize("change", ["move", "delete"])
def test_a_result_that_is_written_while_its_period_changes_wins_over_that(
    scene: Scene, periods: Periods, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    periods.put(scene.leaderboard, CUP, None, "admin")
    record = scene.disqualifications.record

    def finalised_just_after(*of: Any, **more: Any) -> Any:
        entry = record(*of, **more)
        scene.run()
        return entry

    monkeypatch.setattr(scene.disqualifications, "record", finalised_just_after)

    with pytest.raises(FinalResultExists):
        changes(scene, periods)[change]()

    scene.run()
    assert scene.registry.periods(scene.id) == [CUP]
    assert scene.stored(CUP.window) == RANKING
    assert scene.stored(LONGER.window) is None


def test_of_two_periods_over_the_same_days_either_makes_their_window_final(scene: Scene, periods: Periods) -> None:
    other = replace(CUP, id="other")
    for one in (CUP, other):
        periods.put(scene.leaderboard, one, None, "admin")
    periods.put(scene.leaderboard, LONGER, WHY, "admin")

    scene.run()

    assert scene.stored(CUP.window) == scene.stored(LONGER.window) == RANKING
    for period in (other, LONGER):
        with pytest.raises(FinalResultExists):
            periods.delete(scene.leaderboard, period.id, WHY, "admin")


def test_a_period_is_written_only_as_it_was_read(scene: Scene) -> None:
    scene.registry.save_period(scene.id, CUP)
    for before in (None, LONGER, replace(CUP, name="other")):
        with pytest.raises(Conflict):
            scene.registry.save_period(scene.id, replace(CUP, last=Day(MONDAY + 1)), before=before)
    with pytest.raises(Conflict):
        scene.registry.delete_period(scene.id, LONGER)
    scene.run()
    for before in (None, LONGER):
        with pytest.raises(Conflict):
            scene.registry.save_period(scene.id, LONGER, before=before)

    assert scene.registry.periods(scene.id) == [CUP]


def test_a_period_that_was_stored_before_is_read_and_written_in_the_same_letters() -> None:
    stored = '{"id":"cup","name":"Süd \\"1\\"","first":20780,"last":20781}'
    assert period_text(msgspec.json.decode(stored, type=Period)) == stored
