"""The route that lets a leaderboard start over."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from shared.admin.purges import HasResult
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.rules import Leaderboard, TooManyPurges
from tests.unit.api.conftest import NOW_MS, Api

ENTRY = AuditEntry(number=1, kind=AuditAction.PURGE, actor="local", reason="rehearsal", at_ms=NOW_MS)


def serve(api: Api, *, failure: Exception | None = None, entry: AuditEntry | None = ENTRY) -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []

    def purge(leaderboard: Leaderboard, actor: str, reason: str) -> tuple[AuditEntry | None, Leaderboard]:
        asked.append((leaderboard.id, actor, reason))
        if failure is not None:
            raise failure
        return entry, replace(leaderboard, starts_ms=(NOW_MS + 150_000,))

    api.parts.purges = SimpleNamespace(purge=purge)
    api.start()
    return asked


def test_a_purge_is_accepted_and_says_from_when_on_it_counts(api: Api) -> None:
    asked = serve(api)
    answer = api.call("POST", "/leaderboards/cup/purge", body={"reason": "rehearsal"})

    assert (answer.status, answer.headers["cache-control"]) == (202, "no-store")
    assert answer.json["countsFrom"] == "2026-11-23T10:02:30.000Z"
    assert answer.json["leaderboardId"] == "cup"
    assert (answer.json["auditEntry"]["kind"], answer.json["auditEntry"]["reason"]) == ("purge", "rehearsal")
    assert [(one[0], one[2]) for one in asked] == [("cup", "rehearsal")]


def test_an_entry_that_is_not_found_is_null(api: Api) -> None:
    serve(api, entry=None)
    assert api.call("POST", "/leaderboards/cup/purge", body={"reason": "rehearsal"}).json["auditEntry"] is None


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(HasResult("cup has final results"), "final-result-exists"), (TooManyPurges("cup was"), "too-many-purges")],
)
def test_what_rules_a_purge_out_is_a_problem(api: Api, failure: Exception, kind: str) -> None:
    serve(api, failure=failure)
    answer = api.call("POST", "/leaderboards/cup/purge", body={"reason": "rehearsal"})
    assert (answer.status, answer.json["type"]) == (409, f"urn:leaderboards:problem:{kind}")


def test_a_purge_needs_a_leaderboard_and_a_reason(api: Api) -> None:
    asked = serve(api)
    assert api.call("POST", "/leaderboards/none/purge", body={"reason": "rehearsal"}).status == 404
    answer = api.call("POST", "/leaderboards/cup/purge", body={})
    assert (answer.status, answer.errors) == (422, {"reason": "is required"})
    assert asked == []


def test_a_definition_says_from_when_on_it_counts(api: Api) -> None:
    cup = api.registry.boards["cup"]
    api.registry.boards["cup"] = replace(cup, starts_ms=(NOW_MS, NOW_MS + 1_000))
    assert api.get("/leaderboards/cup").json["countsFrom"] == "2026-11-23T10:00:01.000Z"


def test_what_was_read_before_a_purge_is_no_match_for_what_is_read_after_it(api: Api) -> None:
    tag = api.get("/leaderboards/cup/rankings").headers["etag"]
    cup = api.registry.boards["cup"]
    api.registry.boards["cup"] = replace(cup, starts_ms=(NOW_MS + 1,))
    api.parts.leaderboards.forget_all()
    headers = {"if-none-match": tag}
    assert api.call("GET", "/leaderboards/cup/rankings", headers=headers).status == 304
    api.now_ms += 1
    assert api.call("GET", "/leaderboards/cup/rankings", headers=headers).status == 200
