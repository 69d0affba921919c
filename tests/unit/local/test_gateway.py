"""The gateway makes the events that API Gateway makes, and holds its limits."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from infra.local.gateway import BODY_BYTES_MAX, HEADER_BYTES_MAX, Gateway, to_event
from infra.local.worker import FunctionError, WorkerDied
from infra.local.workers import Overloaded


def scope(**changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "raw_path": b"/leaderboards/cup/players/a%2Fb%20%C3%BC",
        "query_string": b"window=daily&userIds=a&userIds=b&empty=",
        "headers": [(b"Host", b"localhost"), (b"accept", b"a"), (b"accept", b"b"), (b"cookie", b"x=1; y=2")],
        "client": ("127.0.0.1", 1),
    } | changes


def answering(function: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    """A function in the place of worker processes."""

    async def invoke(event: Any) -> Any:
        return function(event)

    return invoke


def serve(gateway: Gateway, request: dict[str, Any], body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []
    parts = [body[start : start + 1_000_000] for start in range(0, len(body), 1_000_000)] or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1} for index, part in enumerate(parts)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(gateway(request, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


def test_a_request_becomes_an_event_of_payload_format_two() -> None:
    event = to_event(scope(), b"")

    assert event["version"] == "2.0"
    assert event["rawPath"] == "/leaderboards/cup/players/a/b ü"
    assert event["rawQueryString"] == "window=daily&userIds=a&userIds=b&empty="
    assert event["queryStringParameters"] == {"window": "daily", "userIds": "a,b", "empty": ""}
    assert event["headers"] == {"host": "localhost", "accept": "a,b"}
    assert event["cookies"] == ["x=1", "y=2"]
    assert event["requestContext"]["http"]["method"] == "GET"
    assert "body" not in event


def test_a_body_goes_over_in_base64() -> None:
    event = to_event(scope(method="PUT"), b"\x00\xff")

    assert base64.b64decode(event["body"]) == b"\x00\xff"
    assert event["isBase64Encoded"]


def test_an_answer_of_the_function_becomes_the_response() -> None:
    answer = {"statusCode": 303, "headers": {"Location": "/x"}, "cookies": ["a=1"], "body": "é"}

    status, headers, body = serve(Gateway(answering(lambda _: answer)), scope())

    assert (status, headers["location"], headers["set-cookie"], body) == (303, "/x", "a=1", "é".encode())
    assert headers["content-length"] == "2"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FunctionError("RuntimeError: secret"), 500),
        (WorkerDied("secret"), 502),
        (Overloaded(), 503),
        (TimeoutError("secret"), 503),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_befalls_the_function_is_answered_for_and_not_told(error: Exception, expected: int) -> None:
    def fail(_event: Any) -> Any:
        raise error

    status, headers, body = serve(Gateway(answering(fail)), scope())

    assert status == expected
    assert headers["content-type"] == "application/problem+json"
    assert b"secret" not in body
    assert ("retry-after" in headers) is isinstance(error, Overloaded)


@pytest.mark.parametrize(
    ("hosts", "version", "expected"),
    [
        ([b"localhost:8080"], "1.1", 200),
        ([b"[::1]:8080"], "1.1", 200),
        ([b""], "1.1", 200),
        ([], "1.0", 200),
        ([], "1.1", 400),
        ([b"a", b"b"], "1.1", 400),
        ([b"a", b"a"], "1.0", 400),
        ([b"a b"], "1.1", 400),
        ([b"user@a"], "1.1", 400),
        ([b"a/b"], "1.1", 400),
    ],
)
def test_a_request_has_one_host_or_is_refused(hosts: list[bytes], version: str, expected: int) -> None:
    request = scope(headers=[(b"host", host) for host in hosts], http_version=version)

    status, _, body = serve(Gateway(answering(lambda _: {"statusCode": 200, "body": "{}"})), request)

    assert status == expected
    if expected == 400:
        assert "Host header" in json.loads(body)["detail"]


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
def test_a_body_may_be_as_large_as_api_gateway_takes(extra: int, status: int) -> None:
    gateway = Gateway(answering(lambda event: {"statusCode": 200, "body": str(len(base64.b64decode(event["body"])))}))

    assert serve(gateway, scope(method="PUT"), bytes(BODY_BYTES_MAX + extra))[0] == status


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 431)])
def test_path_and_headers_may_be_as_large_as_api_gateway_takes(extra: int, status: int) -> None:
    gateway = Gateway(answering(lambda _: {"statusCode": 200}))
    request = scope(headers=[(b"host", b"")], query_string=b"", raw_path=b"/" + b"x" * (HEADER_BYTES_MAX - 1 + extra))

    answered, _, body = serve(gateway, request)

    assert answered == status
    if status == 431:
        assert json.loads(body)["status"] == 431
