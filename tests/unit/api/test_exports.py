"""Exports, and the contract as it is served."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.calendar import Window
from shared.domain.events import ATTRIBUTE_CHARACTERS_MAX
from shared.domain.rules import Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.exports.jobs import Exports
from shared.reads.rankings import UnknownTier
from shared.truth.export_jobs import Compression, ExportFormat, ExportPart, ExportRequest
from tests.unit.api.conftest import NOW_MS, Api


def job(**values: Any) -> SimpleNamespace:
    known = {
        "id": "all-time-csv",
        "state": "running",
        "rows_written": 5,
        "rows": None,
        "url": None,
        "manifest_url": None,
        "sha256": None,
    }
    rest = {"error": None, "request": ExportRequest("all-time"), "created_at_ms": NOW_MS}
    return SimpleNamespace(**(known | rest | values))


def test_an_export_that_is_being_made_is_202_with_the_job_and_when_to_ask_again(api: Api) -> None:
    api.jobs["asked"] = job()
    answer = api.get("/leaderboards/cup/export")
    assert (answer.status, answer.headers["retry-after"]) == (202, "1")
    assert answer.headers["location"] == "/leaderboards/cup/exports/all-time-csv"
    assert (answer.json["state"], answer.json["rowsWritten"]) == ("running", 5)


def test_an_export_that_is_made_is_303_to_the_file(api: Api) -> None:
    api.jobs["asked"] = job(state="done", url="https://files.example.com/x?signature=a%2Fb", rows=5)
    answer = api.get("/leaderboards/cup/export")
    assert (answer.status, answer.headers["location"]) == (303, "https://files.example.com/x?signature=a%2Fb")


def test_who_is_willing_to_wait_is_sent_to_the_file_once_it_is_made(api: Api) -> None:
    api.jobs["asked"] = job()
    api.jobs["all-time-csv"] = job(state="done", url="https://files.example.com/x", rows=5)
    answer = api.call("GET", "/leaderboards/cup/export", headers={"prefer": "wait=20"})
    assert (answer.status, answer.headers["location"]) == (303, "https://files.example.com/x")
    assert answer.headers["preference-applied"] == "wait=20"


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_wait_ends_with_the_time_or_the_job_and_tells_of_it(api: Api, state: str) -> None:
    api.jobs["asked"] = job()
    api.jobs["all-time-csv"] = job(state=state, rows_written=7)
    answer = api.call("GET", "/leaderboards/cup/export", headers={"prefer": "wait=1"})
    assert (answer.status, answer.json["state"], answer.json["rowsWritten"]) == (202, state, 7)


def test_a_job_can_be_followed(api: Api) -> None:
    api.jobs["all-time-csv"] = job(
        state="done",
        url="https://files.example.com/x",
        manifest_url="https://files.example.com/x.m",
        rows=5,
        sha256="00",
    )
    answer = api.get("/leaderboards/cup/exports/all-time-csv")
    assert answer.json == {
        "id": "all-time-csv",
        "leaderboardId": "cup",
        "windowId": "all-time",
        "format": "csv",
        "state": "done",
        "rowsWritten": 5,
        "rows": 5,
        "url": "https://files.example.com/x",
        "manifest": "https://files.example.com/x.m",
        "sha256": "00",
        "error": None,
        "createdAt": "2026-11-23T10:00:00.000Z",
    }


@pytest.mark.parametrize("export_id", ["nope", "a" * 201, "🎮"])
def test_an_unknown_export_is_404(api: Api, export_id: str) -> None:
    answer = api.get(f"/leaderboards/cup/exports/{export_id}")
    assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:unknown-export")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=xml", "format"),
        ("compression=rar", "compression"),
        ("topN=0", "topN"),
        ("topN=ten", "topN"),
        ("topPercent=0", "topPercent"),
        ("topPercent=101", "topPercent"),
        ("topPercent=0.001", "topPercent"),
        ("topPercent=nan", "topPercent"),
        ("topPercent=inf", "topPercent"),
        ("topN=1&topPercent=1", "topPercent"),
        ("tier=gold&topN=1", "topN"),
        ("attr.country=DE&attr.country=FR", "attr.country"),
        (f"attr.country={'x' * (ATTRIBUTE_CHARACTERS_MAX + 1)}", "attr.country"),
        ("attr.country=DE&topN=0", "topN"),
    ],
)
def test_what_cannot_be_exported_is_named(api: Api, query: str, field: str) -> None:
    answer = api.call("GET", "/leaderboards/cup/export", query)
    assert (answer.status, list(answer.errors)) == (422, [field])


def test_a_tier_that_the_window_is_not_ranked_with_is_422(api: Api) -> None:
    def refuse(*_: Any) -> None:
        raise UnknownTier("cup has no such tier")

    api.parts.exports.request = refuse
    answer = api.get("/leaderboards/cup/export", tier="platinum")
    assert (answer.status, answer.errors) == (422, {"tier": "cup has no such tier"})


@pytest.mark.parametrize(
    ("query", "request_"),
    [
        ("", ExportRequest("all-time")),
        ("format=parquet", ExportRequest("all-time", ExportFormat.PARQUET, Compression.ZSTD)),
        ("format=parquet&compression=none", ExportRequest("all-time", ExportFormat.PARQUET, Compression.NONE)),
        ("format=ndjson&compression=gzip", ExportRequest("all-time", ExportFormat.NDJSON, Compression.GZIP)),
        ("tier=gold", ExportRequest("all-time", part=ExportPart(tier="gold"))),
        ("topN=10", ExportRequest("all-time", part=ExportPart(top_n=10))),
        ("topPercent=0.29", ExportRequest("all-time", part=ExportPart(top_basis_points=29))),
        ("window=daily&date=2026-11-23", ExportRequest("2026-11-23")),
        ("attr.country=", ExportRequest("all-time", part=ExportPart(attr={"country": ""}))),
        (
            "attr.country=%00%2C%22+&topN=3",
            ExportRequest("all-time", part=ExportPart(None, 3, attr={"country": '\0," '})),
        ),
        (
            "attr.platform=pc&tier=gold&attr.country=FR",
            ExportRequest("all-time", part=ExportPart("gold", attr={"country": "FR", "platform": "pc"})),
        ),
    ],
)
def test_what_is_to_be_exported_is_taken_as_it_was_asked(api: Api, query: str, request_: ExportRequest) -> None:
    gold = Tier("gold", TierRule.TOP_N, 1)
    api.registry.boards["cup"] = replace(api.registry.boards["cup"], tiers=(gold,))
    asked: list[ExportRequest] = []

    def ask(_leaderboard: Leaderboard, _window: Window, one: ExportRequest) -> SimpleNamespace:
        asked.append(one)
        return job()

    api.parts.exports.request = ask
    assert api.call("GET", "/leaderboards/cup/export", query).status == 202
    assert asked == [request_]
    assert asked[0].digest == request_.digest, "whatever the order of the parameters"


def test_requests_of_before_values_of_filters_keep_their_digests() -> None:
    assert ExportRequest("2026-W48").digest == "csv-d9b679755f7f4e0d"
    assert b"attr" not in msgspec.json.encode(ExportPart(top_n=3))


def test_an_export_by_an_attribute_that_is_no_filter_is_422(api: Api) -> None:
    exports = Exports(jobs=None, results=None, downloads=None, queue=None, now_ms=lambda: NOW_MS)  # type: ignore[arg-type]
    api.parts.exports = exports

    answer = api.get("/leaderboards/cup/export", **{"attr.guild": "x"})

    assert (answer.status, list(answer.errors)) == (422, ["attr.guild"])


def test_the_contract_is_served(api: Api) -> None:
    document = api.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    parameters = document["paths"]["/leaderboards/{id}/rankings"]["get"]["parameters"]
    assert {one["name"] for one in parameters} == {
        "id",
        "window",
        "date",
        "period",
        "from",
        "to",
        "limit",
        "offset",
        "cursor",
        "userIds",
        "minScore",
        "maxScore",
        "tier",
        "attributes",
        "include",
        "If-None-Match",
        "Prefer",
    }
