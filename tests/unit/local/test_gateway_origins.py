"""Web pages of other origins: the gateway answers for them as API Gateway does."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from infra.local.gateway import Gateway
from tests.unit.local.test_gateway import answering

ORIGIN = "https://play.example.com"
ANSWER = {"statusCode": 200, "headers": {"etag": 'W/"1"'}, "body": "{}"}


def ask(origins: Collection[str], method: str, **headers: str) -> tuple[int, dict[str, str], list[Any]]:
    """Status and headers of the answer, and what the function was asked."""
    asked: list[Any] = []
    sent: list[dict[str, Any]] = []

    def function(event: Any) -> Any:
        asked.append(event)
        return ANSWER

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    request = {
        "type": "http",
        "method": method,
        "http_version": "1.1",
        "raw_path": b"/leaderboards",
        "query_string": b"",
    }
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"host", b"localhost"))
    asyncio.run(Gateway(answering(function), origins)(request | {"headers": raw, "client": None}, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}, asked


def test_a_page_of_an_allowed_origin_may_read_the_answer_and_its_tag() -> None:
    status, headers, asked = ask([ORIGIN], "GET", Origin=ORIGIN)

    assert status == 200
    assert len(asked) == 1
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["vary"] == "origin"
    assert {"etag", "preference-applied"} <= set(headers["access-control-expose-headers"].split(","))


def test_a_preflight_request_is_answered_without_the_function_and_without_a_token() -> None:
    status, headers, asked = ask([ORIGIN], "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method="GET")

    assert (status, asked) == (204, [])
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-methods"] == "GET,POST,PUT,DELETE"
    assert {"authorization", "if-none-match", "prefer"} <= set(headers["access-control-allow-headers"].split(","))


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origins", [[], [ORIGIN]])
def test_a_page_of_another_origin_is_told_nothing(method: str, origins: Collection[str]) -> None:
    _, headers, _ = ask(origins, method, Origin="https://evil.example.com", Access_Control_Request_Method="GET")

    assert not any(name.startswith("access-control-") for name in headers)


def test_what_a_program_asks_is_no_business_of_origins() -> None:
    status, headers, asked = ask([ORIGIN], "OPTIONS")

    assert (status, len(asked)) == (200, 1)
    assert "access-control-allow-origin" not in headers
