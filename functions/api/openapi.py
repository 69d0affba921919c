"""OpenAPI of routes that read their parameters themselves, for the price of one pydantic call a request."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI
from msgspec import Struct
from pydantic import BaseModel

from functions.api.problems import CONTENT_TYPE, Problem
from functions.api.views import JSON, schemas

_PATH_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_REF: Final = "#/components/schemas/{name}"

_CONDITIONAL: Final = (
    {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of an answer that the client has: 304 if nothing has changed.",
        "schema": {"type": "string"},
    },
    {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": "`wait=20`: with If-None-Match, wait up to as many seconds (20 at the most) for a change.",
        "schema": {"type": "string"},
    },
)


def operation(path: str, query: type[BaseModel] | None = None, *, conditional: bool = False) -> dict[str, Any]:
    """The parameters of a route: those of its path, of its query by the model that reads it, of conditional reads."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(path)
    ]
    if query is not None:
        schema = query.model_json_schema()
        definitions = schema.get("$defs", {})
        for name, declared in schema["properties"].items():
            resolved = _inlined(declared, definitions)
            required = name in schema.get("required", ())
            parameter = {"name": name, "in": "query", "required": required, "schema": resolved}
            if "array" in {one.get("type") for one in (resolved, *resolved.get("anyOf", ()))}:
                parameter |= {"style": "form", "explode": False}  # a,b
            parameters.append(parameter)
    if conditional:
        parameters += _CONDITIONAL
    return {"parameters": parameters}


def _inlined(declared: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to in its place: parameters have no definitions of their own."""
    reference = declared.pop("$ref", "").rpartition("/")[2]
    inlined: dict[str, Any] = definitions.get(reference, {}) | declared
    if "anyOf" in inlined:
        inlined["anyOf"] = [_inlined(one, definitions) for one in inlined["anyOf"]]
    return inlined


def described(view: type[Struct], description: str) -> dict[str, Any]:
    """A response by its view."""
    return {"description": description, "content": {JSON: {"schema": {"$ref": _REF.format(name=view.__name__)}}}}


def not_modified() -> dict[str, Any]:
    """304."""
    return {"description": "Nothing has changed since the answer that If-None-Match names"}


def problems() -> dict[str, Any]:
    """Any error."""
    schema = {"$ref": _REF.format(name=Problem.__name__)}
    return {"description": "RFC 9457", "content": {CONTENT_TYPE: {"schema": schema}}}


def complete(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The app's `openapi` with the schemas of the views added."""
    declared = app.openapi

    def openapi() -> dict[str, Any]:
        document = declared()
        components = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        components.update(schemas())
        for path in document["paths"].values():
            for route in path.values():
                route["responses"].pop("422", None)
        return document

    return openapi
