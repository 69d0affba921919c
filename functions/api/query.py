"""The one parser of queries: what a request says in its query, and nothing that it does not say."""

import re
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import unquote_plus, unquote_to_bytes

from functions.api.problems import NotText
from shared.domain.events import CONTROL

REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
"""What gateways put in place of bytes that are no UTF-8: by then the original bytes are lost."""
_PAIRS: Final = "leaderboards.pairs"
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def check_text(path: str, query: bytes) -> None:
    """Raises NotText for what would be read as something else than was sent.

    That is a path with control characters (a route's pattern takes `x` and `x` with a line feed behind it alike), a
    path that was no UTF-8, and a query that hides bytes which are none, or has a `%` that stands for nothing.
    """
    if CONTROL.search(path):
        raise NotText("a path must not have control characters")
    if REPLACED in path:
        raise NotText("a path must be UTF-8, percent-encoded; ask for a player with U+FFFD by the parameter userId")
    if _NO_ESCAPE.search(query):
        raise NotText("a query must be percent-encoded: % must be followed by two hexadecimal digits")
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        raise NotText("a query must be UTF-8, percent-encoded") from None


def pairs_of(scope: MutableMapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Names and values in the order in which they are given; the values as they were sent, see `value_of`.

    They are taken apart once, and kept in the scope.
    """
    pairs: tuple[tuple[str, str], ...] | None = scope.get(_PAIRS)
    if pairs is None:
        parts = [part.partition("=") for part in scope["query_string"].decode().split("&") if part]
        pairs = scope[_PAIRS] = tuple((value_of(name), value) for name, _, value in parts)
    return pairs


def value_of(sent: str) -> str:
    """A value that was sent, without its percent-encoding. `+` is a space, as in forms."""
    return unquote_plus(sent, errors="strict") if _is_encoded(sent) else sent


def values_of(sent: str) -> list[str]:
    """The values of a list: cut at bare commas before each is decoded, so that `%2C` belongs to a value."""
    parts = sent.split(",")
    return [value_of(part) for part in parts] if _is_encoded(sent) else parts


def _is_encoded(sent: str) -> bool:
    return "%" in sent or "+" in sent
