"""Reads that are asked most, answered without the framework around their routes.

The framework's part of a request (an event loop, middleware, matching and wrapping a route) takes more CPU than the
route. These routes take nothing but the request, and they await nothing unless the client is willing to wait. So they
are called here as they stand, past the same admission; their errors become the same problems.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.api import building
from functions.api.contract import is_direct
from functions.api.edge import Admission
from functions.api.gateway import HttpApi, to_answer
from functions.api.problems import problem_of
from shared.rebuild.on_demand import Building


class DirectReads:
    """Serves events of API Gateway (payload 2.0) for the routes that are declared `direct`."""

    def __init__(self, app: FastAPI, now_ms: Callable[[], int]) -> None:
        """`app`: whose routes, and whose admission."""
        self._admission: Admission = app.state.admission
        self._now_ms = now_ms
        self._routes = [
            route for route in app.routes if isinstance(route, Route) and "GET" in (route.methods or ())
        ]  # in the order in which they are tried

    def serve(self, event: dict[str, Any], context: Any) -> dict[str, Any] | None:
        """The answer; None if the request is not for here: then nothing was done yet, and the application serves it."""
        if event.get("version") != "2.0" or event["requestContext"]["http"]["method"] != "GET" or event.get("body"):
            return None
        scope: dict[str, Any] = dict(HttpApi(event, context).scope)
        endpoint = self._endpoint(scope)
        if endpoint is None or any(name == b"prefer" for name, _ in scope["headers"]):
            return None
        try:
            self._admission.enter(scope)
            response = _ended(endpoint(Request(scope)))
        except Building as error:
            response = building.respond(self._now_ms(), error)
        except Exception as error:  # noqa: BLE001 - as the edge of the application does
            response = problem_of(error, scope)
        return to_answer(response.status_code, response.raw_headers, response.body)

    def _endpoint(self, scope: dict[str, Any]) -> Callable[[Request], Coroutine[Any, Any, Response]] | None:
        """The endpoint of the first route that takes the path, if it is one of these; sets the path's parameters."""
        for route in self._routes:
            match = route.path_regex.match(scope["path"])
            if match is not None:
                if not isinstance(route, APIRoute) or not is_direct(route):
                    return None
                convertors = route.param_convertors
                scope["path_params"] = {
                    name: convertors[name].convert(value) for name, value in match.groupdict().items()
                }
                return route.endpoint
        return None


def _ended(answering: Coroutine[Any, Any, Response]) -> Response:
    """What a coroutine that awaits nothing returns."""
    try:
        answering.send(None)
    except StopIteration as ended:
        response: Response = ended.value
        return response
    answering.close()
    raise RuntimeError("a direct route has to wait for something")
