"""The contract: checked in, in step with the code, and an example of everything."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from functions.api.app import CONTRACT as DOCUMENT
from functions.api.bodies import (
    CorrectionBody,
    DisqualifyBody,
    LeaderboardBody,
    PeriodBody,
    ReasonBody,
    RebuildBody,
    RedriveBody,
    ReinstateBody,
)
from functions.api.problems import KINDS, Problem
from functions.api.score_body import ScoreBody, ScoresBody
from infra.contract import contract, examples, text
from infra.contract.document import VIEWS
from tests.unit.api.conftest import Api

CONTRACT = contract()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, routes in CONTRACT["paths"].items():
        for method, operation in routes.items():
            answers = operation["responses"].items()
            yield path, method, operation | {"responses": {status: resolved(one) for status, one in answers}}


def resolved(response: dict[str, Any]) -> Any:
    name = response.get("$ref", "").rpartition("/")[2]
    return CONTRACT["components"]["responses"][name] if name else response


def test_the_checked_in_contract_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == text(), "make openapi writes it anew"


def test_the_contract_describes_every_route() -> None:
    board, player = "/leaderboards/{id}", "/leaderboards/{id}/players/{userId}"
    assert {(path, method) for path, method, _ in operations()} == {
        ("/leaderboards", "get"),
        ("/dead-letters", "get"),
        *((board, method) for method in ("get", "put", "delete")),
        (f"{board}/periods", "get"),
        *((f"{board}/periods/{{periodId}}", method) for method in ("get", "put", "delete")),
        (f"{board}/rankings", "get"),
        (f"{board}/players", "get"),
        (player, "get"),
        (f"{player}/windows", "get"),
        (f"{player}/events", "get"),
        (f"{player}/events/{{eventId}}", "get"),
        (f"{player}/explain", "get"),
        *((f"{player}/profile", method) for method in ("get", "put")),
        (f"{board}/export", "get"),
        (f"{board}/result", "get"),
        (f"{board}/closing", "get"),
        (f"{board}/exports/{{exportId}}", "get"),
        (f"{board}/result/versions", "get"),
        (f"{player}/scores", "post"),
        (f"{board}/scores", "post"),
        (f"{player}/disqualify", "post"),
        (f"{player}/reinstate", "post"),
        (f"{player}/pseudonymise", "post"),
        (f"{player}/corrections", "post"),
        (f"{player}/events/{{eventId}}/void", "post"),
        (f"{board}/disqualified", "get"),
        (f"{board}/audit-log", "get"),
        (f"{board}/rebuild", "post"),
        (f"{board}/rebuild", "get"),
        (f"{board}/redrive", "post"),
        (f"{board}/purge", "post"),
        ("/health", "get"),
        ("/health/live", "get"),
        ("/health/ready", "get"),
        ("/metrics", "get"),
    }
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)


def sent_by_a_tool(parameters: list[dict[str, Any]], *, place: str) -> dict[str, Any]:
    """Parameters of one place as tools fill them in: each example, else each default."""
    given = {one["name"]: one.get("example", one["schema"].get("default")) for one in parameters if one["in"] == place}
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, _ in operations() if method == "get"])
def test_all_examples_of_an_operation_at_once_are_a_request(api: Api, path: str, method: str) -> None:
    parameters = CONTRACT["paths"][path][method].get("parameters", [])
    query = {name: json.dumps(value).strip('"') for name, value in sent_by_a_tool(parameters, place="query").items()}
    for name, value in (sent_by_a_tool(parameters, place="path") | {"id": "cup"}).items():
        path = path.replace(f"{{{name}}}", value)
    answer = api.call(method.upper(), path, query=query)
    assert answer.status not in (400, 422), answer.json


def test_what_clients_send_by_themselves_excludes_no_cursor_and_no_players() -> None:
    parameters = CONTRACT["paths"]["/leaderboards/{id}/rankings"]["get"]["parameters"]
    assert [one["name"] for one in parameters if "default" in one["schema"]] == ["window"]
    (attributes,) = (one for one in parameters if one["schema"].get("type") == "object")
    assert (attributes["style"], attributes["explode"]) == ("form", True)
    Draft202012Validator(attributes["schema"]).validate({"attr.country": "DE"})
    assert not Draft202012Validator(attributes["schema"]).is_valid({"country": "DE"})


def test_bounds_of_numbers_are_in_the_words_of_json_schema() -> None:
    (limit,) = (
        one for one in CONTRACT["paths"]["/leaderboards/{id}/rankings"]["get"]["parameters"] if one["name"] == "limit"
    )
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 1_000}


def test_operations_are_called_what_they_do() -> None:
    ids = {operation["operationId"] for _, _, operation in operations()}
    assert {"getRankings", "getPlayer", "listLeaderboards", "startExport", "getExport", "submitScore"} <= ids


def test_what_is_open_says_so() -> None:
    is_open = {path for path, _, operation in operations() if operation["security"] == []}
    assert is_open == {"/health", "/health/live", "/health/ready"}


def test_what_is_served_says_which_build_it_is(api: Api) -> None:
    served = api.get("/openapi.json").json
    version = CONTRACT["info"]["version"]
    assert served["info"]["version"] == f"{version}+3f2c9a7.dirty"
    assert served | {"info": CONTRACT["info"]} == CONTRACT


@pytest.mark.parametrize("name", examples.VIEWS)
def test_the_example_of_an_answer_is_one(name: str) -> None:
    view = next(one for one in VIEWS if one.__name__ == name.partition(" ")[0])
    example = examples.VIEWS[name]
    assert msgspec.to_builtins(msgspec.convert(example, view)) == example
    schema = {"$ref": f"#/components/schemas/{view.__name__}", "components": CONTRACT["components"]}
    Draft202012Validator(schema).validate(example)


def test_every_answer_has_an_example() -> None:
    assert {view.__name__ for view in VIEWS if view is not Problem} <= examples.VIEWS.keys()


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("disqualify", "disqualify"),
        ("reinstate", "reinstate"),
        ("rebuild", "rebuild"),
        ("void", "void"),
        ("corrections", "correct"),
    ],
)
def test_the_example_of_an_act_is_that_of_its_route(route: str, kind: str) -> None:
    (operation,) = (one for path, method, one in operations() if path.endswith(route) and method == "post")
    (answer,) = (one for status, one in operation["responses"].items() if status < "3")
    assert answer["content"]["application/json"]["example"]["kind"] == kind


@pytest.mark.parametrize(
    "body",
    [
        LeaderboardBody,
        PeriodBody,
        ReasonBody,
        DisqualifyBody,
        ReinstateBody,
        CorrectionBody,
        RebuildBody,
        RedriveBody,
        ScoreBody,
        ScoresBody,
    ],
)
def test_the_example_of_a_body_is_one(body: Any) -> None:
    assert body.model_validate(examples.BODIES[body.__name__])
    assert CONTRACT["components"]["schemas"][body.__name__]["examples"]


def test_every_answer_has_an_example_and_examples_of_parameters_go_together() -> None:
    for path, method, operation in operations():
        for parameter in operation.get("parameters", ()):
            assert "example" in parameter or not parameter["required"]
            if "example" in parameter:
                Draft202012Validator(parameter["schema"]).validate(parameter["example"])
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                assert content.get("example") or content.get("examples"), (path, method, status)


def test_every_error_has_an_example_that_is_one() -> None:
    shown: dict[str, Any] = {}
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            for slug, one in (
                response.get("content", {}).get("application/problem+json", {}).get("examples", {}).items()
            ):
                shown[slug] = one["value"]
                assert status == "default" or one["value"]["status"] == int(status)
    assert set(shown) == {kind.slug for kind in KINDS.values()} | {"internal-error"}
    schema = {"$ref": "#/components/schemas/Problem", "components": CONTRACT["components"]}
    for value in shown.values():
        Draft202012Validator(schema).validate(value)


def test_every_reference_leads_somewhere() -> None:
    for reference in text().split('"$ref": "')[1:]:
        _, _, kind, name = reference.split('"')[0].split("/")
        assert name in CONTRACT["components"][kind]
