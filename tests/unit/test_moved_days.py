"""Days whose zone has got other rules since: told, and left where they are; and how manifests tell a window's days."""

from typing import Any

import pytest

from functions.api.views.leaderboards import to_leaderboard_view
from shared.closing.runs import ClosingRun
from shared.closing.sealing import DaySealing
from shared.domain.calendar import ALL_TIME, UTC, Calendar, Day, parse_day, read_runs, weekly, write_runs
from shared.domain.rules import Aggregation, Leaderboard
from shared.files.manifest import describe
from shared.lookups.zones import calendar_of, version

YESTERDAY = parse_day("2026-11-27")
MOVES = parse_day("2030-04-01")


def board(calendar: Calendar, sealed: Day = YESTERDAY) -> Leaderboard:
    return Leaderboard(
        id="cup",
        name="Cup",
        aggregation=Aggregation.SUM,
        calendar=calendar,
        sealing_through=sealed,
        sealed_through=sealed,
    )


def by_former_rules() -> Calendar:
    """Berlin, had it been without summer time from 2030 on."""
    now = calendar_of("Europe/Berlin", 0)
    runs = [run for run in read_runs(now.runs) if run[0] < MOVES]
    return Calendar(zone=now.zone, tzdata="2020.1", runs=write_runs(runs))


def look_at(*boards: Leaderboard) -> None:
    """Look for days to seal, long before there are any."""
    nothing: Any = None
    sealing = DaySealing(registry=nothing, final_results=nothing, reads=nothing, now_ms=lambda: 0)
    for one in boards:
        assert sealing.seal(one, nothing, ClosingRun()) == one


def test_days_that_would_move_by_other_rules_of_zones_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    look_at(*[board(by_former_rules())] * 2)
    (record,) = [vars(one) for one in caplog.records]
    assert [record[name] for name in ("levelname", "leaderboard", "zone", "from")] == [
        "WARNING",
        "cup",
        "Europe/Berlin",
        "2030-04-01",
    ]


@pytest.mark.parametrize("calendar", [UTC, calendar_of("Europe/Berlin", 0), calendar_of("UTC", 720)])
def test_days_by_the_rules_of_now_are_passed_over(calendar: Calendar, caplog: pytest.LogCaptureFixture) -> None:
    look_at(board(calendar))
    assert not caplog.records


def test_days_that_would_have_moved_before_what_is_sealed_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    look_at(board(by_former_rules(), parse_day("2100-12-31")))
    assert not caplog.records


def test_a_definition_names_the_first_day_to_come_that_would_move() -> None:
    assert to_leaderboard_view(board(by_former_rules())).tzdata_differs_from == "2030-04-01"
    view = to_leaderboard_view(board(by_former_rules(), parse_day("2035-07-01")))
    assert (view.tzdata, view.tzdata_differs_from) == ("2020.1", "2035-07-02")
    for calendar in (UTC, calendar_of("Europe/Berlin", 0), Calendar(zone="Europe/Gone", tzdata="2020.1", runs="-8:0")):
        assert to_leaderboard_view(board(calendar)).tzdata_differs_from is None


def test_a_manifest_tells_a_window_by_its_dates_and_by_the_instants_of_its_calendar() -> None:
    week = weekly(parse_day("2026-10-25"))
    assert describe(board(calendar_of("Europe/Berlin", 0)), week) == {
        "kind": "weekly",
        "id": "2026-W43",
        "from": "2026-10-19",
        "to": "2026-10-25",
        "startsAt": "2026-10-18T22:00:00.000Z",
        "endsAt": "2026-10-25T23:00:00.000Z",
        "timeZone": "Europe/Berlin",
        "dayStartsAt": "00:00",
        "tzdata": version(),
    }
    told = describe(board(UTC), ALL_TIME)
    assert (told["from"], told["startsAt"], told["endsAt"], told["tzdata"]) == (None, None, None, None)
