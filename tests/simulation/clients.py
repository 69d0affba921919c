"""Clients who send scores over HTTP, ask again, and wait until these show."""

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from shared.cache.errors import CacheUnavailable
from shared.domain.calendar import DAY_MS
from shared.domain.events import ScoreEvent
from shared.domain.rules import Leaderboard
from shared.scores.errors import EventConflict
from shared.scores.outcomes import Submission
from shared.truth.commits import Unavailable
from shared.truth.keys import ledger_partition
from tests.simulation.administrators import REQUEST_MS
from tests.simulation.boards import HOUR_MS, VALUES
from tests.simulation.outside import Broker
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

SHARE: Final = 5
"""Of so many events one comes over HTTP."""
LOOKS_MAX: Final = 8
"""How often a request looks whether its event shows."""


def submit(world: "World") -> None:
    """Send events by the product's own route, each maybe several times, like a client who was not answered."""
    process = Process(world).api()
    stand_in: Any = Broker(world)
    process.__dict__["topic"] = stand_in
    while not world.produced and world.submitted < world.events // SHARE:
        world.scheduler.sleep(world.rng.uniform(0, 4))
        world.submitted += 1
        submission = _draw(world, f"h{world.submitted}")
        for _ in range(world.rng.choice([1, 1, 2, 3])):
            with suppress(Unavailable, CacheUnavailable), world.scheduler.time_limit(REQUEST_MS):
                _request(world, process, submission)
            world.scheduler.sleep(world.rng.choice([0, 1, 20]))


def _draw(world: "World", event_id: str) -> Submission:
    rng, now_ms = world.rng, world.scheduler.now_ms
    at_ms = now_ms - rng.choice([0, rng.randrange(2 * HOUR_MS), rng.randrange(2 * DAY_MS)])
    labels = {"country": rng.choice(VALUES)} if rng.random() < 0.5 else {}
    event = ScoreEvent(event_id, rng.choice(world.open), world.user(), rng.choice([0, 1, 2, 10]), at_ms, labels)
    return Submission(event, is_timed=rng.random() < 0.5)


def _request(world: "World", process: Process, submission: Submission) -> None:
    """Send the event, and look whether it shows, as the route does.

    Nobody sends an id of these with other content, so none may be told so. What is said to show is in the ledger.
    """
    process.begin_request()
    board = process.leaderboards.find(submission.event.leaderboard_id)
    if board is None or board.archived:  # the API finds none
        return
    if not submission.is_timed:
        submission = replace(submission, event=replace(submission.event, occurred_at_ms=process.now_ms()))
    was_held, sent = _is_held(world, board, submission.event), _sent(world, submission.event)
    (outcome,) = process.submissions.send_all(board, [submission])
    assert not isinstance(outcome, EventConflict), (submission, outcome)
    if not isinstance(outcome, ScoreEvent):
        return
    world.taken_over_http += 1
    now_sent = _sent(world, outcome)
    assert now_sent or _is_held(world, board, outcome), (outcome, "was said to be taken")
    is_known = board.pseudonyms == len(world.pseudonyms(board.id)) and board.moving is None
    assert not was_held or not is_known or now_sent == sent, (outcome, "counted before, and was sent again")
    following = process.submissions.follow(board, [outcome])
    for _ in range(world.rng.randrange(LOOKS_MAX)):
        if following.is_shown():
            assert _is_held(world, board, outcome), (outcome, "was said to show")
            world.shown_over_http += 1
            return
        world.scheduler.sleep(world.rng.choice([0.02, 0.5]))


def _sent(world: "World", event: ScoreEvent) -> int:
    """How many records the topic has of it."""
    wanted = event.event_id, event.leaderboard_id, event.user_id
    records = (json.loads(one.value) for log in world.topic for one in log if one.value and _is_event(one.value))
    return sum((one["eventId"], one["leaderboardId"], one["userId"]) == wanted for one in records)


def _is_event(value: bytes) -> bool:
    return value.startswith(b'{"eventId":"h')


def _is_held(world: "World", board: Leaderboard, event: ScoreEvent) -> bool:
    """Whether the ledger holds it, under any name of its player."""
    users = {event.user_id, world.named(board.id, event.user_id)}
    ledger = world.dynamo.tables["leaderboard-ledger"]
    return any((ledger_partition(board.scores_id, user), event.event_id) in ledger for user in users)
