"""The table of what /metrics shows, written from an example of it, so that it lacks nothing and names nothing else."""

from collections.abc import Iterator
from typing import Final

from functions.api.exposition import Scrape
from shared.admin.gauges import DEAD_LETTERS, CacheGauges, TruthGauges
from shared.cache.answer_counts import BOUNDS_S, Answered, Answers
from shared.cache.connection import ServerLoad
from shared.domain.calendar import Day, WindowKind
from shared.domain.rules import Aggregation, Leaderboard
from shared.messaging.queues import Depth
from shared.truth.counters import Noted, Run, RunNote, TopicLag, TopicSettings
from shared.truth.progress import Position

_BOARD: Final = Leaderboard(id="autumn-cup", name="Cup", aggregation=Aggregation.SUM, sealed_through=Day(20_780))
EXAMPLE: Final = Scrape(
    up={"dynamodb": True},
    truth=TruthGauges(
        positions=[Position("score-events", 0, 10, 1_000, 2_000)],
        noted=Noted(
            "score-events",
            0,
            TopicLag(3_000, {0: 4}),
            TopicSettings(3_000, []),
            archived_owing=0,
            runs={Run.CLOSE: RunNote(4_000, blocked={"drift": 0})},
        ),
        leaderboards=[_BOARD],
        truncated=False,
        due={_BOARD.id: 0},
    ),
    cache=CacheGauges(
        {_BOARD.id: True},
        {(_BOARD.id, WindowKind.DAILY): 120},
        {"": ServerLoad(1_000_000, 2_000_000, 3.5)},
        answers=Answers({("GET /metrics", "2xx"): Answered((1,) * (len(BOUNDS_S) + 1), 0, 1.5)}, {}),
    ),
    queues={DEAD_LETTERS: Depth(0, 0, None)},
)
"""A scrape with something in every family."""


def series() -> Iterator[tuple[str, str, list[str], str]]:
    """Name of each series, its type, its labels, and what it says."""
    for family in EXAMPLE.collect():
        sample = family.samples[0]
        yield sample.name, family.type, list(sample.labels), family.documentation


def table() -> Iterator[str]:
    """The lines of the table."""
    yield "| series | type | labels | |"
    yield "|---|---|---|---|"
    for name, kind, labels, meaning in series():
        yield f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |"
    yield ""
