"""A client of one leaderboard, as an example to copy: retries, walks rankings by cursor, and reads again only changes.

    python docs/examples/client.py BOARD [--window WINDOW] [--player USER_ID]

BOARD is the URL of a leaderboard. It prints a ranking from top to bottom, or where a player stands: rank, "top N %",
user id, score and the name of their profile, separated by tabs.

Environment: TOKEN with the scope leaderboards:read (and scores:write to send any), unless the API checks no tokens.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NotRequired, TypedDict
from urllib.parse import quote

import requests

TIMEOUT_S = 30
TRIES = 6
PAUSE_MAX_S = 60
NAMES = {"include": "profile"}
ASK_AGAIN = (202, 429, 503)  # being built; too much at once; out of reach


class Profile(TypedDict):
    """What to paint a player with: text, whatever it looks like, never markup."""

    name: str | None
    avatar: str | None
    metadata: dict[str, Any] | None


class Entry(TypedDict):
    """One line of a ranking; docs/api.md has its other fields."""

    rank: int
    competitionRank: int
    userId: str
    score: int
    topPercent: float
    tier: str | None
    profile: NotRequired[Profile | None]
    """None for who has none; missing where it can't be had at the moment."""


class Page(TypedDict):
    """A part of a ranking, all of it as of one instant."""

    revision: int
    total: int
    asOf: str
    source: str
    entries: list[Entry]
    nextCursor: str | None


class Problem(Exception):
    """What the API has against a request. `kind` is stable: `unknown-player`, `invalid-request`, …"""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {body.get('detail') or body.get('title') or 'no answer that could be read'}")
        self.status = status
        self.kind = str(body.get("type", "")).rpartition(":")[2]
        self.fields = {one["field"]: one["message"] for one in body.get("errors", [])}


class Board:
    """One leaderboard. Methods raise Problem, or requests.RequestException if nobody answers."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._known: dict[str, tuple[str, Any]] = {}  # URL → ETag and answer; as many as a caller asks for

    def page(self, window: str = "all-time", limit: int = 100, **query: Any) -> Page:
        """A page: docs/api.md has the other parameters. Asked again, it is only sent if something has changed."""
        page: Page = self._get("/rankings", {"window": window, "limit": limit, **NAMES, **query})
        return page

    def entries(self, window: str = "all-time", page_size: int = 1_000) -> Iterator[Entry]:
        """A whole ranking, best first. Who moves meanwhile may be missed or come twice; exports are of one instant."""
        cursor: dict[str, str] = {}
        while True:
            query = {"window": window, "limit": page_size, **NAMES, **cursor}
            page: Page = self._get("/rankings", query, remember=False)
            yield from page["entries"]
            if page["nextCursor"] is None:
                return
            cursor = {"cursor": page["nextCursor"]}

    def player(self, user_id: str, window: str = "all-time") -> Entry | None:
        """Where a player stands; None without points."""
        try:
            query = {"userId": user_id, "window": window, "context": 0, **NAMES}
            found: Entry = self._get("/players", query)["player"]
        except Problem as problem:
            if problem.kind == "unknown-player":
                return None
            raise
        return found

    def score(self, user_id: str, event_id: str, points: int, occurred_at: str) -> Any:
        """Send a score, and get where the player stands with it. Sent again, also by retries, it counts once.

        Args:
            user_id: of the player.
            event_id: one for each fact, made before the first try.
            points: what it adds.
            occurred_at: RFC 3339, made before the first try, too.
        """
        event = {"eventId": event_id, "points": points, "occurredAt": occurred_at}
        return self._ask("POST", f"/players/{quote(user_id, safe='')}/scores", json=event).json()

    def _get(self, path: str, query: Mapping[str, Any], *, remember: bool = True) -> Any:
        key = requests.Request("GET", self._url + path, params=query).prepare().url or ""
        tag, known = self._known.get(key, ("", None))
        answer = self._ask("GET", path, params=query, headers={"If-None-Match": tag} if tag else {})
        if answer.status_code == requests.codes.not_modified:
            return known
        if remember and "ETag" in answer.headers:
            self._known[key] = answer.headers["ETag"], answer.json()
        return answer.json()

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Every request may be repeated: reads change nothing, and an event counts once."""
        for tries_left in reversed(range(TRIES)):
            pause_s = min(PAUSE_MAX_S, 2 ** (TRIES - 1 - tries_left))
            try:
                answer = self._session.request(method, self._url + path, timeout=TIMEOUT_S, **more)
            except (requests.ConnectionError, requests.Timeout):
                if not tries_left:
                    raise
            else:
                pause_s = int(answer.headers.get("Retry-After", pause_s))
                if answer.status_code not in ASK_AGAIN or not tries_left or pause_s > PAUSE_MAX_S:
                    break
            # a little longer for some than for others, so that they don't all come back at once
            time.sleep(pause_s * random.uniform(1, 1.2))
        if not answer.ok or answer.status_code in ASK_AGAIN:
            is_json = answer.headers.get("Content-Type", "").endswith("json")
            raise Problem(answer.status_code, answer.json() if is_json else {})
        return answer


def main(arguments: list[str]) -> int:
    """Run it from the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", metavar="BOARD")
    parser.add_argument("--window", default="all-time", choices=("daily", "weekly", "monthly", "all-time"))
    parser.add_argument("--player", metavar="USER_ID")
    given = parser.parse_args(arguments)
    board = Board(given.board, os.environ.get("TOKEN"))
    if given.player is None:
        shown = board.entries(given.window)
    else:
        found = board.player(given.player, given.window)
        shown = iter(() if found is None else (found,))
    for one in shown:
        name = (one.get("profile") or {}).get("name") or ""
        print(one["rank"], f"top {one['topPercent']} %", one["userId"], one["score"], name, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
