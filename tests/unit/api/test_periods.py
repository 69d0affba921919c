"""Periods: which may change until when, and what is said of those that may not."""

from typing import Any

import pytest
from msgspec.structs import replace

from functions.api.periods import TRIES_MAX
from shared.cache.errors import CacheUnavailable
from shared.domain.audit import AuditAction
from shared.domain.calendar import DAY_MS, Day, parse_day
from shared.domain.periods import Period
from tests.unit.api.conftest import Api

PATH = "/leaderboards/cup/periods/launch"
BODY = {"name": "Launch", "from": "2026-11-20", "to": "2026-11-25"}
"""Goes on."""
OVER = {"name": "Launch", "from": "2026-11-01", "to": "2026-11-15"}
WHY = {"reason": "a day was lost, case 12"}


def test_a_period_is_created_read_changed_listed_and_forgotten(api: Api) -> None:
    created = api.put(PATH, BODY)
    again = api.put(PATH, BODY | {"to": "2026-11-26"})

    assert (created.status, created.headers["location"], created.json) == (201, PATH, {"id": "launch"} | BODY)
    assert (again.status, again.json["to"]) == (200, "2026-11-26")
    assert api.put(PATH, BODY | {"to": "2026-11-26"}).status == 200
    assert [window.id for window in api.kept] == ["2026-11-20..2026-11-25", "2026-11-20..2026-11-26"]
    assert [window.id for window in api.withdrawn] == ["2026-11-20..2026-11-25"]
    assert api.get(PATH).json == again.json
    assert api.get("/leaderboards/cup/periods").json == {"periods": [again.json], "series": []}
    assert [api.call("DELETE", PATH).status for _ in range(2)] == [204, 404]
    assert api.get(PATH).status == 404
    assert [window.id for window in api.withdrawn] == ["2026-11-20..2026-11-25", "2026-11-20..2026-11-26"]


def test_every_change_of_a_period_is_in_the_audit_log_with_what_was_before(api: Api) -> None:
    api.claims = {"sub": "local", "scope": "leaderboards:admin"}
    api.put(PATH, OVER)
    api.put(PATH, OVER)
    api.put(PATH, OVER | WHY | {"to": "2026-11-16"})
    api.call("DELETE", PATH, {"reason": "entered twice"})

    first = Period(id="launch", name="Launch", first=parse_day("2026-11-01"), last=parse_day("2026-11-15"))
    second = replace(first, last=Day(first.last + 1))
    noted = [(kind, actor, more["reason"], more["periods"]) for _, kind, actor, more in api.noted]
    assert noted == [
        (AuditAction.DEFINE_PERIOD, "local", "", (None, first)),
        (AuditAction.DEFINE_PERIOD, "local", WHY["reason"], (first, second)),
        (AuditAction.DELETE_PERIOD, "local", "entered twice", (second, None)),
    ]
    assert {more["subject"] for *_, more in api.noted} == {"launch"}


@pytest.mark.parametrize("change", [{"to": "2026-11-25"}, {"from": "2026-11-02"}])
def test_the_days_of_a_period_that_is_over_change_for_a_reason_alone(api: Api, change: dict[str, str]) -> None:
    api.put(PATH, OVER)

    answer = api.put(PATH, OVER | change)

    assert (answer.status, list(answer.errors)) == (422, ["reason"])
    assert answer.errors["reason"].startswith("must say why")
    assert api.get(PATH).json == {"id": "launch"} | OVER
    assert len(api.noted) == 1, "nothing of a change that was refused"
    assert api.put(PATH, OVER | change | WHY).status == 200
    assert api.get(PATH).json == {"id": "launch"} | OVER | change


def test_a_period_is_over_with_the_end_of_its_last_day(api: Api) -> None:
    api.put(PATH, BODY)
    api.now_ms = (parse_day("2026-11-25") + 1) * DAY_MS - 1
    assert api.put(PATH, BODY | {"to": "2026-11-26"}).status == 200

    api.now_ms += DAY_MS + 1

    assert api.put(PATH, BODY).status == 422
    assert api.call("DELETE", PATH).status == 422


def test_the_name_of_a_period_that_is_over_changes_without_a_reason(api: Api) -> None:
    api.put(PATH, OVER)
    api.results["2026-11-01..2026-11-15"] = object()

    answer = api.put(PATH, OVER | {"name": "Launch of 2026"})

    assert (answer.status, answer.json["name"]) == (200, "Launch of 2026")
    assert len(api.noted) == 2


def test_a_period_with_a_result_keeps_its_days_and_stays_whatever_the_reason(api: Api) -> None:
    api.put(PATH, OVER)
    api.results["2026-11-01..2026-11-15"] = object()

    moved = api.put(PATH, OVER | WHY | {"to": "2026-11-16"})
    deleted = api.call("DELETE", PATH, WHY)

    for answer in (moved, deleted):
        assert (answer.status, answer.json["type"]) == (409, "urn:leaderboards:problem:final-result-exists")
        assert "2026-11-01..2026-11-15" in answer.json["detail"]
    assert api.get(PATH).json == {"id": "launch"} | OVER
    assert (len(api.noted), api.withdrawn) == (1, [])


def test_a_period_that_is_over_is_deleted_for_a_reason_alone(api: Api) -> None:
    api.put(PATH, OVER)

    answer = api.call("DELETE", PATH)

    assert (answer.status, list(answer.errors)) == (422, ["reason"])
    assert api.get(PATH).status == 200
    assert api.call("DELETE", PATH, WHY).status == 204


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_result_that_is_written_meanwhile_keeps_its_period(api: Api, method: str) -> None:
    api.put(PATH, OVER)

    def finalised() -> None:
        api.registry.before_save = lambda: None
        api.results["2026-11-01..2026-11-15"] = object()
        known = api.registry.known_periods
        known["cup", "launch"] = replace(known["cup", "launch"], name="so that the write conflicts")

    api.registry.before_save = finalised
    body = OVER | WHY | {"to": "2026-11-16"} if method == "PUT" else None

    answer = api.call(method, PATH, {} if body else WHY, body)

    assert (answer.status, answer.json["type"]) == (409, "urn:leaderboards:problem:final-result-exists")
    assert api.get(PATH).json["to"] == "2026-11-15"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_period_that_others_keep_changing_is_a_conflict(api: Api, method: str) -> None:
    api.put(PATH, OVER)
    tries = []

    def change() -> None:
        tries.append(1)
        known = api.registry.known_periods
        known["cup", "launch"] = replace(known["cup", "launch"], name=f"change {len(tries)}")

    api.registry.before_save = change

    body = OVER | WHY | {"to": "2026-11-16"} if method == "PUT" else None
    answer = api.call(method, PATH, {} if body else WHY, body)

    assert (answer.status, answer.json["type"]) == (409, "urn:leaderboards:problem:conflict")
    assert len(tries) == TRIES_MAX


@pytest.mark.parametrize("reason", ["", "x" * 501])
def test_a_reason_is_neither_empty_nor_endless(api: Api, reason: str) -> None:
    api.put(PATH, OVER)
    for answer in (
        api.put(PATH, OVER | {"to": "2026-11-16", "reason": reason}),
        api.call("DELETE", PATH, {"reason": reason}),
    ):
        assert (answer.status, list(answer.errors)) == (422, ["reason"])


def test_the_window_of_a_period_stays_while_another_has_the_same_days(api: Api) -> None:
    for name in ("launch", "again"):
        api.put(f"/leaderboards/cup/periods/{name}", BODY)

    api.call("DELETE", PATH)

    assert api.withdrawn == []


def test_a_leaderboard_has_only_so_many_periods(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.api.periods.PERIODS_MAX", 2)

    answers = [api.put(f"/leaderboards/cup/periods/{name}", BODY) for name in ("one", "two", "three", "one")]

    assert [answer.status for answer in answers] == [201, 201, 409, 200]
    assert answers[2].json["type"] == "urn:leaderboards:problem:too-many-periods"
    api.registry.boards["cup"] = replace(api.registry.boards["cup"], sealed_through=parse_day("2026-11-25"))
    assert api.put(PATH, BODY).status == 201, "those that can't change any more take no room"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from": "2026-11-16"}, "to"),
        ({"from": "2025-11-14"}, "to"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"to": None}, "to"),
        ({"from": 20261101}, "from"),
        ({"last": "2026-11-15"}, "last"),
        ({"name": ""}, "name"),
    ],
)
def test_what_a_period_may_not_hold_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    answer = api.put(PATH, OVER | change)
    assert (answer.status, list(answer.errors)) == (422, [field])


def test_without_the_cache_a_period_is_registered_all_the_same(api: Api) -> None:
    api.cache_failure = CacheUnavailable("down")
    assert api.put(PATH, BODY).status == 201
