"""The HTTP API as an ASGI application."""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from functions.api import building
from functions.api.contract import operation_id
from functions.api.definitions import Definitions
from functions.api.direct import Reads
from functions.api.edge import Admission, Edge
from functions.api.periods import Periods
from functions.api.problems import KINDS, InvalidFields, respond
from functions.api.recurring import RecurringPeriods
from functions.api.routes import (
    administration,
    closing,
    console,
    dead_letters,
    exports,
    health,
    leaderboards,
    metrics,
    profiles,
    results,
    scores,
)
from functions.api.security import Guard
from shared.assembly import Assembly, now_ms
from shared.rebuild.on_demand import Building

CONTRACT: Final = Path(__file__).with_name("openapi.json")
"""The OpenAPI document, which `make openapi` makes of the routes."""
_DESCRIPTION: Final = "Exact, live leaderboards. Times are UTC, RFC 3339; errors are problem+json (RFC 9457)."


def create_app(assembly: Assembly, clock: Callable[[], int] = now_ms, reads: Reads | None = None) -> FastAPI:
    """The application over its parts, the routes that are asked most first; `reads` are those that are served without
    it, whose memory of definitions and periods it shares.
    """
    reads = reads or Reads(assembly, clock)
    app = FastAPI(
        title="Leaderboards",
        description=_DESCRIPTION,
        version="1",
        redirect_slashes=False,
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=operation_id,
        strict_content_type=False,
    )
    _register(app, assembly, clock, reads)
    for error in (*KINDS, HTTPException):
        app.add_exception_handler(error, respond)
    app.add_exception_handler(RequestValidationError, _respond_invalid)
    app.add_exception_handler(405, _not_allowed(app))
    app.add_exception_handler(Building, _building(clock))
    guard = Guard(app.routes, public_reads=assembly.settings.public_reads == "on")
    app.add_middleware(Edge, admission=Admission(guard, assembly, clock))
    app.openapi = lambda: _document(assembly.settings.code_version)  # type: ignore[method-assign]
    return app


def _register(app: FastAPI, assembly: Assembly, clock: Callable[[], int], reads: Reads) -> None:
    """All routes, in the order in which paths are matched."""
    finder = reads.finder
    definitions = Definitions(assembly, clock)
    reads.register(app)
    scores.register(app, assembly, finder)
    scores.register_batches(app, assembly, finder)
    profiles.register_writes(app, assembly, finder)
    administration.register(app, assembly, finder)
    administration.register_amendments(app, assembly, finder)
    administration.register_audit_log(app, assembly, finder)
    administration.register_rebuild(app, assembly, finder)
    administration.register_redrive(app, assembly, finder)
    administration.register_purge(app, assembly, finder)
    dead_letters.register(app, assembly, finder)
    administration.register_pseudonyms(app, assembly, finder)
    exports.register(app, assembly, finder)
    results.register(app, assembly, finder)
    closing.register(app, assembly, finder)
    health.register(app, assembly, clock)
    metrics.register(app, assembly)
    console.register(app, assembly)
    leaderboards.register(app, assembly, finder, definitions, clock)
    periods = Periods(assembly, clock)
    recurring = RecurringPeriods(assembly, periods, clock)
    leaderboards.register_periods(app, assembly, finder, periods, recurring)


async def _respond_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    return await respond(request, InvalidFields(error.errors()))


@cache
def _document(revision: str) -> dict[str, Any]:
    """The contract, with the revision in its version (`0.1.0+3f2c9a7`, as semver has it)."""
    document: dict[str, Any] = msgspec.json.decode(CONTRACT.read_bytes())
    document["info"]["version"] += f"+{revision.replace('+', '.')}"
    return document


def _building(clock: Callable[[], int]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def respond_building(_: Request, error: Exception) -> Response:
        """No error, but raised as one from however deep a window was to be read."""
        assert isinstance(error, Building)  # noqa: S101 - it is registered for these
        return building.respond(clock(), error)

    return respond_building


def _not_allowed(app: FastAPI) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def respond_not_allowed(request: Request, error: Exception) -> Response:
        """405 with every method of the path, which several routes may share."""
        methods: set[str] = set()
        for route in app.routes:
            if route.matches(request.scope)[0] is not Match.NONE:
                methods |= getattr(route, "methods", None) or set()
        if "GET" in methods:
            methods.add("HEAD")
        allowed = HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        return await respond(request, allowed if methods else error)

    return respond_not_allowed
