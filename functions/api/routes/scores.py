"""Scores with their ranks in one call: events go into the topic, the answer waits until the cache shows them."""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from fastapi import FastAPI, Request, Response

from functions.api.building import ASK_AGAIN_S
from functions.api.conditional import affordable_ms, applied, willing_ms
from functions.api.contract import Answered, described, operation
from functions.api.params import Finder, to_user_id
from functions.api.score_batch import Batch
from functions.api.score_body import ScoreBody, ScoresBody
from functions.api.views import answer
from functions.api.views.players import (
    BatchedScoresView,
    ScoreAcceptedView,
    ScoreView,
    to_pending_window_view,
    to_player_window_view,
)
from shared.cache.errors import CacheUnavailable
from shared.cache.waits import Waits
from shared.domain.events import ScoreEvent, format_instant
from shared.domain.rules import Leaderboard
from shared.reads.answers import PlayerWindows
from shared.reads.players import Players
from shared.truth.commits import Unavailable

if TYPE_CHECKING:
    from shared.scores.submissions import Following, Submissions  # loads the Kafka client

WAIT_DEFAULT_MS: Final = 3_000
"""How long an answer waits where the client says nothing: twenty times what an event takes."""
POLL_MS: Final = (5, 20)
"""How often it checks, with one HGET: at first, and once what takes the usual time would have come."""
USUAL_MS: Final = 80
"""What most events take."""
_SCORES: Final = "/leaderboards/{id}/players/{userId:path}/scores"
_BATCHES: Final = "/leaderboards/{id}/scores"
_FRESH: Final = {"cache-control": "no-store"}
_TAGS: Final[list[str | Enum]] = ["scores"]


class UseCases(Protocol):
    """What is called here."""

    @property
    def players(self) -> Players: ...
    @property
    def submissions(self) -> "Submissions": ...
    @property
    def waits(self) -> Waits: ...


def register(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Scores, which stand below a player."""

    @app.post(_SCORES, tags=_TAGS)
    @operation(
        responses={
            200: described(ScoreView, "The event counts; where the player stands"),
            202: Answered("Kafka has the event; it is not shown yet", ScoreAcceptedView, retry=True),
        },
        waits=True,
    )
    async def submit_score(request: Request, body: ScoreBody) -> Response:
        """Send a score event, and get the player's ranks with it.

        The event goes into the topic like anybody's, and the answer comes once the rankings show it, after 3 s at the
        latest, or after what `Prefer: wait` says: then it is 202. The same `eventId` again is answered alike and counts
        once; without `occurredAt` it may be sent again once it counts. What can't count is refused before it is sent.
        """
        user_id = to_user_id(request.path_params["userId"])
        leaderboard = finder.leaderboard(request)
        sent = body.to_event(leaderboard.id, user_id, finder.now_ms())
        following = use_cases.submissions.send(leaderboard, sent, is_timed=body.occurred_at is not None)
        shown, headers = await _shown(request, following, use_cases.waits)
        if not shown:
            return answer(_to_accepted(following.event), 202, _FRESH | headers | {"retry-after": str(ASK_AGAIN_S)})
        found = use_cases.players.windows(leaderboard, user_id)
        if found.pending:
            headers["retry-after"] = str(ASK_AGAIN_S)
        return answer(_to_view(leaderboard, following.event, found, finder.now_ms()), 200, _FRESH | headers)


def register_batches(app: FastAPI, use_cases: UseCases, finder: Finder) -> None:
    """Scores of several players at once."""

    @app.post(_BATCHES, tags=_TAGS)
    @operation(
        responses={
            200: described(BatchedScoresView, "What became of each event"),
            202: Answered(
                "Likewise, and some do not show yet, or may not have reached Kafka: send those with status 202 or 503 "
                "again",
                BatchedScoresView,
                retry=True,
            ),
        },
        waits=True,
    )
    async def submit_scores(request: Request, body: ScoresBody) -> Response:
        """Send up to 100 score events of several players, each answered on its own.

        Each is checked, sent and counted as if it came alone: what one is refused for keeps no other from counting. The
        answer waits once for all of them. If the request itself can't be read, nothing is sent. An event that is in
        the batch twice counts once, and the second says which it repeats; with other content, the second is refused.
        """
        leaderboard = finder.leaderboard(request)
        batch = Batch(leaderboard, body, finder.now_ms())
        batch.take(use_cases.submissions.send_all(leaderboard, batch.submissions))
        following = use_cases.submissions.follow(leaderboard, batch.taken)
        _, headers = await _shown(request, following, use_cases.waits)
        shown = [one for one in batch.taken if following.shows(one)]
        windows = use_cases.players.windows_of(leaderboard, list(dict.fromkeys(one.user_id for one in shown)))
        found = {(one.user_id, one.event_id): windows[one.user_id] for one in shown}
        view = batch.to_view(request.scope, found, finder.now_ms())
        is_done = all(one.status not in (202, 503) for one in view.scores)
        if not is_done or any(one.pending for one in view.scores):
            headers["retry-after"] = str(ASK_AGAIN_S)
        return answer(view, 200 if is_done else 202, _FRESH | headers)


def _to_accepted(event: ScoreEvent) -> ScoreAcceptedView:
    return ScoreAcceptedView(
        leaderboard_id=event.leaderboard_id,
        user_id=event.user_id,
        event_id=event.event_id,
        occurred_at=format_instant(event.occurred_at_ms),
    )


def _to_view(leaderboard: Leaderboard, event: ScoreEvent, found: PlayerWindows, now_ms: int) -> ScoreView:
    return ScoreView(
        leaderboard_id=event.leaderboard_id,
        user_id=event.user_id,
        event_id=event.event_id,
        occurred_at=format_instant(event.occurred_at_ms),
        windows=[to_player_window_view(one, leaderboard) for one in found.windows],
        pending=[to_pending_window_view(one, leaderboard, now_ms) for one in found.pending],
    )


async def _shown(request: Request, following: "Following", waits: Waits) -> tuple[bool, dict[str, str]]:
    """Whether the event shows, at once or within the time; and the headers that tell of a wait that was asked for."""
    if _is_shown(following):
        return True, {}
    asked_ms = willing_ms(request)
    wait_ms = affordable_ms(request, WAIT_DEFAULT_MS if asked_ms is None else asked_ms)
    with waits.granted(wait_ms) as granted:
        if not granted:
            return False, {}
        headers = {} if asked_ms is None else applied(asked_ms)
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        while True:
            poll_ms = POLL_MS[loop.time() - start_s >= USUAL_MS / 1000]
            if loop.time() + poll_ms / 1000 > start_s + wait_ms / 1000:
                return False, headers
            await asyncio.sleep(poll_ms / 1000)
            if _is_shown(following):
                return True, headers


def _is_shown(following: "Following") -> bool:
    """Whether it is known to show: Kafka has the event by now, so what can't be asked is no error of the request."""
    try:
        return following.is_shown()
    except (CacheUnavailable, Unavailable):
        return False
