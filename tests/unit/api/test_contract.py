"""The contract: checked in, in step with the code, and an example of everything."""

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
from functions.api.score_body import ScoreBody
from infra.contract import contract, examples, text
from infra.contract.document import VIEWS

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
        *((board, method) for method in ("get", "put", "delete")),
        (f"{board}/periods", "get"),
        *((f"{board}/periods/{{periodId}}", method) for method in ("get", "put", "delete")),
        (f"{board}/rankings", "get"),
        (f"{board}/players", "get"),
        (player, "get"),
        (f"{player}/windows", "get"),
        (f"{player}/events", "get"),
        (f"{player}/explain", "get"),
        (f"{board}/export", "get"),
        (f"{board}/result", "get"),
        (f"{board}/closing", "get"),
        (f"{board}/exports/{{exportId}}", "get"),
        (f"{board}/result/versions", "get"),
        (f"{player}/scores", "post"),
        (f"{player}/disqualify", "post"),
        (f"{player}/reinstate", "post"),
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
    ],
)
def test_the_example_of_a_body_is_one(body: Any) -> None:
    assert body.model_validate(examples.BODIES[body.__name__])
    assert CONTRACT["components"]["schemas"][body.__name__]["examples"]


def test_every_parameter_and_every_answer_has_an_example() -> None:
    for path, method, operation in operations():
        for parameter in operation.get("parameters", ()):
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
