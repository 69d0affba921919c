"""DynamoDB accepts connections and never answers: what is asked of it is counted, and what readers get meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from mangum import Mangum
from redis import Redis

from functions.api.app import create_app
from functions.api.gateway import HttpApi
from infra.local.config import Config, Ports
from shared import settings
from shared.assembly import Assembly, now_ms
from shared.assembly.parts import TRUTH_BREAKER_FAILURES
from shared.domain.calendar import Day, day_of
from shared.domain.events import format_instant
from shared.domain.periods import Period
from shared.domain.records import Record, Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.lookups import leaderboards
from tests.support.silence import Silence

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READS = 10


class Scene:
    """The API's application whose DynamoDB can fall silent."""

    def __init__(self, parts: Assembly, silence: Silence, leaderboard_id: str) -> None:
        self.parts = parts
        self.silence = silence
        self.board = f"/leaderboards/{leaderboard_id}"
        self._serve = Mangum(create_app(parts), lifespan="off", custom_handlers=[HttpApi])

    def get(self, path: str, query: str = "") -> Any:
        event: Any = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"host": "localhost"},
            "requestContext": {"http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1"}, "requestId": "1"},
        }
        answer = self._serve(event, SimpleNamespace())
        return SimpleNamespace(status=answer["statusCode"], json=msgspec.json.decode(answer["body"]))


@pytest.fixture
def scene(
    redis: Redis,
    cache_url: str,
    dynamodb: "DynamoDBClient",
    dynamodb_url: str,
    leaderboard_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    """A leaderboard with an event, read once; from then on everything that is remembered is too old."""
    with Silence(int(dynamodb_url.rpartition(":")[2])) as silence:
        ports = Ports(cache=int(cache_url.rpartition(":")[2]), dynamodb=silence.port, aws=1)
        environment = Config(Path("state"), Path("packages"), ports).environment()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("shared.assembly.parts.TRUTH_BREAKER_REST_S", 3_600)
        monkeypatch.setattr(leaderboards, "KEEP_MS", 0)
        monkeypatch.setattr("functions.api.params.KEEP_MS", 0)
        for module in ("reads.players", "rebuild.on_demand"):
            monkeypatch.setattr(f"shared.{module}.BUILD_WAIT_MS", 600_000)  # however slow the machine is
        parts = Assembly(settings.load(environment), is_waited_for=True)
        board = Leaderboard(id=leaderboard_id, name="Cup", aggregation=Aggregation.SUM)
        today = day_of(now_ms())
        parts.registry.save(board)
        parts.registry.save_period(board.id, Period(id="p", name="P", first=Day(today - 1), last=Day(today + 1)))
        parts.window_builder.rebuild_leaderboard(board)
        event = {
            "eventId": "e-1",
            "leaderboardId": board.id,
            "userId": "ann",
            "points": 7,
            "occurredAt": format_instant(now_ms()),
        }
        record = Record(Source("score-events", 0, 0, now_ms()), None, msgspec.json.encode(event))
        assert [one.kind for one in parts.ingest.ingest([record])] == ["applied"]
        yield Scene(parts, silence, board.id)


@pytest.mark.parametrize(
    ("below", "query"),
    [
        ("/rankings", ""),
        ("/rankings", "window=daily"),
        ("/rankings", "window=custom&period=p"),
        ("/rankings", "userIds=ann"),
        ("/players/ann", "window=weekly"),
        ("/players/ann/windows", ""),
    ],
)
def test_what_is_warm_is_read_from_the_cache_while_the_truth_hangs(scene: Scene, below: str, query: str) -> None:
    before = scene.get(scene.board + below, query)
    assert before.status == 200
    assert not before.json.get("pending")
    scene.silence.hangs.set()

    answers = [scene.get(scene.board + below, query) for _ in range(READS)]

    assert [one.status for one in answers] == [200] * READS
    for answer in answers:
        for one in (answer.json, *answer.json.get("windows", ())):
            assert one.get("source", "live") == "live"
    assert scene.silence.swallowed <= TRUTH_BREAKER_FAILURES


def test_a_hanging_truth_is_left_alone_by_who_knows_nothing(scene: Scene) -> None:
    scene.silence.hangs.set()
    for at in range(READS):
        answer = scene.get(f"/leaderboards/unknown-{at}/rankings")
        assert (answer.status, answer.json["type"]) == (503, "urn:leaderboards:problem:truth-unavailable")
        assert scene.silence.swallowed <= TRUTH_BREAKER_FAILURES
    assert scene.silence.swallowed == TRUTH_BREAKER_FAILURES
