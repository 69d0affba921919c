"""Every error is a problem, and nothing that a client sends is an error of ours."""

import pytest

from functions.api.problems import FIELDS_MAX
from shared.cache.errors import CacheUnavailable
from shared.reads.rankings import Rebuilding
from shared.truth.commits import Unavailable
from tests.unit.api.conftest import Api

RANKINGS = "/leaderboards/cup/rankings"


def test_a_problem_has_every_member_of_rfc_9457(api: Api) -> None:
    answer = api.get(RANKINGS, limit=0)

    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "urn:leaderboards:problem:invalid-request",
        "title": "The request is invalid",
        "status": 422,
        "detail": "limit: Input should be greater than or equal to 1",
        "instance": RANKINGS,
        "errors": [{"field": "limit", "message": "Input should be greater than or equal to 1"}],
    }


@pytest.mark.parametrize(
    ("error", "slug", "retry_after"),
    [
        (Rebuilding("x"), "rebuilding", "2"),
        (CacheUnavailable("10.0.0.7:6379 refused"), "cache-unavailable", "1"),
        (Unavailable("arn:aws:dynamodb throttled"), "truth-unavailable", "1"),
    ],
)
def test_what_passes_is_503_with_the_time_to_wait_and_no_names_of_servers(
    api: Api, error: Exception, slug: str, retry_after: str
) -> None:
    api.rankings.failure = error

    answer = api.get(RANKINGS)

    assert answer.status == 503
    assert answer.headers["retry-after"] == retry_after
    assert answer.json["type"].endswith(slug)
    assert str(error) == "x" or str(error) not in answer.text


def test_an_unexpected_error_is_500_without_details_but_with_the_request_id(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.rankings.failure = RuntimeError("secret")

    answer = api.get(RANKINGS)

    assert answer.status == 500
    assert "secret" not in answer.text
    assert "request-1" in answer.json["detail"]


def test_an_unknown_route_is_404(api: Api) -> None:
    answer = api.get("/nothing")
    assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:unknown-route")


def test_a_trailing_slash_is_another_route(api: Api) -> None:
    assert api.get("/leaderboards/").status == 404


def test_405_names_every_method_of_the_path(api: Api) -> None:
    answer = api.call("POST", "/leaderboards/cup")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PUT")
    assert answer.json["type"] == "urn:leaderboards:problem:method-not-allowed"


@pytest.mark.parametrize("leaderboard_id", ["nope", "UPPER", "a" * 65, "🎮", "%63up", "a" * 100_000])
def test_a_leaderboard_that_cannot_be_is_404_like_one_that_is_not(api: Api, leaderboard_id: str) -> None:
    answer = api.get(f"/leaderboards/{leaderboard_id}/rankings")
    assert (answer.status, answer.json["type"]) == (404, "urn:leaderboards:problem:unknown-leaderboard")
    assert len(answer.text) < 1_000


@pytest.mark.parametrize(
    ("path", "status"),
    [("/leaderboards/\ud800/rankings", 400), ("/leaderboards/cup/players/\ud800", 400), ("", 404), ("//", 404)],
)
def test_no_path_is_an_error_of_ours(api: Api, path: str, status: int) -> None:
    assert api.get(path).status == status


def test_a_query_that_is_no_utf_8_is_400(api: Api) -> None:
    assert api.call("GET", RANKINGS, "window=%ff").status == 400


@pytest.mark.parametrize(
    "query",
    [
        "limit=99999999999999999999",
        "limit=" + "9" * 5_000,
        "limit=1e3",
        "limit=",
        "limit=%00",
        "limit=1.5",
        "limit=-1",
        "offset=-1",
        "offset=99999999999999999999",
        "window=",
        "window=yearly",
        "window=monthly&date=2026-13",
        "window=monthly&date=2026-W48",
        "window=daily&date=",
        "window=daily&date=2026-02-30",
        "window=daily&date=%00",
        "window=daily&date=" + "1" * 10_000,
        "window=daily&date=%F0%9F%8E%AE",
        "window=weekly&date=2026-W54",
        "window=custom",
        "window=custom&from=2026-01-01",
        "window=custom&from=2026-01-02&to=2026-01-01",
        "window=custom&from=2025-01-01&to=2026-01-02",
        "limit=1&limit=2",
        "lmit=5",
        "=",
        "&&&=&=",
        "%00=1",
        "x" * 9_000 + "=1",
        "first=2026-01-01",
    ],
)
def test_no_query_of_a_client_is_an_error_of_ours(api: Api, query: str) -> None:
    answer = api.call("GET", RANKINGS, query)
    assert answer.status in (400, 422)
    assert answer.errors or answer.status == 400
    assert len(answer.text) < 2_000


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "null",
        "[]",
        "1",
        '"x"',
        "NaN",
        "[" * 100_000,
        "9" * 5_000,
        "\x00",
        '{"name":"\\ud800","aggregation":"sum"}',
        '{"\\ud800":1,"name":"x","aggregation":"sum"}',
        '{"name":"x","aggregation":"\\ud800"}',
        '{"name":"x","aggregation":"sum","shards":' + "9" * 4_000 + "}",
        '{"name":"x","aggregation":"sum","shards":1e400}',
        '{"name":"x","aggregation":"sum","tiers":[{"name":"a","topPercent":NaN}]}',
        '{"name":"x","aggregation":"sum","tiers":[{"name":"a","topPercent":Infinity}]}',
        '{"name":"x","aggregation":"sum","lateness":"P' + "9" * 9_000 + 'D"}',
        '{"name":"x","aggregation":"sum","lateness":"P999999999D"}',
        '{"name":"x","aggregation":"sum","tiers":[{}]}',
    ],
)
def test_no_body_of_a_client_is_an_error_of_ours(api: Api, raw: str) -> None:
    answer = api.call("PUT", "/leaderboards/new", raw=raw)
    assert answer.status in (400, 413, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert not api.registry.saves


def test_broken_json_is_400_and_says_where(api: Api) -> None:
    answer = api.call("PUT", "/leaderboards/new", raw='{"name": }')
    assert (answer.status, answer.errors["body"]) == (400, "is not valid JSON: Expecting value at character 9")


def test_a_problem_names_a_bounded_number_of_fields(api: Api) -> None:
    body = {"name": "x", "aggregation": "sum"} | {f"extra{number}": 1 for number in range(1_000)}
    answer = api.put("/leaderboards/new", body)
    assert len(answer.json["errors"]) == FIELDS_MAX
