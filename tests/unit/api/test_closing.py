"""What is due, and previews of results: parameters, shapes, and who may see what."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from functions.api.security import Scope
from shared.closing.preview import Previews
from shared.closing.runs import Cause
from shared.closing.state import Blocker, ClosingState, Item, Kind, Step
from shared.domain.calendar import Window, parse_day
from shared.domain.periods import Period
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.reads.answers import RankingSource
from tests.unit.api.conftest import NOW_MS, Api
from tests.unit.api.test_results import RESULT

CLOSING = "/leaderboards/cup/closing"
RESULT_OF = "/leaderboards/cup/result"
BLOCKER = Blocker(Cause.LAG, "partition 3 is committed to 5 of 9", NOW_MS)
ITEM = Item(Kind.WINDOW, "2026-11-22", Step.COMMITTING, "2.20779.1", NOW_MS, NOW_MS + 1, None, None, (BLOCKER,))
SHOWN = {
    "code": "lag",
    "reason": "Records that were sent in time are not processed yet.",
    "since": "2026-11-23T10:00:00.000Z",
    "runbook": "docs/runbook.md#lag",
}
TIERS = (Tier("gold", TierRule.TOP_N, 2),)


class States:
    """A state of closing, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[bool, int, str | None]] = []
        self.item = ITEM

    def find(self, leaderboard: Leaderboard, limit: int, after: str | None) -> ClosingState:
        self.asked.append((leaderboard.archived, limit, after))
        return ClosingState(NOW_MS, NOW_MS - 1_000, [self.item], "2.20779.1")

    def of(self, _leaderboard: Leaderboard, _window: Window) -> tuple[Item, int]:
        return self.item, 1


@pytest.fixture
def states(api: Api) -> States:
    return with_states(api)


def with_states(api: Api) -> States:
    states = States()
    rankings: Any = api.rankings
    results: Any = SimpleNamespace(rules=lambda board, _window: board, latest=lambda *_: None)
    api.parts.closing_states = states
    api.parts.previews = Previews(rankings, results, states)  # type: ignore[arg-type]
    board = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=TIERS, version=4)
    api.registry.boards["cup"] = replace(board, sealed_through=parse_day("2026-11-21"))
    return states


def test_what_is_due_is_told_with_its_step_and_what_blocks_it(api: Api, states: States) -> None:
    answer = api.get(CLOSING)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json == {
        "leaderboardId": "cup",
        "archived": False,
        "asOf": "2026-11-23T10:00:00.000Z",
        "checkedAt": "2026-11-23T09:59:59.000Z",
        "sealedThrough": "2026-11-21",
        "items": [
            {
                "kind": "window",
                "id": "2026-11-22",
                "step": "committing",
                "cutoffAt": "2026-11-23T10:00:00.000Z",
                "expectedAt": "2026-11-23T10:00:00.001Z",
                "version": None,
                "blockers": [SHOWN | {"detail": "partition 3 is committed to 5 of 9"}],
            }
        ],
        "nextAfter": "2.20779.1",
    }


def test_what_is_due_comes_in_pages(api: Api, states: States) -> None:
    api.get(CLOSING, limit=7, after="2.20779.1")
    assert states.asked == [(False, 7, "2.20779.1")]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"after": "x y"}, {"after": ""}, {"window": "daily"}])
def test_parameters_of_what_is_due_are_checked(api: Api, states: States, query: dict[str, Any]) -> None:
    answer = api.get(CLOSING, **query)
    assert (answer.status, set(answer.errors)) == (422, set(query))


def test_what_is_due_of_a_deleted_leaderboard_is_told(api: Api, states: States) -> None:
    api.call("DELETE", "/leaderboards/cup")
    assert api.get(CLOSING).json["archived"] is True
    assert api.get("/leaderboards/cap/closing").status == 404


@pytest.mark.parametrize(("scopes", "sees"), [([Scope.EXPORTS], False), ([Scope.EXPORTS, Scope.ADMIN], True)])
@pytest.mark.parametrize("prefix", ["", "boards/"])
def test_partitions_are_shown_to_operators_alone(scopes: list[Scope], sees: bool, prefix: str) -> None:
    api = Api("production", "jwt", prefix)
    with_states(api)
    named = " ".join(f"{prefix}{one}" for one in scopes)
    api.claims = {"sub": "payer", "exp": str(NOW_MS // 1000 + 60), "scope": named}
    (item,) = api.get(CLOSING).json["items"]
    preview = api.get(RESULT_OF, window="daily", preview="true").json
    for blockers in (item["blockers"], preview["blockers"]):
        (shown,) = blockers
        assert ("detail" in shown) == sees
        assert {name: value for name, value in shown.items() if name != "detail"} == SHOWN


def test_a_preview_shows_awards_and_the_state_of_the_days(api: Api, states: States) -> None:
    states.item = replace(ITEM, step=Step.OPEN, blockers=())
    answer = api.get(RESULT_OF, window="weekly", preview="true")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    awards = answer.json.pop("awards")
    assert [(one["userId"], one["tier"], one["rank"], one["competitionRank"], one["score"]) for one in awards] == [
        ("u-0", "gold", 1, 1, 100),
        ("u-1", "gold", 2, 2, 99),
    ]
    assert {name: value for name, value in answer.json.items() if name != "awards"} == {
        "preview": True,
        "leaderboardId": "cup",
        "window": {
            "kind": "weekly",
            "id": "2026-W48",
            "from": "2026-11-23",
            "to": "2026-11-29",
            "startsAt": "2026-11-23T00:00:00.000Z",
            "endsAt": "2026-11-30T00:00:00.000Z",
            "status": "open",
            "expectedFinalAt": "2026-11-30T01:05:15.001Z",
        },
        "rulesVersion": 4,
        "asOf": "2026-11-23T10:00:00.000Z",
        "source": "live",
        "revision": 7,
        "players": 5,
        "awardCount": 5,
        "tiers": [{"name": "gold", "awardCount": 5}],  # these rankings don't select by tier
        "nextCursor": None,
        "truncated": False,
        "days": [{"from": "2026-11-23", "to": "2026-11-29", "step": "open"}],
        "step": "open",
        "blockers": [],
        "pendingAuditEntries": 1,
    }


def test_a_preview_comes_in_pages_as_rankings_do(api: Api, states: States) -> None:
    first = api.get(RESULT_OF, window="weekly", preview="true", limit=1).json
    assert [one["userId"] for one in first["awards"]] == ["u-0"]
    api.rankings.asked.clear()
    assert api.get(RESULT_OF, window="weekly", preview="true", limit=1, cursor=first["nextCursor"]).status == 200
    _, selection = api.rankings.asked[0]
    assert selection.key is not None
    assert (selection.key.user_id, selection.limit) == ("u-0", 2)

    other = api.get(RESULT_OF, window="daily", preview="true", cursor=first["nextCursor"])
    assert (other.status, set(other.errors)) == (422, {"cursor"})
    back = api.get("/leaderboards/cup/rankings", window="weekly", limit=1, offset=1).json["prevCursor"]
    backward = api.get(RESULT_OF, window="weekly", preview="true", cursor=back)
    assert (backward.status, set(backward.errors)) == (422, {"cursor"})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"preview": "1"}, "preview"),
        ({"preview": "True"}, "preview"),
        ({"limit": 5}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"preview": "false", "limit": 5}, "limit"),
        ({"preview": "true", "limit": 1001}, "limit"),
        ({"preview": "true", "cursor": "x"}, "cursor"),
    ],
)
def test_parameters_of_a_preview_are_checked(api: Api, states: States, query: dict[str, Any], field: str) -> None:
    answer = api.get(RESULT_OF, window="daily", **query)
    assert (answer.status, set(answer.errors)) == (422, {field})


@pytest.mark.parametrize("query", [{}, {"window": "custom", "from": "2026-11-01", "to": "2026-11-02"}])
def test_what_never_becomes_final_has_no_preview(api: Api, states: States, query: dict[str, str]) -> None:
    answer = api.get(RESULT_OF, preview="true", **query)
    assert (answer.status, answer.json["type"]) == (422, "urn:leaderboards:problem:never-final")
    assert not api.rankings.asked


def test_a_preview_of_a_deleted_leaderboard_or_a_final_window_is_given(api: Api, states: States) -> None:
    api.results["2026-W46"] = RESULT
    api.rankings.final = True
    states.item = replace(ITEM, step=Step.FINAL, blockers=())
    api.call("DELETE", "/leaderboards/cup")
    found = api.get(RESULT_OF, window="weekly", date="2026-W46", preview="true").json
    assert (found["preview"], found["step"], found["source"]) == (True, "final", "final")
    assert "expectedFinalAt" not in found["window"]


def test_a_preview_from_a_snapshot_says_so_and_gives_no_totals(api: Api, states: States) -> None:
    api.rankings.source = RankingSource.SNAPSHOT
    found = api.get(RESULT_OF, window="weekly", preview="true").json
    assert (found["source"], found["awardCount"]) == ("snapshot", None)
    assert found["tiers"] == [{"name": "gold", "awardCount": None}]


def test_reads_say_when_a_window_is_expected_to_be_final(api: Api) -> None:
    day = parse_day("2026-11-23")
    api.registry.known_periods["cup", "launch"] = Period(id="launch", name="x", first=day, last=day)

    def expected(path: str, **query: str) -> Any:
        window = api.get(f"/leaderboards/cup/{path}", **query).json["window"]
        return window.get("expectedFinalAt")

    at = "2026-11-24T01:05:15.001Z"
    for path in ("rankings", "players/u-1"):
        assert expected(path, window="daily") == at
        assert expected(path, window="custom", period="launch") == at
        assert expected(path, window="custom", from_="2026-11-23", to="2026-11-23") is None
        assert expected(path) is None, "all time"
    assert expected("rankings", window="daily", userIds="u-1") == at
    api.rankings.final = True
    assert expected("rankings", window="daily") is None


def test_a_result_that_is_not_there_says_when_it_is_expected(api: Api) -> None:
    answer = api.get(RESULT_OF, window="daily")
    assert (answer.status, answer.json["expectedFinalAt"]) == (404, "2026-11-24T01:05:15.001Z")
    assert "expectedFinalAt" not in api.get(RESULT_OF).json
