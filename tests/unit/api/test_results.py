"""Results of final windows."""

import pytest
from msgspec.structs import replace

from shared.domain.calendar import parse_day
from shared.domain.periods import Period
from shared.domain.rules import archive
from shared.lookups.zones import calendar_of
from shared.reads.result_versions import ResultVersion
from shared.truth.final_results import FinalResult
from tests.unit.api.conftest import NOW_MS, Api

FINAL = FinalResult(
    leaderboard_id="cup",
    window_id="2026-W46",
    rules_version=3,
    version=2,
    audit_sequence=4,
    players=5,
    sum_of_points="490",
    object_key="finals/cup/2026-W46/v2.csv",
    bytes=300,
    sha256="0a",
    award_count=2,
    tiers=("gold",),
    awards_key="finals/cup/2026-W46/v2.awards.csv",
    awards_sha256="0b",
    difference_key="finals/cup/2026-W46/v2.difference.csv",
    difference_sha256="0c",
    award_changes=3,
    award_changes_key="finals/cup/2026-W46/v2.award-changes.csv",
    award_changes_sha256="0d",
    code_version="1",
    finalised_at_ms=0,
)
FILES = "https://files.example.com/v2"
RESULT = ResultVersion(
    FINAL,
    f"{FILES}.csv",
    f"{FILES}.csv.manifest.json",
    f"{FILES}.awards.csv",
    f"{FILES}.difference.csv",
    f"{FILES}.award-changes.csv",
)


def test_a_result_says_what_it_adds_up_to_and_where_its_files_are(api: Api) -> None:
    api.results["2026-W46"] = RESULT
    answer = api.get("/leaderboards/cup/result", window="weekly", date="2026-W46")
    assert answer.status == 200
    assert answer.json == {
        "leaderboardId": "cup",
        "window": {
            "kind": "weekly",
            "id": "2026-W46",
            "from": "2026-11-09",
            "to": "2026-11-15",
            "startsAt": "2026-11-09T00:00:00.000Z",
            "endsAt": "2026-11-16T00:00:00.000Z",
            "status": "final",
        },
        "tzdata": None,
        "version": 2,
        "auditSequence": 4,
        "rulesVersion": 3,
        "players": 5,
        "awardCount": 2,
        "tiers": ["gold"],
        "sumOfPoints": "490",
        "finalisedAt": "1970-01-01T00:00:00.000Z",
        "announcedAt": None,
        "announcementPending": False,
        "codeVersion": "1",
        "ranking": {"url": f"{FILES}.csv", "sha256": "0a", "rows": 5},
        "manifest": f"{FILES}.csv.manifest.json",
        "awards": {"url": f"{FILES}.awards.csv", "sha256": "0b", "rows": 2},
        "difference": {"url": f"{FILES}.difference.csv", "sha256": "0c"},
        "awardChanges": {"url": f"{FILES}.award-changes.csv", "sha256": "0d", "rows": 3},
    }


@pytest.mark.parametrize(
    ("at_ms", "is_pending", "shown"), [(1_000, False, "1970-01-01T00:00:01.000Z"), (None, True, None)]
)
def test_a_result_says_whether_it_was_announced(
    api: Api, at_ms: int | None, is_pending: bool, shown: str | None
) -> None:
    api.results["2026-W46"] = replace(RESULT, announced_at_ms=at_ms, announcement_pending=is_pending)
    found = api.get("/leaderboards/cup/result", window="weekly", date="2026-W46").json
    assert (found["announcedAt"], found["announcementPending"]) == (shown, is_pending)


def test_a_result_says_by_which_rules_of_time_zones_its_days_go(api: Api) -> None:
    berlin = calendar_of("Europe/Berlin", 0)
    api.registry.boards["cup"] = replace(api.registry.boards["cup"], calendar=berlin)
    api.results["2026-W46"] = RESULT

    found = api.get("/leaderboards/cup/result", window="weekly", date="2026-W46").json

    assert (found["tzdata"], found["window"]["startsAt"]) == (berlin.tzdata, "2026-11-08T23:00:00.000Z")


def test_links_to_files_are_kept_by_nobody(api: Api) -> None:
    api.results["2026-W46"] = RESULT
    answer = api.get("/leaderboards/cup/result", window="weekly", date="2026-W46")
    assert answer.headers["cache-control"] == "private, no-store"


def test_a_window_without_result_is_404_and_says_so(api: Api) -> None:
    day = parse_day("2026-11-01")
    api.registry.known_periods["cup", "launch"] = Period(id="launch", name="x", first=day, last=day)
    for query in (
        {"window": "weekly", "date": "2026-W46"},
        {"window": "daily"},
        {"window": "custom", "period": "launch"},
        {"window": "custom", "from": "2026-11-01", "to": "2026-11-01"},
    ):
        answer = api.get("/leaderboards/cup/result", **query)
        assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:not-final")
        assert "not final" in answer.json["detail"]


def test_a_deleted_leaderboard_owes_what_began_before_and_nothing_else(api: Api) -> None:
    today, tomorrow = parse_day("2026-11-23"), parse_day("2026-11-24")
    api.registry.boards["cup"] = archive(api.registry.boards["cup"], NOW_MS)
    for name, first in (("launch", today), ("later", tomorrow)):
        api.registry.known_periods["cup", name] = Period(id=name, name="x", first=first, last=tomorrow)

    def asked(**query: str) -> tuple[int, str]:
        answer = api.get("/leaderboards/cup/result", **query)
        return answer.status, answer.json["type"].rpartition(":")[2]

    for query in ({"date": "2026-11-23"}, {"window": "weekly", "date": "2026-W48"}, {"period": "launch"}):
        window = {"window": "custom"} if "period" in query else {"window": "daily"}
        assert asked(**(window | query)) == (404, "not-final"), query
    for query in ({"date": "2026-11-24"}, {"window": "weekly", "date": "2026-W49"}, {"period": "later"}):
        window = {"window": "custom"} if "period" in query else {"window": "daily"}
        assert asked(**(window | query)) == (422, "never-final"), query
    assert (
        "was deleted before 2026-11-24 began"
        in api.get("/leaderboards/cup/result", window="daily", date="2026-11-24").errors["window"]
    )


@pytest.mark.parametrize(
    "query", [{}, {"window": "all-time"}, {"window": "custom", "from": "2026-11-01", "to": "2026-11-02"}]
)
def test_a_window_that_never_becomes_final_is_422_and_says_what_does(api: Api, query: dict[str, str]) -> None:
    day = parse_day("2026-11-01")
    api.registry.known_periods["cup", "launch"] = Period(id="launch", name="x", first=day, last=day)
    answer = api.get("/leaderboards/cup/result", **query)
    assert (answer.status, answer.json["type"]) == (422, "urn:leaderboards:problem:never-final")
    assert "register" in answer.errors["window"]


@pytest.mark.parametrize(
    ("window", "date", "has_closed"),
    [
        ("daily", "1970-01-01", False),
        ("weekly", "1970-W01", False),
        ("daily", "2026-11-18", True),
        ("weekly", "2026-W46", True),
    ],
)
def test_a_window_before_the_first_event_is_422_and_says_that_there_will_be_none(
    api: Api, window: str, date: str, has_closed: bool
) -> None:
    known = {"sealed_through": parse_day("2026-11-22"), "results_from": parse_day("2026-11-20")} if has_closed else {}
    api.registry.boards["cup"] = replace(api.registry.boards["cup"], created_at_ms=NOW_MS, **known)

    answer = api.get("/leaderboards/cup/result", window=window, date=date)

    assert (answer.status, answer.json["type"]) == (422, "urn:leaderboards:problem:never-final")
    assert "there will be no result" in answer.errors["window"]


def test_a_day_that_may_still_have_events_from_before_the_creation_is_not_final_yet(api: Api) -> None:
    api.registry.boards["cup"] = replace(api.registry.boards["cup"], created_at_ms=NOW_MS)

    answer = api.get("/leaderboards/cup/result", window="daily", date="2026-11-17")

    assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:not-final")


def test_a_result_needs_a_window_that_can_be(api: Api) -> None:
    answer = api.get("/leaderboards/cup/result", window="weekly", date="2026-W60")
    assert (answer.status, set(answer.errors)) == (422, {"date"})


def test_what_was_won_can_be_paid_after_the_leaderboard_was_deleted(api: Api) -> None:
    api.results["2026-W46"] = RESULT
    assert api.call("DELETE", "/leaderboards/cup").status == 204

    assert api.get("/leaderboards/cup/rankings").status == 404
    assert api.get("/leaderboards/cup/result", window="weekly", date="2026-W46").json["version"] == 2
    assert api.get("/leaderboards/cup/result", window="weekly", date="2026-W47").status == 404
    assert api.get("/leaderboards/cap/result", window="weekly", date="2026-W46").status == 404
