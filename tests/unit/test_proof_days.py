"""The days that proofs go by: worked out by hand, for clocks that jump and for rules of zones that have changed."""

from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import pytest

from infra.prove_days import clocks, misdated

TZDATA = metadata.version("tzdata")


def board(zone: str = "UTC", starts_at_min: int = 0, tzdata: str = TZDATA, runs: str = "") -> dict[str, Any]:
    return {"calendar": {"zone": zone, "starts_at_min": starts_at_min, "tzdata": tzdata, "runs": runs}}


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def window(first: str, last: str, starts_at: str, ends_at: str, **more: Any) -> dict[str, Any]:
    dates = {"from": first, "to": last, "startsAt": f"{starts_at}Z", "endsAt": f"{ends_at}Z"}
    return {"timeZone": "Europe/Berlin", "dayStartsAt": "00:00", "tzdata": TZDATA} | dates | more


@pytest.mark.parametrize(
    ("zone", "starts_at_min", "first_instant", "day"),
    [
        ("Europe/Berlin", 0, "2026-03-28T23:00:00.000", "2026-03-29"),
        ("Europe/Berlin", 0, "2026-03-29T22:00:00.000", "2026-03-30"),
        ("Europe/Berlin", 150, "2026-03-29T01:00:00.000", "2026-03-29"),  # 02:30 is skipped
        ("Europe/Berlin", 150, "2026-10-25T00:30:00.000", "2026-10-25"),  # 02:30 is shown twice
        ("Asia/Kathmandu", 0, "2026-11-27T18:15:00.000", "2026-11-28"),
        ("Pacific/Kiritimati", 0, "2026-11-27T10:00:00.000", "2026-11-28"),
        ("Pacific/Apia", 0, "2011-12-30T10:00:00.000", "2011-12-31"),
        ("UTC", 720, "2026-11-28T12:00:00.000", "2026-11-28"),
    ],
)
def test_a_day_begins_when_the_clocks_first_show_its_start(
    zone: str, starts_at_min: int, first_instant: str, day: str
) -> None:
    day_of, number = clocks(board(zone, starts_at_min)), ms(day) // 86_400_000
    assert day_of(ms(first_instant) - 1) < number == day_of(ms(first_instant))


def test_a_start_that_clocks_show_a_second_time_begins_no_other_day() -> None:
    day_of = clocks(board("Europe/Berlin", 150))
    assert {day_of(ms(f"2026-10-25T0{time}:00.000")) for time in ("0:30", "1:15", "1:30")} == {20_751}


@pytest.mark.parametrize("definition", [{}, {"calendar": {}}])
def test_a_definition_without_a_zone_has_the_days_of_utc(definition: dict[str, Any]) -> None:
    assert [clocks(definition)(at_ms) for at_ms in (86_399_999, 86_400_000)] == [0, 1]


def test_days_that_were_computed_by_other_rules_are_those_that_the_definition_holds() -> None:
    day_of = clocks(board("Europe/Berlin", tzdata="2020.1", runs="-8:0 18:3600 10:-3600"))  # from the 10th, the 20th
    hour = 3_600_000
    starts = {9: 9 * 24 * hour, 10: 10 * 24 * hour + hour, 20: 20 * 24 * hour - hour, 21: 21 * 24 * hour - hour}
    for day, start_ms in starts.items():
        assert (day_of(start_ms - 1), day_of(start_ms)) == (day - 1, day)


def test_instants_of_a_manifest_are_those_of_the_zones_clocks() -> None:
    berlin = board("Europe/Berlin")
    right = window("2026-10-25", "2026-10-25", "2026-10-24T22:00:00.000", "2026-10-25T23:00:00.000")
    assert misdated(right, berlin, clocks(berlin)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"startsAt": "2026-10-24T21:59:59.999Z"},
        {"startsAt": "2026-10-24T22:00:00.001Z"},
        {"endsAt": "2026-10-25T22:00:00.000Z"},
        {"endsAt": "2026-10-25T23:00:00.001Z"},
        {"startsAt": "2026-10-25T23:00:00.000Z"},
        {"startsAt": "2026-10-26T23:00:00.000Z"},
        {"timeZone": "Europe/Moscow"},
        {"dayStartsAt": "01:00"},
        {"tzdata": None},
    ],
)
def test_a_manifest_that_tells_other_days_than_the_definition_is_wrong(wrong: dict[str, Any]) -> None:
    berlin = board("Europe/Berlin")
    told = window("2026-10-25", "2026-10-25", "2026-10-24T22:00:00.000", "2026-10-25T23:00:00.000", **wrong)
    assert len(misdated(told, berlin, clocks(berlin))) == 1


def test_a_date_that_a_zone_skips_begins_and_ends_at_once() -> None:
    apia = board("Pacific/Apia")
    skipped = window("2011-12-30", "2011-12-30", "2011-12-30T10:00:00.000", "2011-12-30T10:00:00.000")
    skipped["timeZone"] = "Pacific/Apia"
    assert misdated(skipped, apia, clocks(apia)) == []


@pytest.mark.parametrize("told", [{"from": "2026-10-25", "to": "2026-10-25"}, {"from": None, "to": None}])
def test_manifests_of_before_and_all_time_give_no_instants(told: dict[str, Any]) -> None:
    zone = {"timeZone": "UTC", "dayStartsAt": "00:00", "tzdata": None} if told["from"] is None else {}
    assert misdated(told | zone, {}, clocks({})) == []
