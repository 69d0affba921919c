"""Series of periods: what is registered when, what a change leaves, and what is said of those that can't be."""

from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.audit import AuditAction
from shared.domain.calendar import DAY_MS, parse_day
from shared.truth.registry import Conflict
from tests.unit.api.conftest import Api

PATH = "/leaderboards/cup/periods/fortnight"
PERIODS = "/leaderboards/cup/periods"
BODY = {"name": "Fortnight", "from": "2026-11-02", "every": "P14D"}
"""It is 23 November, a week into the second one."""
ALL = BODY | {"id": "fortnight", "until": None, "nextFrom": "2026-12-28"}
MADE = ["fortnight~2026-11-16", "fortnight~2026-11-30", "fortnight~2026-12-14"]


def made(api: Api) -> list[str]:
    return [one["id"] for one in api.get(PERIODS).json["periods"]]


def go_on(api: Api, days: int) -> None:
    """Let time go by and closing run."""
    api.now_ms += days * DAY_MS
    for one in api.series.of("cup"):
        api.parts.occurrences.make(api.registry.boards["cup"], one)


def test_a_series_registers_the_occurrence_that_is_going_on_and_two_ahead(api: Api) -> None:
    created = api.put(PATH, BODY)
    again = api.put(PATH, BODY)

    assert (created.status, created.headers["location"], created.json) == (201, PATH, ALL)
    assert (again.status, again.json) == (200, ALL)
    assert api.get(PATH).json == ALL
    assert made(api) == MADE
    assert api.get(PERIODS).json["series"] == [ALL]
    assert api.get(f"{PATH}~2026-11-16").json == {
        "id": "fortnight~2026-11-16",
        "name": "Fortnight",
        "from": "2026-11-16",
        "to": "2026-11-29",
    }
    assert [window.id for window in api.kept] == [f"{one[-10:]}.." + last for one, last in zip(MADE, ENDS, strict=True)]
    assert len(api.noted) == 1, "of the series, none of its occurrences"


ENDS = ["2026-11-29", "2026-12-13", "2026-12-27"]


def test_an_occurrence_is_ranked_by_its_id(api: Api) -> None:
    api.put(PATH, BODY)
    answer = api.get("/leaderboards/cup/rankings", window="custom", period="fortnight~2026-11-16")
    assert (answer.status, answer.json["window"]["id"]) == (200, "2026-11-16..2026-11-29")
    assert api.get("/leaderboards/cup/rankings", window="custom", period="fortnight").status == 404


def test_a_change_is_for_what_has_not_begun(api: Api) -> None:
    api.put(PATH, BODY)

    changed = api.put(PATH, BODY | {"name": "Week", "every": "P7D", "reason": "they were too long"})

    assert (changed.status, changed.json["nextFrom"]) == (200, "2026-12-14")
    assert made(api) == ["fortnight~2026-11-16", "fortnight~2026-11-30", "fortnight~2026-12-07"]
    assert [api.get(f"{PERIODS}/{one}").json["name"] for one in made(api)] == ["Fortnight", "Week", "Week"]
    assert [window.id for window in api.withdrawn] == ["2026-11-30..2026-12-13", "2026-12-14..2026-12-27"]
    (_, kind, _, more) = api.noted[-1]
    before, after = more["series"]
    assert (kind, more["reason"], more["subject"]) == (
        AuditAction.DEFINE_PERIOD,
        "they were too long",
        "fortnight",
    )
    assert (before.every, after.every, after.name) == ("P14D", "P7D", "Week")


def test_a_series_that_would_overlap_the_one_going_on_goes_on_after_it(api: Api) -> None:
    api.put(PATH, BODY)

    api.put(PATH, BODY | {"from": "2026-11-04", "every": "P1W"})

    assert made(api) == ["fortnight~2026-11-16", "fortnight~2026-12-02", "fortnight~2026-12-09"]


def test_an_early_end_keeps_what_ends_by_then(api: Api) -> None:
    api.put(PATH, BODY)

    ended = api.put(PATH, BODY | {"until": "2026-12-26"})

    assert (ended.json["until"], ended.json["nextFrom"]) == ("2026-12-26", None)
    assert made(api) == MADE[:2]
    go_on(api, 60)
    assert made(api) == MADE[:2]
    api.put(PATH, BODY)
    assert made(api) == [*MADE[:2], "fortnight~2027-01-25", "fortnight~2027-02-08"]


def test_with_a_series_goes_what_has_not_begun_and_the_rest_stays(api: Api) -> None:
    api.put(PATH, BODY)
    go_on(api, 14)
    assert made(api) == [*MADE, "fortnight~2026-12-28"]

    assert api.call("DELETE", PATH, {"reason": "nobody plays"}).status == 204

    assert made(api) == MADE[:2]
    assert [api.call(method, PATH).status for method in ("GET", "DELETE")] == [404, 404]
    assert api.noted[-1][-1]["reason"] == "nobody plays"
    assert api.call("DELETE", f"{PERIODS}/{MADE[1]}").status == 204, "it is a period like any other"
    api.put(PATH, BODY)
    assert made(api) == [MADE[0], MADE[1], MADE[2], "fortnight~2026-12-28"]


def test_what_nobody_has_registered_in_time_is_before_a_series_changes(api: Api) -> None:
    api.put(PATH, BODY)
    api.now_ms += 56 * DAY_MS

    api.put(PATH, BODY | {"every": "P7D"})

    assert made(api)[:5] == [*MADE, "fortnight~2026-12-28", "fortnight~2027-01-11"]
    assert made(api)[5:] == ["fortnight~2027-01-25", "fortnight~2027-02-01"]
    api.now_ms += 56 * DAY_MS
    api.call("DELETE", PATH)
    assert made(api)[-1] == "fortnight~2027-03-15"


def test_an_occurrence_is_changed_by_itself_and_not_made_again(api: Api) -> None:
    api.put(PATH, BODY)
    longer = {"name": "With a day more", "from": "2026-11-16", "to": "2026-11-30"}

    assert api.put(f"{PERIODS}/{MADE[0]}", longer).status == 200
    assert api.call("DELETE", f"{PERIODS}/{MADE[1]}").status == 204
    go_on(api, 28)

    assert made(api) == [MADE[0], MADE[2], "fortnight~2026-12-28", "fortnight~2027-01-11"]
    assert api.get(f"{PERIODS}/{MADE[0]}").json == {"id": MADE[0]} | longer
    refused = api.put(f"{PERIODS}/{MADE[1]}", longer)
    assert (refused.status, refused.json["type"]) == (404, "urn:leaderboards:problem:unknown-period")


def test_a_period_that_has_the_id_of_an_occurrence_is_passed_over(api: Api) -> None:
    api.put(PATH, BODY)
    stays = api.registry.known_periods["cup", MADE[0]]
    api.registry.known_periods["cup", "fortnight~2026-12-28"] = replace(stays, id="fortnight~2026-12-28")
    go_on(api, 28)
    assert api.registry.known_periods["cup", "fortnight~2026-12-28"].window == stays.window
    assert made(api)[-1] == "fortnight~2027-01-11"


@pytest.mark.parametrize(("first", "second", "field"), [("series", "period", "to"), ("period", "series", "every")])
def test_an_id_is_that_of_a_period_or_of_a_series(api: Api, first: str, second: str, field: str) -> None:
    bodies = {"series": BODY, "period": {"name": "Launch", "from": "2026-11-20", "to": "2026-11-25"}}
    api.put(PATH, bodies[first])
    answer = api.put(PATH, bodies[second])
    assert (answer.status, list(answer.errors)) == (422, [field])
    assert len(api.noted) == 1


def test_a_leaderboard_has_only_so_many_series(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.api.recurring.SERIES_MAX", 2)
    answers = [api.put(f"{PERIODS}/{name}", BODY) for name in ("one", "two", "three", "one")]
    assert [answer.status for answer in answers] == [201, 201, 409, 200]
    assert answers[2].json["type"] == "urn:leaderboards:problem:too-many-periods"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"every": "P0D"}, "every"),
        ({"every": "PT24H"}, "every"),
        ({"every": "P367D"}, "every"),
        ({"every": 14}, "every"),
        ({"from": "2026-11-31"}, "from"),
        ({"from": None}, "from"),
        ({"until": "2026-11-14"}, "until"),
        ({"until": "soon"}, "until"),
        ({"to": "2026-11-15"}, "to"),
        ({"name": ""}, "name"),
        ({"every": None}, "to"),
        ({"every": None, "to": "2026-11-15", "until": "2026-12-31"}, "until"),
    ],
)
def test_what_a_series_may_not_hold_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    answer = api.put(PATH, BODY | change)
    assert (answer.status, list(answer.errors)) == (422, [field])
    assert api.noted == []


@pytest.mark.parametrize("name", ["fortnight~2026-11-16", "fortnight~", "a~b", "Fortnight"])
def test_the_id_of_a_series_is_one_without_a_date(api: Api, name: str) -> None:
    assert list(api.put(f"{PERIODS}/{name}", BODY).errors) == ["periodId"]


def test_days_are_those_of_the_leaderboard(api: Api) -> None:
    api.put("/leaderboards/east", {"name": "East", "aggregation": "sum", "timeZone": "Pacific/Kiritimati"})
    api.now_ms = parse_day("2026-11-15") * DAY_MS + 11 * 3_600_000  # the 16th there
    for board in ("east", "cup"):
        api.put(f"/leaderboards/{board}/periods/fortnight", BODY)
    first = [api.get(f"/leaderboards/{board}/periods").json["periods"][0]["id"] for board in ("east", "cup")]
    assert first == ["fortnight~2026-11-16", "fortnight~2026-11-02"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_series_that_others_keep_changing_is_a_conflict(api: Api, method: str) -> None:
    api.put(PATH, BODY)

    def change() -> None:
        known = api.series.known
        known["cup", "fortnight"] = replace(known["cup", "fortnight"], name=known["cup", "fortnight"].name + "+")

    api.registry.before_save = change
    answer = api.call(method, PATH, body=BODY | {"every": "P7D"} if method == "PUT" else None)
    assert (answer.status, answer.json["type"]) == (409, "urn:leaderboards:problem:conflict")
    assert made(api) == MADE


def test_a_series_is_put_though_another_worker_makes_its_occurrences(api: Api) -> None:
    def beaten() -> None:
        raise Conflict("another worker was first")

    api.series.before_make = beaten
    assert api.put(PATH, BODY).json["nextFrom"] == "2026-11-16"
    api.series.before_make = lambda: None
    go_on(api, 0)
    assert made(api) == MADE


def test_a_deleted_leaderboard_gets_no_more_occurrences_until_it_is_put_again(api: Api) -> None:
    api.put(PATH, BODY)
    archived = replace(api.registry.boards["cup"], archived=True)
    api.registry.boards["cup"] = archived
    go_on(api, 28)
    api.registry.boards["cup"] = replace(archived, archived=False)
    assert made(api) == MADE
    go_on(api, 0)
    assert made(api) == [*MADE, "fortnight~2026-12-28", "fortnight~2027-01-11"]
