"""The outermost layer: refuses who may not ask, what is too large and what is no text, answers for every error that
nobody else did, and HEAD as GET without a body.
"""

from collections.abc import Callable
from typing import Final, Protocol

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api import security
from functions.api.conditional import willing_ms
from functions.api.problems import InvalidRequest, TooLarge, problem_of
from functions.api.query import check_text, pairs_of
from functions.api.security import Caller, Guard
from shared.rebuild.callers import CALLER, NOBODY
from shared.settings import Settings
from shared.truth.guard import Guard as TruthGuard

BODY_BYTES_MAX: Final = 64 * 1024
"""Four times the largest definition of a leaderboard; API Gateway itself takes 10 MB."""
_CALLER: Final = "leaderboards.caller"
_BODILESS: Final = ("GET", "OPTIONS", "DELETE")


class Parts(Protocol):
    """What is asked here."""

    @property
    def settings(self) -> Settings: ...
    @property
    def truth_guard(self) -> TruthGuard | None: ...


class Admission:
    """What comes before anything else of a request, whoever serves it then."""

    def __init__(self, guard: Guard, parts: Parts, now_ms: Callable[[], int]) -> None:
        """`guard` knows the routes. Where authorization is off, no token is required: everybody may do everything."""
        scope_prefix = parts.settings.scope_prefix
        self._truth_guard = parts.truth_guard
        self._guard = guard
        self._is_open = parts.settings.authorization == "off"
        self._scope_prefix = scope_prefix
        self._now_ms = now_ms
        self._anybody = Caller(security.LOCAL_SUBJECT, frozenset(f"{scope_prefix}{one}" for one in security.EVERYTHING))

    def enter(self, scope: Scope) -> None:
        """Admit the caller, for whom what follows is done, and begin the time that the request may wait for the truth.

        Raises:
            NotText: for a path or query that would be read as something else than was sent.
            Unauthenticated: without a token that is good.
            Forbidden: without the scope that the route takes.
            InvalidRequest: for a parameter on a route that has none; the others know theirs by their models.
        """
        if self._truth_guard is not None:
            self._truth_guard.begin(willing_ms(HTTPConnection(scope)) or 0)
        check_text(scope["path"], scope["query_string"])
        found = scope[_CALLER] = self._admit(scope)
        CALLER.set(found.subject if found is not None else NOBODY)
        if scope["query_string"] and not self._guard.takes_parameters(scope["method"], scope["path"]):
            for name, _ in pairs_of(scope):
                raise InvalidRequest("is not known here", name)

    def _admit(self, scope: Scope) -> Caller | None:
        """The caller; None where the route takes no token."""
        if self._is_open:
            return self._anybody
        required = self._guard.required(scope["method"], scope["path"])
        if required is None:
            return None
        found = security.caller_of(scope.get("aws.event"), self._now_ms())
        found.check(required, self._scope_prefix)
        return found


class Edge:
    """ASGI middleware. Inside it nothing is raised past the first byte of an answer."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whatever else a server has to say is not for here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # RFC 9110, section 9.3.2: as GET, but for the body
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._admission.enter(scope)
            inside = receive if scope["method"] in _BODILESS else _replayed(await _body(receive))
            await self._app(scope, inside, watch)
        except Exception as error:
            if started:
                raise
            await problem_of(error, scope)(scope, receive, send)


def caller(request: HTTPConnection) -> Caller:
    """Who asks, on a route that takes a scope."""
    found = request.scope[_CALLER]
    if not isinstance(found, Caller):
        raise AssertionError(f"{request.scope['path']} takes no token, yet asks who has sent it")  # noqa: TRY004 - ours
    return found


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises TooLarge past the limit."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"a body must be at most {BODY_BYTES_MAX} bytes")
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
