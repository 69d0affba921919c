"""What a route takes and answers, declared at the route.

infra/contract makes the OpenAPI document of it, with examples and schemas: openapi.json, which the function only reads.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from msgspec import Struct
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from starlette.routing import Route

from functions.api.building import BuildingView

if TYPE_CHECKING:
    from fastapi.routing import APIRoute

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Answered(Struct, frozen=True):
    """One response of a route."""

    description: str
    view: type[Struct] | None = None
    also: type[Struct] | None = None
    """Another view, which a parameter asks for."""
    conditional: bool = False
    """Whether it has an ETag."""
    retry: bool = False
    """Whether it says when to ask again."""
    example: str | None = None
    """The name of another example than the view's own."""
    content: Mapping[str, Any] | None = None
    """What there is in place of a view."""


class Operation(Struct, frozen=True):
    """What a route takes beside its path, and what it answers by status."""

    query: type[BaseModel] | None
    responses: Mapping[int, Answered]
    conditional: bool
    """Whether it takes If-None-Match, and waits for a change."""
    waits: bool
    """Whether it waits for a job."""
    labelled: str | None
    """How many `attr.*` it takes, and what for; None if it takes none."""
    direct: bool
    """Whether functions/api/direct.py may serve it."""


BUILDING: Final = Answered("The window is not kept, and takes a while to be built: ask again", BuildingView, retry=True)
NOT_MODIFIED: Final = Answered("Nothing has changed since the answer that If-None-Match names", conditional=True)


def operation(
    query: type[BaseModel] | None = None,
    responses: Mapping[int, Answered] | None = None,
    *,
    conditional: bool = False,
    waits: bool = False,
    labelled: str | None = None,
    direct: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Declare the contract of the endpoint below.

    A `direct` one takes nothing but the request, and awaits nothing unless the client prefers to wait.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.operation = Operation(query, responses or {}, conditional, waits, labelled, direct)  # type: ignore[attr-defined]
        return endpoint

    return declare


class Routes(Protocol):
    """Where the endpoints of reads are registered: FastAPI, or what serves them without it."""

    def get(self, path: str, *, tags: list[str | Enum] | None = None) -> Callable[[Endpoint], Endpoint]:
        """Serve GET of a path by the endpoint below."""


def operation_of(route: Route) -> Operation | None:
    """The declared contract of a route, if it has one."""
    return getattr(route.endpoint, "operation", None)


def is_direct(route: Route) -> bool:
    """Whether a route may be served without the framework."""
    operation = operation_of(route)
    return operation is not None and operation.direct


def described(
    view: type[Struct], description: str, *, conditional: bool = False, example: str | None = None
) -> Answered:
    """A response by its view; `example` is the name of another example than the view's own."""
    return Answered(description, view, conditional=conditional, example=example)


def operation_id(route: "APIRoute") -> str:
    """`getRankings`: what a generated client calls it, after the endpoint's own name."""
    return to_camel(route.name)
