"""The HTTP API in front of the API function: requests become API Gateway v2 events, its answers become responses.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infra.local.config import ACCOUNT, HOST, InvalidConfiguration, api_workers
from infra.local.worker import FunctionError, WorkerDied
from infra.local.workers import Overloaded, Pool

BODY_BYTES_MAX: Final = 10 * 1024 * 1024
HEADER_BYTES_MAX: Final = 10_240
"""Request line and header values together (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html)."""
TIMEOUT_S: Final = 30
PROBLEM: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
"""When to ask again after a request that found no worker and no room to wait for one."""
BODILESS: Final = (204, 304)
CORS_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
CORS_HEADERS: Final = ("authorization", "content-type", "if-none-match", "prefer")
CORS_EXPOSED: Final = ("etag", "location", "preference-applied", "retry-after")
CORS_MAX_AGE_S: Final = 7_200
"""What template.yaml lets browsers do; two hours are as long as any of them keeps the answer."""
STOP_S: Final = 25
"""How long requests that are under way may take to end after SIGTERM: longer than any client may wait for a change, and
shorter than docker-compose.yml and the supervisor wait for the process."""
TEXT_TYPES: Final = ("application/json", "application/javascript", "application/xml")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger("gateway")


_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
"""`uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2)."""


class Gateway:
    """An ASGI application around one function."""

    def __init__(self, invoke: Callable[[Any], Awaitable[Any]], origins: Collection[str] = ()) -> None:
        """`invoke` raises what Pool raises; `origins` are those of web pages that may call the API."""
        self._invoke = invoke
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if self._origins:
            allowed = self._allowed(scope)
            if _is_preflight(scope):
                await _Response(204, allowed, b"").send(send)
                return
            send = _with_headers(send, allowed)
        if (wrong := _wrong_host(scope)) is not None:
            await _problem(send, 400, "Bad Request", wrong)
            return
        if _head_bytes(scope) > HEADER_BYTES_MAX:
            await _problem(send, 431, "Request Header Fields Too Large", f"{HEADER_BYTES_MAX} bytes are allowed")
            return
        try:
            body = await _body(receive)
        except _TooLarge:
            await _problem(send, 413, "Content Too Large", f"{BODY_BYTES_MAX} bytes are allowed")
            return
        except _Gone:
            return
        response = await self._answer(to_event(scope, body))
        await response.send(send)

    async def _answer(self, event: dict[str, Any]) -> "_Response":
        """The function's answer, or the gateway's own in its place."""
        try:
            return _to_response(await self._invoke(event))
        except Overloaded:
            retry = {"retry-after": str(RETRY_AFTER_S)}
            return _to_problem(503, "Service Unavailable", "too many requests wait for the function", retry)
        except TimeoutError:
            return _to_problem(503, "Service Unavailable", "the function did not answer in time")
        except WorkerDied:
            return _to_problem(502, "Bad Gateway", "the function ended before it had answered")
        except FunctionError:  # its worker has logged it
            return _to_problem(500, "Internal Server Error", "the request could not be served")
        except Exception:
            log.exception("the function's answer is not a valid response")
            return _to_problem(500, "Internal Server Error", "the request could not be served")

    def _allowed(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Headers that let a page of this origin send the request and read the answer; none for other origins."""
        origin = _header(scope, b"origin")
        if origin is None or origin.decode("latin-1") not in self._origins:
            return []
        allowed = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if not _is_preflight(scope):
            return [*allowed, (b"access-control-expose-headers", ",".join(CORS_EXPOSED).encode())]
        return [
            *allowed,
            (b"access-control-allow-methods", ",".join(CORS_METHODS).encode()),
            (b"access-control-allow-headers", ",".join(CORS_HEADERS).encode()),
            (b"access-control-max-age", str(CORS_MAX_AGE_S).encode()),
        ]


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks beforehand if it may send a request; the gateway answers in the function's place."""
    asks = _header(scope, b"origin") is not None and _header(scope, b"access-control-request-method") is not None
    return scope["method"] == "OPTIONS" and asks


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name.lower() == wanted), None)


def _with_headers(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def send_with_headers(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], *headers]}
        await send(message)

    return send_with_headers


def to_event(scope: Scope, body: bytes) -> dict[str, Any]:
    """The event of payload format 2.0 that API Gateway makes of a request."""
    sent = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    cookies = [part.strip() for name, value in sent if name == "cookie" for part in value.split(";")]
    headers = _joined((name, value) for name, value in sent if name != "cookie")
    query = scope["query_string"].decode("latin-1")
    parameters = _joined(parse_qsl(query, keep_blank_values=True, max_num_fields=None))
    path = unquote(scope["raw_path"].decode("latin-1"))  # HTTP APIs hand the path over decoded
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": headers.get("host", HOST),
            "domainPrefix": "local",
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": (scope.get("client") or (HOST, 0))[0],
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": f"{datetime.now(UTC):%d/%b/%Y:%H:%M:%S +0000}",
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": False,
    }
    event |= {name: value for name, value in (("queryStringParameters", parameters), ("cookies", cookies)) if value}
    if body:
        event["body"], event["isBase64Encoded"] = _encode(body, headers.get("content-type", ""))
    return event


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values of one name with commas between them."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _encode(body: bytes, content_type: str) -> tuple[str, bool]:
    """A body as it stands in an event, and whether that is base64: everything is that is not text by its type."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type in TEXT_TYPES or media_type.endswith(("+json", "+xml")):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def _wrong_host(scope: Scope) -> str | None:
    """What is wrong with the Host (RFC 9112 §3.2): a second one is how a request gets past the rules of a proxy."""
    hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
    if len(hosts) > 1:
        return "there must be one Host header, not several"
    if not hosts and scope["http_version"] != "1.0":
        return "there must be a Host header"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "the Host header is not a valid host"
    return None


def _head_bytes(scope: Scope) -> int:
    """The target of the request line and the header values."""
    target = len(scope["raw_path"]) + len(scope["query_string"])
    return target + sum(len(value) for _, value in scope["headers"])


class _TooLarge(Exception):
    """The body is larger than API Gateway takes."""


class _Gone(Exception):
    """The client hung up before its request was whole."""


async def _body(receive: Receive) -> bytes:
    """The whole body. One that is too large is read to its end, or the client would not see our answer."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size <= BODY_BYTES_MAX:
            parts.append(part)
        else:
            parts.clear()
        if not message.get("more_body"):
            break
    if size > BODY_BYTES_MAX:
        raise _TooLarge
    return b"".join(parts)


class _Response:
    """A response, whole, so that what is wrong with an answer shows before the first byte is sent."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._start = {"type": "http.response.start", "status": status, "headers": headers}
        self._body = {"type": "http.response.body", "body": body}

    async def send(self, send: Send) -> None:
        """Send it."""
        await send(self._start)
        await send(self._body)


def _to_response(answer: Any) -> _Response:
    """The response that API Gateway makes of a function's answer.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html

    Raises:
        Exception: of any kind, if the answer is none.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        answer = {"statusCode": 200, "body": json.dumps(answer)}
    status = int(answer["statusCode"])
    if not 200 <= status <= 599:
        raise ValueError(f"status code {status}")
    body: str | bytes = answer.get("body") or ""
    content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else str(body).encode()
    headers = {name.lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
    if status in BODILESS:
        content = b""
    else:
        headers.setdefault("content-type", "application/json")
        headers["content-length"] = str(len(content))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    raw += [(b"set-cookie", cookie.encode("latin-1")) for cookie in answer.get("cookies") or ()]
    return _Response(status, raw, content)


async def _problem(send: Send, status: int, title: str, detail: str) -> None:
    await _to_problem(status, title, detail).send(send)


def _to_problem(status: int, title: str, detail: str, headers: Mapping[str, str] = MappingProxyType({})) -> _Response:
    body = _problem_body(status, title, detail)
    return _to_response({"statusCode": status, "headers": {"content-type": PROBLEM, **headers}, "body": body})


def _problem_body(status: int, title: str, detail: str) -> str:
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also answers invalid HTTP and overlong URLs with a problem."""

    def send_400_response(self, msg: str) -> None:
        """Answer and close; the connection can't be made sense of any more."""
        body = _problem_body(400, "Bad Request", f"{msg} A URL must be at most {HEADER_BYTES_MAX} bytes.").encode()
        lines = ["HTTP/1.1 400 Bad Request", f"content-type: {PROBLEM}", f"content-length: {len(body)}"]
        self.transport.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + body)
        self.transport.close()


class Served:
    """The gateway with its workers: they start before the first request and end after the last."""

    def __init__(self, gateway: Gateway, pool: Pool) -> None:
        self._gateway = gateway
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or what the server says of its own start and end."""
        if scope["type"] != "lifespan":
            await self._gateway(scope, receive, send)
            return
        await receive()  # lifespan.startup
        try:
            await self._pool.start()
        except WorkerDied as error:
            await self._pool.close()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})


def main() -> int:
    """Serve until SIGTERM, then finish what is under way. The status is 1 if the function does not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        workers = api_workers()
    except InvalidConfiguration as error:
        log.error("%s", error)  # noqa: TRY400 - the line says it all
        return 1
    handler = os.environ.get("HANDLER", "functions.api.handler.handler")
    pool = Pool(handler, workers, TIMEOUT_S, environment={"API_WORKERS": str(workers)})
    origins = [origin for origin in os.environ.get("ALLOWED_ORIGINS", "").split(",") if origin]
    try:
        uvicorn.run(
            Served(Gateway(pool, origins), pool),
            host=os.environ.get("API_HOST", HOST),
            port=int(os.environ["API_PORT"]),
            loop="uvloop",
            lifespan="on",
            access_log=False,
            log_level="warning",
            http=HttpProtocol,
            timeout_graceful_shutdown=STOP_S,
        )
    except SystemExit:
        if pool.cause is None:
            raise
        log.error("the function does not start: %s", pool.cause)  # noqa: TRY400 - the last line is what others show
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
