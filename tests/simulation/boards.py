"""The leaderboards of the simulation: each aggregation, order and kind of lateness, with filters and without."""

import random
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.domain.calendar import DAY_MS, WindowKind
from shared.domain.rules import DEFAULT_WINDOWS, WINDOWS, Aggregation, Leaderboard, Order
from shared.domain.tiers import Tier, TierRule, Ties
from shared.lookups.zones import calendar_of

HOUR_MS: Final = 3_600_000
ARCHIVED: Final = "archived"
"""Was deleted before its first event: all of them end on the dead-letter queue."""
BOARDS: Final[dict[str, dict[str, Any]]] = {
    "sum": {"aggregation": "sum", "lateness": "P3D"},
    "best": {"aggregation": "best", "order": "asc", "lateness": "P3D", "filters": ("country", "platform")},
    "latest": {"aggregation": "latest", "lateness": "P3D"},
    "hour": {"aggregation": "best", "lateness": "PT1H", "filters": ("country",)},
    "strict": {"aggregation": "sum", "lateness": "PT0S"},
    "fewest": {"aggregation": "sum", "order": "asc", "lateness": "PT1H", "filters": ("platform",)},
    ARCHIVED: {"aggregation": "sum", "lateness": "P3D"},
}
OPEN: Final = tuple(name for name in BOARDS if name != ARCHIVED)
VALUES: Final = ("DE", "FR", "", "{x}:z", "\x00\u00e9" * 40)
"""Of attributes: short and long, and such as would do harm in a key."""
TIERS: Final[tuple[tuple[Tier, ...], ...]] = (
    (),
    (Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.TOP_N, 3)),
    (Tier("many", TierRule.MIN_SCORE, 5),),
    (Tier("daily", TierRule.TOP_N, 1, windows=(WindowKind.DAILY,)), Tier("rest", TierRule.TOP_N, 4)),
    (Tier("monthly", TierRule.TOP_N, 2, windows=(WindowKind.MONTHLY,)), Tier("rest", TierRule.MIN_SCORE, 3)),
    (Tier("gold", TierRule.TOP_N, 2, Ties.SHARED), Tier("half", TierRule.TOP_PERCENT, 5_000, Ties.SHARED)),
)
CLOCKS: Final = (
    ("Europe/Berlin", "00:00"),
    ("Europe/Berlin", "02:30"),
    ("America/Sao_Paulo", "00:00"),
    ("Asia/Kathmandu", "00:00"),
    ("Australia/Lord_Howe", "01:45"),
    ("Pacific/Kiritimati", "00:00"),
    ("UTC", "12:00"),
)
"""Time zones and when days begin by their clocks: among them times that these skip, and show twice."""
KEPT: Final = (
    (WindowKind.ALL_TIME,),
    (WindowKind.DAILY, WindowKind.ALL_TIME),
    (WindowKind.WEEKLY, WindowKind.ALL_TIME),
    (WindowKind.MONTHLY, WindowKind.ALL_TIME),
    (WindowKind.DAILY, WindowKind.MONTHLY, WindowKind.ALL_TIME),
    WINDOWS,
    (WindowKind.DAILY,),
    (WindowKind.WEEKLY,),
    (WindowKind.MONTHLY,),
    (WindowKind.DAILY, WindowKind.WEEKLY),
)
"""Kinds of windows, other than those of a leaderboard that doesn't say: the cache keeps those alone."""
LATENESS_MS: Final = {"P3D": 3 * DAY_MS, "PT1H": HOUR_MS, "PT0S": 0}


def draw(seed: int, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Boards with the days that they go by, half of them by those of UTC, and the windows that the cache keeps."""
    rng = random.Random(f"calendars {seed}")
    drawn: dict[str, dict[str, Any]] = {}
    for name in names:
        zone, starts_at = rng.choice(CLOCKS) if rng.random() < 0.5 else ("UTC", "00:00")
        drawn[name] = {**BOARDS[name], "timeZone": zone, "dayStartsAt": starts_at}
    kept = random.Random(f"windows {seed}")
    for board in drawn.values():
        board["windows"] = kept.choice(KEPT) if kept.random() < 0.4 else DEFAULT_WINDOWS
    return drawn


def leaderboard(board_id: str, board: Mapping[str, Any]) -> Leaderboard:
    """The product's definition of a board."""
    hours, minutes = map(int, board["dayStartsAt"].split(":"))
    return Leaderboard(
        id=board_id,
        name=board_id,
        aggregation=Aggregation(board["aggregation"]),
        order=Order(board.get("order", "desc")),
        lateness_ms=LATENESS_MS[board["lateness"]],
        shards=2,
        calendar=calendar_of(board["timeZone"], 60 * hours + minutes),
        windows=board["windows"],
        filters=board.get("filters", ()),
        has_events=board_id != ARCHIVED,
        archived=board_id == ARCHIVED,
    )
