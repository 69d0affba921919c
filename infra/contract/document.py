"""The OpenAPI document, made of what the routes declare."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute

from functions.api.building import BuildingView
from functions.api.contract import Answered, Operation, operation_of
from functions.api.models import ATTRIBUTE_PREFIX, FILTER_PATTERN, ID_PATTERN, PERIOD_PATTERN
from functions.api.problems import CONTENT_TYPE, KINDS, UNEXPECTED, FieldError, Kind, Problem
from functions.api.security import required_scope
from functions.api.views import JSON
from functions.api.views.audit import (
    AmendmentView,
    AuditEntryView,
    AuditLogView,
    DisqualificationView,
    DisqualifiedDaysView,
    DisqualifiedView,
    PlayerDaysView,
    PseudonymView,
    PurgeView,
    RebuildView,
    RedrivenView,
)
from functions.api.views.closing import ClosingView
from functions.api.views.dead_letters import DeadLettersView, DeadLetterView, ExcerptView, RejectionView
from functions.api.views.exports import ExportView
from functions.api.views.health import HealthView
from functions.api.views.leaderboards import LeaderboardsView, LeaderboardView, PeriodsView, PeriodView, SeriesView
from functions.api.views.players import (
    BatchedScoresView,
    EventStatusView,
    EventsView,
    ExplanationView,
    PlayerWindowsView,
    ScoreAcceptedView,
    ScoreView,
)
from functions.api.views.previews import ResultPreviewView
from functions.api.views.profiles import PaintView, ProfileView
from functions.api.views.rankings import NeighboursView, RankingView
from functions.api.views.results import ResultFileView, ResultVersionsView, ResultVersionView, ResultView
from infra.contract import examples
from infra.contract.parameters import NARROWING, PARAMETERS, UNSENT
from shared.domain.events import ATTRIBUTE_CHARACTERS_MAX, EVENT_ID_CHARACTERS_MAX, USER_ID_BYTES_MAX

VIEWS: Final = (
    RankingView,
    NeighboursView,
    PlayerWindowsView,
    ScoreView,
    ScoreAcceptedView,
    BatchedScoresView,
    RejectionView,
    EventStatusView,
    EventsView,
    ExplanationView,
    PaintView,
    ProfileView,
    LeaderboardView,
    LeaderboardsView,
    PeriodView,
    PeriodsView,
    SeriesView,
    ExportView,
    HealthView,
    Problem,
    AuditEntryView,
    AmendmentView,
    DisqualificationView,
    AuditLogView,
    DisqualifiedDaysView,
    PlayerDaysView,
    DisqualifiedView,
    RebuildView,
    RedrivenView,
    ExcerptView,
    DeadLetterView,
    DeadLettersView,
    PseudonymView,
    PurgeView,
    ResultFileView,
    ResultView,
    ResultVersionView,
    ResultVersionsView,
    ResultPreviewView,
    ClosingView,
    BuildingView,
)
"""Everything that is answered with."""
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_REF: Final = "#/components/schemas/{name}"
_RESPONSE_REF: Final = "#/components/responses/problem-{status}"
_TEXT: Final = {"type": "string"}
_ID: Final = {"type": "string", "pattern": ID_PATTERN}
_PATH: Final[dict[str, dict[str, Any]]] = {
    "id": _ID,
    "periodId": {"type": "string", "pattern": PERIOD_PATTERN},
    "userId": {"type": "string", "minLength": 1, "maxLength": USER_ID_BYTES_MAX},
    "eventId": {"type": "string", "minLength": 1, "maxLength": EVENT_ID_CHARACTERS_MAX},
    "exportId": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,200}$"},
}
_ATTRIBUTES: Final = "attributes"
"""An object of parameters, one for each attribute: what a leaderboard's filters are called is not the contract's."""
_ATTRIBUTES_OF: Final = {
    "type": "object",
    "propertyNames": {"pattern": f"^{re.escape(ATTRIBUTE_PREFIX)}{FILTER_PATTERN.removeprefix('^')}"},
    "additionalProperties": {"type": "string", "maxLength": ATTRIBUTE_CHARACTERS_MAX},
    "description": "`attr.country=DE`: entries of the players whose latest event in the window with this attribute has "
    "this value. Any of the leaderboard's `filters` is asked for in this way, by a parameter of its own",
}
_TOKEN: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The scopes of each operation are those that the token's `scope` or `scp` has to name; "
    "`sub` is who is recorded in the audit log. Locally none is asked for.",
}
_CONDITIONAL: Final = {
    "If-None-Match": "The ETag of an answer that the client has: 304 if nothing has changed.",
    "Prefer": "`wait=20`: with If-None-Match, wait up to as many seconds (20 at the most) for a change. "
    "`Preference-Applied` says that the wait was granted; while too many others wait, the answer comes at once, with "
    "`Retry-After`.",
}
_WAITING: Final = {
    "Prefer": "`wait=20`: wait up to as many seconds (20 at the most) until it is done, unless too many others wait."
}
_SERVERS: Final = [
    {"url": "/", "description": "Whoever answers with this document; on AWS the stack's output `ApiUrl`"},
    {"url": "http://localhost:8080", "description": "The local stack"},
]
LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_TAGS: Final = {
    "rankings": "Pages of a window, and one player among others",
    "players": "All of one player",
    "scores": "Score events over HTTP",
    "leaderboards": "Definitions",
    "periods": "Named dates",
    "exports": "Whole rankings as files, and results",
    "administration": "What is kept in the audit log",
    "health": "Whether it works",
    "metrics": "For Prometheus",
}
"""Groups of operations, in the order of the document."""
_PROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"
_BOUNDS: Final = {"ge": "minimum", "le": "maximum"}
"""As pydantic leaves them behind a validator of ours, and as JSON Schema calls them."""
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}
_REVALIDATION: Final = {
    "ETag": {"description": "Changes with the window's revision and the leaderboard's rules", "schema": _TEXT},
    "Cache-Control": {
        "description": "Short while the window moves, some minutes once it is final; `public` where anybody may ask, "
        "`private` where a token is needed or the client waits",
        "schema": _TEXT,
    },
    "Vary": {"description": "Authorization, Prefer", "schema": _TEXT},
}


def _parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    """The parameters of a route: those of its path, of its query by the model that reads it, and its headers."""
    parameters = [_parameter(name, "path", _PATH[name], required=True) for name in _PATH_PARAMETER.findall(path)]
    if operation.query is not None:
        schema = operation.query.model_json_schema()
        definitions = schema.get("$defs", {})
        for name, declared in schema["properties"].items():
            required = name in schema.get("required", ())
            parameters.append(_parameter(name, "query", _present(declared, definitions), required=required))
    if operation.labelled is not None:
        description = f"{_ATTRIBUTES_OF['description']}, {operation.labelled}"
        parameters.append(_parameter(_ATTRIBUTES, "query", _ATTRIBUTES_OF | {"description": description}))
    headers = _CONDITIONAL if operation.conditional else _WAITING if operation.waits else {}
    for name, description in headers.items():
        parameters.append(_parameter(name, "header", dict(_TEXT)) | {"description": description})
    return parameters


def _parameter(name: str, place: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    parameter = {"name": name, "in": place, "required": required, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    named = f"{name} ({schema.get('type')})"  # where routes take different things by the same name
    example = PARAMETERS.get(named, PARAMETERS.get(name))
    if example is not None and example in schema.get("enum", [example]) and (place, name) not in NARROWING:
        parameter["example"] = example
    if schema.get("type") in ("array", "object"):
        parameter |= {"style": "form", "explode": True}  # a=1&a=2; a comma is part of a value
    if place == "query" and name in UNSENT and "default" in schema:
        parameter["x-default"] = schema.pop("default")
    return parameter


def _present(declared: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is given: one that is left out is no null."""
    schema = dict(declared)
    for option in schema.pop("anyOf", ()):
        if option.get("type") != "null":
            schema |= option
    schema = {**definitions.get(schema.pop("$ref", "").rpartition("/")[2], {}), **schema}
    for bound, name in _BOUNDS.items():
        if bound in schema:
            schema[name] = schema.pop(bound)
    if schema.get("default", ...) is None:
        del schema["default"]
    schema.pop("title", None)
    return schema


def _response(answered: Answered) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answered.description}
    if answered.conditional or answered.retry:
        response["headers"] = _REVALIDATION if answered.conditional else _RETRY_AFTER
    if answered.content is not None:
        response["content"] = answered.content
    elif answered.view is not None and answered.also is not None:
        names = [answered.view.__name__, answered.also.__name__]
        schema = {"anyOf": [{"$ref": _REF.format(name=name)} for name in names]}
        shown = {name: {"value": examples.VIEWS[name]} for name in names}
        response["content"] = {JSON: {"schema": schema, "examples": shown}}
    elif answered.view is not None:
        name = answered.view.__name__
        example = examples.VIEWS[answered.example or name]
        response["content"] = {JSON: {"schema": {"$ref": _REF.format(name=name)}, "example": example}}
    return response


def _declare(app: FastAPI, document: dict[str, Any]) -> None:
    """Add what the routes declare of themselves."""
    for route in app.routes:
        if not isinstance(route, APIRoute) or (operation := operation_of(route)) is None:
            continue
        for method in route.methods or ():
            item = document["paths"][route.path_format][method.lower()]
            if parameters := _parameters(route.path, operation):
                item["parameters"] = parameters
            item["responses"] |= {str(status): _response(one) for status, one in operation.responses.items()}


def problems(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Errors of one status, an example of each kind."""
    schema = {"$ref": _REF.format(name=Problem.__name__)}
    shown = {slug: {"summary": kind.title, "value": _example(kind)} for slug, kind in kinds.items()}
    response: dict[str, Any] = {"description": " · ".join(dict.fromkeys(kind.title for kind in kinds.values()))}
    if any(kind.retry_after_s for kind in kinds.values()):
        response["headers"] = _RETRY_AFTER
    return response | {"content": {CONTENT_TYPE: {"schema": schema, "examples": shown}}}


def _example(kind: Kind) -> dict[str, Any]:
    errors = [FieldError("limit", "Input should be greater than or equal to 1")] if kind.status == 422 else []
    detail = f"{errors[0].field}: {errors[0].message}" if errors else kind.detail or kind.title
    problem = Problem(kind.urn, kind.title, kind.status, detail, "/leaderboards/autumn-cup/rankings", errors)
    example: dict[str, Any] = msgspec.to_builtins(problem)
    return example


def _all_problems() -> dict[str, Any]:
    """Every answer that is an error, by status."""
    by_status: dict[int, dict[str, Kind]] = {}
    for kind in (*KINDS.values(), UNEXPECTED):
        by_status.setdefault(kind.status, {})[kind.slug] = kind
    return {f"problem-{status}": problems(kinds) for status, kinds in sorted(by_status.items())}


def _add_problems(path: str, method: str, responses: dict[str, Any]) -> None:
    """What any route may answer by what it takes: nothing can be wrong with what has no parameters."""
    responses.pop("422", None)  # FastAPI's own
    if responses.get("200", {}).get("content") == {JSON: {"schema": {}}}:
        del responses["200"]  # likewise, where another status is the success
    scope = required_scope(method.upper(), path)
    if scope is not None:
        statuses = [400, 401, 403, 422, 503]
        if "{" in path:
            statuses.append(404)
        if method == "get" and "{id}/" in path:
            statuses.append(429)
        if method in ("put", "delete", "post"):
            statuses.append(409)
        if method in ("put", "post"):
            statuses.append(413)
        for status in statuses:
            responses.setdefault(str(status), {"$ref": _RESPONSE_REF.format(status=status)})
    responses["default"] = {"$ref": _RESPONSE_REF.format(status=UNEXPECTED.status)}


def complete(app: FastAPI, document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document with parameters, responses, errors, schemas and examples added."""
    _declare(app, document)
    document["components"]["responses"] = _all_problems()
    document["components"]["securitySchemes"] = {"token": _TOKEN}
    components = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    components.update(_schemas())
    for name, example in examples.BODIES.items():
        components[name]["examples"] = [example]
    for path, routes in document["paths"].items():
        for method, route in routes.items():
            _add_problems(path, method, route["responses"])
            scope = required_scope(method.upper(), path)
            route["security"] = [] if scope is None else [{"token": [scope]}]
    document["servers"] = _SERVERS
    document["info"] |= {"license": LICENSE, "version": project_version()}
    document["tags"] = [{"name": name, "description": said} for name, said in _TAGS.items()]
    return document


def project_version() -> str:
    """The version in pyproject.toml; whoever serves the document adds the build's revision."""
    version: str = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    return version


def _schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components(VIEWS, ref_template=_REF.format(name="{name}"))
    return in_plain_words(components)


def in_plain_words(schemas: dict[str, Any]) -> dict[str, Any]:
    """Schemas of msgspec, with `const` for an `enum` of one, which not every generator takes of a boolean."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        said = {name: plain(one) for name, one in value.items()}
        if isinstance(said.get("enum"), list) and len(said["enum"]) == 1:
            said["const"] = said.pop("enum")[0]
        return said

    return {name: plain(schema) for name, schema in schemas.items()}
