"""Administration by the API's function, on a real Redis and a real DynamoDB engine."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from shared.admin.redrive import Redriven
from shared.assembly import now_ms
from shared.cache.leases import BuildProgress
from shared.domain.calendar import ALL_TIME_DAY, daily, day_of
from shared.domain.rejections import Reason
from shared.messaging.dead_letters import RedriveFilter
from shared.rebuild.builder import rebuild_position
from shared.rebuild.requests import RebuildLeaderboard, decode_request

BODY = {"name": "Cup", "aggregation": "sum"}
Call = Callable[..., Any]
Score = Callable[..., None]


@pytest.fixture(autouse=True)
def _played(call: Call, score: Score) -> None:
    assert call("put-leaderboard", body=BODY).status == 201
    score(("ann", 5), ("u-42", 7), ("bob", 3))


def users(call: Call) -> list[str]:
    """Who is ranked today."""
    answer = call("rankings", query="window=daily")
    assert answer.json["source"] == "live"
    return [one["userId"] for one in answer.json["entries"]]


def test_a_player_is_disqualified_and_reinstated_with_who_when_and_why(call: Call) -> None:
    out = call("disqualify", body={"reason": "bought points"})

    assert out.status == 200
    assert (out.json["kind"], out.json["actor"], out.json["reason"], out.json["userId"]) == (
        "disqualify",
        "local",
        "bought points",
        "u-42",
    )
    assert users(call) == ["ann", "bob"]
    assert call("player", query="window=daily").status == 404
    assert call("player-events").status == 200, "the ledger keeps everything"
    assert call("disqualified").json["userIds"] == ["u-42"]

    back = call("reinstate", body={"reason": "case 1234 was another player"})

    assert back.json["number"] == out.json["number"] + 1
    assert users(call) == ["u-42", "ann", "bob"]
    assert call("disqualified").json["userIds"] == []
    entries = call("audit-log").json["entries"]
    assert [one["kind"] for one in entries] == ["define", "disqualify", "reinstate"]
    assert [entries[1] | {"known": True}, entries[2]] == [out.json, back.json]
    assert entries[1]["at"] <= entries[2]["at"]


def test_a_disqualification_says_whether_the_player_is_known(call: Call, leaderboard_id: str) -> None:
    mistyped = f"/leaderboards/{leaderboard_id}/players/u-24/disqualify"

    assert call("disqualify", body={"reason": "bought points"}).json["known"] is True
    unknown = call("disqualify", path=mistyped, body={"reason": "in advance"})
    assert (unknown.status, unknown.json["userId"], unknown.json["known"]) == (200, "u-24", False)
    assert call("disqualified").json["userIds"] == ["u-24", "u-42"]


def test_a_strict_disqualification_refuses_who_has_no_events_and_writes_nothing(
    call: Call, leaderboard_id: str
) -> None:
    before = call("audit-log").json
    strict = {"reason": "bought points", "strict": True}

    refused = call("disqualify", path=f"/leaderboards/{leaderboard_id}/players/u-24/disqualify", body=strict)
    assert (refused.status, refused.json["type"]) == (404, "urn:leaderboards:problem:unknown-player")
    assert "u-24" in refused.json["detail"]
    assert call("audit-log").json == before
    assert call("disqualified").json["userIds"] == []

    done = call("disqualify", body=strict)
    assert (done.status, done.json["known"]) == (200, True)
    assert users(call) == ["ann", "bob"]
    assert call("disqualify", body=strict).json == done.json


@pytest.mark.parametrize("strict", [1, "true", None, []])
def test_whether_a_disqualification_is_strict_must_be_a_boolean(call: Call, strict: object) -> None:
    refused = call("disqualify", body={"reason": "bought points", "strict": strict})
    assert (refused.status, [one["field"] for one in refused.json["errors"]]) == (422, ["strict"])
    assert call("disqualified").json["userIds"] == []


def test_a_disqualification_asked_for_twice_is_one_act(call: Call) -> None:
    first = call("disqualify", body={"reason": "once"})
    second = call("disqualify", body={"reason": "twice"})

    assert (second.status, second.json) == (200, first.json)


def test_who_was_never_disqualified_can_t_be_reinstated(call: Call) -> None:
    answer = call("reinstate")

    assert (answer.status, answer.json["type"]) == (409, "urn:leaderboards:problem:never-disqualified")


@pytest.mark.parametrize("reason", ["", "x" * 501, 1, None])
def test_an_act_takes_a_reason(call: Call, reason: Any) -> None:
    answer = call("disqualify", body={"reason": reason})

    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "reason")
    assert call("disqualify", body={"reason": "x" * 500}).status == 200


def test_a_player_whose_id_looks_like_a_route_is_disqualified_himself(
    call: Call, score: Score, leaderboard_id: str
) -> None:
    score(("x/disqualify", 9), ("x", 8))

    path = f"/leaderboards/{leaderboard_id}/players/x/disqualify/disqualify"
    assert call("disqualify", path=path).json["userId"] == "x/disqualify"

    assert users(call) == ["x", "u-42", "ann", "bob"]


def test_without_a_cache_the_disqualified_is_not_shown_either(call: Call, redis: Any) -> None:
    call("disqualify")
    redis.flushall()

    answer = call("rankings", query="window=daily")

    assert answer.json["source"] == "snapshot"
    assert [one["userId"] for one in answer.json["entries"]] == ["ann", "bob"]
    assert call("player", query="window=daily").status == 404


def test_a_snapshot_from_before_is_shown_without_who_was_disqualified_since(
    call: Call, redis: Any, module: Any
) -> None:
    module.assembly.repair.take_snapshots()
    call("disqualify")
    redis.flushall()

    answer = call("rankings", query="window=all-time")

    assert answer.json["source"] == "snapshot"
    assert answer.json["total"] == 2
    assert [(one["rank"], one["userId"]) for one in answer.json["entries"]] == [(1, "ann"), (2, "bob")]


def test_definitions_and_periods_are_in_the_audit_trail(call: Call) -> None:
    call("put-leaderboard", body=BODY)  # nothing changes
    call("put-leaderboard", body=BODY | {"name": "Other"})
    call("put-period")
    call("delete-period")
    call("delete-period")
    call("delete-leaderboard")
    call("put-leaderboard", body=BODY)

    entries = call("audit-log", query="").json["entries"]
    assert [(one["kind"], one["subject"]) for one in entries] == [
        ("define", "version 1"),
        ("define", "version 2"),
        ("define-period", "launch-fortnight"),
        ("delete-period", "launch-fortnight"),
        ("delete", "version 3"),
        ("define", "version 4"),
    ]
    assert {one["actor"] for one in entries} == {"local"}


def test_the_audit_trail_is_paged(call: Call) -> None:
    for name in ("disqualify", "reinstate", "disqualify"):
        call(name)

    first = call("audit-log", query="limit=2").json
    assert [one["number"] for one in first["entries"]] == [1, 2]
    rest = call("audit-log", query=f"limit=2&after={first['nextAfter']}").json
    assert [one["number"] for one in rest["entries"]] == [3, 4]
    assert rest["nextAfter"] is None


def test_a_rebuild_is_ordered_and_noted(
    call: Call, module: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(module.assembly.repairs, "send", sent.extend)
    today = daily(day_of(now_ms()))

    answer = call("rebuild", body={"reason": "to be sure", "window": today.id})

    assert (answer.status, answer.json["kind"], answer.json["subject"]) == (202, "rebuild", today.id)
    assert call("rankings", query="window=daily").json["source"] == "snapshot"
    request = decode_request(sent[0])
    assert request.leaderboard_id == leaderboard_id
    module.assembly.repair.handle(request)
    assert users(call) == ["u-42", "ann", "bob"]
    assert call("rebuild", body={"reason": "x", "window": "never"}).status == 422


def test_a_redrive_takes_the_leaderboards_letters_alone(
    call: Call, module: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RedriveFilter] = []

    def run(choice: RedriveFilter, has_time: Callable[[], bool]) -> Redriven:
        assert has_time()
        asked.append(choice)
        return Redriven(sent=2, left=1, too_late=3, complete=True)

    monkeypatch.setitem(module.assembly.__dict__, "redrive", SimpleNamespace(run=run))

    answer = call("redrive", body={"reason": "corrected", "rejectedAs": "too_late"})

    assert asked == [RedriveFilter(Reason.TOO_LATE, leaderboard_id)]
    assert [answer.json[name] for name in ("sent", "failed", "left", "tooLate", "complete")] == [2, 0, 1, 3, True]
    assert answer.json["auditEntry"]["subject"] == "too_late"
    assert call("redrive", body={"reason": "x", "rejectedAs": "whatever"}).status == 422


def test_a_rebuild_tells_how_far_it_is(call: Call, module: Any, leaderboard_id: str, redis: Redis) -> None:
    assert call("rebuild-progress").json["state"] == "complete"
    redis.flushall()
    asked = call("rebuild-progress").json
    assert (asked["state"], asked["daysRead"]) == ("waiting", 0)
    leaderboard = module.assembly.registry.leaderboard(leaderboard_id)
    _, build = module.assembly.builds.begin_rebuild(leaderboard, "builder", now_ms())
    build.progress = BuildProgress(rebuild_position(ALL_TIME_DAY), 3)
    module.assembly.builds.renew(build, now_ms())

    asked = call("rebuild-progress").json

    assert (asked["state"], asked["daysRead"], asked["standingsRead"]) == ("running", 1, 3)
    assert asked["days"] > 40
    module.assembly.builds.give_back(build)
    module.assembly.repair.handle(RebuildLeaderboard(leaderboard_id=leaderboard_id))
    assert call("rebuild-progress").json["state"] == "complete"


def test_only_so_many_custom_ranges_are_kept_at_a_time(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.rebuild.on_demand.RANGES_MAX", 2)
    ranges = [f"window=custom&from=2026-0{month}-01&to=2026-0{month}-02" for month in (1, 2, 3)]

    assert [call("rankings", query=query).status for query in (*ranges, ranges[0])] == [200, 200, 429, 200]
    refused = call("rankings", query=ranges[2])
    assert refused.json["type"] == "urn:leaderboards:problem:too-many-ranges"
    assert int(refused.headers["retry-after"]) > 0


def test_a_range_longer_than_a_year_is_refused(call: Call) -> None:
    answers = [
        call("rankings", query=f"window=custom&from=2024-01-01&to={last}") for last in ("2024-12-31", "2025-01-01")
    ]

    assert [one.status for one in answers] == [200, 422]
    assert answers[1].json["errors"][0]["field"] == "to"


def test_a_disqualification_for_some_days_says_which(call: Call) -> None:
    days = {"from": "2026-11-20", "to": "2026-11-21"}
    done = call("disqualify", body={"reason": "a bot"} | days)

    assert {name: done.json[name] for name in days} == days
    assert users(call) == ["u-42", "ann", "bob"]
    more = call("disqualify", body={"reason": "a bot", "from": "2026-11-22", "to": "2026-11-22"})
    assert more.json["number"] == done.json["number"] + 1
    within = call("disqualify", body={"reason": "again", "from": "2026-11-21", "to": "2026-11-22"})
    assert within.json == more.json, "nothing new"
    shown = call("disqualified").json
    assert (shown["userIds"], shown["days"]) == ([], [{"userId": "u-42", "from": "2026-11-20", "to": "2026-11-22"}])
    back = call("reinstate", body={"reason": "no bot", "from": "2026-11-21", "to": "2026-11-21"})
    assert (back.status, back.json["kind"], back.json["from"], back.json["to"]) == (
        200, "reinstate", "2026-11-21", "2026-11-21",
    )  # fmt: skip
    assert call("reinstate", body={"reason": "again", "from": "2026-11-21", "to": "2026-11-21"}).json == back.json
    assert [(one["from"], one["to"]) for one in call("disqualified").json["days"]] == [
        ("2026-11-20", "2026-11-20"),
        ("2026-11-22", "2026-11-22"),
    ]
    assert call("audit-log").json["entries"][-1] == back.json
    assert {"from", "to"}.isdisjoint(call("reinstate", body={"reason": "no bot"}).json)
    assert call("disqualified").json["days"] == []


@pytest.mark.parametrize(
    ("days", "field"),
    [
        ({"from": "2026-11-20"}, "to"),
        ({"to": "2026-11-20"}, "from"),
        ({"from": "2026-11-20", "to": "2026-11-19"}, "to"),
        ({"from": "yesterday", "to": "2026-11-19"}, "from"),
        ({"from": "2026-11-20", "to": "2026-W48"}, "to"),
    ],
)
def test_the_days_of_a_disqualification_must_be_a_range(call: Call, days: dict[str, str], field: str) -> None:
    for path in ("disqualify", "reinstate"):
        refused = call(path, body={"reason": "a bot"} | days)
        assert (refused.status, [one["field"] for one in refused.json["errors"]]) == (422, [field])
    assert call("disqualified").json["days"] == []
