"""The gateway with bodies, answers and clients that are not as they should be."""

import asyncio
import base64
from typing import Any

import pytest

from infra.local.gateway import Gateway, to_event
from tests.unit.local.test_gateway import answering

REQUEST = {
    "type": "http",
    "method": "PUT",
    "http_version": "1.1",
    "raw_path": b"/leaderboards/cup",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"content-type", b"application/json; charset=utf-8")],
    "client": ("127.0.0.1", 1),
}


def serve(gateway: Gateway, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    waiting = list(messages) or [{"type": "http.request", "body": b"{}"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(gateway(dict(REQUEST), receive, send))
    return sent


def test_a_client_that_hangs_up_before_its_body_is_whole_is_not_served() -> None:
    calls: list[Any] = []
    part = {"type": "http.request", "body": b'{"name"', "more_body": True}

    sent = serve(Gateway(answering(calls.append)), part, {"type": "http.disconnect"})

    assert (calls, sent) == ([], [])


@pytest.mark.parametrize(
    ("content_type", "body", "encoded"),
    [
        ("application/json; charset=utf-8", "é".encode(), False),
        ("application/problem+json", b"{}", False),
        ("text/csv", b"a,b", False),
        ("text/plain", b"\xff", True),
        ("application/octet-stream", b"abc", True),
        ("", b"abc", True),
    ],
)
def test_a_body_is_text_where_its_type_says_so(content_type: str, body: bytes, encoded: bool) -> None:
    event = to_event(REQUEST | {"headers": [(b"content-type", content_type.encode())]}, body)

    assert event["isBase64Encoded"] is encoded
    assert (base64.b64decode(event["body"]) if encoded else event["body"].encode()) == body


def test_an_answer_without_status_is_the_body() -> None:
    start, body = serve(Gateway(answering(lambda _: {"message": "hi"})))

    assert start["status"] == 200
    assert body["body"] == b'{"message": "hi"}'


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": 200, "headers": "none"},
        {"statusCode": 200, "headers": {"x": "→"}},
        {"statusCode": 200, "body": "%", "isBase64Encoded": True},
        object(),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_ours(answer: Any) -> None:
    start, body = serve(Gateway(answering(lambda _: answer)))

    assert start["status"] == 500
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert b"Traceback" not in body["body"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_says_nothing_about_one(status: int) -> None:
    start, body = serve(Gateway(answering(lambda _: {"statusCode": status, "headers": {"ETag": '"1"'}, "body": ""})))

    assert start["headers"] == [(b"etag", b'"1"')]
    assert body["body"] == b""
