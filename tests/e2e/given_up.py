"""A leaderboard that was deleted before its day could be closed."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.lookups.leaderboards import KEEP_MS
from tests.support.stack import System

BOARD: Final = "given-up"
YESTERDAY: Final = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
DEFINITION: Final[dict[str, Any]] = {
    "name": "Given up",
    "aggregation": "sum",
    "tiers": [{"name": "gold", "topN": 1}, {"name": "silver", "topN": 2}],
}


def give_up(system: System) -> None:
    """Define it, delete it, and send what comes too late and what comes again."""
    system.put(f"/leaderboards/{BOARD}", DEFINITION | {"lateness": "P7D"})
    _produce(system, ("ann", 100), ("bob", 90), ("cat", 80))
    system.put(f"/leaderboards/{BOARD}", DEFINITION | {"lateness": "PT0S"})  # yesterday may be closed from now on
    assert system.request("DELETE", f"/leaderboards/{BOARD}").status_code == 204
    time.sleep(KEEP_MS / 1000 + 1)  # until ingest has forgotten the definition of before
    _produce(system, ("dan", 1_000), ("ann", 100))
    system.letters()  # which the modules that share the stack are not to find


def _produce(system: System, *events: tuple[str, int]) -> None:
    def record(user_id: str, points: int) -> tuple[bytes, bytes]:
        event = {"eventId": f"{user_id}-1", "leaderboardId": BOARD, "userId": user_id, "points": points}
        return f"{BOARD}:{user_id}".encode(), json.dumps(event | {"occurredAt": YESTERDAY.isoformat()}).encode()

    system.produce(record(*one) for one in events)
    system.settle()
