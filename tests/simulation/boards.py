"""The leaderboards of the simulation: each aggregation, order and kind of lateness, with filters and without."""

from typing import Any, Final

from shared.domain.calendar import DAY_MS, WindowKind
from shared.domain.rules import Aggregation, Leaderboard, Order
from shared.domain.tiers import Tier, TierRule, Ties

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
    (Tier("gold", TierRule.TOP_N, 2, Ties.SHARED), Tier("half", TierRule.TOP_PERCENT, 5_000, Ties.SHARED)),
)
LATENESS_MS: Final = {"P3D": 3 * DAY_MS, "PT1H": HOUR_MS, "PT0S": 0}


def leaderboard(board_id: str) -> Leaderboard:
    """The product's definition of a board."""
    board = BOARDS[board_id]
    return Leaderboard(
        id=board_id,
        name=board_id,
        aggregation=Aggregation(board["aggregation"]),
        order=Order(board.get("order", "desc")),
        lateness_ms=LATENESS_MS[board["lateness"]],
        shards=2,
        filters=board.get("filters", ()),
        has_events=board_id != ARCHIVED,
        archived=board_id == ARCHIVED,
    )
