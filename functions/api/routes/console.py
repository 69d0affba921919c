"""The console: a page for people over the API itself. Its files are built by `make console`."""

from functools import cache
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.api.views import JSON
from shared.settings import LOCAL, Settings

FILES: Final = Path(__file__).parents[1] / "console"
_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
}
SCOPES: Final = ("leaderboards:read", "leaderboards:admin", "exports:read")
"""What the console asks a token for; the issuer grants what the person may have."""
COMPOSED_BROKER: Final = "127.0.0.1:9092"
"""Where docker-compose.yml publishes its broker, which functions know by another name."""


class UseCases(Protocol):
    """What is called here."""

    @property
    def settings(self) -> Settings: ...


def register(app: FastAPI, use_cases: UseCases) -> None:
    """The page, its files, how it signs people in, and what `/` is. None of it is part of the API's contract."""
    settings = use_cases.settings
    if settings.console == "off":
        return
    headers = _headers(settings)

    async def get_root(request: Request) -> Response:
        """People get the console; for programs there is nothing at `/`."""
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("console/", 303)
        raise HTTPException(404, "the API is described at /openapi.json; people find the console at /console/")

    async def get_console(_: Request) -> Response:
        return RedirectResponse("console/", 308)

    async def get_file(request: Request) -> Response:
        name = request.path_params.get("file", "index.html")
        if name not in _TYPES:
            raise HTTPException(404)
        return Response(_content(name), headers={**headers, "content-type": _TYPES[name]})

    async def get_configuration(_: Request) -> Response:
        return Response(_configuration(settings), headers=headers, media_type=JSON)

    app.add_route("/", get_root, ["GET"], include_in_schema=False)
    app.add_route("/console", get_console, ["GET"], include_in_schema=False)
    app.add_route("/console/configuration.json", get_configuration, ["GET"], include_in_schema=False)
    app.add_route("/console/{file}", get_file, ["GET"], include_in_schema=False)
    app.add_route("/console/", get_file, ["GET"], include_in_schema=False)


@cache
def _content(name: str) -> bytes:
    return (FILES / name).read_bytes()


def _configuration(settings: Settings) -> bytes:
    """How to sign in: by which issuer, as which client, for which scopes; nothing where no token is checked.

    On a machine that runs the whole system, also where its Kafka is: the page shows how to send an event there.
    """
    found: dict[str, str | None] = {"issuer": None, "clientId": None, "scope": "", "broker": _broker(settings)}
    if settings.authorization == "jwt" and settings.console_client_id:
        scope = " ".join(["openid", *(f"{settings.scope_prefix}{one}" for one in SCOPES)])
        found |= {"issuer": settings.console_issuer, "clientId": settings.console_client_id, "scope": scope}
    return msgspec.json.encode(found)


def _broker(settings: Settings) -> str | None:
    if settings.stage != LOCAL:
        return None
    broker = settings.kafka_bootstrap_servers
    return broker if broker.startswith("127.0.0.1:") else COMPOSED_BROKER


def _headers(settings: Settings) -> dict[str, str]:
    """The page may run its own script and style alone. Files of results are read from wherever S3 is, to check them."""
    issuer = urlsplit(settings.console_issuer)
    issuers = f" {issuer.scheme}://{issuer.netloc}" if issuer.netloc else ""
    files = " https: http://127.0.0.1:*" if settings.stage == "local" else " https:"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{issuers}{files}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
