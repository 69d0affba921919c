"""What people who watch one board cost a month, by the ways to show it to them: the table of docs/scale.md.

`python -m infra.watching` prints it. Prices are US$ of us-east-1; their sources stand beside the table.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

WATCHERS: Final = (100, 10_000, 1_000_000)
MONTH_S: Final = 730 * 3_600
POLL_S: Final = 5
"""How often a client asks, and how often at the most something is pushed to it."""

MILLION: Final = 1e6
HTTP_API: Final = 1.00 / MILLION
"""A request to an HTTP API."""
LAMBDA_CALL: Final = 0.20 / MILLION
GB_SECOND: Final = 0.0000166667
READ_S: Final = 0.005
"""Of a function of 1 GB, assumed."""
DATA_OUT: Final = 0.09 / 1e9
EDGE_REQUEST: Final = 1.00 / MILLION
EDGE_DATA_OUT: Final = 0.085 / 1e9
SOCKET_MESSAGE: Final = 1.00 / MILLION
SOCKET_MINUTE: Final = 0.25 / MILLION
EVENT_OPERATION: Final = 1.00 / MILLION
"""Of AppSync Events: a message to one client, to 5 kB."""
EVENT_MINUTE: Final = 0.08 / MILLION
POSTS_PER_S: Final = 1_000
"""Messages that one function of 1 GB sends to sockets, assumed: API Gateway takes one call for each."""
EDGES: Final = 20
"""Places from which CloudFront asks for an answer that is over, assumed."""

PAGE_BYTES: Final = 15_877
"""A page of 100 as the API sends it, measured."""
PACKED_BYTES: Final = 3_280
"""The same compressed, as CloudFront sends it, measured (gzip)."""
HEAD_BYTES: Final = 400
"""Headers, alone in a 304, assumed."""


class Board(Struct, frozen=True):
    """How often what is watched changes."""

    changes_every_s: int

    @property
    def polls(self) -> float:
        """Of one client in a month."""
        return MONTH_S / POLL_S

    @property
    def news(self) -> float:
        """Of them those, or the messages pushed, that bring something new."""
        return MONTH_S / max(POLL_S, self.changes_every_s)


BUSY: Final = Board(1)
QUIET: Final = Board(60)


def read(count: float) -> float:
    """Reads that reach the function."""
    return count * (HTTP_API + LAMBDA_CALL + READ_S * GB_SECOND)


def by_polling(board: Board, watchers: int) -> float:
    """The API itself, with `If-None-Match`."""
    data = board.polls * HEAD_BYTES + board.news * PAGE_BYTES
    return watchers * (read(board.polls) + data * DATA_OUT)


def by_edge(board: Board, watchers: int) -> float:
    """CloudFront, which asks the API once a second and place at the most."""
    data = board.polls * HEAD_BYTES + board.news * PACKED_BYTES
    asked = read(min(MONTH_S * EDGES, watchers * board.polls))
    return watchers * (board.polls * EDGE_REQUEST + data * EDGE_DATA_OUT) + asked


def by_waiting(board: Board, watchers: int) -> float:
    """`Prefer: wait=20`: each watcher holds a function of 1 GB, whatever happens."""
    news = MONTH_S / board.changes_every_s
    requests = news + MONTH_S / 20 if board.changes_every_s > 20 else news
    data = requests * HEAD_BYTES + news * PAGE_BYTES
    return watchers * (requests * (HTTP_API + LAMBDA_CALL) + MONTH_S * GB_SECOND + data * DATA_OUT)


def by_sockets(board: Board, watchers: int) -> float:
    """A WebSocket API of API Gateway; each message is a compressed page."""
    sending = LAMBDA_CALL / POSTS_PER_S + GB_SECOND / POSTS_PER_S
    message = SOCKET_MESSAGE + sending + PACKED_BYTES * DATA_OUT
    return watchers * (MONTH_S / 60 * SOCKET_MINUTE + board.news * message)


def by_events(board: Board, watchers: int) -> float:
    """AppSync Events; each message is a compressed page in base64, one operation."""
    message = EVENT_OPERATION + PACKED_BYTES * 4 / 3 * DATA_OUT
    return watchers * (MONTH_S / 60 * EVENT_MINUTE + board.news * message)


WAYS: Final[Mapping[str, Callable[[Board, int], float]]] = {
    "polling the API every 5 s": by_polling,
    "polling CloudFront every 5 s": by_edge,
    "`Prefer: wait=20`": by_waiting,
    "API Gateway WebSockets": by_sockets,
    "AppSync Events": by_events,
}


def table() -> str:
    """US$ a month, two digits that count."""
    heads = [f"{count:,} watch, {kind}" for count in WATCHERS for kind in ("busy", "quiet")]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, way in WAYS.items():
        costs = [_money(way(board, count)) for count in WATCHERS for board in (BUSY, QUIET)]
        lines.append(f"| {name} | " + " | ".join(costs) + " |")
    return "\n".join(lines)


def _money(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}"


if __name__ == "__main__":
    print(table())
