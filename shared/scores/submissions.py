"""Score events over HTTP: into the topic like anybody's, and followed until the cache shows them.

Kafka stays the only way in, so the offsets of the topic stay the account of what a day has to wait for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec
from msgspec.structs import replace

from shared.cache.windows import WindowCache
from shared.domain.calendar import ALL_TIME_DAY, Day
from shared.domain.events import ScoreEvent, format_instant
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import Leaderboard
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.pseudonyms import Pseudonyms
from shared.messaging.topic import Outgoing, Topic
from shared.scores.errors import BrokerUnavailable, EventConflict, EventRejected
from shared.scores.outcomes import Outcome, Submission
from shared.truth.reads import EventKey, Reads, event_key

_Place = tuple[str, Day]
"""Player and day of a standing."""
SEND_S: Final = 5
"""How long the broker may take to acknowledge what is sent at once; usually milliseconds."""


class Submissions:
    """Takes score events for the topic.

    Methods raise Unavailable if DynamoDB is out of reach; nothing was sent then.
    """

    def __init__(
        self,
        *,
        leaderboards: Leaderboards,
        reads: Reads,
        cache: WindowCache,
        topic: Topic,
        pseudonyms: Pseudonyms,
        now_ms: Callable[[], int],
    ) -> None:
        self._leaderboards = leaderboards
        self._reads = reads
        self._cache = cache
        self._topic = topic
        self._pseudonyms = pseudonyms
        self._now_ms = now_ms

    def send(self, leaderboard: Leaderboard, event: ScoreEvent, *, is_timed: bool) -> "Following":
        """Have the broker take an event, unless the ledger holds it already.

        Args:
            leaderboard: as it is remembered.
            event: whose leaderboard it is.
            is_timed: see Submission.

        Raises:
            EventConflict: if the ledger holds the id with other content.
            EventRejected: if the rules refuse it.
            BrokerUnavailable: if it was not acknowledged in time.
        """
        (outcome,) = self.send_all(leaderboard, [Submission(event, is_timed)])
        if not isinstance(outcome, ScoreEvent):
            raise outcome
        return self.follow(leaderboard, [outcome])

    def send_all(self, leaderboard: Leaderboard, submitted: Sequence[Submission]) -> list[Outcome]:
        """Have the broker take events of one leaderboard, each unless the ledger holds it already.

        1. Look into the ledger: an event that is there was counted, whatever became of its day since.
        2. Check each by the leaderboard's rules, as ingest will once the broker has appended it. An event whose id
           stands ahead in the batch has the outcome of that one, or is a conflict.
        3. Send what is new with the keys of its players, and wait once, for all replicas.

        Returns:
            For each, in their order, what became of it.
        """
        scores_id = leaderboard.scores_id
        existing = self._existing(leaderboard, [one.event for one in submitted])  # 1
        check = _Check(self._leaderboards, leaderboard, self._now_ms())
        first: dict[EventKey, Outcome] = {}
        content: dict[EventKey, ScoreEvent] = dict(existing)
        outcomes: list[Outcome | EventKey] = []
        for one in submitted:  # 2
            key = event_key(scores_id, one.event)
            event, known = one.event, content.get(key)
            if known is not None and not one.is_timed:
                event = replace(event, occurred_at_ms=known.occurred_at_ms)
            if known is not None and not event.same_content(known):
                outcomes.append(EventConflict(known.conflict() if key in existing else _conflict_in_batch(event)))
                continue
            if key not in first:
                content[key] = event
                first[key] = event if key in existing else check.outcome(event)
            outcomes.append(key)
        self._send({key: one for key, one in first.items() if key not in existing}, first)  # 3
        return [first[one] if isinstance(one, tuple) else one for one in outcomes]

    def _existing(self, leaderboard: Leaderboard, events: Sequence[ScoreEvent]) -> dict[EventKey, ScoreEvent]:
        """What the ledger holds of events, as their clients sent it: it may know a player by a pseudonym."""
        scores_id = leaderboard.scores_id
        names = self._pseudonyms.of_all(leaderboard, (one.user_id for one in events))
        wanted = {event_key(scores_id, one): one.user_id for one in events}
        places = {key: (scores_id, names.get(user_id, user_id), key[2]) for key, user_id in wanted.items()}
        held = self._reads.held(dict.fromkeys(places.values()))
        found = ((key, held[place]) for key, place in places.items() if place in held)
        return {key: replace(one, user_id=wanted[key]) for key, one in found}

    def follow(self, leaderboard: Leaderboard, events: Sequence[ScoreEvent]) -> "Following":
        """Follow events that Kafka or the ledger has; of a player who has a pseudonym none is ever seen to show, since
        the answer would tell whose pseudonym it is.
        """
        return Following(self._cache, self._reads, leaderboard, events)

    def _send(self, new: Mapping[EventKey, Outcome], outcomes: dict[EventKey, Outcome]) -> None:
        """Send those that are events, with one flush for all; outcomes of those that fail become their failure."""
        sent = [(key, one) for key, one in new.items() if isinstance(one, ScoreEvent)]
        if not sent:
            return
        failures = self._topic.send([_to_record(event) for _, event in sent], wait_s=SEND_S)
        for (key, _), failure in zip(sent, failures, strict=True):
            if failure is not None:
                outcomes[key] = BrokerUnavailable(failure)


class _Check:
    """The rules for the events of one request. None is refused by a remembered definition: it is read anew, once."""

    def __init__(self, leaderboards: Leaderboards, leaderboard: Leaderboard, now_ms: int) -> None:
        self._leaderboards = leaderboards
        self._leaderboard = leaderboard
        self._now_ms = now_ms

    def outcome(self, event: ScoreEvent) -> Outcome:
        """The event, or why the rules refuse it now."""
        try:
            _admit(self._leaderboard, event, self._now_ms)
        except Rejection:
            try:
                _admit(self._fresh, event, self._now_ms)
            except Rejection as rejection:
                return EventRejected(rejection)
        return event

    @cached_property
    def _fresh(self) -> Leaderboard:
        return self._leaderboards.read(self._leaderboard.id) or self._leaderboard


class Following:
    """Events on their way from the topic to the cache."""

    def __init__(
        self, cache: WindowCache, reads: Reads, leaderboard: Leaderboard, events: Sequence[ScoreEvent]
    ) -> None:
        self._cache = cache
        self._reads = reads
        self._leaderboard = leaderboard
        self._waiting = {event_key(leaderboard.scores_id, one): one for one in events}
        """Those that are not known to show."""
        self._occurred_ms = {key: one.occurred_at_ms for key, one in self._waiting.items()}
        self._seen: dict[_Place, int] = {}
        """The version of a player's standing that was shown when the truth was asked last."""
        self._needed: dict[EventKey, int] = {}
        """The version that has the event in it, once the ledger has it."""
        self._events = events

    @property
    def event(self) -> ScoreEvent:
        """The first one, or the only one."""
        return self._events[0]

    def is_shown(self) -> bool:
        """Whether the cache has the effect of every event; `shows` tells which.

        One HMGET, and a look into the truth, for all whose players have changed. Every event changes the player's
        standings of its day and of all time, whatever it is worth, in one script. Where all time isn't kept, it goes by
        the day: one HMGET for each of theirs.

        Raises:
            CacheUnavailable: if Redis fails.
            Unavailable: if DynamoDB is out of reach.
        """
        if not self._waiting:
            return True
        shown = self._shown(dict.fromkeys(map(self._place, self._waiting)))
        changed = {place for place, version in shown.items() if version != self._seen.get(place)}
        self._seen |= shown
        self._look([key for key in self._waiting if key not in self._needed and self._place(key) in changed])
        for key, needed in self._needed.items():
            if key in self._waiting and shown[self._place(key)] >= needed:
                del self._waiting[key]
        return not self._waiting

    def _place(self, key: EventKey) -> _Place:
        """Player and day of the standing by which an event is seen to show."""
        board = self._leaderboard
        return key[1], ALL_TIME_DAY if board.keeps_all_time else board.calendar.day_of(self._occurred_ms[key])

    def _shown(self, places: Iterable[_Place]) -> dict[_Place, int]:
        users: dict[Day, list[str]] = {}
        for user_id, day in places:
            users.setdefault(day, []).append(user_id)
        return {
            (user_id, day): version
            for day, user_ids in users.items()
            for user_id, version in zip(
                user_ids, self._cache.shown_versions(self._leaderboard, user_ids, day), strict=True
            )
        }

    def shows(self, event: ScoreEvent) -> bool:
        """Whether an event was seen to show."""
        return event_key(self._leaderboard.scores_id, event) not in self._waiting

    def _look(self, asked: Sequence[EventKey]) -> None:
        """Ask the truth which version each player's standing has, where it has their event."""
        held = self._reads.held(asked) if asked else {}
        if held:
            board = self._leaderboard
            standings = self._reads.standings({(board, *self._place(key)): None for key in held})
            versions = {(key[1], key[2]): one.version for key, one in standings.items()}
            self._needed |= {key: versions.get(self._place(key), 0) for key in held}


def _conflict_in_batch(event: ScoreEvent) -> Rejection:
    detail = f"event {event.event_id} of this player stands in the batch before, with other content"
    return Rejection(Reason.CONFLICTING_DUPLICATE, detail)


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
