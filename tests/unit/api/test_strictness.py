"""What a request says is read as it was sent, or refused: nothing is guessed, and nothing is passed over."""

import pytest

from infra.contract import contract
from tests.unit.api.conftest import Api

RANKINGS = "/leaderboards/cup/rankings"
OPERATIONS = [(method.upper(), path) for path, methods in contract()["paths"].items() for method in methods]
INTEGERS = [
    (RANKINGS, "limit"),
    (RANKINGS, "offset"),
    (RANKINGS, "minScore"),
    (RANKINGS, "maxScore"),
    ("/leaderboards/cup/players/u-1", "context"),
    ("/leaderboards/cup/players/u-1/events", "limit"),
    ("/leaderboards/cup/export", "topN"),
    ("/leaderboards/cup/export", "topPercent"),
    ("/leaderboards/cup/audit-log", "limit"),
    ("/leaderboards/cup/audit-log", "after"),
    ("/leaderboards", "limit"),
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_parameter_that_the_contract_does_not_name_is_refused_on_every_route(
    api: Api, method: str, path: str
) -> None:
    for name, value in (("id", "cup"), ("userId", "u-1"), ("periodId", "p"), ("exportId", "x")):
        path = path.replace(f"{{{name}}}", value)
    answer = api.call(method, path, "dryRun=true", raw="{}" if method in ("POST", "PUT") else None)
    assert answer.status == 422
    assert answer.errors["dryRun"] == "is not known here"
    assert not api.noted
    assert not api.registry.saves


@pytest.mark.parametrize(
    "text", ["1_0", "%C2%A05", "%205", "5%20", "+5", "%2B5", "%EF%BC%95", "%D9%A5", "05", "1e1", "0x1", ""]
)
@pytest.mark.parametrize(("path", "name"), INTEGERS)
def test_a_number_is_decimal_digits_and_nothing_else(api: Api, path: str, name: str, text: str) -> None:
    answer = api.call("GET", path, f"{name}={text}")
    assert (answer.status, list(answer.errors)) == (422, [name])


@pytest.mark.parametrize("date", ["\uff12026-11-23", "2026-W\uff148", " 2026-11-23", "20261123"])
def test_a_date_is_ascii_in_its_one_form(api: Api, date: str) -> None:
    answer = api.get(RANKINGS, window="weekly", date=date)
    assert (answer.status, list(answer.errors)) == (422, ["date"])


@pytest.mark.parametrize("user_id", ["\ufffd", "a\ufffdb", "a\ud800"])
def test_a_path_that_is_no_utf_8_reads_nobody(api: Api, user_id: str) -> None:
    """Gateways hand over bytes that are no UTF-8 as U+FFFD, which is a character of its own in somebody's id."""
    api.rankings.scores |= {"\ufffd": api.rankings.scores["u-1"], "?": api.rankings.scores["u-1"]}
    assert api.call("GET", f"/leaderboards/cup/players/{user_id}").status == 400
    assert api.call("GET", "/leaderboards/cup/players", "userId=%EF%BF%BD").status == 200


@pytest.mark.parametrize("query", ["tier=%", "tier=%g0", "tier=a%2", "tier=%FF", "tier=%C3%28", "%=a"])
def test_a_query_that_is_not_percent_encoded_utf_8_is_refused(api: Api, query: str) -> None:
    assert api.call("GET", RANKINGS, query).status == 400


def test_nothing_between_two_ampersands_says_nothing(api: Api) -> None:
    assert api.call("GET", RANKINGS, "limit=1&&offset=2&").status == 200
