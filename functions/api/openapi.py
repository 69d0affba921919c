"""OpenAPI of routes that read their parameters themselves, for the price of one pydantic call a request."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute
from msgspec import Struct
from pydantic import BaseModel

from functions.api import audit_views, examples, views
from functions.api.building import BuildingView
from functions.api.models import ID_PATTERN
from functions.api.problems import CONTENT_TYPE, KINDS, UNEXPECTED, FieldError, Kind, Problem
from functions.api.security import required_scope
from functions.api.views import JSON
from shared.domain.events import ATTRIBUTE_CHARACTERS_MAX, USER_ID_BYTES_MAX

VIEWS: Final = (*views.VIEWS, *audit_views.VIEWS, BuildingView)
"""Everything that is answered with."""
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_REF: Final = "#/components/schemas/{name}"
_RESPONSE_REF: Final = "#/components/responses/problem-{status}"
_TEXT: Final = {"type": "string"}
_ID: Final = {"type": "string", "pattern": ID_PATTERN}
_PATH: Final[dict[str, dict[str, Any]]] = {
    "id": _ID,
    "periodId": _ID,
    "userId": {"type": "string", "minLength": 1, "maxLength": USER_ID_BYTES_MAX},
    "exportId": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,200}$"},
}
_ATTRIBUTE: Final = "attr.country"
"""One for all: a contract can't name parameters that each leaderboard names itself."""
_ATTRIBUTE_VALUE: Final = {
    "type": "string",
    "maxLength": ATTRIBUTE_CHARACTERS_MAX,
    "description": "Entries of the players whose latest event in the window with this attribute has this value. Any of "
    "the leaderboard's `filters` is asked for in this way, one at a time",
}
_TOKEN: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The scopes of each operation are those that the token's `scope` or `scp` has to name; "
    "`sub` is who is noted in the audit trail. Locally none is asked for.",
}
_CONDITIONAL: Final = {
    "If-None-Match": "The ETag of an answer that the client has: 304 if nothing has changed.",
    "Prefer": "`wait=20`: with If-None-Match, wait up to as many seconds (20 at the most) for a change. "
    "`Preference-Applied` says that the wait was granted; while too many others wait, the answer comes at once, with "
    "`Retry-After`.",
}
_WAITING: Final = {
    "Prefer": "`wait=20`: wait up to as many seconds (20 at the most) until the file is made, "
    "unless too many others wait."
}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}
_FRESHNESS: Final = {
    "ETag": {"description": "Changes with the window's revision and the leaderboard's rules", "schema": _TEXT},
    "Cache-Control": {"description": "Short while the window moves, some minutes once it is final", "schema": _TEXT},
}


def operation(
    path: str,
    query: type[BaseModel] | None = None,
    *,
    conditional: bool = False,
    waits: bool = False,
    labelled: bool = False,
) -> dict[str, Any]:
    """The parameters of a route: those of its path, of its query by the model that reads it, and its headers."""
    parameters = [_parameter(name, "path", _PATH[name], required=True) for name in _PATH_PARAMETER.findall(path)]
    if query is not None:
        schema = query.model_json_schema()
        definitions = schema.get("$defs", {})
        for name, declared in schema["properties"].items():
            required = name in schema.get("required", ())
            parameters.append(_parameter(name, "query", _present(declared, definitions), required=required))
    if labelled:
        parameters.append(_parameter(_ATTRIBUTE, "query", dict(_ATTRIBUTE_VALUE)))
    headers = _CONDITIONAL if conditional else _WAITING if waits else {}
    for name, description in headers.items():
        parameters.append(_parameter(name, "header", dict(_TEXT)) | {"description": description})
    return {"parameters": parameters}


def _parameter(name: str, place: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    parameter = {"name": name, "in": place, "required": required, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    named = f"{name} ({schema.get('type')})"  # where routes take different things by the same name
    if named in examples.PARAMETERS or name in examples.PARAMETERS:
        parameter["example"] = examples.PARAMETERS.get(named, examples.PARAMETERS.get(name))
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": True}  # a&b; a comma is part of a value
    return parameter


def _present(declared: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is given: one that is left out is no null."""
    schema = dict(declared)
    for option in schema.pop("anyOf", ()):
        if option.get("type") != "null":
            schema |= option
    schema = {**definitions.get(schema.pop("$ref", "").rpartition("/")[2], {}), **schema}
    if schema.get("default", ...) is None:
        del schema["default"]
    schema.pop("title", None)
    return schema


def described(
    view: type[Struct], description: str, *, conditional: bool = False, example: str | None = None
) -> dict[str, Any]:
    """A response by its view; `example` is the name of another example than the view's own."""
    schema = {"$ref": _REF.format(name=view.__name__)}
    response: dict[str, Any] = {"description": description}
    if conditional:
        response["headers"] = _FRESHNESS
    return response | {"content": {JSON: {"schema": schema, "example": examples.VIEWS[example or view.__name__]}}}


def building() -> dict[str, Any]:
    """202 of a read."""
    response = described(BuildingView, "The window is not kept, and takes a while to be built: ask again")
    return response | {"headers": _RETRY_AFTER}


def not_modified() -> dict[str, Any]:
    """304."""
    return {"description": "Nothing has changed since the answer that If-None-Match names", "headers": _FRESHNESS}


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


def operation_id(route: APIRoute) -> str:
    """`rankings_ranking`: what a generated client calls the function."""
    return f"{route.tags[0]}_{route.name}"


def complete(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The app's `openapi` with the schemas of the views, the errors and the bodies' examples added."""
    declared = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = declared()
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
                if scope is not None:
                    route["security"] = [{"token": [scope]}]
        return document

    return openapi


def _schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components(VIEWS, ref_template=_REF.format(name="{name}"))
    return components
