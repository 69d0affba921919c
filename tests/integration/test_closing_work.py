"""The list of what closing has to do, on real DynamoDB: what idle leaderboards cost."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from shared.domain.calendar import Day
from shared.domain.periods import Period
from shared.truth import keys
from shared.truth.rounds import Round, Rounds
from shared.truth.tables import Tables
from tests.support.closing import MONDAY, Scene

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = Tables().registry


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """What is asked of DynamoDB meanwhile, by operation."""
    asked: Counter[str] = Counter()
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(self: Any, operation: str, params: Any) -> Any:
        asked[operation] += 1
        return original(self, operation, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", call)
        yield asked


def test_final_periods_cost_nothing(scene: Scene) -> None:
    scene.run()
    with counted() as before:
        scene.closing().run()
    for back in range(5):
        scene.registry.save_period(scene.id, Period(id=f"p{back}", name="p", first=Day(MONDAY - back), last=MONDAY))
    assert len(scene.run().final_results) == 5

    with counted() as after:
        scene.closing().run()

    assert after == before


def test_idle_leaderboards_cost_nothing_but_their_definitions(scene: Scene) -> None:
    scene.run()
    others = [scene.leaderboard] * 50
    with counted() as before:
        scene.closing().run()

    with counted() as after:
        scene.closing(others).run()

    assert after == before


class Only:
    """A client that shows one leaderboard."""

    def __init__(self, client: "DynamoDBClient", leaderboard_id: str) -> None:
        self._client = client
        self._id = leaderboard_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_paginator(self, name: str) -> Any:
        original = self._client.get_paginator("query").paginate

        class Paginator:
            def paginate(_, **query: Any) -> Any:  # noqa: N805
                for page in original(**query):
                    if query["ExpressionAttributeValues"][":pk"]["S"] == keys.LEADERBOARDS:
                        page["Items"] = [item for item in page["Items"] if item["sk"]["S"] == self._id]
                    yield page

        return Paginator()


def test_a_round_is_kept(dynamodb: "DynamoDBClient", leaderboard_id: str) -> None:
    rounds = Rounds(dynamodb, TABLE)
    assert rounds.read(leaderboard_id) == Round(None, ended=True)
    for after, ended in (("cup", False), ("cup", True), (None, True), (None, False)):
        rounds.record(leaderboard_id, after, ended=ended)
        assert rounds.read(leaderboard_id) == Round(after, ended=ended)
