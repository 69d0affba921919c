"""What `make run` shows: the live top ten, rates and lag, and how every process is."""

import json
import time
import urllib.request
from collections import deque
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infra.local.producer import DEMO
from infra.local.stack import Stack

PLAIN_EVERY_S: Final = 5
RATE_OVER_S: Final = 10
NEWS_MAX: Final = 5


class Dashboard:
    """Shows a running stack; on a terminal as one page, elsewhere as lines."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._live = Live(console=console, auto_refresh=False, screen=False) if console.is_terminal else None
        self._news: deque[str] = deque(maxlen=NEWS_MAX)
        self._processed: deque[tuple[float, int]] = deque()
        self._printed_at = 0.0

    def say(self, line: str) -> None:
        """Tell one piece of news."""
        self._news.append(line)
        if self._live is None or not self._live.is_started:
            self._console.print(line, highlight=False)

    def refresh(self) -> None:
        """Show how things are now."""
        ranking, rate = self._ranking(), self._rate()
        lag = self._stack.lag()
        if self._live is None:
            self._print(ranking, rate, lag)
            return
        if not self._live.is_started:
            self._live.start()
        self._live.update(Group(self._status(rate, lag), self._top(ranking), self._hints()), refresh=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def _ranking(self) -> dict[str, Any] | None:
        url = f"{self._stack.url}/leaderboards/{DEMO}/rankings?window=daily&limit=10"
        try:
            with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - our own http URL
                ranking: dict[str, Any] = json.load(response)
        except (OSError, ValueError):
            return None
        return ranking

    def _rate(self) -> float | None:
        """Records a second through the trigger, over the last RATE_OVER_S seconds."""
        processed, now = self._stack.processed(), time.monotonic()
        if processed is None:
            return None
        self._processed.append((now, processed))
        while self._processed[0][0] < now - RATE_OVER_S or self._processed[0][1] > processed:
            self._processed.popleft()
        then, before = self._processed[0]
        return (processed - before) / (now - then) if now > then else None

    def _print(self, ranking: dict[str, Any] | None, rate: float | None, lag: dict[str, int] | None) -> None:
        if time.monotonic() - self._printed_at < PLAIN_EVERY_S:
            return
        self._printed_at = time.monotonic()
        top = ", ".join(
            f"{one['rank']}. {one['userId']} {one['score']}" for one in (ranking or {}).get("entries", [])[:3]
        )
        line = f"{_number(rate)} records/s · lag {_lag(lag)} · top: {top or 'nobody yet'}"
        self._console.print(line, highlight=False, soft_wrap=True)

    def _status(self, rate: float | None, lag: dict[str, int] | None) -> Panel:
        line = Text()
        for process in self._stack.processes:
            line.append("● ", "green" if process.is_alive() else "red")
            line.append(process.name + (f" :{process.port}" if process.port else "") + "  ")
        kafka = "" if self._stack.config.kafka_is_durable else "   mock Kafka: NOT DURABLE"
        figures = Text(f"{_number(rate)} records/s   lag {_lag(lag)}{kafka}", "bold")
        return Panel(Group(line, figures), title="local stack", title_align="left")

    def _top(self, ranking: dict[str, Any] | None) -> Panel:
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
            f"curl -L '{url}/export?window=daily&format=csv'",
            "Ctrl-C stops everything in order",
        ]
        return Group(*(Text(line, "dim") for line in lines), *(Text(line, "yellow") for line in self._news))


def _number(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.0f}"


def _lag(lag: dict[str, int] | None) -> str:
    return "unknown" if lag is None else str(sum(lag.values()))
