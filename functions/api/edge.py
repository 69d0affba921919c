"""The outermost layer: refuses what is no text, and answers for every error that nobody else did."""

from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api.problems import NotText, problem_of


class Edge:
    """ASGI middleware. Inside it nothing is raised past the first byte of an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whatever else a server has to say is not for here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            _check_text(scope["query_string"])
            await self._app(scope, receive, watch)
        except Exception as error:
            if started:
                raise
            await problem_of(error, scope)(scope, receive, send)


def _check_text(query: bytes) -> None:
    """Raises NotText if the query hides bytes that are no UTF-8, which would be read as other text than was sent."""
    if b"%" not in query:
        return
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        raise NotText("a query takes UTF-8, percent-encoded") from None
