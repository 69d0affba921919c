"""The gauges of `GET /metrics`: the service's state, and what its functions have counted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from shared.cache.answer_counts import AnswerCounts, Answers
from shared.cache.connection import ServerLoad
from shared.cache.waits import Waits
from shared.cache.windows import WindowCache
from shared.domain.calendar import WindowKind
from shared.domain.rules import Leaderboard
from shared.messaging.dead_letters import DeadLetterQueue
from shared.messaging.queues import Depth, Queue
from shared.truth.counters import FunctionCounters, Noted
from shared.truth.progress import Position, Progress
from shared.truth.registry import Registry
from shared.truth.work import WorkList

DEAD_LETTERS: Final = "dead-letters"
"""Name of the queue of rejected records."""
SERVERS_MAX: Final = 32
"""Servers of the cache in one scrape, the first ones by name."""
GIVEN_UP: Final = "-given-up"
"""What the name of a queue ends with that takes what another one has handed out too often."""
LEADERBOARDS_MAX: Final = 100
"""Leaderboards in one scrape, the first ones by id: each costs four commands of the cache."""


class TruthGauges(Struct, frozen=True):
    """Gauges from DynamoDB."""

    positions: Sequence[Position]
    noted: Noted
    leaderboards: Sequence[Leaderboard]
    """At most LEADERBOARDS_MAX."""
    truncated: bool
    """Whether there are more leaderboards."""
    due: Mapping[str, int]
    """Leaderboard → how many windows are due: their days are sealed, and they have no result yet."""


class CacheGauges(Struct, frozen=True):
    """Gauges of some leaderboards from the cache."""

    complete: Mapping[str, bool]
    players: Mapping[tuple[str, WindowKind], int]
    """Of the windows that are open now; those that the cache does not hold completely are left out."""
    loads: Mapping[str, ServerLoad] = {}
    """By server, at most SERVERS_MAX."""
    waits: int = 0
    """Clients that wait for a change now."""
    waits_max: int = 0
    """How many may."""
    answers: Answers = Answers({}, {})


class Gauges:
    """Reads them, each group from one dependency."""

    def __init__(
        self,
        *,
        topic: str,
        progress: Progress,
        telemetry: FunctionCounters,
        registry: Registry,
        work: WorkList,
        cache: WindowCache,
        waits: Waits,
        answers: AnswerCounts,
        dead_letters: DeadLetterQueue,
        queues: Mapping[str, Queue],
        now_ms: Callable[[], int],
    ) -> None:
        self._topic = topic
        self._progress = progress
        self._telemetry = telemetry
        self._registry = registry
        self._work = work
        self._cache = cache
        self._waits = waits
        self._answers = answers
        self._dead_letters = dead_letters
        self._queues = queues
        self._now_ms = now_ms

    def truth(self) -> TruthGauges:
        """Raises Unavailable if DynamoDB is out of reach."""
        positions = self._progress.positions(self._topic)
        noted = self._telemetry.noted(self._topic)
        found = self._registry.leaderboards(LEADERBOARDS_MAX + 1)
        shown = found[:LEADERBOARDS_MAX]
        work = self._work.all()
        due = {one.id: len(work[one.id].due) if one.id in work else 0 for one in shown}
        return TruthGauges(positions, noted, shown, len(found) > len(shown), due)

    def cache(self, leaderboards: Sequence[Leaderboard]) -> CacheGauges:
        """Raises CacheUnavailable if the cache fails, even if no leaderboard is asked about."""
        self._cache.ping()
        now_ms = self._now_ms()
        complete, players = {}, {}
        for one in leaderboards:
            complete[one.id] = self._cache.is_complete(one)
            for window in one.current_windows(one.calendar.day_of(now_ms)):
                # one script call: a size and whether it is complete, as of the same instant
                page = self._cache.page(one, window, 0, 1, now_ms)
                if page.complete:
                    players[one.id, window.kind] = page.total
        loads = dict(sorted(self._cache.loads().items())[:SERVERS_MAX])
        return CacheGauges(complete, players, loads, self._waits.count(now_ms), self._waits.most, self._answers.read())

    def queues(self) -> dict[str, Depth]:
        """Of the dead letters and each queue of work, and of where those put what is given up, by name; a queue that
        several give up to stands there once. Raises QueueUnavailable if one does not answer.
        """
        found = {DEAD_LETTERS: self._dead_letters.queue.depth()}
        asked = set()
        for name, queue in self._queues.items():
            depth = found[name] = queue.depth()
            url = depth.dead_letter_url
            if url is not None and url not in asked:
                asked.add(url)
                found[f"{name}{GIVEN_UP}"] = queue.beside(url).depth()
        return found
