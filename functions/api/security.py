"""Who asks, and whether they may.

API Gateway's JWT authorizer has checked the token's signature, issuer, audience and time before; its scopes, and its
time once more, are checked here, so that a route without authorizer admits no caller.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from starlette.routing import BaseRoute, Route

from functions.api.contract import operation_of

SUBJECT_CHARACTERS_MAX: Final = 256
LOCAL_SUBJECT: Final = "local"
"""The caller where no token is required."""


class Scope(StrEnum):
    """What a token may be good for; none of them includes another."""

    READ = "leaderboards:read"
    ADMIN = "leaderboards:admin"
    EXPORTS = "exports:read"
    SCORES = "scores:write"
    PROFILES = "profiles:write"


class Unauthenticated(Exception):
    """There is no token, or it is not good any more."""


class Forbidden(Exception):
    """The token lacks the scope that the route takes."""

    def __init__(self, scope: str) -> None:
        """`scope`: as tokens name it."""
        super().__init__(f"needs a token with the scope {scope}")
        self.scope = scope


class Caller(Struct, frozen=True):
    """Who asks."""

    subject: str
    scopes: frozenset[str]
    """As the token names them."""

    def has(self, scope: Scope, prefix: str = "") -> bool:
        """Whether they have the scope, which tokens name with the prefix."""
        return f"{prefix}{scope}" in self.scopes

    def check(self, scope: Scope, prefix: str = "") -> None:
        """Raises Forbidden unless they have the scope, which tokens name with the prefix."""
        if not self.has(scope, prefix):
            raise Forbidden(f"{prefix}{scope}")


EVERYTHING: Final = frozenset[str](Scope)
_SCOPE_CLAIMS: Final = ("scope", "scp")
"""`scp` is what Microsoft Entra ID and Okta call it."""
_OPEN: Final = frozenset({"", "console", "health", "openapi.json", "docs"})
"""First parts of paths that take no token: they tell nothing of anybody. `metrics` is not among them: it names every
leaderboard and how many play. It takes READ, as their list does, so that a scraper's token can only read."""
PUBLIC: Final = frozenset(
    {"/leaderboards/{id}/rankings", "/leaderboards/{id}/players", "/leaderboards/{id}/players/{userId:path}"}
)
"""Reads that may be opened to anybody; nothing else of a leaderboard is."""
_EXPORTS: Final = frozenset({"closing", "export", "exports", "result"})
_ADMINISTRATION: Final = frozenset({"audit-log", "disqualified", "rebuild"})


def required_scope(method: str, template: str) -> Scope | None:
    """What a route takes, by its method and its template (`/leaderboards/{id}/rankings`), never by what a client wrote.

    Returns:
        None where anybody may ask. What is not known takes the most.
    """
    parts = template.split("/")
    if parts[1:2] and parts[1] in _OPEN:
        return None
    if method != "GET":
        if method == "PUT" and parts[3:4] == ["players"] and parts[-1] == "profile":
            return Scope.PROFILES
        is_of_scores = parts[3:] == ["scores"] or (parts[3:4] == ["players"] and parts[-1] == "scores")
        return Scope.SCORES if is_of_scores else Scope.ADMIN
    if parts[1:2] == ["dead-letters"]:
        return Scope.ADMIN
    below = parts[3] if len(parts) > 3 else ""
    if below in _EXPORTS:
        return Scope.EXPORTS
    return Scope.ADMIN if below in _ADMINISTRATION else Scope.READ


OTHER: Final = "other"
"""In the place of a route where there is none."""


class Guard:
    """The scope that a request takes: that of the route which will serve it."""

    def __init__(self, routes: Iterable[BaseRoute], *, public_reads: bool = False) -> None:
        """`routes`: in the order in which they are tried; `public_reads`: whether anybody may ask those of PUBLIC."""

        def scope(method: str, template: str) -> Scope | None:
            is_open = public_reads and method == "GET" and template in PUBLIC
            return None if is_open else required_scope(method, template)

        self._routes = [
            (route.path_regex, method, scope(method, route.path), _takes_parameters(route), route.path_format)
            for route in routes
            if isinstance(route, Route)
            for method in sorted((route.methods or set()) - {"HEAD"})
        ]

    def required(self, method: str, path: str) -> Scope | None:
        """The scope; None where anybody may ask. What no route serves takes the most."""
        for pattern, served, scope, *_ in self._routes:
            if served == method and pattern.match(path):
                return scope
        return Scope.ADMIN

    def takes_parameters(self, method: str, path: str) -> bool:
        """Whether the route has any parameter in its query, by the contract. What no route serves may have some."""
        for pattern, served, _, takes, _ in self._routes:
            if served == method and pattern.match(path):
                return takes
        return True

    def route(self, method: str, path: str) -> str:
        """The route by its template, e.g. `GET /leaderboards/{id}`; `other` for what no route serves."""
        for pattern, served, *_, template in self._routes:
            if served == ("GET" if method == "HEAD" else method) and pattern.match(path):
                return f"{served} {template}"
        return OTHER


def _takes_parameters(route: Route) -> bool:
    operation = operation_of(route)
    if operation is None:
        return type(route) is Route  # the framework's own pages
    return operation.query is not None and bool(operation.query.model_fields)


def caller_of(event: Mapping[str, Any] | None, now_ms: int) -> Caller:
    """Who asks, by the claims that API Gateway's JWT authorizer hands over.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html

    Raises:
        Unauthenticated: without such claims, without a subject, or once the token's time is over.
    """
    claims = _claims(event)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise Unauthenticated("needs a token with a subject")
    expires_s = str(claims.get("exp", ""))
    if not re.fullmatch(r"\d{1,12}", expires_s, re.ASCII) or int(expires_s) * 1000 <= now_ms:
        raise Unauthenticated("the token's time is over")
    return Caller(subject, frozenset(scope for name in _SCOPE_CLAIMS for scope in _listed(claims.get(name, ""))))


def _listed(claim: object) -> list[str]:
    """The scopes of a claim: words of one string (RFC 8693) or a list, which API Gateway writes as `[one two]`."""
    if isinstance(claim, list):
        return [str(scope) for scope in claim]
    return str(claim).removeprefix("[").removesuffix("]").replace(",", " ").split()


def _claims(event: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = event or {}
    for name in ("requestContext", "authorizer", "jwt", "claims"):
        inner = found.get(name)
        if not isinstance(inner, Mapping):
            raise Unauthenticated("needs a bearer token")
        found = inner
    return found
