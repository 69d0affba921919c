"""Series against the real registry and closing: occurrences are registered once, in time or late, and are paid."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.calendar import DAY_MS, Day
from shared.domain.periods import Period
from shared.domain.series import AHEAD, Series
from shared.truth.failures import Unavailable
from shared.truth.items import series_text
from shared.truth.registry import Conflict
from shared.truth.work import new_stamp
from tests.support.closing import MONDAY, RANKING, Scene

PAIR = Series(id="pair", name="Pair", every="P2D", first=Day(MONDAY - 1))
"""Two days each; the second one has just begun."""
IDS = [f"pair~2099-01-{day:02}" for day in (4, 6, 8, 10)]


@pytest.fixture
def pair(scene: Scene) -> Series:
    scene.series.save(scene.id, None, PAIR, ())
    return PAIR


def first_of(series: Series) -> Period:
    period = series.occurrence(0)
    assert period is not None
    return period


def ids(scene: Scene) -> list[str]:
    return [one.id for one in scene.registry.periods(scene.id)]


def test_a_run_of_closing_registers_what_is_due_and_it_becomes_final(scene: Scene, pair: Series) -> None:
    scene.run()

    assert scene.stored(first_of(pair).window) == RANKING
    assert ids(scene) == IDS
    assert scene.series.of(scene.id) == [replace(pair, next=2 + AHEAD)]
    entries = list(scene.audit_log.read(scene.id))
    scene.run()
    assert ids(scene) == IDS
    assert list(scene.audit_log.read(scene.id)) == entries == []


def test_an_occurrence_that_is_registered_after_its_days_were_sealed_becomes_final(scene: Scene) -> None:
    scene.run()
    assert scene.leaderboard.sealed_through == MONDAY
    scene.series.save(scene.id, None, PAIR, ())

    scene.closing().run()

    assert scene.stored(first_of(PAIR).window) == RANKING


def test_an_occurrence_that_is_registered_while_its_day_is_sealing_becomes_final(scene: Scene) -> None:
    scene.closing().run()
    assert scene.leaderboard.is_sealing
    scene.series.save(scene.id, None, PAIR, ())

    scene.run()

    assert scene.stored(first_of(PAIR).window) == RANKING


def test_a_day_that_seals_meanwhile_takes_no_occurrence_by_what_was_read_before(scene: Scene) -> None:
    read = scene.leaderboard
    scene.closing().run()
    scene.series.save(scene.id, None, PAIR, ())

    with pytest.raises(Conflict):
        scene.series.make(read, PAIR, first_of(PAIR))  # nobody would mark it as due
    assert ids(scene) == []

    scene.series.make(scene.leaderboard, PAIR, first_of(PAIR))
    assert [one.window for one in scene.work.of(scene.id).due] == [first_of(PAIR).window]


def test_of_makers_at_once_one_registers_each_occurrence(scene: Scene, pair: Series) -> None:
    workers = 4
    start = Barrier(workers)

    def make(_: int) -> list[Period]:
        start.wait()
        try:
            return scene.occurrences.make(scene.leaderboard, pair)[1]
        except (Conflict, Unavailable):
            return []

    with ThreadPoolExecutor(workers) as threads:
        found = [period.id for made in threads.map(make, range(workers)) for period in made]
    _, rest = scene.occurrences.make(scene.leaderboard, scene.series.of(scene.id)[0])

    assert len(found) == len(set(found))
    assert ids(scene) == IDS
    assert {one.id for one in rest}.isdisjoint(found)
    assert scene.series.of(scene.id) == [replace(pair, next=2 + AHEAD)]


def test_a_write_that_was_not_answered_is_not_done_twice(scene: Scene, pair: Series) -> None:
    write: Callable[..., Any] = scene.series.make
    scene.series.make(scene.leaderboard, pair, first_of(pair))  # and the answer is lost

    with pytest.raises(Conflict):
        write(scene.leaderboard, pair, first_of(pair))

    scene.run()
    assert ids(scene) == IDS


def test_an_occurrence_that_was_deleted_is_not_registered_again(scene: Scene, pair: Series) -> None:
    scene.occurrences.make(scene.leaderboard, pair)
    scene.registry.delete_period(scene.id, first_of(pair))

    scene.run()

    assert ids(scene) == IDS[1:]
    assert scene.stored(first_of(pair).window) is None


def test_a_maker_of_before_a_change_registers_nothing(scene: Scene, pair: Series) -> None:
    for after in (replace(pair, every="P3D"), None):
        before = scene.series.find(scene.id, pair.id)
        assert before is not None
        scene.series.save(scene.id, before, after, ())
        with pytest.raises(Conflict):
            scene.series.make(scene.leaderboard, before, first_of(before))
    assert ids(scene) == []
    assert scene.series.find(scene.id, pair.id) is None


def test_a_series_is_written_only_as_it_was_read(scene: Scene, pair: Series) -> None:
    for before in (None, replace(pair, next=1)):
        with pytest.raises(Conflict):
            scene.series.save(scene.id, before, replace(pair, every="P3D"), ())
        with pytest.raises(Conflict):
            scene.series.save(scene.id, replace(pair, next=1), None, ())
    assert scene.series.of(scene.id) == [pair]


def test_what_goes_with_a_series_goes_only_as_it_was_read_and_without_a_result(scene: Scene, pair: Series) -> None:
    scene.run()
    found = scene.registry.periods(scene.id)
    read = scene.series.of(scene.id)[0]
    for dropped in ([found[0]], [replace(found[1], name="as it was")]):
        with pytest.raises(Conflict):
            scene.series.save(scene.id, read, None, dropped)
    assert scene.registry.periods(scene.id) == found

    scene.series.save(scene.id, read, None, found[1:])

    assert scene.registry.periods(scene.id) == found[:1]
    assert scene.series.of(scene.id) == []


def test_an_id_is_that_of_a_period_or_of_a_series_whoever_is_first(scene: Scene, pair: Series) -> None:
    with pytest.raises(Conflict):
        scene.registry.save_period(scene.id, Period(id="pair", name="Pair", first=MONDAY, last=MONDAY))
    scene.registry.save_period(scene.id, Period(id="cup", name="Cup", first=MONDAY, last=MONDAY))
    with pytest.raises(Conflict):
        scene.series.save(scene.id, None, replace(pair, id="cup"), ())
    assert ids(scene) == ["cup"]


def test_a_leaderboard_that_is_deleted_meanwhile_gets_no_occurrence(scene: Scene, pair: Series) -> None:
    read = scene.leaderboard
    scene.archive(scene.now_ms)

    with pytest.raises(Conflict):
        scene.series.make(read, pair, first_of(pair))
    scene.run()
    assert ids(scene) == []

    scene.restore()
    scene.run()
    assert ids(scene) == IDS


def test_a_run_goes_on_where_the_last_one_was_out_of_time(
    scene: Scene, pair: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.admin.series.OCCURRENCES_AT_ONCE", 2)
    scene.now_ms += 6 * DAY_MS
    found = []
    for _ in range(4):
        scene.occurrences.make(scene.leaderboard, scene.series.of(scene.id)[0])
        found.append(len(ids(scene)))
    assert found == [2, 4, 6, 7]


def test_a_series_that_was_stored_before_is_read_and_written_in_the_same_letters() -> None:
    stored = '{"id":"pair","name":"Pair","every":"P2D","first":47120,"next":2}'
    assert series_text(msgspec.json.decode(stored, type=Series)) == stored


def test_series_of_one_leaderboard_are_its_own(scene: Scene, pair: Series) -> None:
    other = f"{scene.id}-{new_stamp()}"
    scene.series.save(other, None, replace(pair, id="other"), ())
    assert [one.id for one in scene.series.of(scene.id)] == ["pair"]
    found = scene.series.all()
    assert [one.id for one in found[scene.id]] == ["pair"]
    assert [one.id for one in found[other]] == ["other"]
    scene.series.save(other, replace(pair, id="other"), None, ())
