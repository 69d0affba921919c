"""The list of what closing has to do, on real DynamoDB: what idle leaderboards cost, and what older versions noted."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.client import BaseClient

from shared.domain.audit import AuditAction
from shared.domain.calendar import Day, custom, daily
from shared.domain.periods import Period
from shared.truth import keys
from shared.truth.older_work import AGAIN_MS, OlderWork
from shared.truth.rounds import Round, Rounds
from shared.truth.tables import Tables
from shared.truth.work import Work, work_key
from tests.support.closing import MONDAY, RANKING, Scene

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


def test_what_older_versions_noted_beside_a_leaderboard_is_moved(scene: Scene, dynamodb: "DynamoDBClient") -> None:
    scene.run()
    scene.disqualifications.disqualify(scene.leaderboard, "ann", "somebody", "for a reason")
    (act,) = scene.work.of(scene.id).audit_entries
    scene.audit_log.mark_applied(scene.id, act.number)
    assert scene.work.of(scene.id) == Work()
    over = Period(id="over", name="p", first=Day(MONDAY - 1), last=MONDAY)
    for sort in ("due#2099-01-05", "notice#2099-01-05#00000001", f"open-act#{act.number:08d}", "period#over"):
        body = act if sort.startswith("open") else over
        _put_beside(dynamodb, scene.id, sort, body)

    table: Any = Only(dynamodb, scene.id)
    dynamodb.delete_item(TableName=TABLE, Key=work_key(keys.WORK_MOVED))
    older = OlderWork(table, TABLE, scene.finals)
    older.move(scene.now_ms)

    work = scene.work.of(scene.id)
    assert {one.window for one in work.due} == {daily(MONDAY), custom(Day(MONDAY - 1), MONDAY)}
    assert work.pending_notifications == [("2099-01-05", 1)]
    assert [(one.kind, one.user_id) for one in work.audit_entries] == [(AuditAction.DISQUALIFY, "ann")]
    scene.told.clear()
    scene.run()
    assert [(one.window_id, one.version) for one in scene.told][:1] == [("2099-01-05", 1)]
    assert scene.stored(over.window) == [line for line in RANKING if line[1] != "ann"]
    assert scene.work.of(scene.id) == Work()

    for later_ms, moved in ((0, False), (AGAIN_MS, True), (2 * AGAIN_MS, False)):
        _put_beside(dynamodb, scene.id, "due#2099-01-05", over)
        older.move(scene.now_ms + later_ms)
        assert bool(scene.work.of(scene.id).due) is moved
        scene.run()


def _put_beside(dynamodb: "DynamoDBClient", leaderboard_id: str, sort: str, body: Any) -> None:
    item = {
        "pk": {"S": keys.leaderboard_partition(leaderboard_id)},
        "sk": {"S": sort},
        "body": {"S": msgspec.json.encode(body).decode()},
    }
    dynamodb.put_item(TableName=TABLE, Item=item)


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
