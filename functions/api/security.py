"""Who asks, and whether he may.

API Gateway's JWT authorizer has checked the token's signature, issuer, audience and time before; its scopes, and its
time once more, are checked here, so that a route without authorizer lets nobody in.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

SUBJECT_CHARACTERS_MAX: Final = 256
LOCAL_SUBJECT: Final = "local"
"""Who acts where nobody is asked for a token."""


class Scope(StrEnum):
    """What a token may be good for; none of them includes another."""

    READ = "leaderboards:read"
    ADMIN = "leaderboards:admin"
    EXPORTS = "exports:read"


class Unauthenticated(Exception):
    """There is no token, or it is not good any more."""


class Forbidden(Exception):
    """The token lacks the scope that the route takes."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"takes a token with the scope {scope}")
        self.scope = scope


class Caller(Struct, frozen=True):
    """Who asks."""

    subject: str
    scopes: frozenset[str]

    def check(self, scope: Scope) -> None:
        """Raises Forbidden unless he has the scope."""
        if scope not in self.scopes:
            raise Forbidden(scope)


EVERYTHING: Final = frozenset[str](Scope)
_OPEN: Final = frozenset({"", "health", "openapi.json", "docs"})
"""First parts of paths that take no token: they tell nothing of anybody. `metrics` is not among them: it names every
leaderboard and how many play. It takes READ, as their list does, so that a scraper's token can only look."""
_EXPORTS: Final = frozenset({"export", "exports", "result"})
_ADMINISTRATION: Final = frozenset({"acts", "disqualified"})


def required_scope(method: str, path: str) -> Scope | None:
    """What a request takes; None where anybody may ask. What is not known takes the most."""
    parts = path.split("/")
    if parts[1:2] and parts[1] in _OPEN:
        return None
    if method not in ("GET", "HEAD", "OPTIONS"):
        return Scope.ADMIN
    below = parts[3] if len(parts) > 3 else ""
    if below in _EXPORTS:
        return Scope.EXPORTS
    return Scope.ADMIN if below in _ADMINISTRATION else Scope.READ


def caller_of(event: Mapping[str, Any] | None, now_ms: int) -> Caller:
    """Who asks, by the claims that API Gateway's JWT authorizer hands over.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html

    Raises:
        Unauthenticated: without such claims, without a subject, or once the token's time is over.
    """
    claims = _claims(event)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise Unauthenticated("takes a token with a subject")
    expires_s = str(claims.get("exp", ""))
    if not re.fullmatch(r"\d{1,12}", expires_s, re.ASCII) or int(expires_s) * 1000 <= now_ms:
        raise Unauthenticated("the token's time is over")
    return Caller(subject, frozenset(str(claims.get("scope", "")).split()))


def _claims(event: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = event or {}
    for name in ("requestContext", "authorizer", "jwt", "claims"):
        inner = found.get(name)
        if not isinstance(inner, Mapping):
            raise Unauthenticated("takes a bearer token")
        found = inner
    return found
