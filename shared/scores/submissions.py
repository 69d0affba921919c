"""One score event over HTTP: into the topic like anybody's, and followed until the cache shows it.

Kafka stays the only way in, so the offsets of the topic stay the account of what a day has to wait for.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME_DAY
from shared.domain.events import ScoreEvent, format_instant
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Leaderboard
from shared.lookups.leaderboards import Leaderboards
from shared.messaging.topic import Outgoing, Topic
from shared.scores.errors import BrokerUnavailable, EventConflict, EventRejected
from shared.truth.reads import Reads, event_key

SEND_S: Final = 5
"""How long the broker may take to acknowledge a record; usually milliseconds."""


class Submissions:
    """Takes score events for the topic.

    Methods raise Unavailable if DynamoDB is out of reach.
    """

    def __init__(
        self,
        *,
        leaderboards: Leaderboards,
        reads: Reads,
        cache: WindowCache,
        topic: Topic,
        now_ms: Callable[[], int],
    ) -> None:
        self._leaderboards = leaderboards
        self._reads = reads
        self._cache = cache
        self._topic = topic
        self._now_ms = now_ms

    def send(self, leaderboard: Leaderboard, event: ScoreEvent, *, is_timed: bool) -> "Following":
        """Have the broker take an event, unless the ledger holds it already.

        1. Look into the ledger: an event that is there was counted, whatever became of its day since.
        2. Check it by the leaderboard's rules, as ingest will once the broker has appended it.
        3. Send it with the key of its player, and wait for all replicas.

        Args:
            leaderboard: as it is remembered.
            event: whose leaderboard it is.
            is_timed: whether its time is the client's. If not, an event of this id that is in the ledger gives it its
                time, so that asking again stays harmless.

        Raises:
            EventConflict: if the ledger holds the id with other content.
            EventRejected: if the rules refuse it.
            BrokerUnavailable: if it was not acknowledged in time.
        """
        key = event_key(leaderboard.scores_id, event)
        existing = self._reads.held([key]).get(key)  # 1
        if existing is not None:
            if not is_timed:
                event = replace(event, occurred_at_ms=existing.occurred_at_ms)
            if not event.same_content(existing):
                raise EventConflict(existing.conflict())
            return Following(self._cache, self._reads, leaderboard, event)
        self._check(leaderboard, event)  # 2
        (failure,) = self._topic.send([_to_record(event)], wait_s=SEND_S)  # 3
        if failure is not None:
            raise BrokerUnavailable(failure)
        return Following(self._cache, self._reads, leaderboard, event)

    def _check(self, leaderboard: Leaderboard, event: ScoreEvent) -> None:
        """Raise EventRejected if the rules refuse the event now; nothing is refused by a remembered definition."""
        now_ms = self._now_ms()
        try:
            _admit(leaderboard, event, now_ms)
        except Rejection:
            fresh = self._leaderboards.read(leaderboard.id)
            try:
                _admit(fresh or leaderboard, event, now_ms)
            except Rejection as rejection:
                raise EventRejected(rejection) from None


class Following:
    """An event on its way from the topic to the cache."""

    def __init__(self, cache: WindowCache, reads: Reads, leaderboard: Leaderboard, event: ScoreEvent) -> None:
        self.event = event
        self._cache = cache
        self._reads = reads
        self._leaderboard = leaderboard
        self._seen: int | None = None
        self._needed: int | None = None
        """The version of the player's standing of all time that has the event in it, once the ledger has it."""

    def is_shown(self) -> bool:
        """Whether the cache has the event's effect: one HGET, and a look into the truth when the player has changed.

        Every event changes the player's standing of all time, whatever it is worth, and its day's in the same script.

        Raises:
            CacheUnavailable: if the cache fails.
            Unavailable: if DynamoDB is out of reach.
        """
        event = self.event
        shown = self._cache.shown_version(self._leaderboard, event.user_id)
        if self._needed is None and shown != self._seen:
            self._seen = shown
            if self._reads.held([event_key(self._leaderboard.scores_id, event)]):
                standings = self._reads.standings([(self._leaderboard, event.user_id, ALL_TIME_DAY)])
                self._needed = max((one.version for one in standings.values()), default=0)
        return self._needed is not None and shown >= self._needed


def _admit(leaderboard: Leaderboard, event: ScoreEvent, now_ms: int) -> None:
    """Raise Rejection if the event would not count, or only for scores of before a purge, which nobody is shown."""
    leaderboard.admit(event, now_ms)
    if leaderboard.for_event(event, now_ms).since_ms < leaderboard.at(now_ms).since_ms:
        began = format_instant(leaderboard.at(now_ms).since_ms)
        raise Rejection(
            Reason.TOO_LATE, f"{leaderboard.id} started over at {began}; what occurred before doesn't count"
        )


def _to_record(event: ScoreEvent) -> Outgoing:
    value = {
        "eventId": event.event_id,
        "leaderboardId": event.leaderboard_id,
        "userId": event.user_id,
        "points": event.points,
        "occurredAt": format_instant(event.occurred_at_ms),
    }
    if event.attributes:
        value["attributes"] = event.attributes
    return Outgoing(f"{event.leaderboard_id}:{event.user_id}".encode(), msgspec.json.encode(value))
