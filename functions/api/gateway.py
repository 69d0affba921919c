"""HTTP API v2 events to ASGI and back, for Mangum.

API Gateway's HTTP APIs hand over a path that is percent-decoded already. Mangum's own adapter decodes it once more, and
so reads the user `%41` as `A`; it also builds its scope twice, and fails on a Host header that names an IPv6 address.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Response, Scope

_ASGI: Final = {"version": "3.0", "spec_version": "2.0"}


class HttpApi:
    """One event and its answer."""

    def __init__(self, event: "LambdaEvent", context: "LambdaContext", config: "LambdaConfig | None" = None) -> None:
        del config  # nothing of it applies: every answer is text, at the root
        self._event = event
        self._context = context

    @classmethod
    def infer(cls, event: "LambdaEvent", context: "LambdaContext", config: "LambdaConfig") -> bool:
        """Whether this is such an event."""
        del context, config
        return event.get("version") == "2.0"

    @property
    def body(self) -> bytes:
        """The request's body."""
        body = self._event.get("body") or ""
        return base64.b64decode(body) if self._event.get("isBase64Encoded") else _bytes(body)

    @property
    def scope(self) -> "Scope":
        """The request as ASGI has it."""
        http = self._event["requestContext"]["http"]
        # what no client can send as such is told from what they can by the character for that, which is refused
        path = (self._event.get("rawPath") or "/").encode(errors="surrogatepass").decode(errors="replace").encode()
        headers = self._event.get("headers") or {}
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "method": http["method"],
            "scheme": headers.get("x-forwarded-proto", "https"),
            "path": path.decode(),
            "raw_path": path,
            "root_path": "",
            "query_string": _bytes(self._event.get("rawQueryString") or ""),
            "headers": [(_bytes(name.lower()), _bytes(value)) for name, value in headers.items()],
            "server": None,
            "client": (http.get("sourceIp", ""), 0),
            "aws.event": self._event,
            "aws.context": self._context,
        }

    def __call__(self, response: "Response") -> dict[str, Any]:
        """The answer, as API Gateway takes it."""
        return to_answer(response["status"], response["headers"], response["body"])


def to_answer(status: int, headers: Iterable[Sequence[bytes]], body: bytes | memoryview) -> dict[str, Any]:
    """An answer, as API Gateway takes it."""
    return {
        "statusCode": status,
        "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in headers},
        "body": str(body, "utf-8"),
        "isBase64Encoded": False,
    }


def _bytes(text: str) -> bytes:
    """UTF-8; a lone surrogate, which no client can send as such, becomes a question mark."""
    return text.encode(errors="replace")
