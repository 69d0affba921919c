"""Reads that are asked most, answered without the framework around their routes.

The framework's part of a request (an event loop, middleware, matching and wrapping a route) takes more CPU than the
route, and loading it as much as everything else together. These routes take nothing but the request, and they await
nothing unless the client is willing to wait. So they are called here as they stand, past the same admission; their
errors become the same problems. docs/adr/0035.
"""

from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.api import building
from functions.api.conditional import ConditionalReads
from functions.api.contract import Endpoint, Routes, is_direct
from functions.api.edge import Admission
from functions.api.gateway import HttpApi, to_answer
from functions.api.params import Finder
from functions.api.problems import problem_of
from functions.api.routes import players, profiles, rankings
from functions.api.security import Guard
from shared.assembly import Assembly
from shared.rebuild.on_demand import Building


class Reads:
    """The routes of rankings and players, for whoever serves them."""

    def __init__(self, assembly: Assembly, now_ms: Callable[[], int]) -> None:
        """Over the parts of a process.

        Raises:
            InvalidSettings: without a key to sign cursors with.
        """
        _ = assembly.cursors
        self._assembly = assembly
        self.finder = Finder(assembly, now_ms)
        settings = assembly.settings
        is_public = settings.authorization == "off" or settings.public_reads == "on"
        read_from = assembly.answer_counts.count_source
        self._conditional = ConditionalReads(
            lambda: assembly.cache, lambda: assembly.waits, is_public, read_from=read_from
        )

    def register(self, routes: Routes) -> None:
        """All of them, in the order in which paths are matched; ahead of every other route."""
        rankings.register(routes, self._assembly, self.finder, self._conditional)
        players.register(routes, self._assembly, self.finder)
        players.register_explanation(routes, self._assembly, self.finder)
        profiles.register(routes, self._assembly, self.finder)
        players.register_event(routes, self._assembly, self.finder)
        rankings.register_player(routes, self._assembly, self.finder, self._conditional)


class DirectReads:
    """Serves events of API Gateway (payload 2.0) for those of `Reads` that are declared `direct`."""

    def __init__(self, reads: Reads, assembly: Assembly, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._routes: list[Route] = []
        self.route = ""
        """Of what was served last, by its template."""
        reads.register(self)
        guard = Guard(self._routes, public_reads=assembly.settings.public_reads == "on")
        self._admission = Admission(guard, assembly, now_ms)

    def get(self, path: str, *, tags: list[str | Enum] | None = None) -> Callable[[Endpoint], Endpoint]:
        """As FastAPI has it."""
        del tags

        def add(endpoint: Endpoint) -> Endpoint:
            self._routes.append(Route(path, endpoint, methods=["GET"]))
            return endpoint

        return add

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
        """The endpoint of the first route that takes the path, if it is direct; sets the path's parameters."""
        for route in self._routes:
            match = route.path_regex.match(scope["path"])
            if match is not None:
                if not is_direct(route):
                    return None
                self.route = f"GET {route.path_format}"
                scope["path_params"] = {
                    name: route.param_convertors[name].convert(value) for name, value in match.groupdict().items()
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
