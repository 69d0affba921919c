"""What `make run` shows: the live top ten, rates, lag and counts of records, and how every process is."""

import json
import threading
import time
import urllib.request
from collections import deque
from http.client import HTTPException
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infra.local import counts
from infra.local.counts import Counts
from infra.local.producer import DEMO
from infra.local.stack import Stack

PLAIN_EVERY_S: Final = 5
RATE_OVER_S: Final = 10
COUNT_EVERY_S: Final = 2
NEWS_MAX: Final = 5


class Dashboard:
    """Shows a running stack; on a terminal as one page, elsewhere as lines."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._cache = Live(console=console, auto_refresh=False, screen=False) if console.is_terminal else None
        self._news: deque[str] = deque(maxlen=NEWS_MAX)
        self._produced, self._processed = _Rate(), _Rate()
        self._ranking: dict[str, Any] | None = None
        self._figures = ""
        self._counts: Counts | None = None
        self._closed = threading.Event()
        self._counting: threading.Thread | None = None
        self._printed_at = 0.0

    def say(self, line: str) -> None:
        """Tell one piece of news."""
        self._news.append(line)
        if self._cache is not None and self._cache.is_started:
            self._show()
        else:
            self._console.print(line)

    def refresh(self) -> None:
        """Show how things are now."""
        if self._counting is None:
            self._counting = threading.Thread(target=self._keep_counting, daemon=True)
            self._counting.start()
        self._ranking, self._figures = self._ask(), self._rates()
        if self._cache is None:
            self._print()
            return
        if not self._cache.is_started:
            self._cache.start()
        self._show()

    def _show(self) -> None:
        if self._cache is not None:
            self._cache.update(Group(self._status(), self._top(), self._hints()), refresh=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._closed.set()
        if self._cache is not None:
            self._cache.stop()

    def _ask(self) -> dict[str, Any] | None:
        url = f"{self._stack.url}/leaderboards/{DEMO}/rankings?window=daily&limit=10"
        try:
            with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - our own http URL
                ranking: dict[str, Any] = json.load(response)
        except (OSError, ValueError, HTTPException):
            return None
        return ranking

    def _keep_counting(self) -> None:
        """Ask in a thread of its own: an answer may take seconds while a dependency is away."""
        while not self._closed.wait(COUNT_EVERY_S):
            self._counts = counts.fetch(self._stack.url)

    def _rates(self) -> str:
        produced = self._produced.of(self._stack.appended())
        processed = self._processed.of(self._stack.processed())
        lag = self._stack.lag()
        behind = "unknown" if lag is None else str(sum(lag.values()))
        return f"{produced} events/s produced · {processed} events/s processed · lag {behind}"

    def _print(self) -> None:
        if time.monotonic() - self._printed_at < PLAIN_EVERY_S:
            return
        self._printed_at = time.monotonic()
        top = ", ".join(
            f"{one['rank']}. {one['userId']} {one['score']}" for one in (self._ranking or {}).get("entries", [])[:3]
        )
        down = [process.name for process in self._stack.processes if not process.is_alive()]
        self._console.print(
            f"{self._figures} · {self._counts or 'not counted'} · "
            f"{'down: ' + ', '.join(down) if down else 'all up'} · top: {top or 'no players yet'}"
        )

    def _status(self) -> Panel:
        address = Text(f"Console: {self._stack.url}/console/", "bold")
        line = Text()
        for process in self._stack.processes:
            line.append("● ", "green" if process.is_alive() else "red")
            line.append(process.name + (f" :{process.port}" if process.port else "") + "  ")
        is_clean = self._counts is None or self._counts.is_clean
        counted = Text(str(self._counts or "not counted yet"), "" if is_clean else "bold red")
        lines = [address, line, Text(self._figures, "bold"), counted]
        if not self._stack.config.kafka_is_durable:
            lines.append(Text("mock Kafka: NOT DURABLE", "bold red"))
        return Panel(Group(*lines), title="local stack", title_align="left")

    def _top(self) -> Panel:
        ranking = self._ranking
        if ranking is None:
            return Panel("no answer yet", title=DEMO, title_align="left")
        table = Table(expand=True, box=None)
        for column, justify in (("rank", "right"), ("player", "left"), ("score", "right"), ("tier", "left")):
            table.add_column(column, justify="right" if justify == "right" else "left")
        table.add_column("percentile", justify="right")
        table.add_column("reached at")
        for one in ranking["entries"]:
            cells = (str(one["rank"]), one["userId"], str(one["score"]), one["tier"] or "")
            table.add_row(*cells, f"{one['percentile']:.2f}", one["reachedAt"])
        window = ranking["window"]
        title = f"{DEMO} · today {window['id']} · {ranking['total']} players · revision {ranking['revision']}"
        return Panel(table, title=title, title_align="left")

    def _hints(self) -> Group:
        url = f"{self._stack.url}/leaderboards/{DEMO}"
        lines = [
            f"curl '{url}/rankings?window=weekly&limit=3'",
            f"curl -L -H 'Prefer: wait=20' '{url}/export?window=daily&format=csv'",
            "Ctrl-C stops everything in order",
        ]
        return Group(*(Text(line, "dim") for line in lines), *(Text(line, "yellow") for line in self._news))


class _Rate:
    """Per second, over the last RATE_OVER_S seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, count: int | None) -> str:
        """The rate of a counter that stands at `count` now; it may have restarted from 0."""
        if count is None:
            return "–"
        now_s = time.monotonic()
        if self._seen and self._seen[-1][1] > count:
            self._seen.clear()
        self._seen.append((now_s, count))
        while self._seen[0][0] < now_s - RATE_OVER_S:
            self._seen.popleft()
        then_s, before = self._seen[0]
        return f"{(count - before) / (now_s - then_s):.0f}" if now_s > then_s else "–"
