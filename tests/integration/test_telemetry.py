"""What functions leave for a scrape, on a real DynamoDB engine; the broker's answers are given."""

from typing import TYPE_CHECKING, Any

import pytest

from shared.closing.lag import Lag
from shared.messaging.topic import Reach, TopicUnavailable
from shared.truth.counters import FunctionCounters, TopicLag, TopicSettings
from shared.truth.progress import APPLIED, DUPLICATE, Position, Progress
from shared.truth.tables import Tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW_MS = 1_795_430_000_000


class Broker:
    """A topic of two partitions, or none in reach."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached: list[Reach] | None = [Reach(0, 0, 0, 10), Reach(1, 4, 4, 9)]

    def reach(self, _moment_ms: int) -> list[Reach]:
        if self.reached is None:
            raise TopicUnavailable("away")
        return self.reached


@pytest.fixture
def broker(leaderboard_id: str) -> Broker:
    return Broker(leaderboard_id)


@pytest.fixture
def progress(dynamodb: "DynamoDBClient", tables: Tables) -> Progress:
    return Progress(dynamodb, tables.registry)


@pytest.fixture
def telemetry(dynamodb: "DynamoDBClient", tables: Tables) -> FunctionCounters:
    return FunctionCounters(dynamodb, tables.registry)


def test_what_is_wrong_with_the_topics_settings_is_noted_until_it_is_right(
    progress: Progress, telemetry: FunctionCounters, broker: Any
) -> None:
    assert telemetry.noted(broker.name).settings is None
    lag = Lag(broker, progress, telemetry, lambda: NOW_MS)
    broker.settings = lambda: {"cleanup.policy": "compact"}

    assert lag.check_settings() == ["cleanup.policy must be delete, not compact: compaction removes events"]
    noted = TopicSettings(NOW_MS, ["cleanup.policy must be delete, not compact: compaction removes events"])
    assert telemetry.noted(broker.name).settings == noted

    def away() -> None:
        raise TopicUnavailable("away")

    broker.settings = away
    assert lag.check_settings() == []
    assert telemetry.noted(broker.name).settings == noted, "as of the last look"

    broker.settings = lambda: {"cleanup.policy": "delete"}
    assert lag.check_settings() == []
    assert telemetry.noted(broker.name).settings == TopicSettings(NOW_MS, [])


def test_the_lag_is_what_each_partition_holds_past_its_position(
    progress: Progress, telemetry: FunctionCounters, broker: Any
) -> None:
    assert telemetry.noted(broker.name).lag is None
    progress.advance(Position(broker.name, 0, 7, NOW_MS), NOW_MS, {6: APPLIED})

    Lag(broker, progress, telemetry, lambda: NOW_MS).record()

    assert telemetry.noted(broker.name).lag == TopicLag(NOW_MS, {0: 3, 1: 5}), "of the other one nothing was read"
    progress.advance(Position(broker.name, 0, 12, NOW_MS), NOW_MS, {11: DUPLICATE})
    Lag(broker, progress, telemetry, lambda: NOW_MS + 60_000).record()
    assert telemetry.noted(broker.name).lag == TopicLag(NOW_MS + 60_000, {0: 0, 1: 5})


def test_while_the_broker_is_away_the_last_look_stands_with_its_time(
    progress: Progress, telemetry: FunctionCounters, broker: Any
) -> None:
    Lag(broker, progress, telemetry, lambda: NOW_MS).record()
    before = telemetry.noted(broker.name).lag

    broker.reached = None
    Lag(broker, progress, telemetry, lambda: NOW_MS + 60_000).record()

    assert before is not None
    assert telemetry.noted(broker.name).lag == before


def test_what_is_repaired_adds_up(telemetry: FunctionCounters) -> None:
    before = telemetry.noted("any").repaired

    telemetry.count_repaired(3)
    telemetry.count_repaired(4)

    assert telemetry.noted("any").repaired == before + 7
