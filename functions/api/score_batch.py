"""A batch of score events between its request and its answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from functions.api.problems import InvalidFields, Problem, problem_within
from functions.api.score_body import ScoresBody, WrongScore
from functions.api.views.players import (
    BatchedScoresView,
    BatchedScoreView,
    to_pending_window_view,
    to_player_window_view,
)
from shared.domain.events import ScoreEvent, format_instant
from shared.domain.rules import Leaderboard
from shared.reads.answers import PlayerWindows
from shared.scores.errors import BrokerUnavailable
from shared.scores.outcomes import Outcome, Submission


class Batch:
    """The items of one request, and what became of each."""

    def __init__(self, leaderboard: Leaderboard, body: ScoresBody, now_ms: int) -> None:
        """`now_ms`: when events without a time of their own occurred."""
        self._leaderboard = leaderboard
        self._items = [
            one
            if isinstance(one, WrongScore)
            else Submission(one.to_event(leaderboard.id, one.user_id, now_ms), one.occurred_at is not None)
            for one in body.scores
        ]
        self._outcomes: Sequence[Outcome] = ()

    @property
    def submissions(self) -> list[Submission]:
        """The items that are score events."""
        return [one for one in self._items if isinstance(one, Submission)]

    @property
    def taken(self) -> list[ScoreEvent]:
        """The events that Kafka or the ledger has, none twice."""
        events = (one for one in self._outcomes if isinstance(one, ScoreEvent))
        return list({(one.user_id, one.event_id): one for one in events}.values())

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Take what became of each of `submissions`."""
        self._outcomes = outcomes

    def to_view(
        self, scope: Mapping[str, Any], found: Mapping[tuple[str, str], PlayerWindows], now_ms: int
    ) -> BatchedScoresView:
        """What is answered, in the order of the request.

        Args:
            scope: of the request.
            found: user id and event id of each event that the rankings show, and where its player stands.
            now_ms: which tells how far windows are that are being built.
        """
        outcomes = iter(self._outcomes)
        first: dict[int, int] = {}
        scores = []
        for number, item in enumerate(self._items):
            if isinstance(item, WrongScore):
                scores.append(_to_wrong_view(scope, item, number))
                continue
            outcome = next(outcomes)
            before = first.setdefault(id(outcome), number)  # an event that is repeated has the very same outcome
            if isinstance(outcome, ScoreEvent):
                view = self._to_taken_view(outcome, found.get((outcome.user_id, outcome.event_id)), now_ms)
            else:
                problem = problem_within(outcome, scope, f"scores[{number}]")
                view = _to_refused_view(item.event.user_id, item.event.event_id, problem)
                if isinstance(outcome, BrokerUnavailable):  # which may have it all the same, at this time
                    view.occurred_at = format_instant(item.event.occurred_at_ms)
            view.repeats = None if before == number else before
            scores.append(view)
        return BatchedScoresView(leaderboard_id=self._leaderboard.id, scores=scores)

    def _to_taken_view(self, event: ScoreEvent, found: PlayerWindows | None, now_ms: int) -> BatchedScoreView:
        windows, pending = ([], []) if found is None else (found.windows, found.pending)
        return BatchedScoreView(
            user_id=event.user_id,
            event_id=event.event_id,
            occurred_at=format_instant(event.occurred_at_ms),
            status=202 if found is None else 200,
            repeats=None,
            windows=[to_player_window_view(one, self._leaderboard) for one in windows],
            pending=[to_pending_window_view(one, self._leaderboard, now_ms) for one in pending],
            problem=None,
        )


def _to_wrong_view(scope: Mapping[str, Any], item: WrongScore, number: int) -> BatchedScoreView:
    error = InvalidFields([{**one, "loc": ("body", "scores", number, *one["loc"])} for one in item.errors])
    return _to_refused_view(item.user_id, item.event_id, problem_within(error, scope, ""))


def _to_refused_view(user_id: str | None, event_id: str | None, problem: Problem) -> BatchedScoreView:
    return BatchedScoreView(
        user_id=user_id,
        event_id=event_id,
        occurred_at=None,
        status=problem.status,
        repeats=None,
        windows=[],
        pending=[],
        problem=problem,
    )
