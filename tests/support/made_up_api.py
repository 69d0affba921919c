"""An API that is made up for the console's tests in a browser: slow, down, behind a proxy, or with odd ids."""

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route, expect

from functions.api.routes.console import FILES

ORIGIN: Final = "http://localhost:9"  # nothing listens there: every answer is made up
WAIT_MS: Final = 15_000
NOW: Final = "2026-01-02T03:04:05.678Z"
ODD: Final = ("a/b", "100%", "a b#c?d", "%2e%2e", "<img src=x onerror=alert(1)>", "\u05d0\u05d1\u05d2 12", "\u202eabc",
              "\U0001f600", "x" * 128)  # fmt: skip
Made = tuple[int, Any, dict[str, str]]


def entry(rank: int, user: str, score: int = 10) -> dict[str, Any]:
    return {"rank": rank, "competitionRank": rank, "userId": user, "score": score, "reachedAt": NOW,
            "percentile": 0, "topPercent": 100, "tier": None}  # fmt: skip


class Api:
    """Answers by path; a test puts others in their place."""

    def __init__(self) -> None:
        self.users: list[str] = ["ann", "ben"]
        self.total = 0
        self.revision = 1
        self.seen: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.instead: Callable[[str, dict[str, str]], Made | str | None] = lambda _path, _query: None

    def serve(self, route: Route) -> None:
        asked = urlsplit(route.request.url)
        path, query = asked.path, {name: values[0] for name, values in parse_qs(asked.query).items()}
        if path.startswith("/console/") and path != "/console/configuration.json":
            route.fulfill(path=FILES / (path.removeprefix("/console/") or "index.html"))
            return
        self.seen.append((route.request.method, path))
        if route.request.method == "POST":
            self.bodies.append(route.request.post_data_json)
        made = self.instead(path, query)
        if made == "abort":
            route.abort()
        elif made != "hold":
            status, body, headers = made if isinstance(made, tuple) else self._usual(path, query)
            text = body if isinstance(body, str) else json.dumps(body)
            route.fulfill(status=status, body=text, headers={"content-type": "application/json", **headers})

    def _usual(self, path: str, query: dict[str, str]) -> Made:
        if path == "/console/configuration.json":
            return 200, {"issuer": None, "clientId": None, "scope": "", "broker": "127.0.0.1:9092"}, {}
        if path == "/leaderboards":
            return 200, {"leaderboards": [board()], "nextAfter": None}, {}
        if path.endswith("/periods"):
            return 200, {"periods": []}, {}
        if path.endswith("/rankings"):
            return 200, self.ranking(query), {"etag": f'"{self.revision}"'}
        if path.endswith("/closing"):
            return 200, {"items": [], "sealedThrough": None, "nextAfter": None}, {}
        if path.count("/") == 2:
            return 200, board(), {}
        return 404, {"title": "Not found", "detail": "nothing of the kind", "status": 404}, {}

    def ranking(self, query: dict[str, str]) -> dict[str, Any]:
        first, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
        total = self.total or len(self.users)
        users = self.users if not self.total else [f"p{at}" for at in range(first, min(total, first + limit))]
        return {"leaderboardId": "cup", "window": {"id": "daily"}, "revision": self.revision, "total": total,
                "matched": total, "asOf": NOW, "source": "live", "rankApproximate": False, "missing": [],
                "nextCursor": None, "prevCursor": None, "truncated": False, "rulesVersion": 1,
                "entries": [entry(first + at + 1, user) for at, user in enumerate(users)]}  # fmt: skip

    def fail(self, made: Made | str) -> None:
        """Answer every question for a ranking so."""
        self.instead = lambda path, _: made if path.endswith("/rankings") else None

    def count(self, end: str) -> int:
        return sum(path.endswith(end) for _, path in self.seen)


def board() -> dict[str, Any]:
    return {"id": "cup", "name": "Cup", "aggregation": "sum", "order": "desc", "tiers": [], "filters": ["country"],
            "version": 1, "timeZone": "UTC", "dayStartsAt": "00:00",
            "windows": ["daily", "weekly", "all-time"]}  # fmt: skip


def show(page: Page, view: str) -> Page:
    page.goto(f"{ORIGIN}/console/{view}")
    return page


def expect_sentence(page: Page, text: str) -> None:
    expect(page.locator(".problem:visible", has_text=text).first).to_be_visible(timeout=WAIT_MS)
