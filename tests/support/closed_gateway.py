"""The gateway behind what the local one lacks: API Gateway's JWT authorizer, in front of every route that template.yaml
does not open.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import jwt
import uvicorn

from infra.local.config import HOST
from infra.local.gateway import TIMEOUT_S, Gateway, Served
from infra.local.workers import Pool

AUDIENCE: Final = "leaderboards"
OPEN: Final = ("", "console", "health", "openapi.json")
"""First parts of the paths that take no token."""
WORKERS: Final = 2
UNAUTHORIZED: Final = {
    "statusCode": 401,
    "headers": {"content-type": "application/json", "www-authenticate": "Bearer"},
    "body": '{"message":"Unauthorized"}',
}
Invoke = Callable[[Any], Awaitable[Any]]


class Authorizer:
    """Hands an event on with the claims of its token, if that is the issuer's, for us, and its time is not over."""

    def __init__(self, invoke: Invoke, issuer: str, late: Path) -> None:
        """`late`: a file that is there while it is to be an hour later than it is."""
        self._invoke = invoke
        self._issuer = issuer
        self._late = late
        self._keys = jwt.PyJWKClient(f"{issuer}/jwks")

    async def __call__(self, event: dict[str, Any]) -> Any:
        """The function's answer, or that of the authorizer in its place."""
        if event["rawPath"].split("/")[1] in OPEN:
            return await self._invoke(event)
        try:
            claims = self._claims(event["headers"].get("authorization", ""))
        except jwt.PyJWTError:
            return UNAUTHORIZED
        event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
        return await self._invoke(event)

    def _claims(self, header: str) -> dict[str, str]:
        token = header.removeprefix("Bearer ")
        key = self._keys.get_signing_key_from_jwt(token).key
        leeway_s = -3600 if self._late.exists() else 0
        found = jwt.decode(token, key, ["RS256"], audience=AUDIENCE, issuer=self._issuer, leeway=leeway_s)
        return {name: str(value) for name, value in found.items()}


def main() -> None:
    """Serve until SIGTERM, tokens of CONSOLE_ISSUER; the file LATE makes it late."""
    environment = {"API_WORKERS": str(WORKERS), "WAITS_MAX": "1"}  # one of them serves who does not wait
    pool = Pool("functions.api.handler.handler", WORKERS, TIMEOUT_S, environment=environment)
    gateway = Gateway(Authorizer(pool, os.environ["CONSOLE_ISSUER"], Path(os.environ["LATE"])))
    uvicorn.run(
        Served(gateway, pool),
        host=HOST,
        port=int(os.environ["API_PORT"]),
        lifespan="on",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
